"""Windows in time in which conditions hold."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['TimestampRange', 'TopicCluster']


@dataclass(frozen=True)
class TimestampRange:
    """A span of time in nanoseconds since 1970; in answers both ends are included."""

    start: int
    end: int

    def to_dict(self) -> dict[str, int]:
        """Return the span as requests carry it."""
        return {'start_ns': self.start, 'end_ns': self.end}


@dataclass(frozen=True)
class TopicCluster:
    """One window in which conditions hold.

    Parameters
    ----------
    id
        Counts from 0 in time order.
    timerange
        First and last time, both included.

    """

    id: int
    timerange: TimestampRange
