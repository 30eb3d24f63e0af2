"""How far from its time each message was published, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

# Buckets per factor e: percentiles are exact within 2.5 %.
_FINENESS = 20
_SHORTEST_NS = 1000


@dataclass(frozen=True)
class LatenessFigures:
    """In seconds; None without messages."""

    count: int
    p50: float | None
    p99: float | None
    max: float | None

    def __str__(self) -> str:
        if self.p50 is None or self.p99 is None or self.max is None:
            return 'not measured'
        return f'p50 {_text(self.p50)}, p99 {_text(self.p99)}, max {_text(self.max)}'


class Lateness:
    """Distribution of delays."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._max = 0

    def add(self, delay_ns: int) -> None:
        """Count a message that was published so long after its time."""
        bucket = 0
        if delay_ns > _SHORTEST_NS:
            bucket = 1 + int(math.log(delay_ns / _SHORTEST_NS) * _FINENESS)
        self._counts[bucket] += 1
        self._max = max(self._max, delay_ns)

    def figures(self) -> LatenessFigures:
        """Return what was counted so far."""
        counts = dict(self._counts)
        total = sum(counts.values())
        if not total:
            return LatenessFigures(0, None, None, None)
        return LatenessFigures(
            total,
            self._percentile(counts, 0.5 * total),
            self._percentile(counts, 0.99 * total),
            self._max / 1e9,
        )

    def _percentile(self, counts: dict[int, int], rank: float) -> float:
        below = 0
        for bucket in sorted(counts):
            below += counts[bucket]
            if below >= rank:
                break
        middle = _SHORTEST_NS * math.exp((bucket - 0.5) / _FINENESS)
        return min(middle, max(self._max, 0)) / 1e9


def _text(seconds: float) -> str:
    return f'{seconds * 1e3:.2f} ms' if seconds < 1 else f'{seconds:.2f} s'
