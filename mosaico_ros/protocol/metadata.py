"""Metadata keys that Mosaico puts into Arrow schemas, and their values.

Clients before 0.7 read tag, format and user metadata from the schema instead of from
``app_metadata``, and PlotJuggler still does.
"""

from __future__ import annotations

from typing import Any

from mosaico_ros.protocol import codec

CONTEXT = b'mosaico:context'
PROPERTIES = b'mosaico:properties'
USER_METADATA = b'mosaico:user_metadata'

#: Field metadata key that marks a top-level column as a sidecar: stored, served on request only.
SIDECAR = b'mosaico:sidecar'
SIDECAR_TRUE = b'true'

#: The envelope column that orders, slices and indexes a topic: int64 nanoseconds since 1970.
TIMESTAMP_COLUMN = 'timestamp_ns'

CONTEXT_SEQUENCE = 'sequence'
CONTEXT_TOPIC = 'topic'


def schema_metadata(
    context: str, properties: dict[str, Any], user_metadata: dict[str, Any]
) -> dict[bytes, bytes]:
    """Return the three ``mosaico:*`` entries of a schema.

    Parameters
    ----------
    context
        :data:`CONTEXT_SEQUENCE` or :data:`CONTEXT_TOPIC`.
    properties
        For topics at least ``ontology_tag`` and ``serialization_format``.
    user_metadata
        The user's JSON object.

    """
    return {
        CONTEXT: context.encode(),
        PROPERTIES: codec.encode(properties),
        USER_METADATA: codec.encode(user_metadata),
    }


def is_sidecar(field_metadata: dict[bytes, bytes] | None) -> bool:
    """Whether a field's metadata marks it as a sidecar column."""
    return bool(field_metadata) and field_metadata.get(SIDECAR) == SIDECAR_TRUE  # type: ignore[union-attr]
