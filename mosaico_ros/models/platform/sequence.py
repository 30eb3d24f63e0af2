"""A recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mosaico_ros.models.platform.session import Session


@dataclass(frozen=True)
class Sequence:
    """A sequence, as the archive knows it.

    Attributes
    ----------
    user_metadata
        What the user said about it.
    created_timestamp
        When it was created, in nanoseconds since 1970.
    name
        Its name.
    total_size_bytes
        Size of all its topics in the store.
    sessions
        The uploads that filled it.
    """

    user_metadata: dict[str, Any]
    created_timestamp: int
    name: str
    total_size_bytes: int
    sessions: list[Session]

    @property
    def topics(self) -> list[str]:
        """Names of the topics of all sessions."""
        return [topic for session in self.sessions for topic in session.topics]

    @property
    def updated_timestamps(self) -> list[int]:
        """When each session was opened, in nanoseconds since 1970."""
        return [session.created_timestamp for session in self.sessions]
