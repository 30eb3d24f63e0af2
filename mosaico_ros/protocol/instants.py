"""Instants and durations as people write them: RFC 3339 and ISO 8601."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, timezone

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import INT64_MAX

__all__ = ['add_duration', 'parse_instant']

_SECOND_NS = 1_000_000_000
_INSTANT = re.compile(
    r'(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)', re.ASCII
)
_DURATION = re.compile(
    r'P(?:(?P<Y>\d+)Y)?(?:(?P<M>\d+)M)?(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?'
    r'(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)S)?)?',
    re.ASCII,
)


def parse_instant(text: str) -> int:
    """Return an RFC 3339 date-time as nanoseconds since 1970.

    Raises
    ------
    InvalidArgumentError
        It is none, lacks its offset from UTC, or lies outside of int64 nanoseconds.

    """
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        day, clock, fraction, offset = match.groups()
        # `Z` and nine digits are beyond what Python 3.10 reads.
        offset = '+00:00' if offset in 'Zz' else offset
        seconds = int(datetime.fromisoformat(f'{day}T{clock}{offset}').timestamp())
        return _checked(seconds * _SECOND_NS + int((fraction or '0').ljust(9, '0')), text)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f'{text[:60]!r} is no instant', remedy='Write it like 2026-03-27T12:20:00Z.'
        ) from None


def add_duration(start_ns: int, text: str) -> int:
    """Return the instant an ISO 8601 duration after another, in nanoseconds since 1970.

    Years and months are those of the calendar (UTC); a day that a month lacks becomes its last.

    Raises
    ------
    InvalidArgumentError
        The text is no duration, or the instant lies outside of int64 nanoseconds.

    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise InvalidArgumentError(
            f'{text[:60]!r} is no ISO 8601 duration',
            remedy='Write it like P1Y2M3D (1 year, 2 months, 3 days) or PT12H (12 hours).',
        )
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    seconds, fraction = divmod(start_ns, _SECOND_NS)
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
        years, month = divmod(moment.month - 1 + part['M'], 12)
        year, month = moment.year + part['Y'] + years, month + 1
        day = min(moment.day, calendar.monthrange(year, month)[1])
        moment = moment.replace(year=year, month=month, day=day) + timedelta(
            days=part['D'] + 7 * part['W'],
            hours=part['h'],
            minutes=part['m'],
            seconds=part['s'],
        )
        return _checked(int(moment.timestamp()) * _SECOND_NS + fraction, text)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f'{text[:60]!r} reaches too far', remedy='Instants end in the year 2262.'
        ) from None


def _checked(ns: int, text: str) -> int:
    if abs(ns) > INT64_MAX:
        raise OverflowError(text)
    return ns
