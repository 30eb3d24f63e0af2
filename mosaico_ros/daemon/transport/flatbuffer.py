"""The few facts about an Arrow IPC message that must be known before Arrow reads it.

Which kind it is, how long its body is, and how large its compressed buffers want to become.
Every access is bounds-checked; Arrow verifies the rest of the flatbuffer itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['MessageFacts', 'MessageKind', 'read_facts']

Bytes = bytes | memoryview


class MessageKind(IntEnum):
    """Kinds of IPC messages, by their number in Arrow's ``Message.fbs``."""

    NONE = 0
    SCHEMA = 1
    DICTIONARY = 2
    BATCH = 3
    TENSOR = 4
    SPARSE_TENSOR = 5


@dataclass(frozen=True)
class MessageFacts:
    """What a message header says.

    Parameters
    ----------
    kind
        Kind of the message.
    body_length
        Bytes of the body.
    compressed
        (offset, length) in the body of each non-empty compressed buffer.

    """

    kind: MessageKind
    body_length: int
    compressed: tuple[tuple[int, int], ...] = ()


class _Table:
    def __init__(self, data: Bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.vtable = at - _unpack('<i', data, at)
        self.size = _unpack('<H', data, self.vtable)

    def field(self, number: int) -> int:
        """Return where a field lies, 0 if it is absent."""
        slot = 4 + 2 * number
        if slot + 2 > self.size:
            return 0
        offset = _unpack('<H', self.data, self.vtable + slot)
        return self.at + offset if offset else 0

    def table(self, number: int) -> _Table | None:
        at = self.field(number)
        return _Table(self.data, at + _unpack('<I', self.data, at)) if at else None


def _unpack(layout: str, data: Bytes, at: int) -> int:
    if at < 0:  # struct would count from the end
        raise struct.error
    return int(struct.unpack_from(layout, data, at)[0])


def read_facts(header: Bytes) -> MessageFacts:
    """Read the facts of an IPC message header.

    Raises
    ------
    InvalidArgumentError
        If it is not one.

    """
    try:
        message = _Table(header, _unpack('<I', header, 0))
        kind_at, length_at = message.field(1), message.field(3)
        kind = MessageKind(_unpack('<B', header, kind_at) if kind_at else 0)
        body_length = _unpack('<q', header, length_at) if length_at else 0
        batch = message.table(2)
        if batch is not None and kind is MessageKind.DICTIONARY:
            batch = batch.table(1)
        if batch is None or kind not in (MessageKind.DICTIONARY, MessageKind.BATCH):
            return MessageFacts(kind, body_length)
        return MessageFacts(kind, body_length, _compressed(batch))
    except (struct.error, ValueError, OverflowError):
        raise InvalidArgumentError('An Arrow IPC message header is damaged') from None


def _compressed(batch: _Table) -> tuple[tuple[int, int], ...]:
    if not batch.field(3):
        return ()
    at = batch.field(2)
    if not at:
        return ()
    at += _unpack('<I', batch.data, at)
    count = _unpack('<I', batch.data, at)
    if count * 16 > len(batch.data):
        raise struct.error
    buffers = struct.unpack_from(f'<{2 * count}q', batch.data, at + 4)
    pairs = zip(buffers[::2], buffers[1::2], strict=True)
    return tuple((offset, length) for offset, length in pairs if length > 0)
