"""The last messages of latched topics, to begin a part or a snapshot with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.parcel import CAPTURED, Parcel, in_order
from mosaico_ros.ros_bridge.cdr.columns import number_array
from mosaico_ros.ros_bridge.provenance import LATCHED, PUBLISHER

# Publishers remembered per topic: a node that is restarted all day is a new one each time.
_PUBLISHERS = 64
# Messages kept where the rmw does not say whose they are, so that those of a busy publisher do
# not push out the only one of another.
_UNNAMED_DEPTH = 32
_MAX_DEPTH = 1000
_PUBLISHER_COLUMN = CAPTURED.get_field_index(PUBLISHER.name)
_LATCHED_COLUMN = CAPTURED.get_field_index(LATCHED.name)


class _Kept(NamedTuple):
    stamp: int
    row: pa.RecordBatch
    missed: bool


@dataclass
class _Topic:
    account: TopicAccount
    depth: int = 1
    volatile: Collection[bytes] = ()
    publishers: OrderedDict[bytes | None, list[_Kept]] = field(default_factory=OrderedDict)


class LatchCache:
    """For each topic the last messages of each publisher, as a late subscriber would get them.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Memory of the messages, bytes."""
        with self._lock:
            return sum(
                kept.row.nbytes
                for topic in self._topics.values()
                for several in topic.publishers.values()
                for kept in several
            )

    def describe(
        self, account: TopicAccount, depth: int, volatile: Collection[bytes] = ()
    ) -> None:
        """Say how many messages a publisher of the topic latches, and who latches none."""
        with self._lock:
            topic = self._topics.setdefault(account.name, _Topic(account))
            topic.depth = max(1, min(depth, _MAX_DEPTH))
            topic.volatile = frozenset(volatile)

    def keep(self, account: TopicAccount, rows: pa.RecordBatch, *, missed: bool = False) -> None:
        """Remember the last of these messages (schema `CAPTURED`); copies what it keeps.

        Parameters
        ----------
        missed
            Whether they are recorded nowhere, because capture is paused.
        """
        if not len(rows):
            return
        stamps = rows.column(0).to_pylist()
        with self._lock:
            topic = self._topics.setdefault(account.name, _Topic(account))
            several: dict[bytes | None, list[int]] = {}
            for row, publisher in enumerate(rows.column(_PUBLISHER_COLUMN).to_pylist()):
                if publisher not in topic.volatile:
                    several.setdefault(publisher, []).append(row)
            for publisher, where in several.items():
                depth = max(topic.depth, _UNNAMED_DEPTH) if publisher is None else topic.depth
                last = {kept.stamp: kept for kept in topic.publishers.get(publisher, ())}
                for row in where[-depth:]:
                    last[stamps[row]] = _Kept(stamps[row], rows.take(pa.array([row])), missed)
                topic.publishers[publisher] = [last[stamp] for stamp in sorted(last)[-depth:]]
                topic.publishers.move_to_end(publisher)
            while len(topic.publishers) > _PUBLISHERS:
                topic.publishers.popitem(last=False)

    def parcels(self, *, missed: bool = False) -> list[Parcel]:
        """Return a parcel for each topic, its messages marked as latched, at their own times.

        Parameters
        ----------
        missed
            Only those that came while capture was paused; they count as recorded from now on.
        """
        parcels = []
        with self._lock:
            for topic in self._topics.values():
                kept = sorted(
                    (
                        each
                        for several in topic.publishers.values()
                        for each in several
                        if each.missed or not missed
                    ),
                    key=lambda each: each.stamp,
                )
                if missed:
                    for publisher, several in topic.publishers.items():
                        topic.publishers[publisher] = [
                            each._replace(missed=False) for each in several
                        ]
                if kept:
                    rows = _latched([each.row for each in kept])
                    parcels.append(Parcel(topic.account, rows, rows.nbytes, 0.0))
        return parcels


def _latched(rows: list[pa.RecordBatch]) -> pa.RecordBatch:
    columns = [
        pa.concat_arrays([row.column(number) for row in rows]) for number in range(len(CAPTURED))
    ]
    columns[0] = number_array(in_order(columns[0].to_numpy(), 0), pa.int64())
    columns[_LATCHED_COLUMN] = pa.array([True] * len(rows))
    return pa.RecordBatch.from_arrays(columns, schema=CAPTURED)
