"""Conditions on stored values, and the ``.Q`` proxies that build them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    from mosaico_ros.models.core.serializable import Serializable


class OperandTypeError(InvalidArgumentError, TypeError):
    """A field was compared with a value of a kind it cannot hold."""


@dataclass(frozen=True)
class QueryExpression:
    """One condition on one field.

    Attributes
    ----------
    tag
        Ontology tag, such as ``IMU``.
    path
        Path of the field below the tag, such as ``acceleration.x`` or ``points[?].x``.
    operator
        Operator as it is sent, such as ``$gt``.
    value
        Operand, of types that JSON has.
    """

    tag: str
    path: str
    operator: str
    value: Any

    @property
    def key(self) -> str:
        """Tag and path, joined as they are sent."""
        return f'{self.tag}.{self.path}'

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the condition as it is sent: ``{'IMU.acceleration.x': {'$gt': 4.5}}``."""
        return {self.key: {self.operator: self.value}}


def substring_pattern(text: str) -> str:
    """Turn a search text into the pattern that the daemon's ``$match`` takes.

    The text may stand anywhere; ``*`` and ``%`` in it match any run of characters, everything
    else matches itself.
    """
    # A closing bracket has no literal spelling in a pattern: one arbitrary character stands in.
    spelled = {'?': '[?]', '#': '[#]', '[': '[[]', ']': '?', '%': '*'}
    return f'*{"".join(spelled.get(character, character) for character in text)}*'


class Field:
    """A field that can be compared; its subclasses say with what."""

    _holds: ClassVar[str] = 'nothing comparable'
    _operators: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str) -> None:
        tag, dot, rest = path.partition('.')
        if not (tag and dot and rest):
            raise InvalidArgumentError(
                f'{path!r} is not the path of a field',
                remedy="Write it as 'Tag.field' or 'Tag.field.member'.",
            )
        self._tag, self._path = tag, rest

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self._tag}.{self._path}>'

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):  # copying and pickling look for hooks before there is any state
            raise AttributeError(name)
        offered = ', '.join(self._operators) or 'no operator'
        raise AttributeError(
            f'{self._tag}.{self._path} holds {self._holds} and has no {name!r}; '
            f'it offers {offered}'
        )

    def _operand(self, value: Any) -> Any:
        raise NotImplementedError

    def _refuse(self, value: Any) -> OperandTypeError:
        return OperandTypeError(
            f'{self._tag}.{self._path} holds {self._holds}, got {value!r} '
            f'({type(value).__name__})',
            remedy=f'Compare it with {self._holds}.',
        )

    def _compare(self, operator: str, value: Any) -> QueryExpression:
        return QueryExpression(self._tag, self._path, operator, self._operand(value))

    def _members(self, name: str, values: tuple[Any, ...]) -> list[Any]:
        """Take operands from arguments or from one list, tuple, set or array."""
        given: Iterable[Any] = values
        if len(values) == 1 and isinstance(values[0], (list, tuple, set, frozenset, np.ndarray)):
            given = values[0]
        members = [self._operand(value) for value in given]
        if not members:
            raise InvalidArgumentError(
                f'{name} of {self._tag}.{self._path} got no value', remedy='Give at least one.'
            )
        return members

    def _range(self, name: str, values: tuple[Any, ...]) -> list[Any]:
        members = self._members(name, values)
        if len(members) != 2 or members[0] > members[1]:
            raise InvalidArgumentError(
                f'{name} of {self._tag}.{self._path} got {members}',
                remedy='Give two values, the lower one first.',
            )
        return members


class _Ordered(Field):
    def eq(self, value: Any) -> QueryExpression:
        """Equal to ``value``."""
        return self._compare('$eq', value)

    def lt(self, value: Any) -> QueryExpression:
        """Less than ``value``."""
        return self._compare('$lt', value)

    def leq(self, value: Any) -> QueryExpression:
        """Less than or equal to ``value``."""
        return self._compare('$leq', value)

    def gt(self, value: Any) -> QueryExpression:
        """Greater than ``value``."""
        return self._compare('$gt', value)

    def geq(self, value: Any) -> QueryExpression:
        """Greater than or equal to ``value``."""
        return self._compare('$geq', value)

    def in_(self, *values: Any) -> QueryExpression:
        """Equal to one of the values, given as arguments or as one list."""
        return QueryExpression(self._tag, self._path, '$in', self._members('in_', values))

    def between(self, *values: Any) -> QueryExpression:
        """From the first to the second value, both included."""
        return QueryExpression(self._tag, self._path, '$between', self._range('between', values))

    def outside(self, *values: Any) -> QueryExpression:
        """Below the first or above the second value."""
        return QueryExpression(self._tag, self._path, '$outside', self._range('outside', values))


_ORDER = ('eq', 'lt', 'leq', 'gt', 'geq', 'in_', 'between', 'outside')


class QueryableNumeric(_Ordered):
    """A number; construct it with a path, ``'Tag.field'``, for topics without a class.

    Operands are integers, floats and numpy scalars; infinities and NaN are refused.
    """

    _holds = 'numbers'
    _operators = (*_ORDER, 'neq')

    def neq(self, value: Any) -> QueryExpression:
        """Not equal to ``value``; nulls satisfy nothing."""
        return self._compare('$neq', value)

    def _operand(self, value: Any) -> int | float:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refuse(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentError(
                f'{self._tag}.{self._path} cannot be compared with {value}',
                remedy='Use a finite number.',
            )
        return value


class QueryableString(_Ordered):
    """A text; construct it with a path, ``'Tag.field'``, for topics without a class."""

    _holds = 'text'
    _operators = (*_ORDER, 'match')

    def match(self, value: str) -> QueryExpression:
        """Contains the text, in which ``*`` and ``%`` stand for any run of characters."""
        return QueryExpression(
            self._tag, self._path, '$match', substring_pattern(self._operand(value))
        )

    def _operand(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._refuse(value)
        return str(value)


class QueryableBool(Field):
    """A boolean; construct it with a path, ``'Tag.field'``, for topics without a class."""

    _holds = 'booleans'
    _operators = ('eq',)

    def eq(self, value: Any) -> QueryExpression:
        """Equal to ``value``."""
        return self._compare('$eq', value)

    def _operand(self, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise self._refuse(value)
        return bool(value)


class QueryableTime(_Ordered):
    """A date or time column; operands are dates, times, datetimes, or integers of its unit."""

    _holds = 'dates or times'
    _operators = (*_ORDER, 'neq')

    def neq(self, value: Any) -> QueryExpression:
        """Not equal to ``value``; nulls satisfy nothing."""
        return self._compare('$neq', value)

    def _operand(self, value: Any) -> str:
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            return str(int(value))
        raise self._refuse(value)


class Members:
    """A struct: its members are attributes."""

    def __init__(self, path: str, members: dict[str, pa.DataType]) -> None:
        self._path, self._members = path, members

    def __getattr__(self, name: str) -> Any:
        if name in ('_path', '_members'):
            raise AttributeError(name)
        try:
            return _node(f'{self._path}.{name}', self._members[name])
        except KeyError:
            raise AttributeError(
                f'{self._path} has no field {name!r}; it has {", ".join(self._members)}'
            ) from None

    def __dir__(self) -> list[str]:
        return list(self._members)

    def __repr__(self) -> str:
        return f'<{self._path}: {", ".join(self._members)}>'


class Elements:
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

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        raise AttributeError(
            f'{self._path} is a list and has no {name!r}; '
            f'choose elements first: [0], .any() or .all()'
        )

    def __repr__(self) -> str:
        return f'<{self._path}: list>'


class QueryRoot:
    """The ``Q`` of a class: its fields, and ``timestamp_ns`` of the envelope."""

    def __get__(self, instance: Any, owner: type[Serializable]) -> Any:
        struct = owner.arrow_struct()
        members = {TIMESTAMP_COLUMN: pa.int64(), **{field.name: field.type for field in struct}}
        return Members(owner.ontology_tag(), members)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def _node(path: str, arrow: pa.DataType) -> Any:
    kinds = pa.types
    if kinds.is_struct(arrow):
        return Members(path, {field.name: field.type for field in arrow})
    if _is_list(arrow):
        # The grammar has one list specifier per path: lists inside lists are out of reach.
        nested = '[' in path or _is_list(arrow.value_type)
        return Field(path) if nested else Elements(path, arrow.value_type)
    if kinds.is_integer(arrow) or kinds.is_floating(arrow):
        return QueryableNumeric(path)
    if kinds.is_string(arrow) or kinds.is_large_string(arrow) or arrow == pa.string_view():
        return QueryableString(path)
    if kinds.is_boolean(arrow):
        return QueryableBool(path)
    if kinds.is_temporal(arrow):
        return QueryableTime(path)
    return Field(path)


def _is_list(arrow: pa.DataType) -> bool:
    kinds = pa.types
    return kinds.is_list(arrow) or kinds.is_large_list(arrow) or kinds.is_fixed_size_list(arrow)
