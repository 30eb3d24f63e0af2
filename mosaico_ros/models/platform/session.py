"""One upload into a sequence."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Session:
    """A session, as the archive knows it.

    Attributes
    ----------
    locator
        ``<sequence>:<session>``, its name everywhere.
    created_timestamp
        When it was opened, in nanoseconds since 1970.
    locked
        Whether it is finalized.
    completed_timestamp
        When it was finalized, in nanoseconds since 1970; None while it is open.
    topics
        Names of the topics that it wrote.
    """

    locator: str
    created_timestamp: int
    locked: bool
    completed_timestamp: int | None = None
    topics: list[str] = field(default_factory=list)
