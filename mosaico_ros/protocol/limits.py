"""Numbers that both ends agree on."""

from __future__ import annotations

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

#: Longest locator as a whole, in characters (all ASCII, so bytes too).
MAX_LOCATOR_LENGTH = 1024

#: Longest single component of a locator; file systems stop at 255 bytes per name.
MAX_COMPONENT_LENGTH = 255

#: Largest JSON body, in bytes; user metadata beyond that belongs into a topic.
MAX_JSON_BYTES = 8 * 1024 * 1024

#: Deepest nesting of a JSON body, far below where recursive readers give up.
MAX_JSON_DEPTH = 64

#: Longest pattern of ``$match``.
MAX_PATTERN_LENGTH = 256

#: Longest list operand of a query condition on values.
MAX_LIST_OPERAND = 1024

#: Longest list of names in a query: what one query found restricts the next.
MAX_LISTED_NAMES = 100_000

#: Longest ontology tag, in characters; catalogs index it.
MAX_TAG_LENGTH = 255

#: Longest client token, in characters; catalogs index it.
MAX_TOKEN_LENGTH = 255

#: Longest path of a leaf column (``points[].x``), in bytes; catalogs index it too.
MAX_COLUMN_PATH_BYTES = 1024

#: Most endpoints that one topic is split into.
MAX_STRIPES = 64

#: Most alternatives that the tree of ``where`` may come to: each is a query of its own.
MAX_ALTERNATIVES = 64
