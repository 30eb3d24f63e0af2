"""Messages of one topic on their way from the middleware, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
    stamps
        Time of each on the axis, ns since the epoch, strictly increasing over all parcels of a
        topic.
    infos
        What the middleware said of each: the dictionary that comes with a message taken.
    payloads
        CDR bytes with their 4-byte encapsulation header.
    size
        Of all payloads, bytes.
    since
        ``time.monotonic()`` when the oldest was taken, seconds.
    """

    account: TopicAccount
    stamps: Sequence[int]
    infos: Sequence[dict[str, Any]]
    payloads: Sequence[bytes]
    size: int
    since: float

    @cached_property
    def rows(self) -> pa.RecordBatch:
        """The messages as Arrow rows with the schema `CAPTURED`; copies the payloads once."""
        stamps = np.array(self.stamps, np.int64)
        received = _stamps(self.infos, 'received_timestamp')
        columns = [
            pa.array(stamps),
            pa.array(received, mask=(received == stamps) | (received == 0)),
            _known(_stamps(self.infos, 'source_timestamp')),
            pa.nulls(len(stamps), pa.int64()),
            pa.array([_publisher(info) for info in self.infos], pa.binary()),
            pa.array([info.get('publication_sequence_number') for info in self.infos], pa.int64()),
            pa.nulls(len(stamps), pa.bool_()),
            pa.array(self.payloads, PAYLOAD.type),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=CAPTURED)


def payloads(rows: pa.RecordBatch) -> Payloads:
    """Return the messages of rows with the schema `CAPTURED`, without copying them."""
    array = rows.column(len(CAPTURED) - 1)
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset :][: len(array) + 1]
    return Payloads(np.frombuffer(array.buffers()[2], np.uint8), offsets[:-1], np.diff(offsets))


def _stamps(infos: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    return np.fromiter((info.get(name) or 0 for info in infos), np.int64, len(infos))


def _known(stamps: np.ndarray) -> pa.Array:
    return pa.array(stamps, mask=stamps == 0)


def _publisher(info: dict[str, Any]) -> bytes | None:
    gid = info.get('publisher_gid')
    return None if gid is None else bytes(gid['data'])
