"""The thread between the taking of messages and the disk: bundles in, records of the spool out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.parcel import Bundle, Parcel
from mosaico_ros.nodes.spool import Spool, SpooledTopic
from mosaico_ros.nodes.spool_log import Share
from mosaico_ros.nodes.spool_room import SpoolRoom
from mosaico_ros.protocol.errors import ResourceExhaustedError

# How often, in seconds, the free space of the disk is looked at.
_SPACE_CHECK = 1.0


class SpoolWriter(threading.Thread):
    """Writes what is captured to the spool, and makes it durable once per flush period.

    Parameters
    ----------
    spool
        Where to.
    details
        Returns what the graph says of a topic's publishers, when its first message arrives.
    released
        Called with the bytes of a parcel that needs no memory any more.
    flush_period
        Seconds after which everything is made to survive a power cut, if `sync` does not come.
    room
        What gives way while the spool fills up; without it, one that is full is a failure.

    Attributes
    ----------
    accounts
        Of the topics by their number in the spool.
    failure
        Why nothing more is kept, or None. What arrives then is counted as unkept.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        details: Callable[[str], Mapping[str, Any]],
        released: Callable[[int], None],
        flush_period: float,
        room: SpoolRoom | None = None,
    ) -> None:
        super().__init__(name='spool', daemon=True)
        self._room = room
        self._spool = spool
        self._details = details
        self._released = released
        self._flush_period = flush_period
        self._items: queue.SimpleQueue[Bundle | _Split | _Sync | None] = queue.SimpleQueue()
        self._numbers: dict[str, int] = {}
        self._splits = 0
        self.accounts: dict[int, TopicAccount] = {}
        self.failure: BaseException | None = None

    def put(self, bundle: Bundle) -> None:
        """Queue what is to be kept; never blocks. The caller bounds the memory."""
        self._items.put(bundle)

    def split(self) -> None:
        """Have what is put from now on go into another part."""
        self._splits += 1
        self._items.put(_Split(self._splits))

    def sync(self) -> None:
        """Have what was put so far survive a power cut."""
        self._items.put(_Sync())

    def finish(self) -> None:
        """Ask to keep what is queued and to end."""
        self._items.put(None)

    def run(self) -> None:
        """Keep bundles until told to finish."""
        next_sync = time.monotonic() + self._flush_period
        next_check = 0.0
        while True:
            now = time.monotonic()
            if now >= next_sync:
                self._try(self._spool.sync)
                next_sync = time.monotonic() + self._flush_period
                if now >= next_check:
                    self._try(self._look_at_space)
                    next_check = now + _SPACE_CHECK
            try:
                item = self._items.get(timeout=max(0.0, next_sync - time.monotonic()))
            except queue.Empty:
                continue
            if item is None:
                break
            if isinstance(item, Bundle):
                self._keep(item)
            elif isinstance(item, _Sync):
                next_sync = 0.0
            else:
                self._try(partial(self._spool.log.mark_split, item.number))
        self._try(self._spool.sync)

    def _look_at_space(self) -> None:
        log = self._spool.log
        if self._room is None:
            log.check_space()
            return
        held = log.holdings()
        self._room.review(
            log.fill(), {name: held.get(number, 0) for name, number in self._numbers.items()}
        )

    def _wanted(self, parcel: Parcel) -> bool:
        account = parcel.account
        shed = self._room is not None and self._room.drops(account.name)
        return not account.problem and not shed

    def _keep(self, bundle: Bundle) -> None:
        parcels = bundle.parcels
        wanted = [self._wanted(parcel) for parcel in parcels]
        if len(parcels) > 1 and not all(wanted):
            for parcel in parcels:
                self._keep(Bundle.of(parcel))
            return
        size = sum(parcel.size for parcel in parcels)
        if self.failure is None and all(wanted):
            try:
                shares = [self._share(parcel) for parcel in parcels]
                retained = self._spool.log.append(bundle.rows, shares)
                for parcel, share in zip(parcels, shares, strict=True):
                    parcel.account.spooled += share.rows
                if not retained:
                    self._released(size)
                return
            except Exception as error:
                self._refused(error)
        for parcel in parcels:
            parcel.account.unkept += parcel.rows.num_rows
        self._released(size)

    def _share(self, parcel: Parcel) -> Share:
        account = parcel.account
        return Share(self._number(account), account.spooled, parcel.rows.num_rows, parcel.size)

    def _number(self, account: TopicAccount) -> int:
        number = self._numbers.get(account.name)
        if number is None:
            number = len(self._numbers)
            details = dict(self._details(account.name))
            self.accounts[number] = account
            self._spool.add_topic(SpooledTopic(number, account.name, account.type, details))
            self._numbers[account.name] = number
        return number

    def _try(self, step: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                step()
            except Exception as error:
                self._refused(error)

    def _refused(self, error: Exception) -> None:
        if self._room is not None and isinstance(error, ResourceExhaustedError):
            self._room.overflow()
        else:
            self.failure = error


class _Sync:
    """Ask to make durable what is there."""


@dataclass(frozen=True)
class _Split:
    number: int
