"""One typed stream of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mosaico_ros.protocol.serialization import SerializationFormat


@dataclass(frozen=True)
class Topic:
    """A topic, as the archive knows it.

    Attributes
    ----------
    user_metadata
        What the user said about it.
    name
        Its name within the sequence.
    sequence_name
        The sequence it belongs to.
    created_timestamp
        When it was created, in nanoseconds since 1970.
    ontology_tag
        The type of its data.
    chunks_number
        Number of stored chunks; None if the daemon does not tell.
    serialization_format
        How its storage is shaped.
    locked
        Whether it is complete.
    total_size_bytes
        Its size in the store.
    """

    user_metadata: dict[str, Any]
    name: str
    sequence_name: str
    created_timestamp: int
    ontology_tag: str
    chunks_number: int | None
    serialization_format: SerializationFormat
    locked: bool
    total_size_bytes: int
