"""What bounds say about a condition: which chunks can hold a match, and which certainly do."""

from __future__ import annotations

import math
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple

import pyarrow.types as pt
import sqlalchemy as sa

from mosaico_ros.daemon.marks import mark
from mosaico_ros.daemon.statistics import LeafStatistics, rounded_up
from mosaico_ros.protocol.query import MatchFlavour, Operator, Pattern, Specifier
from mosaico_ros.protocol.query.comparisons import holds
from mosaico_ros.protocol.query.kinds import Kind
from mosaico_ros.protocol.query.predicates import ResolvedCondition

__all__ = [
    'Bounds',
    'Verdict',
    'described',
    'limits',
    'may_match',
    'may_match_sql',
    'prunes',
    'verdict',
]


class Bounds(NamedTuple):
    """Bounds of a column in one chunk, as values or as columns of the catalog."""

    low: Any
    high: Any
    exact: Any
    nulls: Any
    marks: Any = None


class Verdict(Enum):
    """Which rows of a chunk match, as far as its bounds tell."""

    NONE = 'none'
    SOME = 'some'
    ALL = 'all'
    OPEN = 'open'


# Not OUTSIDE is BETWEEN; of EQ, IN and patterns the complement has no bounds worth a look.
_COMPLEMENTS = {
    Operator.GT: Operator.LEQ,
    Operator.GEQ: Operator.LT,
    Operator.LT: Operator.GEQ,
    Operator.LEQ: Operator.GT,
    Operator.BETWEEN: Operator.OUTSIDE,
    Operator.OUTSIDE: Operator.BETWEEN,
}
# If both bounds satisfy one of these, so does everything between.
_CONVEX = (
    Operator.EQ,
    Operator.GT,
    Operator.GEQ,
    Operator.LT,
    Operator.LEQ,
    Operator.BETWEEN,
)


def described(condition: ResolvedCondition) -> bool:
    """Whether there are statistics of what the condition compares."""
    return (
        condition.kind is not None
        and not condition.any_row
        and not condition.whole_list
        and condition.operands is not None
    )


def prunes(condition: ResolvedCondition) -> bool:
    """Whether bounds can rule a chunk out."""
    if not described(condition) or any(
        isinstance(text, str) and '\0' in text for text in condition.operands or ()
    ):
        return False
    if condition.negated:
        return condition.operator in _COMPLEMENTS and not _in_lists(condition)
    # Everything but one value: bounds ignore NaN, which differs from that value.
    return condition.operator is not Operator.NEQ


def may_match_sql(condition: ResolvedCondition, found: Bounds) -> sa.ColumnElement[bool]:
    """Return the condition under which a chunk may hold a match; only if it prunes."""
    text = condition.kind is Kind.TEXT
    if condition.negated:
        complement = _COMPLEMENTS[condition.operator]
        return sa.or_(found.nulls > 0, _inside_sql(complement, condition.operands, text, found))
    inside = _inside_sql(condition.operator, condition.operands, text, found)
    bits = _bits(condition)
    if bits is None or found.marks is None:
        return inside
    return sa.and_(inside, sa.or_(found.marks.is_(None), found.marks.bitwise_and(bits) != 0))


def limits(condition: ResolvedCondition) -> tuple[Any, Any]:
    """Return what the high bound must reach and what the low bound may not pass, if anything.

    Only of conditions that prune and for which values beyond either are no match.
    """
    if condition.negated or condition.operator is Operator.OUTSIDE:
        return None, None
    return _limits(condition.operator, condition.operands, condition.kind is Kind.TEXT)


def may_match(condition: ResolvedCondition, found: LeafStatistics) -> bool:
    """Whether a row group with these statistics, from a footer, may hold a match."""
    if not prunes(condition):
        return True
    bounds = _values(condition, found)
    if condition.negated:
        # Footers do not count NaN.
        return (
            found.nulls > 0
            or pt.is_floating(condition.leaf_type)
            or _may_hold(_COMPLEMENTS[condition.operator], condition, bounds)
        )
    return _may_hold(condition.operator, condition, bounds)


def verdict(condition: ResolvedCondition, found: Bounds) -> Verdict:
    """Judge a chunk by the bounds of the column in it."""
    if condition.any_row:
        return Verdict.ALL
    if not described(condition):
        return Verdict.OPEN
    low, high, exact, nulls = found.low, found.high, found.exact, found.nulls
    operands = condition.operands
    assert operands is not None
    if condition.kind is Kind.BOOLEAN and low is not None:
        low, high = bool(low), bool(high)
    # A bound that occurs is a value: if it satisfies the condition, some row does.
    known = low is not None and high is not None
    at_ends = (
        [holds(condition.operator, value, operands) for value in (low, high)] if known else []
    )
    if _in_lists(condition):
        some = all(step.specifier in (None, Specifier.ANY) for step in condition.steps)
        some = some and bool(exact) and any(at_ends) and not condition.negated
        return Verdict.SOME if some else Verdict.OPEN
    everything = known and nulls == 0 and _holds_between(condition, low, high, at_ends)
    if condition.negated:
        if everything:
            return Verdict.NONE
        if condition.operator is Operator.NEQ:  # which NaN satisfies
            return Verdict.OPEN
        if prunes(condition) and not _may_hold(condition.operator, condition, found):
            return Verdict.ALL
        differs = bool(exact) and known and not all(at_ends)
        return Verdict.SOME if nulls > 0 or differs else Verdict.OPEN
    if everything:
        return Verdict.ALL
    return Verdict.SOME if exact and any(at_ends) else Verdict.OPEN


def _in_lists(condition: ResolvedCondition) -> bool:
    return any(step.specifier is not None for step in condition.steps)


def _holds_between(condition: ResolvedCondition, low: Any, high: Any, at_ends: list[bool]) -> bool:
    """Whether every value from `low` to `high` satisfies the condition."""
    operands = condition.operands
    assert operands is not None
    if condition.operator in _CONVEX or low == high:
        return all(at_ends)
    if condition.operator is Operator.OUTSIDE:
        return bool(high < operands[0] or low > operands[1])
    if condition.operator is Operator.NEQ:
        return bool(operands[0] < low or operands[0] > high)
    return False


def _values(condition: ResolvedCondition, found: LeafStatistics) -> Bounds:
    if condition.kind is Kind.TEXT:
        return Bounds(found.min_text, found.max_text, found.exact, found.nulls)
    return Bounds(found.min_num, found.max_num, found.exact, found.nulls)


def _inside_sql(
    operator: Operator, operands: Any, text: bool, found: Bounds
) -> sa.ColumnElement[bool]:
    low, high = found.low, found.high
    low_limit, high_limit = _limits(operator, operands, text)
    open_above = sa.and_(high.is_(None), low.isnot(None))
    if operator is Operator.OUTSIDE:
        above = high > high_limit
        if text:
            above = sa.or_(above, open_above)
        return sa.or_(low < low_limit, above)
    conditions: list[sa.ColumnElement[bool]] = []
    if high_limit is not None:
        conditions.append(low < high_limit if operator is Operator.LT else low <= high_limit)
    if low_limit is not None:
        above = high > low_limit if operator is Operator.GT else high >= low_limit
        conditions.append(sa.or_(above, open_above) if text else above)
    # All null or NaN: no bounds, no match.
    return sa.and_(*conditions) if conditions else low.isnot(None)


def _may_hold(operator: Operator, condition: ResolvedCondition, found: Bounds) -> bool:
    low, high = found.low, found.high
    if low is None:
        return False
    low_limit, high_limit = _limits(operator, condition.operands, condition.kind is Kind.TEXT)
    # Text may have no bound above.
    if operator is Operator.OUTSIDE:
        return bool(low < low_limit or high is None or high > high_limit)
    if high_limit is not None and (
        low > high_limit or (low == high_limit and operator is Operator.LT)
    ):
        return False
    if low_limit is None or high is None:
        return True
    return bool(high > low_limit or (high == low_limit and operator is not Operator.GT))


def _limits(operator: Operator, operands: Any, text: bool) -> tuple[Any, Any]:
    """Return what the high bound must reach and what the low bound may not pass.

    For ``$outside`` the pair is (limit of low, limit of high).
    """
    if isinstance(operands[0], Pattern):
        prefix = operands[0].literal_prefix.partition('\0')[0]
        return (prefix, rounded_up(prefix)) if prefix else (None, None)
    down = (lambda value: value) if text else _double_below
    up = (lambda value: value) if text else _double_above
    least, most = min(operands), max(operands)
    if operator is Operator.OUTSIDE:
        return up(least), down(most)
    if operator in (Operator.GT, Operator.GEQ):
        return down(least), None
    if operator in (Operator.LT, Operator.LEQ):
        return None, up(most)
    return down(least), up(most)


def _bits(condition: ResolvedCondition) -> int | None:
    """Return the marks of the values that an equality admits; `None` if it has none."""
    operands = condition.operands
    if condition.kind not in (Kind.TEXT, Kind.NUMBER) or operands is None:
        return None
    if condition.kind is Kind.NUMBER and not pt.is_integer(condition.leaf_type):
        return None
    if condition.operator is Operator.MATCH:
        if operands[0].flavour is not MatchFlavour.EXACT:
            return None
        operands = (operands[0].text,)
    elif condition.operator not in (Operator.EQ, Operator.IN):
        return None
    bits = 0
    for operand in operands:
        if isinstance(operand, str) or operand == math.floor(operand):
            bits |= mark(operand if isinstance(operand, str) else int(operand))
    return bits


def _double_below(value: Any) -> float:
    """Return the largest double that is not above an exact number."""
    nearest = _nearest(value)
    return math.nextafter(nearest, -math.inf) if nearest > value else nearest


def _double_above(value: Any) -> float:
    nearest = _nearest(value)
    return math.nextafter(nearest, math.inf) if nearest < value else nearest


def _nearest(value: bool | int | float | Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
