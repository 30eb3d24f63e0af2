"""``FlightData``, read and written by hand.

A generated protobuf class would copy the body of every record batch twice. Reading gives
slices of the received bytes; writing joins the pieces once, into what gRPC sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['Frame', 'read_frame', 'write_frame']

Bytes = bytes | memoryview

_DESCRIPTOR, _HEADER, _METADATA, _BODY = 1, 2, 3, 1000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NOTHING = memoryview(b'')


@dataclass
class Frame:
    """One ``FlightData`` message; absent parts are empty.

    Parameters
    ----------
    header
        Arrow IPC message (a flatbuffer, without length prefix).
    body
        Buffers of that message.
    app_metadata
        Bytes of the application.
    descriptor
        Serialized ``FlightDescriptor``; only in the first message of a DoPut.

    """

    header: Bytes = _NOTHING
    body: Bytes = _NOTHING
    app_metadata: Bytes = _NOTHING
    descriptor: Bytes = _NOTHING


def _damaged() -> InvalidArgumentError:
    return InvalidArgumentError(
        'A FlightData message is damaged', remedy='Send it as Arrow Flight defines it.'
    )


def read_frame(data: bytes) -> Frame:
    """Read a serialized ``FlightData`` without copying.

    Raises
    ------
    InvalidArgumentError
        If the bytes are not a protobuf message.

    """
    view = memoryview(data)
    end = len(data)
    frame = Frame()
    at = 0
    while at < end:
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise _damaged()
            part = view[at : at + length]
            at += length
            field = tag >> 3
            if field == _BODY:
                frame.body = part
            elif field == _HEADER:
                frame.header = part
            elif field == _METADATA:
                frame.app_metadata = part
            elif field == _DESCRIPTOR:
                frame.descriptor = part
        elif kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise _damaged()
    if at != end:
        raise _damaged()
    return frame


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _damaged()


def _prefix(field: int, length: int) -> bytes:
    out = bytearray()
    for value in (field << 3 | _BYTES, length):
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def write_frame(header: Bytes, body: Sequence[Bytes] = (), app_metadata: bytes = b'') -> bytes:
    """Write a serialized ``FlightData``, copying each piece of the body exactly once."""
    parts: list[Bytes] = []
    if header:
        parts += [_prefix(_HEADER, len(header)), header]
    if app_metadata:
        parts += [_prefix(_METADATA, len(app_metadata)), app_metadata]
    if header:
        # Always present beside a header, as Arrow writes it, even if empty.
        parts += [_prefix(_BODY, sum(map(len, body))), *body]
    return b''.join(parts)
