"""Conditions: one operator with one operand, and their meaning for a single value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_LIST_OPERAND
from mosaico_ros.protocol.query.pattern import Pattern

__all__ = ['Condition', 'Operator', 'Scalar', 'grouped', 'parse_conditions']

Scalar = bool | int | float | str


class Operator(str, Enum):
    """Operators in the spelling of the wire."""

    EQ = '$eq'
    NEQ = '$neq'
    LT = '$lt'
    LEQ = '$leq'
    GT = '$gt'
    GEQ = '$geq'
    BETWEEN = '$between'
    OUTSIDE = '$outside'
    IN = '$in'
    MATCH = '$match'
    EX = '$ex'
    NEX = '$nex'


_RANGES = (Operator.BETWEEN, Operator.OUTSIDE)
_EXISTENCE = (Operator.EX, Operator.NEX)
_ORDER = (Operator.LT, Operator.LEQ, Operator.GT, Operator.GEQ, *_RANGES)


@dataclass(frozen=True)
class Condition:
    """One operator and its operand.

    Parameters
    ----------
    operator
        What to compare.
    value
        A scalar; for ``$between`` and ``$outside`` the pair (min, max); for ``$in``, and for
        ``$eq`` and ``$neq`` on whole lists, a tuple of scalars of one kind; for ``$match`` a
        :class:`Pattern`; for ``$ex`` and ``$nex`` `None`.

    """

    operator: Operator
    value: Scalar | tuple[Scalar, ...] | Pattern | None

    @property
    def kind(self) -> str | None:
        """Kind of the operand: ``number``, ``text``, ``boolean``; `None` for ``$ex``, ``$nex``.

        Values of another kind satisfy no condition: text never equals a number, and `True`
        never equals 1.
        """
        value = self.value
        if isinstance(value, tuple):
            return kind_of(value[0]) if value else None
        return 'text' if isinstance(value, Pattern) else kind_of(value)

    def matches(self, value: Any) -> bool:
        """Whether one existing value satisfies the condition.

        Null satisfies nothing but ``$ex``. NaN satisfies only ``$neq`` (and ``$ex``). Integers
        and floats compare by value, exactly. A value of another kind satisfies nothing, except
        that it differs (``$neq``).
        """
        operator, operand = self.operator, self.value
        if operator in _EXISTENCE:
            return operator is Operator.EX
        if value is None:
            return False
        if isinstance(operand, Pattern):
            return isinstance(value, str) and operand.matches(value)
        if isinstance(operand, tuple) and operator in (Operator.EQ, Operator.NEQ):
            equal = isinstance(value, (list, tuple)) and _same_list(operand, value)
            return equal is (operator is Operator.EQ)
        if kind_of(value) != self.kind:
            return operator is Operator.NEQ
        if operator is Operator.IN:
            return value in self._members
        return bool(_COMPARE[operator](value, operand))

    @cached_property
    def _members(self) -> frozenset[Any]:
        """The operand of ``$in``, which may be long."""
        return frozenset(self.value)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return ``{"<operator>": operand}``."""
        value: Any = self.value
        if isinstance(value, Pattern):
            value = value.text
        return {self.operator.value: list(value) if isinstance(value, tuple) else value}


_COMPARE: dict[Operator, Any] = {
    Operator.EQ: lambda v, o: v == o,
    Operator.NEQ: lambda v, o: v != o,
    Operator.LT: lambda v, o: v < o,
    Operator.LEQ: lambda v, o: v <= o,
    Operator.GT: lambda v, o: v > o,
    Operator.GEQ: lambda v, o: v >= o,
    Operator.BETWEEN: lambda v, o: o[0] <= v <= o[1],
    Operator.OUTSIDE: lambda v, o: v < o[0] or v > o[1],
}


def _same_list(operand: tuple[Scalar, ...], value: list[Any] | tuple[Any, ...]) -> bool:
    return len(operand) == len(value) and all(
        kind_of(a) == kind_of(b) and a == b for a, b in zip(operand, value, strict=True)
    )


def kind_of(value: Any) -> str | None:
    """Kind of a scalar: ``boolean``, ``number``, ``text`` or `None` for anything else."""
    if isinstance(value, bool):
        return 'boolean'
    if isinstance(value, (int, float)):
        return 'number'
    return 'text' if isinstance(value, str) else None


def parse_conditions(
    spelled: Any,
    where: str,
    *,
    substring: bool = False,
    lists: bool = False,
    longest: int = MAX_LIST_OPERAND,
) -> tuple[Condition, ...]:
    """Read ``{"<operator>": operand, ...}``, a list of such, or bare ``$ex`` and ``$nex``.

    Published clients send one operator. Of several each is a condition of its own.

    Parameters
    ----------
    spelled
        The JSON value.
    where
        How error texts name the field.
    substring
        Read ``$match`` as a substring search (the key ``locator``).
    lists
        Let ``$eq`` and ``$neq`` take a list.
    longest
        Elements that a list may have.

    Raises
    ------
    InvalidArgumentError
        Unknown operator, no operator, an operand that the operator cannot take.

    """
    conditions = []
    for entry in spelled if isinstance(spelled, list) else [spelled]:
        if isinstance(entry, str) and entry in ('$ex', '$nex'):
            entry = {entry: None}
        if not isinstance(entry, dict):
            raise _no_operator(where)
        for name, operand in entry.items():
            operator = _operator(name, where)
            value = _operand(operator, operand, f'{where} {name}', substring, lists, longest)
            conditions.append(Condition(operator, value))
    if not conditions:
        raise _no_operator(where)
    return tuple(conditions)


def grouped(conditions: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return conditions, each a key and an operator with its operand, as an object by key.

    Several on one key take the shortest spelling that holds them.
    """
    by_key: dict[str, list[dict[str, Any]]] = {}
    for key, spelled in conditions:
        by_key.setdefault(key, []).append(spelled)
    body: dict[str, Any] = {}
    for key, known in by_key.items():
        merged = {name: operand for entry in known for name, operand in entry.items()}
        body[key] = merged if len(merged) == len(known) else known
    return body


def _no_operator(where: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'The condition on {where} is not an operator with its operand',
        remedy='Write for example {"$eq": 5}.',
    )


def _operator(name: str, where: str) -> Operator:
    try:
        return Operator(name)
    except ValueError:
        raise InvalidArgumentError(
            f'The operator {name[:40]!r} on {where} is unknown',
            remedy=f'Known are {", ".join(o.value for o in Operator)}.',
        ) from None


def _operand(
    operator: Operator, operand: Any, where: str, substring: bool, lists: bool, longest: int
) -> Scalar | tuple[Scalar, ...] | Pattern | None:
    if operator in _EXISTENCE:
        if operand is not None:
            raise InvalidArgumentError(f'{where} takes null, not {_short(operand)}')
        return None
    if operator is Operator.MATCH:
        if not isinstance(operand, str):
            raise InvalidArgumentError(f'{where} takes text, not {_short(operand)}')
        return Pattern.parse(operand, substring=substring)
    if operator in _RANGES or operator is Operator.IN:
        values = _scalars(operand, where, longest)
        if operator is Operator.IN:
            if not values:
                raise InvalidArgumentError(f'{where} takes a list with at least one element')
            return values
        if len(values) != 2:
            raise InvalidArgumentError(f'{where} takes [min, max], not {len(values)} elements')
        _check_ordered(values[0], where)
        low: Any = values[0]
        high: Any = values[1]
        if low > high:
            raise InvalidArgumentError(f'{where}: the minimum {low!r} is above {high!r}')
        return values
    if isinstance(operand, list) and lists and operator in (Operator.EQ, Operator.NEQ):
        return _scalars(operand, where, longest)
    scalar = _scalar(operand, where)
    if operator in _ORDER:
        _check_ordered(scalar, where)
    return scalar


def _scalars(operand: Any, where: str, longest: int) -> tuple[Scalar, ...]:
    if not isinstance(operand, list):
        raise InvalidArgumentError(f'{where} takes a list, not {_short(operand)}')
    if len(operand) > longest:
        raise InvalidArgumentError(
            f'{where} has {len(operand)} elements', remedy=f'At most {longest}.'
        )
    values = tuple(_scalar(element, where) for element in operand)
    if len({kind_of(value) for value in values}) > 1:
        raise InvalidArgumentError(f'{where} mixes kinds; use numbers only, or text only')
    return values


def _scalar(operand: Any, where: str) -> Scalar:
    if kind_of(operand) is None:
        remedy = 'Ask for absence with $nex.' if operand is None else None
        raise InvalidArgumentError(
            f'{where} takes a number, text or boolean, not {_short(operand)}', remedy=remedy
        )
    if isinstance(operand, float) and not math.isfinite(operand):
        raise InvalidArgumentError(f'{where}: {operand} compares with nothing')
    return operand


def _check_ordered(value: Scalar, where: str) -> None:
    if isinstance(value, bool):
        raise InvalidArgumentError(f'{where}: booleans have no order', remedy='Use $eq.')


def _short(value: Any) -> str:
    return {dict: 'an object', list: 'a list', type(None): 'null', str: 'text'}.get(
        type(value), repr(value)[:40]
    )
