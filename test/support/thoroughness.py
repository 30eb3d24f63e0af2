"""How thorough the tests are. Whoever sets ``MOSAICO_THOROUGH=1`` has hours."""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get('MOSAICO_THOROUGH'))


def examples(count: int) -> int:
    """Return how many examples to try of a property of which each takes its time."""
    return count * 100 if THOROUGH else count
