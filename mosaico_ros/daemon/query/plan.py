"""What a query did: the plan that ``explain`` returns. ``docs/query.md`` describes its fields."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mosaico_ros.daemon.query.evaluation import Tally
from mosaico_ros.protocol.query import OntologyCondition

__all__ = ['GroupPlan', 'Plan']


@dataclass
class GroupPlan:
    """One tag of one alternative, and the schemas that read its conditions alike.

    Parameters
    ----------
    tags
        Spellings of the tag.
    conditions
        What one row has to satisfy.
    topics
        Topics that the sections let through; `None` if they let all through.
    chunks
        Chunks of these topics; `None` unless the plan was asked for.
    candidates
        Chunks that statistics could not rule out.
    decided
        Candidates that bounds alone decide.
    read
        What was read of the others. Some are left: a topic needs only one match.

    """

    tags: Sequence[str]
    conditions: Sequence[OntologyCondition]
    topics: int | None = None
    chunks: int | None = None
    candidates: int = 0
    decided: int = 0
    read: Tally = field(default_factory=Tally)

    def to_json(self) -> dict[str, Any]:
        """Return the group as it is sent."""
        return {
            'tags': list(self.tags),
            'conditions': [_spelled(condition) for condition in self.conditions],
            'topics': self.topics,
            'chunks': self.chunks,
            'chunks_pruned': None if self.chunks is None else self.chunks - self.candidates,
            'chunks_decided_by_bounds': self.decided,
            'chunks_opened': self.read.opened,
            'row_groups_read': self.read.row_groups,
            'rows_evaluated': self.read.rows,
            'bytes_read': self.read.bytes,
        }


class Plan:
    """The groups of all alternatives, and the time of each step."""

    def __init__(self) -> None:
        self._alternatives: list[list[GroupPlan]] = []
        self._seconds: dict[str, float] = {'sections': 0, 'statistics': 0, 'rows': 0, 'page': 0}

    def alternative(self) -> list[GroupPlan]:
        """Begin an alternative; return its groups, to be filled."""
        self._alternatives.append([])
        return self._alternatives[-1]

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count the time of the block to a step, without steps inside it."""
        began, others = time.perf_counter(), sum(self._seconds.values())
        try:
            yield
        finally:
            inside = sum(self._seconds.values()) - others
            self._seconds[step] += time.perf_counter() - began - inside

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it is sent."""
        return {
            'alternatives': [
                {'groups': [group.to_json() for group in groups]} for groups in self._alternatives
            ],
            'milliseconds': {name: round(s * 1000, 3) for name, s in self._seconds.items()},
        }


def _spelled(condition: OntologyCondition) -> dict[str, Any]:
    spelled = {condition.key: condition.condition.to_json()}
    return {'$not': spelled} if condition.negated else spelled
