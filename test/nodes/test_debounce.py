"""When reports of a fault are enough, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.debounce import Debounce, Debouncer, Outcome
from mosaico_ros.nodes.faults import FaultEvent, Severity


def event(failed: bool = True, **values: Any) -> FaultEvent:
    return FaultEvent(
        **{'fault_code': 'X', 'severity': Severity.ERROR, 'source': 's', 'stamp': 0, **values},
        failed=failed,
    )


class Bench:
    """A debouncer with one rule and a clock that the test moves."""

    def __init__(self, **rule: Any) -> None:
        rule = {'heal_after_sec': 0.0, 'cooldown_sec': 0.0, **rule}
        self.debouncer = Debouncer(lambda _: Debounce(**rule))
        self.now = 100.0

    def failed(self, **values: Any) -> Outcome | None:
        return self._outcome(self.debouncer.feed(event(**values), self.now))

    def passed(self) -> Outcome | None:
        return self._outcome(self.debouncer.feed(event(failed=False), self.now))

    def after(self, seconds: float) -> list[Outcome]:
        self.now += seconds
        return [each.outcome for each in self.debouncer.tick(self.now)]

    @staticmethod
    def _outcome(decision: Any) -> Outcome | None:
        return None if decision is None else decision.outcome


def test_so_many_failures_confirm_and_each_pass_takes_one_back() -> None:
    bench = Bench(confirm_count=3)
    assert [bench.failed(), bench.failed(), bench.passed()] == [None] * 3
    assert [bench.failed(), bench.failed()] == [None, Outcome.CONFIRMED]
    assert bench.failed() is None  # once


def test_a_fault_is_over_when_it_passed_often_enough_not_before() -> None:
    bench = Bench(confirm_count=1, heal_count=3)
    assert bench.failed() is Outcome.CONFIRMED
    assert [bench.passed(), bench.passed(), bench.failed(), bench.failed()] == [None] * 4
    assert [bench.passed() for _ in range(4)] == [None, None, None, Outcome.HEALED]
    assert bench.failed() is Outcome.CONFIRMED  # at once: the passes before are no credit


def test_a_failure_that_lasts_is_confirmed_and_a_pass_begins_the_wait_anew() -> None:
    bench = Bench(confirm_count=0, confirm_after_sec=5.0)
    bench.failed()
    assert bench.after(4.9) == []
    bench.passed()
    bench.failed()
    assert bench.after(4.9) == []
    assert bench.after(0.2) == [Outcome.CONFIRMED]


def test_frequent_failures_are_confirmed_whatever_passed_between() -> None:
    bench = Bench(confirm_count=0, rate_count=3, rate_window_sec=10.0)
    outcomes = []
    for _ in range(4):  # one in 6 s: never three in 10 s
        outcomes += [bench.failed(), bench.passed(), *bench.after(6.0)]
    assert outcomes == [None] * 8
    assert bench.after(60.0) == [Outcome.NEAR_MISS]
    outcomes = []
    for _ in range(3):
        outcomes += [bench.failed(), bench.passed()]
        bench.after(4.0)
    assert outcomes == [None, None, None, None, Outcome.CONFIRMED, None]


def test_a_critical_failure_waits_for_nothing() -> None:
    bench = Bench(confirm_count=100)
    assert bench.failed(severity=Severity.CRITICAL) is Outcome.CONFIRMED
    calm = Bench(confirm_count=100, bypass_severity=None)
    assert calm.failed(severity=Severity.CRITICAL) is None
    assert calm.failed(decided=True) is Outcome.CONFIRMED


def test_quiet_ends_a_fault_of_which_nobody_says_that_it_passed() -> None:
    bench = Bench(heal_after_sec=30.0)
    bench.failed()
    bench.after(20.0)
    bench.failed()
    assert bench.after(29.0) == []
    assert bench.after(2.0) == [Outcome.HEALED]


def test_what_comes_back_within_the_cooldown_gets_no_further_snapshot() -> None:
    bench = Bench(heal_count=1, cooldown_sec=60.0)
    assert bench.failed() is Outcome.CONFIRMED
    assert bench.after(30.0) == []
    assert [bench.passed(), bench.passed()] == [None, Outcome.HEALED]
    assert bench.failed() is Outcome.COOLING
    assert [bench.passed(), bench.passed()] == [None, Outcome.HEALED]
    bench.after(31.0)
    assert bench.failed() is Outcome.CONFIRMED


def test_a_mild_fault_gets_its_snapshot_when_it_gets_worse() -> None:
    bench = Bench(heal_count=1, cooldown_sec=60.0, min_severity=Severity.ERROR)
    assert bench.failed(severity=Severity.WARN) is Outcome.MILD
    assert bench.failed(severity=Severity.WARN) is None
    assert bench.failed(severity=Severity.ERROR) is Outcome.CONFIRMED
    assert bench.failed(severity=Severity.CRITICAL) is None  # one snapshot while it stands


def test_no_cooldown_begins_with_a_fault_that_got_no_snapshot() -> None:
    bench = Bench(heal_count=1, cooldown_sec=60.0, min_severity=Severity.ERROR)
    assert bench.failed(severity=Severity.WARN) is Outcome.MILD
    assert [bench.passed(), bench.passed()] == [None, Outcome.HEALED]
    assert bench.failed() is Outcome.CONFIRMED
    bench.debouncer.refused('X')
    assert [bench.passed(), bench.passed()] == [None, Outcome.HEALED]
    assert bench.failed() is Outcome.CONFIRMED
    assert [bench.passed(), bench.passed()] == [None, Outcome.HEALED]
    assert bench.failed() is Outcome.COOLING


def test_codes_do_not_mix_and_reporters_are_remembered_until_healed() -> None:
    debouncer = Debouncer(lambda _: Debounce(confirm_count=2, heal_count=1))
    assert debouncer.feed(event(fault_code='A', source='one'), 0.0) is None
    assert debouncer.feed(event(fault_code='B', source='one'), 0.0) is None
    decision = debouncer.feed(event(fault_code='A', source='two'), 0.0)
    assert decision is not None
    assert (decision.sources, decision.reports) == (('one', 'two'), 2)
    assert debouncer.confirmed == ['A']


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.booleans(), max_size=60),
)
def test_confirmed_and_healed_alternate_and_follow_the_counter(
    confirm: int, heal: int, reports: list[bool]
) -> None:
    bench = Bench(confirm_count=confirm, heal_count=heal)
    counter, confirmed, near = 0, False, False
    for failed in reports:
        got = bench.failed() if failed else bench.passed()
        # AUTOSAR's counter, written down once more: clamped, jumping down from above zero.
        if failed:
            counter = max(min(counter, 0) - 1, -confirm)
        elif counter or confirmed:
            counter = min(counter + 1, heal)
        expected = None
        near = failed or near
        if not confirmed and counter <= -confirm:
            confirmed, near, expected = True, False, Outcome.CONFIRMED
        elif confirmed and counter >= heal:
            confirmed, counter, near, expected = False, 0, False, Outcome.HEALED
        elif near and not confirmed and counter >= 0:
            near, expected = False, Outcome.NEAR_MISS
        assert got is expected


@given(st.lists(st.tuples(st.sampled_from('ABC'), st.booleans(), st.floats(0, 50)), max_size=80))
def test_within_the_cooldown_there_is_never_a_second_snapshot(
    steps: list[tuple[str, bool, float]],
) -> None:
    debouncer = Debouncer(lambda _: Debounce(heal_count=1, heal_after_sec=20.0, cooldown_sec=60.0))
    now, taken = 0.0, dict.fromkeys('ABC', -100.0)
    for code, failed, pause in steps:
        now += pause
        decisions = debouncer.tick(now)
        heard = debouncer.feed(event(failed, fault_code=code), now)
        for decision in [*decisions, *([heard] if heard else [])]:
            if decision.outcome is Outcome.CONFIRMED:
                code = decision.event.fault_code
                assert now - taken[code] >= 60.0
                taken[code] = now


def test_a_code_at_rest_is_forgotten() -> None:
    debouncer = Debouncer(lambda _: Debounce(confirm_count=2, heal_after_sec=30.0))
    for number in range(1000):
        debouncer.feed(event(fault_code=f'CODE_{number}'), 0.0)
    debouncer.tick(10_000.0)
    assert not debouncer._states


@pytest.mark.parametrize(
    ('text', 'severity'),
    [('warn', 1), ('WARNING', 1), ('2', 2), (' Critical ', 3), ('INFO', 0)],
)
def test_severities_are_read_by_name_and_number(text: str, severity: int) -> None:
    assert Severity.parse(text) == severity


def test_what_failed_and_came_to_rest_unconfirmed_is_a_near_miss_once() -> None:
    bench = Bench(confirm_count=3)
    assert [bench.failed(), bench.failed(), bench.passed()] == [None] * 3
    assert bench.passed() is Outcome.NEAR_MISS
    assert bench.passed() is None
    assert bench.failed() is None
    assert bench.after(700.0) == [Outcome.NEAR_MISS]  # forgotten


def test_a_source_that_never_says_that_it_passed_nearly_misses_by_its_silence() -> None:
    bench = Bench(confirm_count=3, heal_after_sec=5.0)
    bench.failed()
    assert bench.after(4.9) == []
    assert bench.after(0.1) == [Outcome.NEAR_MISS]
    assert bench.after(1.0) == []
