"""How the daemon answered a query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mosaico_ros.models.core.expressions import QueryExpression
from mosaico_ros.protocol import shapes

__all__ = ['PlanAlternative', 'PlanGroup', 'QueryPlan']


@dataclass(frozen=True)
class PlanGroup:
    """What was looked at for the conditions on one ontology tag.

    Parameters
    ----------
    tags
        Spellings of the tag.
    conditions
        What one message had to satisfy, as they are sent.
    topics
        Topics that the conditions on sequences and topics let through; `None` if there are none.
    chunks
        Chunks of these topics; `None` if the group was never reached.
    chunks_pruned
        Chunks ruled out by their statistics in the catalog.
    chunks_decided_by_bounds
        Chunks decided without opening them.
    chunks_opened, row_groups_read, rows_evaluated, bytes_read
        What was read of the others. A topic needs one match only, so some are left.

    """

    tags: list[str]
    conditions: list[dict[str, Any]]
    topics: int | None = None
    chunks: int | None = None
    chunks_pruned: int | None = None
    chunks_decided_by_bounds: int = 0
    chunks_opened: int = 0
    row_groups_read: int = 0
    rows_evaluated: int = 0
    bytes_read: int = 0

    def __str__(self) -> str:
        lines = [' and '.join(map(_readable, self.conditions))]
        if self.topics is not None:
            lines.append(f'topics let through: {self.topics}')
        if self.chunks is not None:
            lines.append(
                f'chunks: {self.chunks}, of them {self.chunks_pruned} pruned by statistics, '
                f'{self.chunks_decided_by_bounds} decided by bounds, {self.chunks_opened} opened'
            )
        if self.chunks_opened:
            lines.append(
                f'read: {self.row_groups_read} row groups, {self.rows_evaluated} rows, '
                f'{self.bytes_read} bytes'
            )
        return '\n    '.join(lines)


@dataclass(frozen=True)
class PlanAlternative:
    """One query without OR; the answer unites those of all of them."""

    groups: list[PlanGroup] = field(default_factory=list)

    def __str__(self) -> str:
        return '\n'.join(f'  {group}' for group in self.groups) or '  by the catalog alone'


@dataclass(frozen=True)
class QueryPlan:
    """How a query was answered; print it to read it.

    Parameters
    ----------
    alternatives
        What ``|`` came to, each looked at on its own.
    milliseconds
        Time per step: ``sections`` (conditions on sequences and topics), ``statistics`` (pruning
        in the catalog), ``rows`` (reading chunks), ``page`` (order and limit).

    """

    alternatives: list[PlanAlternative]
    milliseconds: dict[str, Any]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> QueryPlan:
        """Read the plan of an answer."""
        return shapes.from_json(cls, data, 'plan')

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        return shapes.to_json(self)

    def __str__(self) -> str:
        steps = ', '.join(f'{name} {value:g}' for name, value in self.milliseconds.items())
        lines = [f'{sum(self.milliseconds.values()):.1f} ms ({steps})']
        for number, alternative in enumerate(self.alternatives, 1):
            if len(self.alternatives) > 1:
                lines.append(f'alternative {number}')
            lines.append(str(alternative))
        return '\n'.join(lines)


def _readable(condition: dict[str, Any]) -> str:
    ((key, spelled),) = condition.items()
    if key == '$not':
        return f'not ({_readable(spelled)})'
    ((operator, value),) = spelled.items()
    tag, _, path = key.partition('.')
    return str(QueryExpression(tag, path, operator, value))
