"""Ontology conditions resolved against one schema.

A resolved condition can be asked three things: can a chunk with these bounds hold a matching
row (in SQL, or from a footer), must it, and which rows of a batch match.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import sqlalchemy as sa

from mosaico_ros.daemon.columns import Kind, is_list, kind_of_type
from mosaico_ros.daemon.comparisons import compare, holds, operands_for
from mosaico_ros.daemon.statistics import LeafStatistics, rounded_up
from mosaico_ros.protocol.metadata import is_sidecar
from mosaico_ros.protocol.query import (
    Condition,
    OntologyCondition,
    Operator,
    PathStep,
    Pattern,
    Specifier,
)

__all__ = ['ResolvedCondition', 'resolve']


@dataclass(frozen=True)
class ResolvedCondition:
    """One condition on one leaf (or whole list) of a schema.

    Parameters
    ----------
    steps
        The path, as asked.
    operator
        Any; with ``$ex`` and ``$nex`` every row matches, the path having been looked up.
    operands
        In the column's domain; `None` if they are of another kind than the column.
    whole_list
        Whether the operands are one list to compare with the list of each row.
    leaf_path
        As :attr:`Leaf.path`, the key of statistics.
    leaf_type
        Type of the values compared.
    read_path
        What to read from a chunk.

    """

    steps: tuple[PathStep, ...]
    operator: Operator
    operands: tuple[Any, ...] | None
    whole_list: bool
    leaf_path: str
    leaf_type: pa.DataType
    read_path: str

    @property
    def kind(self) -> Kind | None:
        """What the values compare with; without one there are no statistics."""
        return kind_of_type(self.leaf_type)

    @property
    def any_row(self) -> bool:
        """Whether every row matches."""
        return self.operator in (Operator.EX, Operator.NEX)

    @property
    def bounded(self) -> bool:
        """Whether bounds can rule a chunk out."""
        return (
            self.kind is not None
            and not self.any_row
            and not self.whole_list
            # Everything but one value: bounds ignore NaN, which differs from that value.
            and self.operator is not Operator.NEQ
            and self.operands is not None
            and not any(isinstance(text, str) and '\0' in text for text in self.operands)
        )

    # -- bounds ------------------------------------------------------------------------------

    def may_match_sql(self, low: Any, high: Any) -> sa.ColumnElement[bool]:
        """Return the condition on two bound columns under which a chunk may hold a match.

        Only if :attr:`bounded`.
        """
        low_limit, high_limit = self._limits()
        open_above = sa.and_(high.is_(None), low.isnot(None))
        if self.operator is Operator.OUTSIDE:
            above = high > high_limit
            if self.kind is Kind.TEXT:
                above = sa.or_(above, open_above)
            return sa.or_(low < low_limit, above)
        conditions: list[sa.ColumnElement[bool]] = []
        if high_limit is not None:
            strict = self.operator is Operator.LT
            conditions.append(low < high_limit if strict else low <= high_limit)
        if low_limit is not None:
            strict = self.operator is Operator.GT
            above = high > low_limit if strict else high >= low_limit
            conditions.append(sa.or_(above, open_above) if self.kind is Kind.TEXT else above)
        # All null or NaN: no bounds, no match.
        return sa.and_(*conditions) if conditions else low.isnot(None)

    def may_match(self, found: LeafStatistics) -> bool:
        """Whether a chunk or row group with these statistics may hold a match."""
        if not self.bounded:
            return True
        text = self.kind is Kind.TEXT
        low: Any = found.min_text if text else found.min_num
        high: Any = found.max_text if text else found.max_num
        if low is None:
            return False
        low_limit, high_limit = self._limits()
        # Text may have no bound above.
        if self.operator is Operator.OUTSIDE:
            return bool(low < low_limit or high is None or high > high_limit)
        if high_limit is not None and (
            low > high_limit or (low == high_limit and self.operator is Operator.LT)
        ):
            return False
        if low_limit is None or high is None:
            return True
        return bool(high > low_limit or (high == low_limit and self.operator is not Operator.GT))

    def must_match(self, low: Any, high: Any, exact: bool) -> bool:
        """Whether a chunk with these bounds certainly holds a matching row.

        A bound that occurs is a value: if it satisfies the condition, some row does. Not so for
        one element of a list, or all of them.
        """
        if (
            not exact
            or low is None
            or self.operands is None
            or self.any_row
            or self.whole_list
            or any(step.specifier not in (None, Specifier.ANY) for step in self.steps)
        ):
            return False
        if self.kind is Kind.BOOLEAN:
            low, high = bool(low), bool(high)
        return holds(self.operator, low, self.operands) or holds(
            self.operator, high, self.operands
        )

    def _limits(self) -> tuple[Any, Any]:
        """Return what the high bound must reach and what the low bound may not pass.

        For ``$outside`` the pair is (limit of low, limit of high).
        """
        assert self.operands is not None
        if isinstance(self.operands[0], Pattern):
            prefix = self.operands[0].literal_prefix.partition('\0')[0]
            return (prefix, rounded_up(prefix)) if prefix else (None, None)
        text = self.kind is Kind.TEXT
        down = (lambda value: value) if text else _double_below
        up = (lambda value: value) if text else _double_above
        least, most = min(self.operands), max(self.operands)
        if self.operator is Operator.OUTSIDE:
            return up(least), down(most)
        if self.operator in (Operator.GT, Operator.GEQ):
            return down(least), None
        if self.operator in (Operator.LT, Operator.LEQ):
            return None, up(most)
        return down(least), up(most)

    # -- rows --------------------------------------------------------------------------------

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """Return which rows of a batch match, as booleans without nulls."""
        if self.any_row:
            return pa.repeat(pa.scalar(True), batch.num_rows)
        return self._mask(batch.column(self.steps[0].name), 0)

    def _mask(self, values: pa.Array, at: int) -> pa.Array:
        step = self.steps[at]
        if step.specifier is Specifier.INDEX:
            return self._below(_element(values, step.index or 0), at)
        if step.specifier is not None:
            return self._over_elements(values, at, step.specifier)
        return self._below(values, at)

    def _below(self, values: pa.Array, at: int) -> pa.Array:
        if at + 1 < len(self.steps):
            child = values.type.get_field_index(self.steps[at + 1].name)
            return self._mask(pc.struct_field(values, [child]), at + 1)
        if self.whole_list:
            return self._compare_lists(values)
        return compare(self.operator, values, self.operands)

    def _over_elements(self, values: pa.Array, at: int, specifier: Specifier) -> pa.Array:
        """``[?]``: some element matches; ``[!]``: all do, and there is at least one."""
        starts, lengths, elements = _list_parts(values)
        matching = self._below(elements, at).to_numpy(zero_copy_only=False)
        total = np.concatenate(([0], np.cumsum(matching, dtype=np.int64)))
        count = total[starts + lengths] - total[starts]
        hit = count > 0
        if specifier is Specifier.ALL:
            hit &= count == lengths
        return pa.array(hit)

    def _compare_lists(self, values: pa.Array) -> pa.Array:
        assert self.operands is not None
        starts, lengths, elements = _list_parts(values)
        equal = (lengths == len(self.operands)) & values.is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(equal)
        for position, operand in enumerate(self.operands):
            if not len(rows):
                break
            taken = elements.take(pa.array(starts[rows] + position))
            one = Condition(Operator.EQ, operand)
            same = compare(Operator.EQ, taken, operands_for(one, taken.type))
            rows = rows[same.to_numpy(zero_copy_only=False)]
        found = np.zeros(len(values), bool)
        found[rows] = True
        if self.operator is Operator.NEQ:
            found = values.is_valid().to_numpy(zero_copy_only=False) & ~found
        return pa.array(found)


def resolve(condition: OntologyCondition, schema: pa.Schema) -> ResolvedCondition | None:
    """Find the column that a condition means; `None` if no row of the schema can match.

    A path that the schema does not have matches nothing, but for ``$nex``.
    """
    operator = condition.condition.operator
    found = _find(condition.path, schema)
    if (found is None) is not (operator is Operator.NEX):
        return None
    if found is None:
        return ResolvedCondition(condition.path, operator, None, False, '', pa.null(), '')
    leaf_path, leaf_type, read_path = found
    value = condition.condition.value
    whole_list = is_list(leaf_type)
    operands: tuple[Any, ...] | None
    if operator is Operator.EX:
        operands = None
    elif whole_list:
        if not isinstance(value, tuple) or operator not in (Operator.EQ, Operator.NEQ):
            return None
        operands = value
    elif isinstance(value, tuple) and operator in (Operator.EQ, Operator.NEQ):
        return None  # a list compares with a list only
    else:
        if kind_of_type(leaf_type) is None:
            return None
        operands = operands_for(condition.condition, leaf_type)
        if operands is None and operator is not Operator.NEQ:
            return None
    return ResolvedCondition(
        condition.path, operator, operands, whole_list, leaf_path, leaf_type, read_path
    )


def _find(path: Sequence[PathStep], schema: pa.Schema) -> tuple[str, pa.DataType, str] | None:
    """Return leaf path, type and what to read of a path, if the schema has it."""
    index = schema.get_field_index(path[0].name)
    if index < 0 or is_sidecar(schema.field(index).metadata):
        return None
    field = schema.field(index)
    leaf_path, read_path, inside_list = field.name, field.name, False
    dotted = '.' in field.name
    for position, step in enumerate(path):
        if position:
            if not pt.is_struct(field.type):
                return None
            child = field.type.get_field_index(step.name)
            if child < 0:
                return None
            field = field.type.field(child)
            leaf_path = f'{leaf_path}.{step.name}'
            dotted = dotted or '.' in step.name
            if not inside_list and not dotted:
                read_path = leaf_path
        if step.specifier is not None:
            if not is_list(field.type):
                return None
            field = pa.field(field.name, field.type.value_type)
            leaf_path = f'{leaf_path}[]'
            inside_list = True
    return leaf_path, field.type, read_path


def _list_parts(values: pa.Array) -> tuple[Any, Any, pa.Array]:
    """Return start and length (0 for null) of each list, and the elements they refer to."""
    if pt.is_fixed_size_list(values.type):
        size = values.type.list_size
        starts = (np.arange(len(values), dtype=np.int64) + values.offset) * size
        lengths = np.full(len(values), size, np.int64)
    else:
        if not pt.is_list(values.type) and not pt.is_large_list(values.type):  # views
            values = values.cast(pa.large_list(values.type.value_type))
        offsets = values.offsets.to_numpy().astype(np.int64)
        starts, lengths = offsets[:-1], np.diff(offsets)
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    return starts, np.where(valid, lengths, 0), values.values


def _element(values: pa.Array, index: int) -> pa.Array:
    """Return element `index` of each list, null where there is none."""
    starts, lengths, elements = _list_parts(values)
    inside = lengths > index
    return elements.take(pa.array(starts + index, mask=~inside))


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
