"""Take raw messages from many subscriptions with one thread and no executor.

An executor rebuilds its wait set over all entities for every wake-up, which costs several times
more than taking the message. Here the subscriptions are parked in a callback group that never
lets the executor run them, and one thread walks over them every few milliseconds, taking until
each is empty. The middleware's own receive stamp comes with each message, so the period does
not blur the time.

The call this rests on, ``Subscription.handle.take_message``, is what executors use themselves
but no documented API: all use of it is in this module, and :func:`supported` says whether this
rclpy has it. Where it does not, :class:`CallbackTap` fills the same inbox from callbacks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.subscription import Subscription

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.parcel import Parcel
from mosaico_ros.nodes.qos_policy import QosChoice

# A topic without news is asked at doubling intervals up to this (seconds): its queue holds more
# than comes in the meantime, because a topic with news is asked in every round again.
_IDLE_INTERVAL = 0.08
# How often the age of what waits is looked at, seconds; in every round it would cost as much as
# the taking.
_AGE_CHECK = 0.1


@dataclass
class Inbox:
    """Messages of one topic since the last parcel; see `Parcel` for the lists."""

    account: TopicAccount
    stamps: list[int] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    size: int = 0
    since: float = 0.0
    _floor: int = 0

    def put(self, stamp: int, payload: bytes, info: dict[str, Any]) -> None:
        """Add a message in the order of delivery.

        A sample that had to be sent again is delivered before its successors, yet stamped after
        them, by a second or more where it was among the first. It is stamped again, just before
        its successor; moving them all behind it would bend the time of whole seconds.
        """
        stamps = self.stamps
        if not stamps:
            self.since = time.monotonic()
        # What was handed over is fixed: room for those still here is needed above it.
        stamp = max(stamp, self._floor + 1 + len(stamps))
        later = stamp
        for index in range(len(stamps) - 1, -1, -1):
            if stamps[index] < later:
                break
            later -= 1
            stamps[index] = later
        stamps.append(stamp)
        self.payloads.append(payload)
        self.infos.append(info)
        self.size += len(payload)

    def swap(self) -> Parcel:
        """Hand over what is there and start anew."""
        account = self.account
        parcel = Parcel(account, self.stamps, self.infos, self.payloads, self.size, self.since)
        if account.first_stamp_ns is None:
            account.first_stamp_ns = self.stamps[0]
        account.last_stamp_ns = self._floor = self.stamps[-1]
        self.stamps, self.infos, self.payloads, self.size = [], [], [], 0
        return parcel


@dataclass(frozen=True)
class FlushPolicy:
    """When an inbox goes to the archive: at `rows`, at `size` bytes or after `period` seconds."""

    rows: int
    size: int
    period: float

    def full(self, inbox: Inbox) -> bool:
        """Tell whether the inbox should go because of what is in it."""
        return len(inbox.stamps) >= self.rows or inbox.size >= self.size

    def due(self, inbox: Inbox, now: float) -> bool:
        """Tell whether the inbox should go, for its content or for its age."""
        return bool(inbox.stamps) and (self.full(inbox) or now - inbox.since >= self.period)


class Budget:
    """Bound of the bytes that wait in memory for the archive.

    Two counters that only grow, each written by one thread, need no lock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.released = 0

    @property
    def pending(self) -> int:
        """Bytes taken from the middleware and not yet handed to the daemon."""
        return self.taken - self.released

    def full(self) -> bool:
        """Tell whether nothing more may wait."""
        return self.taken - self.released >= self.limit


def supported() -> bool:
    """Tell whether this rclpy lets a subscription's messages be taken without an executor."""
    try:
        from rclpy.impl.implementation_singleton import rclpy_implementation
    except ImportError:
        return False
    return hasattr(getattr(rclpy_implementation, 'Subscription', None), 'take_message')


class ParkedGroup(CallbackGroup):
    """Callback group whose members no executor ever runs."""

    def can_execute(self, entity: Any) -> bool:
        """Refuse."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Refuse."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Do nothing: nothing ever began."""


def _profile(choice: QosChoice) -> QoSProfile:
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=choice.depth,
        reliability=(
            QoSReliabilityPolicy.RELIABLE if choice.reliable else QoSReliabilityPolicy.BEST_EFFORT
        ),
        durability=(
            QoSDurabilityPolicy.TRANSIENT_LOCAL
            if choice.transient_local
            else QoSDurabilityPolicy.VOLATILE
        ),
    )


class Tap:
    """One subscription whose messages go to an inbox.

    Parameters
    ----------
    parked
        Take by the drain loop (default), or by callbacks of the node's executor.
    """

    def __init__(
        self,
        node: Node,
        inbox: Inbox,
        message_class: type[Any],
        qos: QosChoice,
        budget: Budget,
        *,
        group: CallbackGroup | None,
        lock: threading.Lock,
    ) -> None:
        self.inbox = inbox
        self.qos = qos
        self.parked = group is not None
        self._message_class = message_class
        self._budget = budget
        self._lock = lock
        self._node = node
        self.next_look = 0.0
        self._interval = 0.0
        callback: Callable[..., None] = self._parked_callback if self.parked else self._receive
        self._subscription: Subscription = node.create_subscription(
            message_class,
            inbox.account.name,
            callback,
            _profile(qos),
            raw=True,
            callback_group=group,
        )
        self._handle = self._subscription.handle

    @staticmethod
    def _parked_callback(_message: bytes) -> None:
        raise RuntimeError('a parked subscription was executed')

    def _receive(self, payload: bytes, info: Any) -> None:
        with self._lock:
            self._accept(payload, info)

    def take(self, now: float, limit: int) -> int:
        """Take what has arrived, at most `limit` messages; return how many there were."""
        take = self._handle.take_message
        message_class = self._message_class
        count = 0
        while count < limit:
            taken = take(message_class, True)
            if taken is None:
                break
            self._accept(taken[0], taken[1])
            count += 1
        if count:
            self._interval = 0.0
            self.next_look = 0.0
        else:
            self._interval = min(_IDLE_INTERVAL, self._interval * 2 or 0.01)
            self.next_look = now + self._interval
        return count

    def _accept(self, payload: bytes, info: Any) -> None:
        account = self.inbox.account
        size = len(payload)
        account.received += 1
        account.received_bytes += size
        gid = info.get('publisher_gid')
        account.gaps.saw(
            info.get('publication_sequence_number'), None if gid is None else bytes(gid['data'])
        )
        if self._budget.full():
            account.dropped += 1
            return
        self.inbox.put(info.get('received_timestamp') or time.time_ns(), payload, info)
        self._budget.taken += size

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


class DrainLoop(threading.Thread):
    """The thread that empties all taps and hands full inboxes on.

    Parameters
    ----------
    hand_over
        Called in this thread with the parcel of an inbox that is due; must not block.
    period
        Seconds between two rounds. A queue found more than a quarter full is asked again at
        once.
    """

    def __init__(
        self,
        node: Node,
        hand_over: Callable[[Parcel], None],
        policy: FlushPolicy,
        budget: Budget,
        period: float,
        *,
        parked: bool = True,
    ) -> None:
        super().__init__(name='drain', daemon=True)
        self._node = node
        self._hand_over = hand_over
        self._policy = policy
        self._budget = budget
        self._period = period
        self._group = ParkedGroup() if parked else None
        self._lock = threading.Lock()
        self._taps: tuple[Tap, ...] = ()
        self._stopping = threading.Event()
        self._next_age_check = 0.0
        self.failure: BaseException | None = None

    def add(self, inbox: Inbox, message_class: type[Any], qos: QosChoice) -> Tap:
        """Subscribe and start taking."""
        tap = Tap(
            self._node,
            inbox,
            message_class,
            qos,
            self._budget,
            group=self._group,
            lock=self._lock,
        )
        with self._lock:
            self._taps = (*self._taps, tap)
        return tap

    def replace(self, tap: Tap, message_class: type[Any], qos: QosChoice) -> Tap:
        """Subscribe anew with another quality of service; the inbox and its account stay."""
        with self._lock:
            if tap.parked:
                tap.take(time.monotonic(), tap.qos.depth)
            self._taps = tuple(other for other in self._taps if other is not tap)
            tap.close()
        return self.add(tap.inbox, message_class, qos)

    def run(self) -> None:
        """Take until stopped."""
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                with self._lock:
                    crowded = self._round(started)
                if not crowded:
                    # Not a wait on the event: that costs several times as much as sleeping.
                    time.sleep(max(0.0005, self._period - (time.monotonic() - started)))
        except Exception as error:
            self.failure = error

    def _round(self, now: float) -> bool:
        crowded = False
        policy = self._policy
        ageing = now >= self._next_age_check
        if ageing:
            self._next_age_check = now + _AGE_CHECK
        for tap in self._taps:
            if tap.parked and tap.next_look <= now:
                taken = tap.take(now, tap.qos.depth)
                if taken:
                    crowded |= taken * 4 > tap.qos.depth
                    if policy.full(tap.inbox):
                        self._hand_over(tap.inbox.swap())
            if ageing and policy.due(tap.inbox, now):
                self._hand_over(tap.inbox.swap())
        return crowded

    def finish(self, patience: float) -> None:
        """Stop, take what is still on its way and hand everything over.

        Reliable messages sent before the stop may still be in flight: rounds go on until one
        finds nothing, for at most `patience` seconds.
        """
        self._stopping.set()
        self.join(timeout=patience)
        deadline = time.monotonic() + patience
        quiet = 0
        with self._lock:
            while quiet < 3 and time.monotonic() < deadline:
                taken = sum(tap.take(0.0, tap.qos.depth) for tap in self._taps if tap.parked)
                quiet = 0 if taken else quiet + 1
                if not taken:
                    time.sleep(0.02)
            for tap in self._taps:
                if tap.inbox.stamps:
                    self._hand_over(tap.inbox.swap())

    def close(self) -> None:
        """Unsubscribe from everything."""
        with self._lock:
            for tap in self._taps:
                tap.close()
            self._taps = ()
