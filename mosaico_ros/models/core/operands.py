"""What conditions compare with: Python, numpy, Arrow and pandas values as JSON has them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_LIST_OPERAND

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def plain(value: Any) -> Any:
    """Return what an enum member or a scalar of numpy or Arrow stands for.

    Scalars of ``datetime64`` and ``timedelta64`` stay, as Python has none of their resolution.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if isinstance(value, np.ndarray) and not value.shape:
        value = value[()]
    if isinstance(value, np.generic) and value.dtype.kind not in 'mM':
        return value.item()
    return value


def members(values: tuple[Any, ...], what: str) -> list[Any]:
    """Return operands that came as arguments, or as one argument that holds them all.

    Raises
    ------
    InvalidArgumentError
        There are more than conditions take.

    """
    given: Iterable[Any] = values
    if len(values) == 1 and isinstance(values[0], Iterable):
        whole = isinstance(values[0], (str, bytes, enum.Enum)) or not getattr(values[0], 'ndim', 1)
        given = values if whole else values[0]
    taken = list(islice(given, MAX_LIST_OPERAND + 1))
    if len(taken) > MAX_LIST_OPERAND:
        raise InvalidArgumentError(
            f'{what} got more than {MAX_LIST_OPERAND} values',
            remedy='Use between() for a range, or ask several queries.',
        )
    return taken


def is_instant(value: Any) -> bool:
    """Whether a value is a point in time, and not the one that pandas and numpy call NaT."""
    kind = isinstance(value, (datetime.datetime, np.datetime64))
    return kind and bool(value == value)


def epoch_ns(value: Any) -> int:
    """Return a point in time as nanoseconds since 1970; without a zone it is UTC."""
    if hasattr(value, 'to_datetime64'):  # pandas, whose resolution datetime does not have
        value = value.to_datetime64()
    if isinstance(value, np.datetime64):
        unit, count = np.datetime_data(value.dtype)
        per_unit = {'s': 10**9, 'ms': 10**6, 'us': 10**3, 'ns': 1}.get(unit)
        if per_unit is None:  # days and longer, picoseconds and shorter
            return int(value.astype('datetime64[ns]').astype(np.int64))
        return int(value.astype(np.int64)) * per_unit * count
    return (_aware(value) - _EPOCH) // _MICROSECOND * 1000


def iso_text(value: Any) -> str:
    """Return a date, time or point in time as ISO 8601, in UTC."""
    if isinstance(value, np.datetime64):
        coarse = np.datetime_data(value.dtype)[0] in 'YMWhm'  # spelled without minutes or days
        return str(value.astype('datetime64[s]') if coarse else value)
    if isinstance(value, datetime.datetime):
        return _aware(value).astimezone(datetime.timezone.utc).isoformat()
    return str(value.isoformat())


def _aware(value: datetime.datetime) -> datetime.datetime:
    return value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
