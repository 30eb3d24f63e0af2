"""What is played as one stretch of time: windows of recorded time laid end to end.

A position is a time in ns since the beginning of the playback at rate 1; between windows no time
passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mosaico_ros.protocol.errors import InvalidArgumentError


@dataclass(frozen=True)
class Segment:
    """One window of recorded time, ns: from `start_ns` (inclusive) to `end_ns` (exclusive).

    ``recordings`` are the numbers of those that are played in it, merged by time.
    """

    start_ns: int
    end_ns: int
    recordings: tuple[int, ...] = (0,)


class Timeline:
    """Segments in the order in which they are played.

    Raises
    ------
    InvalidArgumentError
        There is nothing to play.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(each for each in segments if each.start_ns < each.end_ns)
        if not self.segments:
            raise InvalidArgumentError('there is no message in what was asked for')
        self._offsets = [0]
        for segment in self.segments:
            self._offsets.append(self._offsets[-1] + segment.end_ns - segment.start_ns)

    @property
    def duration_ns(self) -> int:
        """Length of the playback at rate 1."""
        return self._offsets[-1]

    def cut(self, offset_ns: int, duration_ns: int | None) -> Timeline:
        """Return what is left without the beginning, and at most so long.

        Raises
        ------
        InvalidArgumentError
            Nothing is left.
        """
        end = self.duration_ns if duration_ns is None else offset_ns + duration_ns
        parts = []
        for segment, offset in zip(self.segments, self._offsets, strict=False):
            start_ns = segment.start_ns + max(0, offset_ns - offset)
            end_ns = min(segment.end_ns, segment.start_ns + max(0, end - offset))
            parts.append(replace(segment, start_ns=start_ns, end_ns=end_ns))
        return Timeline(parts)

    def recorded(self, position: int) -> int:
        """Return the recorded time at a position, clamped to the playback."""
        for segment, offset in zip(self.segments, self._offsets, strict=False):
            if position < offset + segment.end_ns - segment.start_ns:
                return segment.start_ns + max(0, position - offset)
        return self.segments[-1].end_ns

    def position(self, recorded_ns: int) -> int | None:
        """Return where a recorded time is played first, or what follows it in its gap.

        None if it is before or after all that is played.
        """
        first = min(segment.start_ns for segment in self.segments)
        if not first <= recorded_ns < max(segment.end_ns for segment in self.segments):
            return None
        for segment, offset in zip(self.segments, self._offsets, strict=False):
            if segment.start_ns <= recorded_ns < segment.end_ns:
                return offset + recorded_ns - segment.start_ns
        return min(
            (segment.start_ns, offset)
            for segment, offset in zip(self.segments, self._offsets, strict=False)
            if segment.start_ns > recorded_ns
        )[1]

    def left(self, position: int) -> Iterator[tuple[Segment, int]]:
        """Yield what is played from a position on: segments, and the position of their start.

        The first one is cut to begin there.
        """
        for segment, offset in zip(self.segments, self._offsets, strict=False):
            skipped = max(0, position - offset)
            if skipped < segment.end_ns - segment.start_ns:
                yield replace(segment, start_ns=segment.start_ns + skipped), offset + skipped
