"""Tickets: what ``GetFlightInfo`` hands out and ``DoGet`` takes back.

A ticket is a protobuf message, so that readers which look for a length-prefixed topic name
behind one tag byte find it (PlotJuggler does, and never finds one inside JSON):

=====  =======  =====================================================
field  type     meaning
=====  =======  =====================================================
1      string   topic locator
2      uint64   internal topic id; a successor of the same name differs
3      sint64   first nanosecond of the window, absent if open
4      sint64   end of the window, exclusive, absent if open
5      bool     sidecar columns wanted
6      string   a column wanted, repeated; absent for all columns
=====  =======  =====================================================

Tickets are stateless: they stay valid for as long as the topic exists, across restarts. A client
whose stream broke off narrows the window to go on (the extension ``tickets``).
"""

from __future__ import annotations

from dataclasses import dataclass

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import (
    INT64_MAX,
    INT64_MIN,
    MAX_COLUMN_PATH_BYTES,
    MAX_LOCATOR_LENGTH,
)
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['Ticket']

_LOCATOR, _TOPIC_ID, _START, _END, _SIDECARS, _COLUMN = 0x0A, 0x10, 0x18, 0x20, 0x28, 0x32
_REMEDY = 'Use a ticket of GetFlightInfo, unchanged.'


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise InvalidArgumentError('The ticket is damaged', remedy=_REMEDY)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7


def _text(tag: int, text: str) -> list[bytes]:
    data = text.encode()
    return [bytes((tag,)), _varint(len(data)), data]


def _read_text(data: bytes, at: int, longest: int) -> tuple[str, int]:
    length, at = _read_varint(data, at)
    end = at + length
    if length > longest or end > len(data):
        raise InvalidArgumentError('The ticket is damaged', remedy=_REMEDY)
    try:
        return data[at:end].decode(), end
    except UnicodeDecodeError:
        raise InvalidArgumentError('The ticket is damaged', remedy=_REMEDY) from None


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -(value + 1 >> 1)


@dataclass(frozen=True)
class Ticket:
    """One topic, optionally cut to the window [start_ns, end_ns).

    Parameters
    ----------
    locator
        The topic.
    topic_id
        The daemon's internal id of the topic (never its uuid), not negative.
    start_ns, end_ns
        Window in nanoseconds since 1970; `None` leaves that side open. The end is exclusive.
    sidecars
        Whether sidecar columns are part of the stream.
    columns
        Columns, or paths into structs, that the stream is narrowed to; none for all.

    """

    locator: TopicLocator
    topic_id: int
    start_ns: int | None = None
    end_ns: int | None = None
    sidecars: bool = False
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.topic_id <= INT64_MAX:
            raise InvalidArgumentError(f'The topic id {self.topic_id} is out of range')
        for bound in (self.start_ns, self.end_ns):
            if bound is not None and not INT64_MIN <= bound <= INT64_MAX:
                raise InvalidArgumentError(f'The window bound {bound} is not a 64-bit integer')

    def encode(self) -> bytes:
        """Return the bytes for ``Ticket.ticket``."""
        parts = _text(_LOCATOR, str(self.locator))
        parts += [bytes((_TOPIC_ID,)), _varint(self.topic_id)]
        if self.start_ns is not None:
            parts += [bytes((_START,)), _zigzag(self.start_ns)]
        if self.end_ns is not None:
            parts += [bytes((_END,)), _zigzag(self.end_ns)]
        if self.sidecars:
            parts += [bytes((_SIDECARS,)), b'\x01']
        for column in self.columns:
            parts += _text(_COLUMN, column)
        return b''.join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Ticket:
        """Read the bytes of a ticket.

        Raises
        ------
        InvalidArgumentError
            If they are not a ticket of :meth:`encode`.

        """
        if len(data) < 4 or data[0] != _LOCATOR:
            raise InvalidArgumentError('The ticket is not one of this daemon', remedy=_REMEDY)
        text, at = _read_text(data, 1, MAX_LOCATOR_LENGTH)
        values: dict[int, int] = {}
        columns: list[str] = []
        while at < len(data):
            tag = data[at]
            if tag == _COLUMN:
                column, at = _read_text(data, at + 1, MAX_COLUMN_PATH_BYTES)
                columns.append(column)
                continue
            if tag not in (_TOPIC_ID, _START, _END, _SIDECARS) or tag in values:
                raise InvalidArgumentError('The ticket is damaged', remedy=_REMEDY)
            values[tag], at = _read_varint(data, at + 1)
        if _TOPIC_ID not in values or values.get(_SIDECARS, 0) > 1:
            raise InvalidArgumentError('The ticket is damaged', remedy=_REMEDY)
        try:
            locator = TopicLocator.parse(text)
        except ValueError:
            raise InvalidArgumentError('The ticket names no topic', remedy=_REMEDY) from None
        return cls(
            locator,
            values[_TOPIC_ID],
            _unzigzag(values[_START]) if _START in values else None,
            _unzigzag(values[_END]) if _END in values else None,
            bool(values.get(_SIDECARS, 0)),
            tuple(columns),
        )
