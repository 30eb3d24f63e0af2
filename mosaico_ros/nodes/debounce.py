"""When reports of a fault are enough: counted, lasting, or frequent ones; and when it is over.

The counter is that of AUTOSAR's diagnostic event manager and of ros2_medkit: a failed report
takes one off, a passed one adds one, between the threshold that confirms and the one that heals.
Confirmed and healed are latched: on the way between the two thresholds nothing changes.

Nothing here looks at a clock. Whoever reports says when, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from mosaico_ros.nodes.faults import FaultEvent, Severity

# A code that is at rest is forgotten after this time, seconds; a source may make up codes.
_MEMORY = 600.0


@dataclass(frozen=True)
class Debounce:
    """When a fault counts. Any one of the first three, or the severity, confirms it.

    Attributes
    ----------
    confirm_count
        Failed reports more than passed ones; 0 counts none.
    confirm_after_sec
        Time without a passed report since the first failed one, seconds; 0 waits for none.
    rate_count, rate_window_sec
        Failed reports within so many seconds, however many passed ones are between; 0 looks at
        no rate.
    bypass_severity
        A report of this severity confirms at once; None has no such way.
    heal_count
        Passed reports more than failed ones that end a fault; 0 lets none end it.
    heal_after_sec
        Time without a failed report that ends a fault, seconds, for sources that never say that
        something passed; 0 lets it never end that way.
    cooldown_sec
        A fault that comes back sooner after the last snapshot of its code gets no other one,
        seconds.
    min_severity
        Milder faults are confirmed without a snapshot: what gets worse while it is confirmed
        gets one then.
    """

    confirm_count: int = 1
    confirm_after_sec: float = 0.0
    rate_count: int = 0
    rate_window_sec: float = 10.0
    bypass_severity: Severity | None = Severity.CRITICAL
    heal_count: int = 3
    heal_after_sec: float = 30.0
    cooldown_sec: float = 60.0
    min_severity: Severity = Severity.INFO


class Outcome(Enum):
    """What became of a fault."""

    CONFIRMED = 'confirmed'
    #: Confirmed again within the cooldown.
    COOLING = 'cooling'
    #: Confirmed, but milder than what gets a snapshot.
    MILD = 'mild'
    HEALED = 'healed'
    #: It had failed, but not enough to be confirmed.
    NEAR_MISS = 'near miss'


@dataclass(frozen=True)
class Decision:
    """A change of a fault.

    ``event`` is the report that made it, or the last one where time did; ``sources`` are all who
    reported a failure since the fault was last healed; ``reports`` counts those failures, or of a
    near miss those since it last was at rest.
    """

    outcome: Outcome
    event: FaultEvent
    sources: tuple[str, ...]
    reports: int


@dataclass
class _State:
    counter: int = 0
    confirmed: bool = False
    mild: bool = False
    failing_since: float | None = None
    heard: float = 0.0
    failed_at: float = 0.0
    captured_at: float | None = None
    reports: int = 0
    unconfirmed: int = 0
    recent: deque[float] = field(default_factory=deque)
    sources: dict[str, None] = field(default_factory=dict)
    last: FaultEvent | None = None


class Debouncer:
    """Decides about all fault codes.

    Parameters
    ----------
    rules
        Returns the `Debounce` of a code.
    """

    def __init__(self, rules: Callable[[str], Debounce]) -> None:
        self._rules = rules
        self._states: dict[str, _State] = {}

    @property
    def confirmed(self) -> list[str]:
        """Codes of the faults that are confirmed and not healed."""
        return [code for code, state in self._states.items() if state.confirmed]

    def feed(self, event: FaultEvent, now: float) -> Decision | None:
        """Take a report; return what it changed, if anything.

        Parameters
        ----------
        event
            The report.
        now
            When it was made, seconds; never less than in an earlier call.
        """
        state = self._states.get(event.fault_code)
        if state is None:
            if not event.failed:
                return None
            state = self._states[event.fault_code] = _State()
        rule = self._rules(event.fault_code)
        state.heard = now
        if not event.failed:
            return self._passed(state, rule, event)
        # A fault that comes back must not first use up the credit of having been healed.
        state.counter = max(min(state.counter, 0) - 1, -max(rule.confirm_count, 1))
        state.failed_at = now
        state.last = event
        state.reports += 1
        state.unconfirmed += 1
        state.sources.setdefault(event.source)
        if state.failing_since is None:
            state.failing_since = now
        if rule.rate_count:
            state.recent.append(now)
            while len(state.recent) > rule.rate_count:
                state.recent.popleft()
        if state.confirmed:
            worse = state.mild and event.severity >= rule.min_severity
        else:
            worse = self._enough(state, rule, event, now)
        return self._confirm(state, rule, event, now) if worse else None

    def refused(self, code: str) -> None:
        """Say that a fault just confirmed got no snapshot: no cooldown begins with it."""
        self._states[code].captured_at = None

    def tick(self, now: float) -> list[Decision]:
        """Return what the mere passing of time changed."""
        changes = []
        for code, state in list(self._states.items()):
            rule = self._rules(code)
            event = state.last
            assert event is not None
            if state.confirmed:
                if rule.heal_after_sec and now - state.failed_at >= rule.heal_after_sec:
                    changes.append(self._heal(state, event))
            elif self._lasts(state, rule, now):
                changes.append(self._confirm(state, rule, event, now))
            else:
                forgotten = now - state.heard > max(
                    _MEMORY, rule.cooldown_sec, rule.rate_window_sec
                )
                rest = rule.rate_window_sec if rule.rate_count else rule.heal_after_sec
                quiet = rest and now - state.failed_at >= rest
                if state.unconfirmed and (quiet or forgotten):
                    changes.append(self._missed(state, event))
                if forgotten:
                    del self._states[code]
        return changes

    @staticmethod
    def _lasts(state: _State, rule: Debounce, now: float) -> bool:
        return (
            rule.confirm_after_sec > 0
            and state.failing_since is not None
            and now - state.failing_since >= rule.confirm_after_sec
        )

    def _enough(self, state: _State, rule: Debounce, event: FaultEvent, now: float) -> bool:
        if event.decided:
            return True
        if rule.bypass_severity is not None and event.severity >= rule.bypass_severity:
            return True
        if rule.confirm_count and state.counter <= -rule.confirm_count:
            return True
        frequent = (
            rule.rate_count > 0
            and len(state.recent) == rule.rate_count
            and now - state.recent[0] <= rule.rate_window_sec
        )
        return frequent or self._lasts(state, rule, now)

    @staticmethod
    def _confirm(state: _State, rule: Debounce, event: FaultEvent, now: float) -> Decision:
        state.confirmed = True
        state.unconfirmed = 0
        state.mild = event.severity < rule.min_severity
        if state.mild:
            return Decision(Outcome.MILD, event, tuple(state.sources), state.reports)
        cooling = state.captured_at is not None and now - state.captured_at < rule.cooldown_sec
        if not cooling:
            state.captured_at = now
        outcome = Outcome.COOLING if cooling else Outcome.CONFIRMED
        return Decision(outcome, event, tuple(state.sources), state.reports)

    def _passed(self, state: _State, rule: Debounce, event: FaultEvent) -> Decision | None:
        state.counter = min(state.counter + 1, rule.heal_count) if rule.heal_count else 0
        state.failing_since = None
        healed = event.decided or (rule.heal_count and state.counter >= rule.heal_count)
        if state.confirmed:
            return self._heal(state, event) if healed else None
        last = state.last
        # Where the rate counts, a pass says little.
        rests = state.counter >= 0 and not rule.rate_count
        if state.unconfirmed and rests and last is not None:
            return self._missed(state, last)
        return None

    @staticmethod
    def _missed(state: _State, event: FaultEvent) -> Decision:
        reports, state.unconfirmed = state.unconfirmed, 0
        return Decision(Outcome.NEAR_MISS, event, tuple(state.sources), reports)

    @staticmethod
    def _heal(state: _State, event: FaultEvent) -> Decision:
        decision = Decision(Outcome.HEALED, event, tuple(state.sources), state.reports)
        state.confirmed = False
        state.counter = 0
        state.failing_since = None
        state.reports = state.unconfirmed = 0
        state.recent.clear()
        state.sources.clear()
        return decision
