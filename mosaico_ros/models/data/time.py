"""Points in time and spans of time, exact to the nanosecond."""

from __future__ import annotations

import datetime
import time
from decimal import Decimal

from typing_extensions import Self

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


class SecondsAndNanoseconds(BaseModel):
    """Whole seconds and the nanoseconds that follow them, also below zero."""

    seconds: MosaicoType.int32 = MosaicoField(description='Whole seconds, rounded down.')
    nanoseconds: MosaicoType.uint32 = MosaicoField(
        description='Nanoseconds after the whole seconds, 0 to 999999999.', le=_NS_PER_S - 1
    )

    @classmethod
    def from_nanoseconds(cls, total_nanoseconds: int) -> Self:
        """Make one from nanoseconds, exactly.

        Raises
        ------
        pydantic.ValidationError
            The seconds do not fit 32 bits.
        """
        seconds, nanoseconds = divmod(int(total_nanoseconds), _NS_PER_S)
        return cls(seconds=seconds, nanoseconds=nanoseconds)

    @classmethod
    def from_milliseconds(cls, total_milliseconds: int) -> Self:
        """Make one from milliseconds, exactly."""
        return cls.from_nanoseconds(int(total_milliseconds) * _NS_PER_MS)

    @classmethod
    def from_float(cls, ftime: float) -> Self:
        """Make one from seconds, rounded to the nearest nanosecond of the float's exact value.

        Today's Unix time as a float resolves about 200 ns; prefer :meth:`from_nanoseconds`.
        """
        return cls.from_nanoseconds(int((Decimal(float(ftime)) * _NS_PER_S).to_integral_value()))

    def to_nanoseconds(self) -> int:
        """Return nanoseconds, exactly."""
        return self.seconds * _NS_PER_S + self.nanoseconds

    def to_milliseconds(self) -> int:
        """Return milliseconds, rounded down."""
        return self.to_nanoseconds() // _NS_PER_MS

    def to_float(self) -> float:
        """Return seconds as the nearest float."""
        return self.to_nanoseconds() / _NS_PER_S


class Time(SecondsAndNanoseconds, Serializable):
    """A point in time, since 1970 or since the start of a clock.

    Source: builtin_interfaces/msg/Time. Seconds beyond 2038-01-19 do not fit.
    """

    @classmethod
    def now(cls) -> Self:
        """Read the system clock, in nanoseconds since 1970."""
        return cls.from_nanoseconds(time.time_ns())

    @classmethod
    def from_datetime(cls, dt: datetime.datetime) -> Self:
        """Convert a datetime; a naive one is taken in the local time zone."""
        microseconds = (dt.astimezone(datetime.timezone.utc) - _EPOCH) // _MICROSECOND
        return cls.from_nanoseconds(microseconds * 1000)

    def to_datetime(self) -> datetime.datetime:
        """Convert to a datetime in UTC, rounded down to microseconds."""
        return _EPOCH + datetime.timedelta(microseconds=self.to_nanoseconds() // 1000)


class Duration(SecondsAndNanoseconds, Serializable):
    """A span of time; negative ones have negative seconds and positive nanoseconds.

    Source: builtin_interfaces/msg/Duration.
    """
