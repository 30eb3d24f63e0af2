"""The order, the stamps and the fate of messages between the middleware and a parcel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.budget import Budget, Fate
from mosaico_ros.nodes.gathering import gather
from mosaico_ros.nodes.inbox import Inbox, Source
from mosaico_ros.nodes.latch_cache import LatchCache
from mosaico_ros.nodes.parcel import CAPTURED, Parcel, in_order, payloads
from mosaico_ros.nodes.per_topic import Throttle
from mosaico_ros.nodes.taken import Moment

DAY = 86_400 * 10**9
NOW = 1_700_000_000 * 10**9
STREAM = Source()


def message(stamp: int, payload: bytes = b'\x00\x01\x00\x00x', **info: Any) -> tuple[bytes, Any]:
    gid = info.pop('publisher', None)
    if gid is not None:
        info['publisher_gid'] = {'data': gid}
    number = info.pop('number', None)
    source = info.pop('source', 0)
    return payload, {
        'received_timestamp': stamp,
        'source_timestamp': source,
        'publication_sequence_number': number,
        **info,
    }


class Bench:
    """An inbox with all that it needs."""

    def __init__(self, *sources: Source, **options: Any) -> None:
        self.account = TopicAccount('/imu', 'sensor_msgs/msg/Imu')
        self.budget = Budget(10**9)
        self.latch = LatchCache()
        self.inbox = Inbox(self.account, self.budget, self.latch, **options)
        for source in sources or (STREAM,):
            self.inbox.add_source(source)

    def put(
        self, *messages: tuple[bytes, Any], source: Source = STREAM, system: int = NOW
    ) -> None:
        self.inbox.put(source, Moment(system), messages, sum(len(each[0]) for each in messages))

    def swap(self) -> Parcel:
        parcel = self.inbox.swap()
        assert parcel is not None
        return parcel


def stamps(parcel: Parcel) -> list[int]:
    return parcel.rows.column(0).to_pylist()


def sidecar(parcel: Parcel, name: str) -> list[Any]:
    return parcel.rows.column(parcel.rows.schema.get_field_index(name)).to_pylist()


@pytest.mark.parametrize(
    ('received', 'expected'),
    [
        ((10, 20, 30), [10, 20, 30]),
        ((10, 1300, 20, 30), [10, 19, 20, 30]),  # sent again: just before its successor
        ((10, 1300, 1301, 20, 30), [10, 18, 19, 20, 30]),
        ((10, 10, 10), [8, 9, 10]),
        ((3, 4), [6, 7]),  # what was handed over is not overtaken
    ],
)
def test_the_axis_is_the_order_of_delivery(received: tuple[int, ...], expected: list[int]) -> None:
    assert in_order(np.array(received), 5).tolist() == expected


@given(st.lists(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), max_size=5))
def test_time_order_is_always_the_order_of_delivery(rounds: list[list[int]]) -> None:
    bench = Bench()
    out: list[int] = []
    for received in rounds:
        bench.put(*(message(NOW + stamp) for stamp in received))
        out += stamps(bench.swap())
    assert all(before < after for before, after in itertools.pairwise(out))
    assert len(out) == sum(map(len, rounds))


def test_a_parcel_says_where_and_when_each_message_came_from() -> None:
    bench = Bench(Source(0, latched_before=NOW))
    source = Source(0, latched_before=NOW)
    bench.inbox.put(
        source,
        Moment(NOW, 77),
        [
            message(NOW + 9, b'a', number=4, publisher=b'p', source=NOW - DAY),
            message(NOW + 5, b'bc', number=5, publisher=b'p', source=NOW + 1),
        ],
        3,
    )
    parcel = bench.swap()
    assert parcel.rows.schema == CAPTURED
    assert stamps(parcel) == [NOW + 4, NOW + 5]
    assert sidecar(parcel, 'ros_receive_ns') == [NOW + 9, None]
    assert sidecar(parcel, 'ros_source_ns') == [NOW - DAY, NOW + 1]
    assert sidecar(parcel, 'ros_clock_ns') == [77, 77]
    assert sidecar(parcel, 'ros_publisher') == [b'p', b'p']
    assert sidecar(parcel, 'ros_publication') == [4, 5]
    assert sidecar(parcel, 'ros_latched') == [True, False]
    assert [bytes(each) for each in payloads(parcel.rows)] == [b'a', b'bc']


@pytest.mark.parametrize('sizes', [(5,), (20_000, 0, 5), (5, 20_000), (100_000,) * 3])
def test_payloads_of_any_size_are_those_that_came(sizes: tuple[int, ...]) -> None:
    bench = Bench()
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    bench.put(*(message(NOW + number, each) for number, each in enumerate(sent)))
    rows = bench.swap().rows
    rows.validate(full=True)
    assert [bytes(each) for each in payloads(rows)] == sent
    assert [bytes(each) for each in payloads(rows.slice(1))] == sent[1:]


def test_what_a_distribution_does_not_tell_is_null_never_zero() -> None:
    bench = Bench()
    bench.put((b'x', {'received_timestamp': NOW, 'source_timestamp': 0}))
    parcel = bench.swap()
    for name in ('ros_source_ns', 'ros_clock_ns', 'ros_publisher', 'ros_publication'):
        assert sidecar(parcel, name) == [None], name
    assert sidecar(parcel, 'ros_latched') == [None]
    assert bench.account.report().lost is None


@pytest.mark.parametrize('stamp', [5, NOW - 2 * DAY, NOW + 2 * DAY])
def test_receive_stamps_a_day_off_are_counted_and_the_axis_is_the_system_clock(stamp: int) -> None:
    bench = Bench()
    bench.put(message(stamp), message(NOW + 5))
    parcel = bench.swap()
    assert stamps(parcel) == [NOW, NOW + 5]
    assert sidecar(parcel, 'ros_receive_ns') == [stamp, None]
    assert bench.account.report().odd_stamps == 1


def test_old_times_of_sending_are_usual_those_of_tomorrow_are_not() -> None:
    bench = Bench()
    bench.put(message(NOW, source=NOW - 30 * DAY))
    assert (bench.swap(), bench.account.odd_stamps)[1] == 0
    bench.put(message(NOW, source=NOW + 2 * DAY))
    assert (bench.swap(), bench.account.odd_stamps)[1] == 1


KEYS = {
    'kilted': lambda n: {'publisher': b'p', 'number': n, 'source': NOW + n},
    'jazzy': lambda n: {'number': n, 'source': NOW + n},
    'humble': lambda n: {'source': NOW + n},
}


@pytest.mark.parametrize('distro', KEYS)
def test_two_subscriptions_make_no_duplicate_and_lose_nothing(distro: str) -> None:
    """What each delivers late or not at all comes from the other, once."""
    strong, weak = Source(0, latched_before=NOW), Source(2)
    bench = Bench(strong, weak)
    key = KEYS[distro]

    def sent(number: int, late: int = 0) -> tuple[bytes, Any]:
        return message(NOW + 10 * number + late, f'message {number}'.encode(), **key(number))

    bench.put(*(sent(number) for number in (1, 2, 3)), source=strong)
    bench.put(sent(2), sent(3, 1), sent(4), source=weak)
    first = bench.swap()
    bench.put(sent(4, 2), sent(6), source=strong)
    bench.put(sent(5), source=weak)
    second = bench.swap()
    out = [bytes(value) for parcel in (first, second) for value in sidecar(parcel, 'payload')]
    assert out == [f'message {number}'.encode() for number in (1, 2, 3, 4, 5, 6)]
    report = bench.account.report()
    assert (report.received, report.duplicates) == (6, 3)
    assert report.lost == (None if distro == 'humble' else 0)
    assert stamps(first) == [NOW + 10, NOW + 20, NOW + 30, NOW + 40]


def test_a_subscription_that_is_behind_changes_no_order() -> None:
    strong, weak = Source(0), Source(2)
    bench = Bench(strong, weak)
    messages = {n: message(NOW + n, bytes([n]), number=n, publisher=b'p') for n in range(1, 6)}
    bench.put(messages[1], source=strong)
    bench.put(messages[5], source=weak)
    bench.inbox.settle()
    bench.put(*(messages[n] for n in (2, 3, 4, 5)), source=strong)
    parcel = bench.swap()
    assert sidecar(parcel, 'payload') == [bytes([n]) for n in range(1, 6)]
    assert stamps(parcel) == [NOW + n for n in range(1, 6)]
    assert bench.account.report().lost == 0


@pytest.mark.parametrize('distro', KEYS)
def test_a_subscription_added_later_fetches_no_latched_message_again(distro: str) -> None:
    first, late = Source(1), Source(0, latched_before=NOW + 100)
    bench = Bench(first)
    bench.put(message(NOW + 1, b'map', **KEYS[distro](1)), source=first)
    bench.swap()
    bench.inbox.add_source(late)
    bench.put(message(NOW + 200, b'map', **KEYS[distro](1)), source=late)
    assert bench.inbox.swap() is None
    assert bench.account.report().received == 1


def test_equal_messages_of_unknown_time_are_kept() -> None:
    bench = Bench(Source(0), Source(1))
    bench.put(message(NOW, b'same'), message(NOW + 1, b'same'))
    assert len(bench.swap().rows) == 2


def test_a_throttled_topic_keeps_the_first_and_begins_anew_when_time_jumps_back() -> None:
    throttle = Throttle(10.0)
    ms = 1_000_000
    given_stamps = [NOW, NOW + 99 * ms, NOW + 100 * ms, NOW + 150 * ms, NOW - 500 * ms]
    assert throttle.keep(np.array(given_stamps)).tolist() == [True, False, True, False, True]
    assert throttle.keep(np.array([NOW - 450 * ms])).tolist() == [False]


def test_what_is_throttled_is_received_and_counted_and_frees_its_memory() -> None:
    bench = Bench(throttle=Throttle(1.0))
    bench.put(
        *(message(NOW + n * 10**8, bytes(1000), publisher=b'p', number=n) for n in range(20))
    )
    held = bench.budget.pending
    bench.inbox.settle()
    assert bench.budget.pending * 10 == held
    assert stamps(bench.swap()) == [NOW, NOW + 10**9]
    report = bench.account.report()
    assert (report.received, report.throttled, report.lost) == (20, 18, 0)


@pytest.mark.parametrize(
    ('fate', 'name', 'expected'),
    [(Fate.THIN, 'thinned', 5), (Fate.DROP, 'dropped', 10), (Fate.PAUSED, 'paused', 10)],
)
def test_what_gives_way_is_counted_once_and_is_no_loss(
    fate: Fate, name: str, expected: int
) -> None:
    bench = Bench()
    for number in range(10):
        bench.put(message(NOW + number, publisher=b'p', number=number))
        bench.inbox.settle(fate)
    report = bench.account.report()
    assert (report.received, report.lost, getattr(report, name)) == (10, 0, expected)
    parcel = bench.inbox.swap()
    assert (len(parcel.rows) if parcel else 0) == 10 - expected
    bench.budget.release(parcel.size if parcel else 0)
    assert bench.budget.pending == 0


def test_latched_messages_that_come_while_paused_are_recorded_after() -> None:
    source = Source(0, latched_before=NOW)
    bench = Bench(source)
    bench.put(message(NOW + 1, b'one', publisher=b'p', number=1), source=source)
    bench.swap()
    bench.put(message(NOW + 2, b'two', publisher=b'p', number=2), source=source)
    bench.put(message(NOW + 3, b'three', publisher=b'p', number=3), source=source)
    bench.inbox.settle(Fate.PAUSED)
    (missed,) = bench.latch.parcels(missed=True)
    again = bench.inbox.hand_again(missed)
    assert sidecar(again, 'payload') == [b'three']
    assert stamps(again) == [NOW + 3]
    assert bench.account.report().paused == 1
    assert bench.latch.parcels(missed=True) == []
    assert [sidecar(each, 'payload') for each in bench.latch.parcels()] == [[b'three']]


def test_latched_messages_left_out_for_another_reason_do_not_come_after_a_pause() -> None:
    source = Source(0, latched_before=NOW)
    bench = Bench(source, throttle=Throttle(1.0))
    for number, word in enumerate((b'one', b'two', b'three')):
        heard = message(NOW + 1 + number, word, publisher=b'p', number=number)
        bench.put(heard, source=source)
    assert sidecar(bench.swap(), 'payload') == [b'one']
    assert bench.latch.parcels(missed=True) == []
    report = bench.account.report()
    assert (report.throttled, report.paused, report.recorded) == (2, 0, 1)


def test_only_what_is_not_left_out_counts_as_recorded() -> None:
    bench = Bench()
    for number in range(4):
        bench.put(message(NOW + number, bytes(100), publisher=b'p', number=number))
        bench.inbox.settle(Fate.PAUSED if number % 2 else Fate.KEEP)
    bench.swap()
    report = bench.account.report()
    assert (report.received, report.received_bytes) == (4, 400)
    assert (report.recorded, report.recorded_bytes) == (2, 200)


# -- many topics at once -------------------------------------------------------------------------


def test_messages_of_many_topics_are_gathered_as_each_would_be_alone() -> None:
    together, alone = [Bench() for _ in range(3)], [Bench() for _ in range(3)]
    expected: list[list[Any]] = [[], [], []]
    found: list[list[Any]] = [[], [], []]
    bundled = []
    for turn in range(3):
        for benches in (together, alone):
            for topic, bench in enumerate(benches):
                count = 0 if (topic, turn) == (2, 1) else topic + 1
                for index in range(count):
                    number = bench.account.arrived + 10 * turn * (topic == 1)
                    stamp = NOW + (20 if (topic, turn) == (0, 1) else turn * 10 + index)
                    text = f'{topic} {number}'.encode()
                    bench.put(message(stamp, text, publisher=b'p', number=number, source=NOW))
        bundle = gather(bench.inbox for bench in together)
        for parcel in bundle.parcels if bundle else ():
            place = [bench.account for bench in together].index(parcel.account)
            found[place] += parcel.rows.to_pylist()
            together[place].budget.release(parcel.size)
            bundled.append((turn, place))
        for place, bench in enumerate(together):
            if bench.inbox.count:
                left = bench.swap()
                found[place] += left.rows.to_pylist()
                bench.budget.release(left.size)
        for place, bench in enumerate(alone):
            if bench.inbox.count:
                expected[place] += bench.swap().rows.to_pylist()
    assert found == expected
    # The first of a publisher, what follows on a gap, and a stamp that does not rise go alone.
    assert bundled == [(1, 0), (2, 2)]
    for bench, other in zip(together, alone, strict=True):
        assert bench.account.report() == other.account.report()
        assert bench.budget.pending == 0
        assert bench.inbox.holding.bytes == 0


@pytest.mark.parametrize(
    'bench',
    [
        Bench(Source(0), Source(1)),
        Bench(Source(0, latched_before=NOW)),
        Bench(throttle=Throttle(1000.0)),
    ],
    ids=['two subscriptions', 'latched', 'throttled'],
)
def test_topics_with_more_to_find_out_are_not_gathered(bench: Bench) -> None:
    plain = Bench()
    for number in (1, 2):
        for each in (bench, plain):
            each.put(message(NOW + number, publisher=b'p', number=number))
        if number == 1:
            bench.swap()
            plain.swap()
    bundle = gather([bench.inbox, plain.inbox])
    assert bundle is not None
    assert [parcel.account for parcel in bundle.parcels] == [plain.account]
    assert bench.inbox.count == 1
    assert gather([bench.inbox, plain.inbox]) is None


def test_odd_stamps_repetitions_and_much_data_are_not_gathered() -> None:
    for last in (
        message(5, publisher=b'p', number=2),
        message(NOW + 2, publisher=b'p', number=1),
        message(NOW + 2, publisher=b'q', number=2),
        message(NOW + 2, bytes(100_000), publisher=b'p', number=2),
    ):
        bench = Bench()
        bench.put(message(NOW + 1, publisher=b'p', number=1))
        bench.swap()
        bench.put(last, system=NOW + 3)
        assert gather([bench.inbox]) is None
        assert bench.inbox.count == 1
        assert bench.account.report().lost == 0


def test_unnamed_publishers_are_gathered_and_their_losses_known() -> None:
    bench = Bench()
    for number in (1, 2, 4):
        bench.put(message(NOW + number, number=number, source=NOW + number))
    bundle = gather([bench.inbox])
    assert bundle is not None
    assert len(bundle.rows) == 3
    assert bench.account.report().lost == 1
