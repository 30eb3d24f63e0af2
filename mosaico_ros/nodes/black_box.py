"""The black box: parcels into the ring, events into faults, faults into windows over the ring.

One thread does all of it, so that nothing in here needs to be in two minds about an order; it
neither decodes more than the sources watch nor touches a disk.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from mosaico_ros.nodes.debounce import Debouncer, Decision, Outcome
from mosaico_ros.nodes.fault_notes import FaultNote
from mosaico_ros.nodes.fault_sources import Watch
from mosaico_ros.nodes.faults import Fault, FaultEvent
from mosaico_ros.nodes.ring import Ring, Segment, Window
from mosaico_ros.nodes.snapshot_rules import SnapshotRule, SnapshotRules
from mosaico_ros.protocol.errors import ResourceExhaustedError, UnavailableError

if TYPE_CHECKING:
    from mosaico_ros.nodes.parcel import Parcel

_TICK = 0.05
# What was published by the end of a window has mostly come by so much later, seconds.
_SETTLING = 0.3
# A sample that got lost on the way holds up those behind it until it is sent again, which can take
# the publisher's heartbeat, 3 s with Fast DDS. A topic is waited for so long, seconds, until it
# has brought something from behind the window: nothing of the window is on its way then. So is
# one that has not brought anything yet; one that has not for long is at rest.
_PATIENCE = 4.0
# No message takes longer from the middleware to here, seconds; beyond that clocks disagree.
_OLDEST_NEWS = 2.0
_MINUTE = 60.0
# How long somebody who asks for a snapshot waits to hear whether there will be one, seconds.
_ANSWER = 5.0


@dataclass(frozen=True)
class Incident:
    """A fault and the messages around it, ready to be written.

    Attributes
    ----------
    fault
        What happened.
    kind
        As in `outbox.KINDS`.
    incident_id
        The same for faults whose windows overlap: the snapshot id of the first of them.
    rule
        What was asked for.
    window
        What there is.
    latched
        Topic, type and rows of what was in force when the window began.
    last
        By topic: the newest rows from before the window was opened, for the freeze frame.
    due
        From when on the window can be complete, seconds of the monotonic clock.
    types
        Type of every topic, once the window is complete.
    complete
        False for what there is when the fault happens; the same incident comes again.
    """

    fault: Fault
    kind: str
    incident_id: str
    rule: SnapshotRule
    window: Window
    latched: list[tuple[str, str, pa.RecordBatch]]
    last: dict[str, pa.RecordBatch]
    due: float
    types: dict[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True)
class _Request:
    """A snapshot that somebody asked for; why there will be none goes back, or nothing."""

    fault: Fault
    refusal: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)


@dataclass
class FaultCounts:
    """What became of faults since the start."""

    reports: int = 0
    snapshots: int = 0
    cooling: int = 0
    mild: int = 0
    refused: int = 0
    near_misses: int = 0


class BlackBox(threading.Thread):
    """The thread between capture and the writing of snapshots.

    Parameters
    ----------
    robot_id
        Part of every snapshot's id.
    ring
        Where messages go; nobody else puts any in.
    watch
        What sees faults in them.
    rules
        When a fault counts.
    pinned_bytes
        Memory that windows may hold beyond the ring; when they do, faults get no snapshot.
    per_minute
        Snapshots within 60 s, at most, those asked for aside; 0 sets no limit.
    write_ahead
        Whether to hand on an incident at once as well, with what there is before it.
    released
        Called with the size of each parcel once the ring has it: the ring bounds the memory then.
    latched
        Returns the latched messages that are in force: `Capture.latched`.
    cut
        Has all messages that were taken so far put in here, and then calls what it is given:
        `Capture.cut`.
    silent
        Whether there are topics with publishers of which nothing has come so far.
    ready
        Called in this thread with each incident whose window is complete.
    noted
        Called in this thread with what became of each fault.
    tell
        Where to say what happened: ``tell(text, warning=False)``.
    """

    def __init__(
        self,
        robot_id: str,
        ring: Ring,
        watch: Watch,
        rules: SnapshotRules,
        *,
        pinned_bytes: int,
        per_minute: int,
        write_ahead: bool,
        released: Callable[[int], None],
        latched: Callable[[], list[Parcel]],
        cut: Callable[[Callable[[list[Parcel]], None]], None],
        silent: Callable[[], bool],
        ready: Callable[[Incident], None],
        noted: Callable[[FaultNote], None],
        tell: Callable[..., None],
    ) -> None:
        super().__init__(name='black-box', daemon=True)
        self.ring = ring
        self.counts = FaultCounts()
        self._robot_id = robot_id
        self._watch = watch
        self._rules = rules
        self._debouncer = Debouncer(rules.debounce)
        self._pinned_bytes = pinned_bytes
        self._per_minute = per_minute
        self._begun: deque[float] = deque()
        self._write_ahead = write_ahead
        self._released = released
        self._latched = latched
        self._cut = cut
        self._silent = silent
        self._ready = ready
        self._noted = noted
        self._tell = tell
        self._items: queue.SimpleQueue[Parcel | FaultEvent | _Request | Incident | None] = (
            queue.SimpleQueue()
        )
        self._open: list[Incident] = []
        self._last: dict[str, Segment] = {}
        self._types: dict[str, str] = {}
        self._now = 0.0
        #: Why the thread ended by itself, or None.
        self.failure: BaseException | None = None

    @property
    def confirmed(self) -> list[str]:
        """Codes of faults that are confirmed and not healed."""
        return self._debouncer.confirmed

    def put(self, parcel: Parcel) -> None:
        """Take in captured messages; never blocks. Any thread may call."""
        self._items.put(parcel)

    def report(self, event: FaultEvent) -> None:
        """Take in a report that comes by no topic. Any thread may call."""
        self._items.put(event)

    def trigger(self, event: FaultEvent) -> Fault:
        """Have a snapshot taken whatever the rules say; return what it will be of.

        Raises
        ------
        ResourceExhaustedError
            There is no memory for it now.
        UnavailableError
            No word whether there will be one: the robot is too busy, or this is ending.
        """
        request = _Request(Fault(self._robot_id, event, (event.source,)))
        self._items.put(request)
        try:
            refusal = request.refusal.get(timeout=_ANSWER)
        except queue.Empty:
            raise UnavailableError('it is not known whether there will be a snapshot') from None
        if refusal:
            raise ResourceExhaustedError(f'no snapshot: {refusal}')
        return request.fault

    def finish(self, patience: float) -> None:
        """End; windows that are open get no more, and are handed on as they are."""
        self._items.put(None)
        self.join(patience)

    def run(self) -> None:
        """Work until told to finish."""
        try:
            next_tick = 0.0
            while True:
                with contextlib.suppress(queue.Empty):
                    item = self._items.get(timeout=_TICK)
                    if item is None:
                        break
                    if isinstance(item, FaultEvent):
                        self._heard(item)
                    elif isinstance(item, _Request):
                        item.refusal.put(self._begin(item.fault, 'manual'))
                    elif isinstance(item, Incident):
                        self._hand_on(item)
                    else:
                        self._take(item)
                now = time.monotonic()
                if now >= next_tick:
                    self._tick(now)
                    next_tick = now + _TICK
            for incident in self._open:
                self._hand_on(incident)
            while not self._items.empty():
                # Complete, and overtaken by the end.
                item = self._items.get()
                if isinstance(item, Incident):
                    self._hand_on(item)
        except BaseException as error:
            self.failure = error
            raise

    def _take(self, parcel: Parcel) -> None:
        account = parcel.account
        report = account.report()
        gone = report.dropped + report.thinned
        lost = None if report.lost is None else report.lost + gone
        rows = parcel.rows
        segment = Segment(account.name, rows, time.monotonic(), lost)
        self._types[account.name] = account.type
        self._last[account.name] = segment
        self.ring.put(segment)
        self._released(parcel.size)
        for event in self._watch.examine(account.name, account.type, rows):
            self._heard(event)

    def _tick(self, now: float) -> None:
        for event in self._watch.tick(time.time_ns()):
            self._heard(event)
        self._now = max(self._now, now)
        for decision in self._debouncer.tick(self._now):
            if decision.outcome is Outcome.CONFIRMED:
                # The last report may lie further back than the ring reaches; it is now that the
                # failure has lasted too long.
                event = decision.event
                extra = {**event.extra, 'reported_ns': str(event.stamp)}
                event = replace(event, stamp=time.time_ns(), extra=extra)
                decision = replace(decision, event=event)
            self._decided(decision)
        for incident in [each for each in self._open if self._whole(each, now)]:
            self._open.remove(incident)
            # Behind the last message of the window.
            self._cut(partial(self._complete, incident))

    def _whole(self, incident: Incident, now: float) -> bool:
        """Whether nothing of a window is on its way any more, as far as one can tell."""
        if now < incident.due:
            return False
        if now >= incident.due + _PATIENCE:
            return True
        alive = incident.window.start_ns - int(_PATIENCE * 1e9)
        return not self._silent() and not any(
            alive <= segment.last <= incident.window.end_ns for segment in self._last.values()
        )

    def _heard(self, event: FaultEvent) -> None:
        self.counts.reports += event.failed
        # When it was said, not when its parcel came by; time never runs back.
        age = max(0.0, (time.time_ns() - event.stamp) / 1e9)
        self._now = max(self._now, time.monotonic() - min(age, _OLDEST_NEWS))
        decision = self._debouncer.feed(event, self._now)
        if decision is not None:
            self._decided(decision)

    def _decided(self, decision: Decision) -> None:
        event = decision.event
        if decision.outcome is Outcome.HEALED:
            self._tell(f'{event.fault_code} is over')
            self._note('healed', decision)
            return
        if decision.outcome is Outcome.NEAR_MISS:
            self.counts.near_misses += 1
            self._note('near_miss', decision)
            return
        if decision.outcome is Outcome.COOLING:
            self.counts.cooling += 1
            self._tell(f'{event.fault_code} is back within its cooldown: no further snapshot')
            self._note('cooling', decision)
            return
        if decision.outcome is Outcome.MILD:
            self.counts.mild += 1
            self._note('mild', decision)
            return
        fault = Fault(self._robot_id, event, decision.sources, decision.reports)
        if self._begin(fault, 'fault'):
            self._debouncer.refused(event.fault_code)

    def _note(self, outcome: str, of: Decision) -> None:
        self._noted(FaultNote(outcome, of.event, of.sources, of.reports))

    def _begin(self, fault: Fault, kind: str) -> str:
        """Begin a snapshot; return why not, or nothing."""
        event = fault.event
        refusal = self._memory_refusal() or ('' if kind == 'manual' else self._rate_refusal())
        self._noted(
            FaultNote(
                'refused' if refusal else 'snapshot',
                event,
                fault.reporting_sources,
                fault.reports,
                '' if refusal else fault.snapshot_id,
            )
        )
        if refusal:
            self.counts.refused += 1
            self._tell(f'{event.fault_code} gets no snapshot: {refusal}', warning=True)
            return refusal
        rule = self._rules.of(event.fault_code)
        start = event.stamp - int(rule.pre_sec * 1e9)
        end = event.stamp + int(rule.post_sec * 1e9)
        earlier = [each for each in self._open if each.window.end_ns >= start]
        window = self.ring.open(start, end)
        to_come = max(0.0, (end - time.time_ns()) / 1e9)
        incident = Incident(
            fault,
            kind,
            earlier[0].incident_id if earlier else fault.snapshot_id,
            rule,
            window,
            [(each.account.name, each.account.type, each.rows) for each in self._latched()],
            {topic: segment.rows for topic, segment in self._last.items()},
            time.monotonic() + to_come + _SETTLING,
        )
        self._open.append(incident)
        if self._write_ahead:
            self._cut(partial(self._complete, replace(incident, complete=False)))
        self.counts.snapshots += 1
        self._tell(
            f'{event.fault_code} ({event.severity.name}, {", ".join(fault.reporting_sources)}): '
            f'{event.description or "no description"}',
            warning=True,
        )
        return ''

    def _memory_refusal(self) -> str:
        if self.ring.held - self.ring.size > self._pinned_bytes:
            return 'those that are not written yet hold all the memory they may (ring_max_mb)'
        return ''

    def _rate_refusal(self) -> str:
        now = time.monotonic()
        while self._begun and now - self._begun[0] >= _MINUTE:
            self._begun.popleft()
        if self._per_minute and len(self._begun) >= self._per_minute:
            return f'there were {len(self._begun)} within a minute (snapshots_per_minute)'
        self._begun.append(now)
        return ''

    def _complete(self, incident: Incident, _latched: list[Parcel]) -> None:
        self._items.put(incident)

    def _hand_on(self, incident: Incident) -> None:
        window = incident.window
        if not incident.complete:
            window = self.ring.open(window.start_ns, min(window.end_ns, time.time_ns()))
        self.ring.close(window)
        latched = {name: kind for name, kind, _ in incident.latched}
        self._ready(replace(incident, window=window, types={**latched, **self._types}))
