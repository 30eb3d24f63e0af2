"""Messages as the middleware gives them, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.parcel import CAPTURED, PAYLOAD
from mosaico_ros.ros_bridge.cdr.columns import number_array
from mosaico_ros.ros_bridge.cdr.cursor import running

_DAY_NS = 86_400_000_000_000
_INT64 = pa.int64()
# Payloads of about this size or more are put together in one exact block: Arrow's own way grows
# one, in steps that are copied and leave a third more behind. Small ones it takes faster.
_LARGE = 16_384

#: A message with what the middleware says of it, as the take call gives it.
Message = tuple[bytes, Any]


class Moment(NamedTuple):
    """The clocks when messages were taken, ns since the epoch; 0 for a ROS clock not followed."""

    system_ns: int
    clock_ns: int = 0


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
    offsets = running(np.fromiter(map(len, payloads), np.int64, len(payloads)))
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


def columns(
    batches: Sequence[tuple[Moment, Sequence[Message]]], latched_before: int | None = None
) -> tuple[Taken, np.ndarray]:
    """Make columns of messages.

    Parameters
    ----------
    batches
        With the moment when each was taken.
    latched_before
        What was sent before is latched, ns since the epoch; None where nothing can be.

    Returns
    -------
    taken : Taken
        The messages, in the order given.
    odd : numpy.ndarray
        True for each that carries a stamp more than a day away from the system's clock.
    """
    messages = list(chain.from_iterable(batch for _, batch in batches))
    infos = [each[1] for each in messages]
    lengths = [len(batch) for _, batch in batches]
    system = np.repeat([moment.system_ns for moment, _ in batches], lengths)
    received = _stamps(infos, 'received_timestamp')
    sources = _stamps(infos, 'source_timestamp')
    strange = (received != 0) & (np.abs(received - system) > _DAY_NS)
    if latched_before is None:
        latched = np.full(len(infos), -1, np.int8)
    else:
        latched = np.where(sources == 0, -1, sources < latched_before).astype(np.int8)
    taken = Taken(
        np.where(strange | (received == 0), system, received),
        received,
        sources,
        np.repeat([moment.clock_ns for moment, _ in batches], lengths),
        [_publisher(info) for info in infos],
        np.array([_number(info) for info in infos], np.int64),
        latched,
        [each[0] for each in messages],
    )
    # Old times of sending are usual: a map that was latched days ago.
    return taken, strange | (sources - system > _DAY_NS)


def _stamps(infos: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.fromiter((info.get(name) or 0 for info in infos), np.int64, len(infos))


def _publisher(info: Mapping[str, Any]) -> bytes | None:
    gid = info.get('publisher_gid')
    return None if gid is None else bytes(gid['data'])


def _number(info: Mapping[str, Any]) -> int:
    number = info.get('publication_sequence_number')
    return -1 if number is None else number
