"""Take raw messages from many subscriptions with one thread and no executor.

An executor rebuilds its wait set over all entities for every wake-up, which costs several times
more than taking the message. Here the subscriptions are parked in a callback group that never
lets the executor run them, and one thread walks over them every few milliseconds, taking until
each is empty. The middleware's own receive stamp comes with each message, so the period does
not blur the time.

The call this rests on, ``Subscription.handle.take_message``, is what executors use themselves
but no documented API: :func:`supported` says whether this rclpy has it. Where it does not, the
taps fill the same inboxes from callbacks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription

from mosaico_ros.nodes.budget import Budget, Fate
from mosaico_ros.nodes.gathering import gather
from mosaico_ros.nodes.inbox import FlushPolicy, Inbox, Source
from mosaico_ros.nodes.parcel import Bundle, Parcel
from mosaico_ros.nodes.qos_policy import Offer
from mosaico_ros.nodes.sim_clock import SimClock
from mosaico_ros.nodes.taken import Moment

# A topic without news is asked at doubling intervals up to this, and one with little news stays
# at its interval (seconds): its queue holds more than comes in the meantime, because a topic
# with much news is asked more often again.
_LONGEST_PAUSE = 0.08
_WELL_FILLED = 8
# After so much of one topic, or this part of the memory, others have their turn, bytes.
_BATCH_BYTES = 4_000_000
_BATCHES = 16
# How often the age of what waits is looked at, seconds; in every round it would cost as much as
# the taking.
_AGE_CHECK = 0.1


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


class Tap:
    """One subscription whose messages go to an inbox.

    Parameters
    ----------
    qos
        What it asks for.
    offer
        The kind of publisher it is for.
    moment
        Reads the clocks.
    relieve
        Called after each put, to throw away at once what cannot be kept.
    batch_bytes
        After so much others have their turn.
    group
        A `ParkedGroup` to take by the drain loop, None to take by callbacks of the node's
        executor.
    """

    def __init__(
        self,
        node: Node,
        inbox: Inbox,
        message_class: type[Any],
        qos: QoSProfile,
        offer: Offer,
        moment: Callable[[], Moment],
        relieve: Callable[[Inbox], None],
        batch_bytes: int,
        *,
        group: CallbackGroup | None,
        lock: threading.Lock,
    ) -> None:
        self.inbox = inbox
        self.parked = group is not None
        self.depth: int = qos.depth
        self._message_class = message_class
        self._moment = moment
        self._relieve = relieve
        self._batch_bytes = batch_bytes
        self._lock = lock
        self._node = node
        self.next_look = 0.0
        self._interval = 0.0
        latching = qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
        self._source = Source(offer.rank, time.time_ns() if latching else None)
        with lock:
            inbox.add_source(self._source)
        callback: Callable[..., None] = self._parked_callback if self.parked else self._receive
        self._subscription: Subscription = node.create_subscription(
            message_class, inbox.account.name, callback, qos, raw=True, callback_group=group
        )
        self._handle = self._subscription.handle

    @staticmethod
    def _parked_callback(_message: bytes) -> None:
        raise RuntimeError('a parked subscription was executed')

    def _receive(self, payload: bytes, info: Any) -> None:
        with self._lock:
            self.inbox.put(self._source, self._moment(), [(payload, info)], len(payload))
            self._relieve(self.inbox)

    def take(self, now: float, moment: Moment) -> bool:
        """Take what has arrived; tell whether there may be much more.

        `now` is ``time.monotonic()``; a topic without news is asked again after a while.
        """
        take = self._handle.take_message
        message_class = self._message_class
        depth, batch_bytes = self.depth, self._batch_bytes
        messages = []
        size = 0
        while size < batch_bytes:
            taken = take(message_class, True)
            if taken is None:
                break
            messages.append(taken)
            size += len(taken[0])
            if len(messages) >= depth:
                break
        count = len(messages)
        if not count:
            self._interval = min(_LONGEST_PAUSE, self._interval * 2 or 0.01)
            self.next_look = now + self._interval
            return False
        self.inbox.put(self._source, moment, messages, size)
        self._relieve(self.inbox)
        if count * 4 > depth or size >= self._batch_bytes:
            self._interval = self.next_look = 0.0
            return True
        if count > _WELL_FILLED:
            self._interval /= 2
        self.next_look = now + self._interval
        return False

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


class DrainLoop(threading.Thread):
    """The thread that empties all taps and hands parcels on.

    Parameters
    ----------
    hand_over
        Called with what is due, a parcel at a time but for :meth:`flush`; must not block.
    period
        Seconds between two rounds. A queue found more than a quarter full is asked again at
        once.
    sim_time
        Follow ``/clock``.
    """

    def __init__(
        self,
        node: Node,
        hand_over: Callable[[Bundle], None],
        policy: FlushPolicy,
        budget: Budget,
        period: float,
        *,
        parked: bool = True,
        sim_time: bool = False,
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
        self._inboxes: dict[str, Inbox] = {}
        self._stopping = threading.Event()
        self._next_age_check = 0.0
        self.clock = SimClock(node, self._group) if sim_time else None
        self.paused = False
        self.failure: BaseException | None = None

    def add(self, inbox: Inbox, message_class: type[Any], qos: QoSProfile, offer: Offer) -> Tap:
        """Subscribe, perhaps once more, and start taking."""
        tap = Tap(
            self._node,
            inbox,
            message_class,
            qos,
            offer,
            self._moment,
            self._relieve,
            min(_BATCH_BYTES, self._budget.limit // _BATCHES),
            group=self._group,
            lock=self._lock,
        )
        with self._lock:
            self._inboxes[inbox.account.name] = inbox
            self._taps = (*self._taps, tap)
        return tap

    def remove(self, tap: Tap) -> None:
        """Take what the tap still holds and unsubscribe it; the inbox stays."""
        with self._lock:
            if tap.parked:
                tap.take(time.monotonic(), self._moment())
            self._taps = tuple(other for other in self._taps if other is not tap)
            tap.close()

    def pause(self, pausing: bool) -> None:
        """Stop or go on keeping messages, from now on.

        Latched messages that came in between are handed over when it goes on.
        """
        with self._lock:
            self._settle_all()
            self.paused = pausing

    def settled(self, then: Callable[[], None]) -> None:
        """Hand everything taken so far over, then call `then` before anything else is taken."""
        with self._lock:
            self._pass_all_on(then)

    def flush(self, then: Callable[[], None]) -> None:
        """Do as :meth:`settled`, the parcels of topics with little news in one bundle."""
        with self._lock:
            if not (self.paused or self._budget.tight):
                bundle = gather(self._inboxes.values())
                if bundle is not None:
                    self._hand_over(bundle)
            self._pass_all_on(then)

    def hand_again(self, latched: Sequence[Parcel]) -> None:
        """Hand latched messages over that came while capture was paused."""
        with self._lock:
            for parcel in latched:
                inbox = self._inboxes.get(parcel.account.name)
                if inbox is not None:
                    self._pass_on(inbox)
                    self._hand_over(Bundle.of(inbox.hand_again(parcel)))

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

    def _moment(self) -> Moment:
        return Moment(time.time_ns(), self.clock.read() if self.clock is not None else 0)

    def _round(self, now: float) -> bool:
        crowded = False
        policy = self._policy
        moment = self._moment()
        self._budget.review()
        for tap in [tap for tap in self._taps if tap.next_look <= now]:
            if tap.parked:
                crowded |= tap.take(now, moment)
            inbox = tap.inbox
            if inbox.count >= policy.rows or inbox.size >= policy.size:
                self._pass_on(inbox)
        if now >= self._next_age_check:
            self._next_age_check = now + _AGE_CHECK
            self._look_at_age(now)
        return crowded

    def _look_at_age(self, now: float) -> None:
        for inbox in self._inboxes.values():
            if inbox.sifts:
                inbox.settle(self._fate(inbox))
            if inbox.count and now - inbox.since >= self._policy.period:
                self._pass_on(inbox)

    def _relieve(self, inbox: Inbox) -> None:
        if self.paused or self._budget.tight:
            inbox.settle(self._fate(inbox))

    def _fate(self, inbox: Inbox) -> Fate:
        return Fate.PAUSED if self.paused else self._budget.fate(inbox.holding, inbox.undecided)

    def _settle_all(self) -> None:
        for inbox in self._inboxes.values():
            if inbox.count:
                inbox.settle(self._fate(inbox))

    def _pass_all_on(self, then: Callable[[], None]) -> None:
        self._settle_all()
        for inbox in self._inboxes.values():
            if inbox.count:
                self._pass_on(inbox)
        then()

    def _pass_on(self, inbox: Inbox) -> None:
        inbox.settle(self._fate(inbox))
        parcel = inbox.swap()
        if parcel is not None:
            self._hand_over(Bundle.of(parcel))

    def finish(self, patience: float) -> None:
        """Stop, take what is still on its way and hand everything over.

        Reliable messages sent before the stop may still be in flight: rounds go on until one
        finds nothing, for at most `patience` seconds.
        """
        self._stopping.set()
        if self.ident is not None:  # what fails before the start is finished too
            self.join(timeout=patience)
        deadline = time.monotonic() + patience
        quiet = 0
        with self._lock:
            while quiet < 3 and time.monotonic() < deadline:
                before = self._arrived()
                for tap in self._taps:
                    if tap.parked:
                        tap.take(0.0, self._moment())
                quiet = 0 if self._arrived() > before else quiet + 1
                if quiet:
                    time.sleep(0.02)
            for inbox in self._inboxes.values():
                self._pass_on(inbox)

    def _arrived(self) -> int:
        return sum(inbox.account.arrived for inbox in self._inboxes.values())

    def close(self) -> None:
        """Unsubscribe from everything."""
        with self._lock:
            for tap in self._taps:
                tap.close()
            self._taps = ()
            if self.clock is not None:
                self.clock.close()
                self.clock = None
