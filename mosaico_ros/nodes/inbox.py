"""Messages of one topic between the middleware and the next parcel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.budget import Budget, Fate, Holding
from mosaico_ros.nodes.latch_cache import LatchCache
from mosaico_ros.nodes.parcel import CAPTURED, Parcel, in_order, payloads
from mosaico_ros.nodes.per_topic import Throttle
from mosaico_ros.nodes.taken import Message, Moment, Taken, columns, joined
from mosaico_ros.ros_bridge.cdr.columns import number_array

# What Python and the columns need around a payload, bytes.
_OVERHEAD = 100


@dataclass(frozen=True, eq=False)
class Source:
    """One of the subscriptions that fill an inbox.

    Attributes
    ----------
    rank
        Of a message that comes by several, the one of the lowest rank is kept: the subscription
        that never changes the order.
    latched_before
        If it fetches latched messages: when it was made, ns since the epoch; what was sent before
        is latched.
    """

    rank: int = 0
    latched_before: int | None = None


@dataclass(frozen=True)
class FlushPolicy:
    """When an inbox becomes a parcel: at `rows`, at `size` bytes or after `period` seconds."""

    rows: int
    size: int
    period: float


class Inbox:
    """Messages of one topic since the last parcel.

    Putting is cheap; what is to be found out about each message is found out of many at once,
    by `settle`.

    Parameters
    ----------
    priority
        A topic of higher priority is shed later when memory is tight.
    throttle
        The topic's largest rate, if there is one.
    latch
        Where the last messages of latched topics are kept.

    Attributes
    ----------
    count, size
        Messages in it and the memory they are charged with, bytes.
    undecided
        That part of `size` of which is not known yet whether it is kept, bytes.
    since
        ``time.monotonic()`` when the oldest was taken, seconds.
    sifts
        True if some messages will be thrown away, so that settling must not wait for long.
    """

    def __init__(
        self,
        account: TopicAccount,
        budget: Budget,
        latch: LatchCache,
        *,
        priority: int = 0,
        throttle: Throttle | None = None,
    ) -> None:
        self.account = account
        self.holding: Holding = budget.open(account.name, priority)
        self.count = 0
        self.size = 0
        self.undecided = 0
        self.since = 0.0
        self.sifts = throttle is not None
        self._budget = budget
        self._latch = latch
        self._throttle = throttle
        self._sources = 0
        self._latching = False
        self._taken: list[tuple[Source, Moment, Sequence[Message]]] = []
        self._settled: list[Taken] = []
        self._keep_next = True
        #: Time on the axis of the last message handed over, ns.
        self.floor = 0

    def add_source(self, source: Source) -> None:
        """Note that a subscription, perhaps one more, fills the inbox."""
        self._sources += 1
        self._latching |= source.latched_before is not None
        self.sifts |= self._sources > 1

    def put(self, source: Source, moment: Moment, messages: Sequence[Message], size: int) -> None:
        """Add messages in the order of delivery; `size` is that of their payloads, bytes."""
        if not self.count:
            self.since = time.monotonic()
        count = len(messages)
        self._taken.append((source, moment, messages))
        self.account.arrived += count
        size += count * _OVERHEAD
        self.undecided += size
        self._recount(self.count + count, self.size + size)

    def settle(self, fate: Fate = Fate.KEEP) -> None:
        """Find out what is new and what was lost before it, and keep what is to be kept."""
        if not self._taken:
            return
        taken, self._taken, self.undecided = self._taken, [], 0
        batches: dict[Source, list[tuple[Moment, Sequence[Message]]]] = {}
        for source, moment, messages in taken:
            batches.setdefault(source, []).append((moment, messages))
        arrived = joined(
            [
                self._of_source(source, batches[source])
                for source in sorted(batches, key=lambda each: each.rank)
            ]
        )
        account = self.account
        new = account.publications.news(
            arrived.publishers,
            arrived.numbers,
            arrived.sources,
            arrived.payloads,
            repeated=self._sources > 1,
        )
        if new is not None:
            account.duplicates += len(new) - int(np.count_nonzero(new))
            arrived = arrived.select(new)
        if len(batches) > 1:
            arrived = arrived.select(np.argsort(arrived.stamps, kind='stable'))
        account.received_bytes += _size(arrived)
        kept = self._kept(arrived, fate)
        if kept is not arrived and self._latching:
            rows = arrived.rows(in_order(arrived.stamps, self.floor))
            # What was left out for another reason stays so: it is counted, and comes no more.
            self._latch.keep(account, rows, missed=fate is Fate.PAUSED)
        if len(kept):
            self._settled.append(kept)
        count = sum(map(len, self._settled))
        self._recount(count, sum(map(_size, self._settled)) + count * _OVERHEAD)

    def _kept(self, arrived: Taken, fate: Fate) -> Taken:
        account = self.account
        count = len(arrived)
        if self._throttle is not None and fate is not Fate.PAUSED and count:
            arrived = arrived.select(self._throttle.keep(arrived.stamps))
            account.throttled += count - len(arrived)
            count = len(arrived)
        if fate is Fate.KEEP:
            return arrived
        if fate is Fate.THIN:
            mask = (np.arange(count) % 2 == 0) == self._keep_next
            self._keep_next ^= count % 2 == 1
            account.thinned += count - int(np.count_nonzero(mask))
            return arrived.select(mask)
        if fate is Fate.PAUSED:
            account.paused += count
        else:
            account.dropped += count
        return arrived.select(np.zeros(count, bool))

    @property
    def batches(self) -> list[tuple[Moment, Sequence[Message]]] | None:
        """All that is in it, as it was put; None where more than that decides what is kept."""
        if self._sources > 1 or self._latching or self._throttle is not None or self._settled:
            return None
        return [(moment, messages) for _, moment, messages in self._taken]

    def gathered(self, rows: pa.RecordBatch) -> Parcel:
        """Make a parcel of rows that somebody made of all `batches`, and start anew."""
        weight = self.size - self.count * _OVERHEAD
        self.account.received_bytes += weight
        self.account.recorded_bytes += weight
        parcel = self._parcel(rows, self.size, self.since)
        self._taken, self.undecided, self.count, self.size = [], 0, 0, 0
        return parcel

    def swap(self) -> Parcel | None:
        """Make a parcel of what is there and start anew; None if nothing was to be kept."""
        self.settle()
        if not self._settled:
            return None
        taken = joined(self._settled)
        if len(self._settled) > 1 and self._sources > 1:
            # One subscription may have been ahead of the other when they were settled.
            taken = taken.select(np.argsort(taken.stamps, kind='stable'))
        stamps = in_order(taken.stamps, self.floor)
        self.account.recorded_bytes += _size(taken)
        parcel = self._parcel(taken.rows(stamps), self.size, self.since)
        if self._latching:
            self._latch.keep(self.account, parcel.rows)
        self._settled, self.count, self.size = [], 0, 0
        return parcel

    def hand_again(self, latched: Parcel) -> Parcel:
        """Make a parcel of latched messages that came while capture was paused."""
        stamps, *others = latched.rows.columns
        stamps = number_array(in_order(stamps.to_numpy(), self.floor), stamps.type)
        rows = pa.RecordBatch.from_arrays([stamps, *others], schema=CAPTURED)
        self.account.paused -= len(rows)
        self.account.recorded_bytes += int(payloads(rows).lengths.sum())
        self._budget.charge(self.holding, latched.size)
        return self._parcel(rows, latched.size, time.monotonic())

    def _parcel(self, rows: pa.RecordBatch, size: int, since: float) -> Parcel:
        account = self.account
        if account.first_stamp_ns is None:
            account.first_stamp_ns = rows.column(0)[0].as_py()
        account.last_stamp_ns = self.floor = rows.column(0)[-1].as_py()
        self._budget.handed(self.holding, size)
        return Parcel(account, rows, size, since)

    def _recount(self, count: int, size: int) -> None:
        self._budget.charge(self.holding, size - self.size)
        self.count, self.size = count, size

    def _of_source(
        self, source: Source, batches: Sequence[tuple[Moment, Sequence[Message]]]
    ) -> Taken:
        taken, odd = columns(batches, source.latched_before)
        self.account.odd_stamps += int(np.count_nonzero(odd))
        if self._sources > 1:
            return replace(taken, stamps=in_order(taken.stamps, 0))
        return taken


def _size(taken: Taken) -> int:
    return sum(map(len, taken.payloads))
