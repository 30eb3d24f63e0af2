"""Messages of one topic on their way from the middleware, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.ros_bridge.cdr.columns import number_array
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.provenance import PROVENANCE

#: The message as serialized, encapsulation header included.
PAYLOAD = pa.field('payload', pa.large_binary())
#: Columns of a parcel: the time on the axis, where the message came from, the message.
CAPTURED: pa.Schema = pa.schema(
    [pa.field(TIMESTAMP_COLUMN, pa.int64(), nullable=False), *PROVENANCE, PAYLOAD]
)
_INT64 = pa.int64()
# Payloads of about this size or more are put together in one exact block: Arrow's own way grows
# one, in steps that are copied and leave a third more behind. Small ones it takes faster.
_LARGE = 16_384


@dataclass(frozen=True)
class Parcel:
    """Messages of one topic, in the order of delivery.

    Attributes
    ----------
    account
        The topic's.
    rows
        The messages, with the schema `CAPTURED`; ``timestamp_ns`` is strictly increasing over
        all parcels of a topic.
    size
        Memory it is charged with until released, bytes.
    since
        ``time.monotonic()`` when the oldest was taken, seconds.
    """

    account: TopicAccount
    rows: pa.RecordBatch
    size: int
    since: float


@dataclass(frozen=True)
class Taken:
    """Messages as taken from the middleware, as columns of one length.

    Attributes
    ----------
    stamps
        Time on the axis, ns, int64.
    received, sources, clocks
        As the sidecars of these names, ns, int64; 0 where unknown.
    publishers
        Identifier of each message's publisher, or None.
    numbers
        The publisher's own, int64; negative where unknown.
    latched
        1 for a message published before the subscription, 0 for another, -1 where that means
        nothing; int8.
    payloads
        CDR bytes with their 4-byte encapsulation header.
    """

    stamps: np.ndarray
    received: np.ndarray
    sources: np.ndarray
    clocks: np.ndarray
    publishers: list[bytes | None]
    numbers: np.ndarray
    latched: np.ndarray
    payloads: list[bytes]

    def __len__(self) -> int:
        return len(self.payloads)

    def select(self, rows: np.ndarray) -> Taken:
        """Return the messages at some positions, or where a mask is true."""
        where = (np.flatnonzero(rows) if rows.dtype == bool else rows).tolist()
        return Taken(
            self.stamps[rows],
            self.received[rows],
            self.sources[rows],
            self.clocks[rows],
            [self.publishers[row] for row in where],
            self.numbers[rows],
            self.latched[rows],
            [self.payloads[row] for row in where],
        )

    def rows(self, stamps: np.ndarray) -> pa.RecordBatch:
        """Return them as Arrow rows at other times on the axis; copies the payloads."""
        received = self.received
        # pyarrow's own way from numpy imports pandas, which takes a second.
        columns = [
            number_array(stamps, _INT64),
            number_array(received, _INT64, (received != stamps) & (received != 0)),
            number_array(self.sources, _INT64, self.sources != 0),
            number_array(self.clocks, _INT64, self.clocks != 0),
            pa.array(self.publishers, pa.binary()),
            number_array(self.numbers, _INT64, self.numbers >= 0),
            number_array(self.latched == 1, pa.bool_(), self.latched >= 0),
            _payload_column(self.payloads),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=CAPTURED)


def _payload_column(payloads: Sequence[bytes]) -> pa.Array:
    if not payloads or len(payloads[0]) < _LARGE:
        return pa.array(payloads, PAYLOAD.type)
    offsets = np.zeros(len(payloads) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b''.join(payloads))]
    return pa.Array.from_buffers(PAYLOAD.type, len(payloads), buffers)


def joined(parts: Sequence[Taken]) -> Taken:
    """Put messages behind each other."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {}
    for each in fields(Taken):
        several = [getattr(part, each.name) for part in parts]
        if isinstance(several[0], list):
            columns[each.name] = [value for column in several for value in column]
        else:
            columns[each.name] = np.concatenate(several)
    return Taken(**columns)


def in_order(stamps: np.ndarray, floor: int) -> np.ndarray:
    """Make stamps strictly increasing and above `floor`.

    A sample that had to be sent again is delivered before its successors, yet stamped after
    them, by a second or more where it was among the first. It is stamped again, just before its
    successor; moving them all behind it would bend the time of whole seconds.
    """
    steps = np.arange(len(stamps))
    room = np.maximum(stamps - steps, floor + 1)
    return np.minimum.accumulate(room[::-1])[::-1] + steps


def payloads(rows: pa.RecordBatch) -> Payloads:
    """Return the messages of rows with the schema `CAPTURED`, without copying them."""
    array = rows.column(len(CAPTURED) - 1)
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset :][: len(array) + 1]
    return Payloads(np.frombuffer(array.buffers()[2], np.uint8), offsets[:-1], np.diff(offsets))
