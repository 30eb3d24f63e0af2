"""``.Q``: the fields of a class, down to those that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mosaico_ros.models.core.expressions import (
    Comparable,
    Field,
    Node,
    OperandTypeError,
    QueryableBool,
    QueryableDuration,
    QueryableInstant,
    QueryableNumeric,
    QueryableString,
    QueryableTime,
    QueryExpression,
)
from mosaico_ros.models.core.operands import members, plain
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    from mosaico_ros.models.core.serializable import Serializable


class _Opaque(Field):
    """A field that conditions cannot look into."""

    def __init__(self, path: str, holds: str) -> None:
        super().__init__(path)
        self._holds = holds  # type: ignore[misc]


class Members(Node):
    """A struct: its members are attributes."""

    def __init__(self, path: str, members: dict[str, pa.DataType]) -> None:
        self._path, self._members = path, members

    def __getattr__(self, name: str) -> Any:
        if name in ('_path', '_members'):
            raise AttributeError(name)
        if name in self._members:
            return _node(f'{self._path}.{name}', self._members[name])
        near = get_close_matches(name, self._members, cutoff=0.5)
        near += [path for path in _inner(self._members) if path.endswith(f'.{name}')]
        meant = f'did you mean {" or ".join(near[:3])}? It' if near else 'it'
        raise AttributeError(
            f'{self._path} has no field {name!r}; {meant} has {", ".join(self._members)}'
        )

    def __dir__(self) -> list[str]:
        return list(self._members)

    def __repr__(self) -> str:
        return f'<{self._path}: {", ".join(self._members)}>'


class Elements(Node):
    """A list: choose an element by index, or ``any()`` or ``all()`` of them."""

    def __init__(self, path: str, item: pa.DataType) -> None:
        self._path, self._item = path, item

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f'{self._path} is indexed by an integer, got {index!r}')
        if index < 0:
            raise InvalidArgumentError(
                f'The index {index} of {self._path} is negative', remedy='Count from the front.'
            )
        return _node(f'{self._path}[{int(index)}]', self._item)

    def __iter__(self) -> Any:  # without it, Python would iterate by ever growing indices
        raise TypeError(f'{self._path} stands for stored lists and cannot be iterated')

    def any(self) -> Any:
        """Stand for at least one element."""
        return _node(f'{self._path}[?]', self._item)

    def all(self) -> Any:
        """Stand for every element."""
        return _node(f'{self._path}[!]', self._item)

    def eq(self, values: Any) -> QueryExpression:
        """Equal to a whole list, in its order."""
        return self._whole('$eq', values)

    def neq(self, values: Any) -> QueryExpression:
        """Not equal to a whole list; nulls satisfy nothing."""
        return self._whole('$neq', values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        raise AttributeError(
            f'{self._path} is a list and has no {name!r}; '
            f'choose elements first: [0], .any() or .all()'
        )

    def __dir__(self) -> list[str]:
        return ['all', 'any', 'eq', 'neq']

    def __repr__(self) -> str:
        return f'<{self._path}: list>'

    def _whole(self, operator: str, values: Any) -> QueryExpression:
        item = self[0]
        whole = isinstance(values, Iterable) and not isinstance(values, (str, bytes))
        if not isinstance(item, Comparable) or not whole:
            raise OperandTypeError(
                f'{self._path} holds lists of {self._item}, got {values!r}',
                remedy='Compare it with a list, or choose elements: [0], .any() or .all().',
            )
        operands = [item._operand(plain(value)) for value in members((values,), self._path)]
        tag, _, path = self._path.partition('.')
        return QueryExpression(tag, path, operator, operands)


class QueryRoot:
    """The ``Q`` of a class: its fields, and ``timestamp_ns`` of the envelope."""

    def __get__(self, instance: Any, owner: type[Serializable]) -> Any:
        struct = owner.arrow_struct()
        envelope = {TIMESTAMP_COLUMN: pa.int64()}
        return Members(owner.ontology_tag(), envelope | {f.name: f.type for f in struct})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def _node(path: str, arrow: pa.DataType) -> Any:
    kinds = pa.types
    if kinds.is_dictionary(arrow):
        arrow = arrow.value_type
    if kinds.is_struct(arrow):
        return Members(path, {field.name: field.type for field in arrow})
    if _is_list(arrow):
        # The grammar has one list specifier per path: lists inside lists are out of reach.
        nested = '[' in path or _is_list(arrow.value_type)
        return _Opaque(path, 'lists of lists') if nested else Elements(path, arrow.value_type)
    if path.partition('.')[2] == TIMESTAMP_COLUMN:
        return QueryableInstant(path)
    if kinds.is_integer(arrow) or kinds.is_floating(arrow) or kinds.is_decimal(arrow):
        return QueryableNumeric(path)
    if kinds.is_string(arrow) or kinds.is_large_string(arrow) or arrow == pa.string_view():
        return QueryableString(path)
    if kinds.is_boolean(arrow):
        return QueryableBool(path)
    if kinds.is_duration(arrow):
        return QueryableDuration(path, arrow.unit)
    if kinds.is_timestamp(arrow) or kinds.is_date(arrow) or kinds.is_time(arrow):
        return QueryableTime(path)
    return _Opaque(path, 'maps' if kinds.is_map(arrow) else f'{arrow} values')


def _is_list(arrow: pa.DataType) -> bool:
    kinds = pa.types
    return kinds.is_list(arrow) or kinds.is_large_list(arrow) or kinds.is_fixed_size_list(arrow)


def _inner(members: dict[str, pa.DataType]) -> Iterator[str]:
    """Yield the dotted paths of the members of members."""
    for name, arrow in members.items():
        if pa.types.is_struct(arrow):
            inside = {field.name: field.type for field in arrow}
            yield from (f'{name}.{path}' for path in (*inside, *_inner(inside)))
