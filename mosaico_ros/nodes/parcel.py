"""Messages of one topic on their way from the middleware, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.provenance import PROVENANCE

#: The message as serialized, encapsulation header included.
PAYLOAD = pa.field('payload', pa.large_binary())
#: Columns of a parcel: the time on the axis, where the message came from, the message.
CAPTURED: pa.Schema = pa.schema(
    [pa.field(TIMESTAMP_COLUMN, pa.int64(), nullable=False), *PROVENANCE, PAYLOAD]
)


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
class Bundle:
    """Parcels of several topics behind each other in shared columns; mostly it is one.

    Little of each of many topics costs hardly more than the same number of messages of one.

    Attributes
    ----------
    rows
        Those of all parcels, whose own rows are slices of them.
    parcels
        In the order of `rows`, each of another topic.
    """

    rows: pa.RecordBatch
    parcels: Sequence[Parcel]

    @classmethod
    def of(cls, parcel: Parcel) -> Bundle:
        """Return one parcel as a bundle."""
        return cls(parcel.rows, (parcel,))


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
