"""Conditions on stored values, and the fields that build them when they are compared."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mosaico_ros.models.core.combining import Combinable, CombiningError, no_truth
from mosaico_ros.models.core.operands import epoch_ns, is_instant, iso_text, members, plain
from mosaico_ros.protocol.errors import InvalidArgumentError


class OperandTypeError(InvalidArgumentError, TypeError):
    """A field was compared with a value of a kind it cannot hold."""


_SIGNS = {'$eq': '==', '$neq': '!=', '$lt': '<', '$leq': '<=', '$gt': '>', '$geq': '>='}


@dataclass(frozen=True)
class QueryExpression(Combinable):
    """One condition on one field; ``&``, ``|`` and ``~`` combine it with others.

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

    @property
    def kind(self) -> str:
        """Conditions on values."""
        return 'conditions on values'

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the condition as it is sent: ``{'IMU.acceleration.x': {'$gt': 4.5}}``."""
        return {self.key: {self.operator: self.value}}

    def where(self) -> dict[str, Any]:
        """Return the condition as a node of a query's tree."""
        return {'ontology': self.to_dict()}

    def __bool__(self) -> bool:
        raise no_truth()

    def __str__(self) -> str:
        name = self.operator.removeprefix('$')
        if name in ('between', 'outside'):
            low, high = self.value
            return f'{self.key} {name} {low!r} and {high!r}'
        if name in ('ex', 'nex'):
            return f'{self.key} {"exists" if name == "ex" else "does not exist"}'
        return f'{self.key} {_SIGNS.get(self.operator, name)} {self.value!r}'


def substring_pattern(text: str) -> str:
    """Turn a search text into the pattern that the daemon's ``$match`` takes.

    The text may stand anywhere; ``*`` and ``%`` in it match any run of characters, everything
    else matches itself.
    """
    # A closing bracket has no literal spelling in a pattern: one arbitrary character stands in.
    spelled = {'?': '[?]', '#': '[#]', '[': '[[]', ']': '?', '%': '*'}
    return f'*{"".join(spelled.get(character, character) for character in text)}*'


class Node:
    """What ``.Q`` leads to. Signs mean the method beside them; a field may lack it."""

    # Without it, numpy would compare every element of an array on the other side.
    __array_ufunc__ = None

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError

    def __eq__(self, value: Any) -> QueryExpression:  # type: ignore[override]
        return self.eq(value)

    def __ne__(self, value: Any) -> QueryExpression:  # type: ignore[override]
        return self.neq(value)

    def __lt__(self, value: Any) -> QueryExpression:
        return self.lt(value)

    def __le__(self, value: Any) -> QueryExpression:
        return self.leq(value)

    def __gt__(self, value: Any) -> QueryExpression:
        return self.gt(value)

    def __ge__(self, value: Any) -> QueryExpression:
        return self.geq(value)

    def _uncompared(self, other: Any = None) -> Any:
        raise CombiningError(
            f'{self!r} is no condition yet, so &, | and ~ have nothing to combine',
            remedy='They bind closer than comparisons: write (a > 1) | (b > 1).',
        )

    __and__ = __or__ = __rand__ = __ror__ = __invert__ = _uncompared


class Field(Node):
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

    def __dir__(self) -> list[str]:
        return list(self._operators)

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
        return QueryExpression(self._tag, self._path, operator, self._operand(plain(value)))

    def _members(self, name: str, values: tuple[Any, ...]) -> list[Any]:
        what = f'{name} of {self._tag}.{self._path}'
        taken = [self._operand(plain(value)) for value in members(values, what)]
        if not taken:
            raise InvalidArgumentError(f'{what} got no value', remedy='Give at least one.')
        return taken

    def _range(self, name: str, values: tuple[Any, ...]) -> list[Any]:
        taken = self._members(name, values)
        try:
            fits = len(taken) == 2 and taken[0] <= taken[1]
        except TypeError:  # text and a number
            fits = False
        if not fits:
            raise InvalidArgumentError(
                f'{name} of {self._tag}.{self._path} got {taken}',
                remedy='Give two values of one kind, the lower one first.',
            )
        return taken


class Comparable(Field):
    """A field with equality."""

    def eq(self, value: Any) -> QueryExpression:
        """Equal to ``value``."""
        return self._compare('$eq', value)

    def neq(self, value: Any) -> QueryExpression:
        """Not equal to ``value``; nulls satisfy nothing."""
        return self._compare('$neq', value)


_ORDER: tuple[str, ...] = (
    'eq', 'neq', 'lt', 'leq', 'gt', 'geq', 'in_', 'between', 'outside',
)  # fmt: skip


class _Ordered(Comparable):
    """A field with order."""

    _operators = _ORDER

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
        """Equal to one of the values, given as arguments or as one list, range, array, ..."""
        return QueryExpression(self._tag, self._path, '$in', self._members('in_', values))

    def between(self, *values: Any) -> QueryExpression:
        """From the first to the second value, both included."""
        return QueryExpression(self._tag, self._path, '$between', self._range('between', values))

    def outside(self, *values: Any) -> QueryExpression:
        """Below the first or above the second value."""
        return QueryExpression(self._tag, self._path, '$outside', self._range('outside', values))


class QueryableNumeric(_Ordered):
    """A number; construct it with a path, ``'Tag.field'``, for topics without a class.

    Operands are integers, floats, numpy scalars and members of integer enums; infinities and NaN
    are refused, as the daemon does: nothing compares with them.
    """

    _holds = 'numbers'

    def _operand(self, value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refuse(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentError(
                f'{self._tag}.{self._path} cannot be compared with {value}',
                remedy='Use a finite number.',
            )
        return value


class QueryableInstant(QueryableNumeric):
    """Nanoseconds since 1970; operands are numbers, or datetimes (without a zone: UTC)."""

    _holds = 'nanoseconds since 1970 or datetimes'

    def _operand(self, value: Any) -> int | float:
        return super()._operand(epoch_ns(value) if is_instant(value) else value)


class QueryableDuration(QueryableNumeric):
    """A span of time; operands are timedeltas, or numbers in the column's unit."""

    _holds = 'timedeltas'

    def __init__(self, path: str, unit: Any) -> None:
        super().__init__(path)
        self._unit = np.timedelta64(1, unit)

    def _operand(self, value: Any) -> int | float:
        if isinstance(value, (datetime.timedelta, np.timedelta64)) and value == value:
            # pandas has a resolution that timedelta does not.
            exact = getattr(value, 'to_timedelta64', lambda: np.timedelta64(value))()
            whole, rest = divmod(exact, self._unit)
            value = float(exact / self._unit) if rest else int(whole)
        return super()._operand(value)


class QueryableTime(_Ordered):
    """A date or time column; operands are dates, times, datetimes, or integers of its unit."""

    _holds = 'dates or times'

    def _operand(self, value: Any) -> str | int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        whole = isinstance(value, (datetime.date, datetime.time))
        if is_instant(value) or (whole and not isinstance(value, datetime.datetime)):
            return iso_text(value)
        raise self._refuse(value)


class QueryableString(_Ordered):
    """A text; construct it with a path, ``'Tag.field'``, for topics without a class."""

    _holds = 'text'
    _operators = (*_ORDER, 'match')

    def match(self, value: str) -> QueryExpression:
        """Contains the text, in which ``*`` and ``%`` stand for any run of characters."""
        return QueryExpression(
            self._tag, self._path, '$match', substring_pattern(self._operand(plain(value)))
        )

    def _operand(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._refuse(value)
        return value


class QueryableBool(Comparable):
    """A boolean; construct it with a path, ``'Tag.field'``, for topics without a class."""

    _holds = 'booleans'
    _operators = ('eq', 'neq')

    def _operand(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._refuse(value)
        return value


class QueryableValue(QueryableString):
    """A value of user metadata: a number, a text or a boolean."""

    _holds = 'a number, a text or a boolean'
    _operators = (*_ORDER, 'match', 'ex')

    def match(self, value: str) -> QueryExpression:
        """Contains the text, in which ``*`` and ``%`` stand for any run of characters."""
        if not isinstance(plain(value), str) or not value:
            raise self._refuse(value)
        return super().match(value)

    def ex(self, value: bool) -> QueryExpression:
        """Whether the key exists."""
        if not isinstance(value, bool):
            raise InvalidArgumentError(
                f'ex of {self._path} got {value!r}', remedy='Give True or False.'
            )
        return QueryExpression(self._tag, self._path, '$ex' if value else '$nex', None)

    def _operand(self, value: Any) -> Any:
        if isinstance(value, (bool, str)):
            return value
        if not isinstance(value, (int, float)):
            raise self._refuse(value)
        return QueryableNumeric._operand(self, value)  # type: ignore[arg-type]
