"""Ontology conditions resolved against one schema: which rows of a batch match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from mosaico_ros.protocol.metadata import is_sidecar
from mosaico_ros.protocol.query import (
    Condition,
    OntologyCondition,
    Operator,
    PathStep,
    Specifier,
)
from mosaico_ros.protocol.query.comparisons import compare, operands_for
from mosaico_ros.protocol.query.kinds import Kind, is_list, kind_of_type

__all__ = ['ResolvedCondition', 'resolve']


@dataclass(frozen=True)
class ResolvedCondition:
    """One condition on one leaf (or whole list) of a schema.

    Parameters
    ----------
    steps
        The path, as asked.
    operator
        Any; with ``$ex`` every row matches, the path having been looked up.
    operands
        In the column's domain; `None` if they are of another kind than the column.
    whole_list
        Whether the operands are one list to compare with the list of each row.
    leaf_path
        Field names joined by dots, ``[]`` after each list: the key of statistics.
    leaf_type
        Type of the values compared.
    read_path
        What to read from a chunk.
    negated
        Whether the rows that match are those of which the condition is not true.

    """

    steps: tuple[PathStep, ...]
    operator: Operator
    operands: tuple[Any, ...] | None
    whole_list: bool
    leaf_path: str
    leaf_type: pa.DataType
    read_path: str
    negated: bool = False

    @property
    def kind(self) -> Kind | None:
        """What the values compare with; without one there are no statistics."""
        return kind_of_type(self.leaf_type)

    @property
    def any_row(self) -> bool:
        """Whether every row matches."""
        return self.operator is Operator.EX

    # -- rows --------------------------------------------------------------------------------

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """Return which rows of a batch match, as booleans without nulls."""
        if self.any_row:
            return pa.repeat(pa.scalar(True), batch.num_rows)
        found = self._mask(batch.column(self.steps[0].name), 0)
        return pc.invert(found) if self.negated else found

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
    found = _resolve(condition, schema)
    if not condition.negated:
        return found
    if found is None:
        return _EVERY_ROW
    return None if found.any_row else replace(found, negated=True)


_EVERY_ROW = ResolvedCondition((), Operator.EX, None, False, '', pa.null(), '')


def _resolve(condition: OntologyCondition, schema: pa.Schema) -> ResolvedCondition | None:
    operator = condition.condition.operator
    found = _find(condition.path, schema)
    if operator in (Operator.EX, Operator.NEX):
        return _EVERY_ROW if (found is None) is (operator is Operator.NEX) else None
    if found is None:
        return None
    leaf_path, leaf_type, read_path = found
    value = condition.condition.value
    whole_list = is_list(leaf_type)
    operands: tuple[Any, ...] | None
    if whole_list:
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
