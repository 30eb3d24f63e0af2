"""The tree behind ``where``, an extension: conditions combined by AND, OR and NOT.

::

    {"$and": [node, ...]}    {"$or": [node, ...]}    {"$not": node}
    {"sequence": {...}, "topic": {...}, "ontology": {...}}

A leaf holds sections as the query itself does, at least one condition; all of them must hold.
The whole tree, and the query's own sections beside it, select topics. What it means:

1. NOT is moved down to the single conditions by De Morgan's laws. A negated condition on a
   sequence or a topic holds for every object of which the condition does not hold. A negated
   ontology condition holds for every row of a topic of its tag of which the condition is not
   true: also where the value is null or NaN, and for all rows if the topic has no such field.
2. OR is moved up. What remains are alternatives, each of them a query without OR, read as one
   without ``where``: conditions on one tag must hold in one row, and with several tags a
   sequence needs a topic that qualifies for each.
3. The answer is the union of the answers of the alternatives; a ``timestamp_range`` spans the
   rows of all alternatives that the topic qualifies for.

On one tag this is the same as evaluating the tree row by row. "No row is above 5" is not what
``{"$not": {"ontology": {"IMU.x": {"$gt": 5}}}}`` says, but "some row is not above 5".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from math import prod

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_ALTERNATIVES
from mosaico_ros.protocol.query.tree import (
    AllOf,
    AnyOf,
    Not,
    OntologyCondition,
    Query,
    SectionQuery,
    Sections,
    Where,
)

__all__ = ['alternatives', 'row_alternatives', 'rows_tree']


def alternatives(query: Query) -> list[Sections]:
    """Return queries without OR and NOT whose answers together are the answer.

    Raises
    ------
    InvalidArgumentError
        If there are more than :data:`MAX_ALTERNATIVES`.

    """
    ways = [Sections()] if query.where is None else _ways(query.where, negated=False)
    return list(dict.fromkeys(_together(query, way) for way in ways))


def row_alternatives(
    conditions: tuple[OntologyCondition, ...], where: Where | None
) -> list[tuple[OntologyCondition, ...]]:
    """Return what rows have to satisfy: all conditions of one of the alternatives.

    Raises
    ------
    InvalidArgumentError
        The tree asks for sequences or topics too, or there are too many alternatives.

    """
    ways = alternatives(Query(ontology=conditions, where=where))
    if any(way.sequence or way.topic for way in ways):
        raise InvalidArgumentError('Rows are not chosen by conditions on sequences or topics')
    return [way.ontology for way in ways]


def rows_tree(ways: Iterable[tuple[OntologyCondition, ...]]) -> Where:
    """Return the tree that :func:`row_alternatives` takes apart into these."""

    def leaf(condition: OntologyCondition) -> Where:
        plain = Sections(ontology=(replace(condition, negated=False),))
        return Not(plain) if condition.negated else plain

    return AnyOf(tuple(AllOf(tuple(map(leaf, way))) for way in ways))


def _ways(node: Where, negated: bool) -> list[Sections]:
    if isinstance(node, Not):
        return _ways(node.part, not negated)
    if isinstance(node, Sections):
        return list(_each_negated(node)) if negated else [node]
    parts = [_ways(part, negated) for part in node.parts]
    if isinstance(node, AllOf) is negated:
        _check(sum(map(len, parts)))
        return [way for part in parts for way in part]
    _check(prod(map(len, parts)))
    return reduce(lambda left, right: [_together(a, b) for a in left for b in right], parts)


def _each_negated(leaf: Sections) -> Iterator[Sections]:
    for section in _conditions(leaf.sequence):
        yield Sections(sequence=section)
    for section in _conditions(leaf.topic):
        yield Sections(topic=section)
    for row in leaf.ontology:
        yield Sections(ontology=(replace(row, negated=not row.negated),))


def _conditions(section: SectionQuery) -> Iterator[SectionQuery]:
    """Yield each condition of a section alone, negated."""
    for item in section.fields:
        yield SectionQuery(fields=(replace(item, negated=not item.negated),))
    for entry in section.user_metadata:
        yield SectionQuery(user_metadata=(replace(entry, negated=not entry.negated),))


def _together(left: Sections, right: Sections) -> Sections:
    return Sections(
        _joined(left.sequence, right.sequence),
        _joined(left.topic, right.topic),
        left.ontology + right.ontology,
    )


def _joined(left: SectionQuery, right: SectionQuery) -> SectionQuery:
    return SectionQuery(left.fields + right.fields, left.user_metadata + right.user_metadata)


def _check(count: int) -> None:
    if count > MAX_ALTERNATIVES:
        raise InvalidArgumentError(
            f'The tree of where comes to {count} alternatives',
            remedy=f'At most {MAX_ALTERNATIVES} are accepted; use $in, or ask several queries.',
        )
