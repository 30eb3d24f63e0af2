"""One condition against a whole column, exactly.

Integers and floats compare by value: a column is never cast to a type that rounds, the operand
is moved into the column's domain instead (``int64 > 4.5`` becomes ``>= 5``). Null satisfies
nothing, NaN only ``$neq``.
"""

from __future__ import annotations

import math
import re
from datetime import date
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from mosaico_ros.protocol.query import Condition, MatchFlavour, Operator, Pattern
from mosaico_ros.protocol.query.kinds import Kind, kind_of_type

__all__ = ['compare', 'holds', 'operands_for']

Number = int | float | Fraction

_NANOSECONDS = {'s': 10**9, 'ms': 10**6, 'us': 10**3, 'ns': 1}
_DAY = 86_400 * 10**9
_COUNT = re.compile(r'[+-]?\d{1,20}', re.ASCII)
_INSTANT = re.compile(
    r'(?:(\d{4})-(\d\d)-(\d\d))?(?:(?:^|[T ])(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?'
    r'\s*(Z|UTC|[+-]\d\d:?\d\d)?'
)


def operands_for(condition: Condition, arrow_type: pa.DataType) -> tuple[Any, ...] | None:
    """Return the operands as values of the column, `None` if they are of another kind.

    Times become counts of the column's unit, patterns stay what they are.
    """
    kind = kind_of_type(arrow_type)
    value = condition.value
    values = value if isinstance(value, tuple) else (value,)
    if kind is Kind.TIME:
        counts = tuple(_count(text, arrow_type) for text in values)
        return None if any(count is None for count in counts) else counts
    wanted = {'number': Kind.NUMBER, 'text': Kind.TEXT, 'boolean': Kind.BOOLEAN}
    if condition.kind is None or wanted[condition.kind] is not kind:
        return None
    return values


def holds(operator: Operator, value: Any, operands: tuple[Any, ...]) -> bool:
    """Whether one value of the column, not null, satisfies the condition."""
    first = operands[0]
    if operator is Operator.MATCH:
        return bool(first.matches(value))
    if operator is Operator.IN:
        return value in operands
    if operator is Operator.BETWEEN:
        return bool(first <= value <= operands[1])
    if operator is Operator.OUTSIDE:
        return bool(value < first or value > operands[1])
    return bool(
        {
            Operator.EQ: lambda: value == first,
            Operator.NEQ: lambda: value != first,
            Operator.LT: lambda: value < first,
            Operator.LEQ: lambda: value <= first,
            Operator.GT: lambda: value > first,
            Operator.GEQ: lambda: value >= first,
        }[operator]()
    )


def compare(operator: Operator, values: pa.Array, operands: tuple[Any, ...] | None) -> pa.Array:
    """Return the mask of values that satisfy the condition, without nulls.

    Parameters
    ----------
    operator
        Any but ``$ex`` and ``$nex``.
    values
        The column; a leaf.
    operands
        As :func:`operands_for` gives them.

    """
    if operands is None:  # of another kind: equal to nothing, different from everything
        return values.is_valid() if operator is Operator.NEQ else _constant(values, False)
    if pt.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = kind_of_type(values.type)
    if kind is Kind.TEXT:
        mask = _compare_text(operator, values, operands)
    elif kind is Kind.BOOLEAN:
        mask = _combine(operator, values, operands, _compare_simply)
    else:
        mask = _combine(operator, _plain_numbers(values), operands, _compare_number)
    return mask.fill_null(False) if mask.null_count else mask


def _constant(values: pa.Array, value: bool) -> pa.Array:
    return pa.repeat(pa.scalar(value), len(values))


def _combine(operator: Operator, values: pa.Array, operands: tuple[Any, ...], one: Any) -> Any:
    """Build the operators with several operands from those with one."""
    if operator is Operator.BETWEEN:
        return pc.and_(
            one(Operator.GEQ, values, operands[0]), one(Operator.LEQ, values, operands[1])
        )
    if operator is Operator.OUTSIDE:
        return pc.or_(one(Operator.LT, values, operands[0]), one(Operator.GT, values, operands[1]))
    if operator is Operator.IN:
        mask = one(Operator.EQ, values, operands[0])
        for operand in operands[1:]:
            mask = pc.or_(mask, one(Operator.EQ, values, operand))
        return mask
    return one(operator, values, operands[0])


_SIMPLE = {
    Operator.EQ: pc.equal,
    Operator.NEQ: pc.not_equal,
    Operator.LT: pc.less,
    Operator.LEQ: pc.less_equal,
    Operator.GT: pc.greater,
    Operator.GEQ: pc.greater_equal,
}


def _compare_simply(operator: Operator, values: pa.Array, operand: Any) -> pa.Array:
    return _SIMPLE[operator](values, pa.scalar(operand, values.type))


def _compare_text(operator: Operator, values: pa.Array, operands: tuple[Any, ...]) -> pa.Array:
    if not pt.is_string(values.type) and not pt.is_large_string(values.type):
        values = values.cast(pa.large_string())
    pattern = operands[0]
    if not isinstance(pattern, Pattern):
        return _combine(operator, values, operands, _compare_simply)
    if pattern.flavour is MatchFlavour.EXACT:
        return pc.equal(values, pa.scalar(pattern.text, values.type))
    if pattern.flavour is MatchFlavour.SUBSTRING:
        return pc.match_substring(values, pattern.text)
    return pc.match_substring_regex(values, rf'(?s)\A(?:{pattern.regex_source})\z')


def _plain_numbers(values: pa.Array) -> pa.Array:
    """Return integers, or doubles, that compare like the column."""
    found = values.type
    if pt.is_floating(found):
        return values if found == pa.float64() else values.cast(pa.float64())
    if pt.is_decimal(found):
        return values.cast(pa.float64())
    if not pt.is_integer(found):  # times and durations: their count
        return values.view(pa.int32() if found.bit_width == 32 else pa.int64())
    return values


def _compare_number(operator: Operator, values: pa.Array, operand: Number) -> pa.Array:
    if pt.is_floating(values.type):
        return _compare_double(operator, values, operand)
    # Integers: strict comparisons become inclusive ones with the next integer.
    floor, ceil = math.floor(operand), math.ceil(operand)
    if operator in (Operator.EQ, Operator.NEQ):
        inside = floor == ceil and _in_range(floor, values.type)
        if not inside:
            return _constant(values, False) if operator is Operator.EQ else values.is_valid()
        return _compare_simply(operator, values, floor)
    least, most = _range(values.type)
    if operator in (Operator.GT, Operator.GEQ):
        limit = floor + 1 if operator is Operator.GT else ceil
        if limit > most:
            return _constant(values, False)
        return _compare_simply(Operator.GEQ, values, max(limit, least))
    limit = ceil - 1 if operator is Operator.LT else floor
    if limit < least:
        return _constant(values, False)
    return _compare_simply(Operator.LEQ, values, min(limit, most))


def _compare_double(operator: Operator, values: pa.Array, operand: Number) -> pa.Array:
    try:
        nearest = float(operand)
    except OverflowError:
        nearest = math.inf if operand > 0 else -math.inf
    if nearest != operand:
        # No double lies between the operand and the nearest one.
        if operator is Operator.EQ:
            return _constant(values, False)
        if operator is Operator.NEQ:
            return values.is_valid()
        above = nearest > operand
        if operator in (Operator.GT, Operator.GEQ):
            operator = Operator.GEQ if above else Operator.GT
        else:
            operator = Operator.LT if above else Operator.LEQ
    return _compare_simply(operator, values, nearest)


def _range(arrow_type: pa.DataType) -> tuple[int, int]:
    bits = arrow_type.bit_width
    if pt.is_unsigned_integer(arrow_type):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _in_range(value: int, arrow_type: pa.DataType) -> bool:
    least, most = _range(arrow_type)
    return least <= value <= most


def _count(text: Any, arrow_type: pa.DataType) -> Number | None:
    """Return ISO-8601 text as a count of the column's unit; without a zone it is UTC.

    A number, also as decimal text, is such a count already.
    """
    if isinstance(text, str) and _COUNT.fullmatch(text):
        return int(text)
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return text
    found = _INSTANT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    wants_clock = pt.is_time(arrow_type)
    if (year is None) is not wants_clock or (year is None and hour is None):
        return None
    nanoseconds = (int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)) * 10**9
    nanoseconds += int((fraction or '0').ljust(9, '0'))
    if not wants_clock:
        try:
            days = date(int(year), int(month), int(day)).toordinal() - date(1970, 1, 1).toordinal()
        except ValueError:
            return None
        nanoseconds += days * _DAY
    if zone not in (None, 'Z', 'UTC'):
        digits = zone[1:].replace(':', '')
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60 * 10**9
        nanoseconds += offset if zone[0] == '-' else -offset
    if pt.is_date32(arrow_type):
        unit = _DAY
    elif pt.is_date64(arrow_type):
        unit = _NANOSECONDS['ms']
    else:
        unit = _NANOSECONDS[arrow_type.unit]
    count = Fraction(nanoseconds, unit)
    return count.numerator if count.denominator == 1 else count
