"""Capture of live topics: real publishers, real discovery, real clocks."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

import itertools

import rclpy
from action_msgs.msg import GoalStatusArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.service_introspection import ServiceIntrospectionState
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String, UInt8MultiArray
from std_srvs.srv import SetBool

from mosaico_ros.nodes.capture import Capture
from mosaico_ros.nodes.capture_parameters import CAPTURE
from mosaico_ros.nodes.inbox import FlushPolicy
from mosaico_ros.nodes.node_parameters import as_overrides, declare
from mosaico_ros.nodes.parcel import Bundle, Parcel

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.BEST_EFFORT)


class Listener:
    """A node that captures, and a thread that looks at the graph and spins it."""

    def __init__(self, domain: int, wait_for: Any, **settings: Any) -> None:
        self._wait_for = wait_for
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        use_sim_time = settings.pop('use_sim_time', False)
        self.node = rclpy.create_node(
            'listener',
            context=self._context,
            parameter_overrides=[
                *as_overrides({'discovery_period_sec': 0.1, **settings}),
                Parameter('use_sim_time', value=use_sim_time),
            ],
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.parcels: list[Parcel] = []
        self.events: list[str] = []
        self.releasing = True
        self.capture = Capture(
            self.node,
            declare(self.node, CAPTURE),
            FlushPolicy(rows=100, size=100_000, period=0.1),
            self._hand_over,
            lambda text, warning=False: self.events.append(text),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.capture.start()
        self._thread.start()

    def _hand_over(self, bundle: Bundle) -> None:
        self.parcels += bundle.parcels
        if self.releasing:
            self.capture.release(sum(parcel.size for parcel in bundle.parcels))

    def _look(self) -> None:
        while not self._stop.is_set():
            self.capture.look()
            self._executor.spin_once(timeout_sec=0.02)

    def report(self, topic: str) -> Any:
        found = [report for report in self.capture.reports() if report.name == topic]
        return found[0] if found else None

    def wait_subscribed(self, topic: str) -> None:
        self._wait_for(
            lambda: any(event.startswith(f'recording {topic} ') for event in self.events),
            f'the subscription to {topic}',
        )

    def wait_received(self, topic: str, count: int) -> None:
        def received() -> bool:
            report = self.report(topic)
            return report is not None and report.received >= count

        self._wait_for(received, f'{count} messages on {topic}')

    def rows(self, topic: str) -> list[dict[str, Any]]:
        return [
            row
            for parcel in list(self.parcels)
            if parcel.account.name == topic
            for row in parcel.rows.to_pylist()
        ]

    def texts(self, topic: str) -> list[str]:
        return [deserialize_message(row['payload'], String).data for row in self.rows(topic)]

    def names_publishers(self, topic: str) -> bool:
        """Tell whether the distribution says whose a message is: Kilted does, Jazzy does not."""
        return self.rows(topic)[0]['ros_publisher'] is not None

    def finish(self) -> None:
        """Stop, with everything handed over."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self.capture.finish(2.0)
            self.capture.close()

    def close(self) -> None:
        self.finish()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


Listen = Callable[..., Listener]


@pytest.fixture
def listen(robot: Any, domain: int, wait_for: Any) -> Iterator[Listen]:
    """Capture by parameters: ``listen(topics=['/imu'])``."""
    started: list[Listener] = []

    def start(**settings: Any) -> Listener:
        started.append(Listener(domain, wait_for, **settings))
        return started[-1]

    yield start
    for listener in started:
        listener.close()


def text(data: str) -> String:
    return String(data=data)


@pytest.mark.parametrize('intake', ['drain', 'callbacks'])
def test_a_late_best_effort_publisher_beside_a_latched_one(
    robot: Any, listen: Listen, wait_for: Any, intake: str
) -> None:
    """Both heard, the latched sample included, nothing twice, nothing lost at the change."""
    steady = robot.publisher(String, '/state', QoSProfile(
        depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL))  # fmt: skip
    steady.publish(text('latched'))
    listener = listen(topics=['/state'], intake=intake)
    listener.wait_received('/state', 1)
    expected = ['latched']
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            expected.append(f'steady {len(expected)}')
            steady.publish(text(expected[-1]))
            time.sleep(0.002)

    talking = threading.Thread(target=talk)
    talking.start()
    weak = robot.publisher(String, '/state', BEST_EFFORT)
    robot.wait_heard(weak, text('hello'), lambda: 'hello' in listener.texts('/state'))
    weak_expected = [f'weak {number}' for number in range(50)]
    for data in weak_expected:
        weak.publish(text(data))
        time.sleep(0.002)
    stop.set()
    talking.join()
    robot.publish(steady, [text('last')])
    expected.append('last')
    wait_for(lambda: listener.texts('/state').count('last') == 1, 'the last message')
    listener.finish()
    heard = [data for data in listener.texts('/state') if data != 'hello']
    steadily = [data for data in heard if not data.startswith('weak')]
    if intake == 'callbacks':
        # An executor may run the callbacks of one subscription later than those of the other.
        steadily.sort(key=expected.index)
    assert steadily == expected
    assert [data for data in heard if data.startswith('weak')] == weak_expected
    rows = listener.rows('/state')
    report = listener.report('/state')
    assert report.duplicates > 0
    assert report.received == len(rows)
    assert report.lost == (0 if listener.names_publishers('/state') else None)
    assert [row['ros_latched'] for row in rows[:2]] == [True, False]
    stamps = [row['timestamp_ns'] for row in rows]
    assert all(before < after for before, after in itertools.pairwise(stamps))
    assert sum('different qualities of service' in event for event in listener.events) == 1


def test_mixed_publishers_are_heard_once_each_and_uniform_ones_by_one_subscription(
    robot: Any, listen: Listen, wait_for: Any
) -> None:
    mixed = [
        robot.publisher(String, '/mixed', qos)
        for qos in (LATCHED, QoSProfile(depth=100), BEST_EFFORT)
    ]
    uniform = [robot.publisher(String, '/uniform', 100) for _ in range(2)]
    listener = listen(topics=['/mixed', '/uniform'])
    for publisher in (*mixed, *uniform):
        hello = f'hello {id(publisher)}'
        robot.wait_heard(
            publisher,
            text(hello),
            lambda hello=hello: hello in listener.texts('/mixed') + listener.texts('/uniform'),
        )
    for number in range(20):
        for who, publisher in enumerate((*mixed, *uniform)):
            publisher.publish(text(f'{who} {number}'))
        time.sleep(0.002)
    for topic, count in (('/mixed', 60), ('/uniform', 40)):
        wait_for(
            lambda topic=topic, count=count: (
                sum(not data.startswith('hello') for data in listener.texts(topic)) >= count
            ),
            f'{count} messages on {topic}',
        )
    listener.finish()
    for topic, publishers in (('/mixed', range(3)), ('/uniform', range(3, 5))):
        heard = listener.texts(topic)
        for who in publishers:
            mine = [data for data in heard if data.startswith(f'{who} ')]
            assert mine == [f'{who} {number}' for number in range(20)]
        assert listener.report(topic).lost == (0 if listener.names_publishers(topic) else None)
    assert listener.report('/uniform').duplicates == 0
    assert listener.report('/mixed').duplicates > 0
    told = {event.split(' ')[1]: event for event in listener.events if 'recording' in event}
    assert told['/uniform'].count('volatile') == 1


def test_the_latched_state_begins_each_part_and_outlives_a_pause(
    robot: Any, listen: Listen, wait_for: Any
) -> None:
    publishers = [robot.publisher(String, '/tf_static', LATCHED) for _ in range(2)]
    ticks = robot.publisher(String, '/tick', 100)
    for who, publisher in enumerate(publishers):
        publisher.publish(text(f'{who} old'))
    listener = listen(topics=['/tf_static', '/tick'])
    listener.wait_received('/tf_static', 2)
    robot.wait_matched(ticks)
    parts: list[list[Any]] = []
    listener.capture.cut(lambda latched: parts.append([*listener.parcels, latched]))
    ((*before, latched),) = parts
    assert sum(len(parcel.rows) for parcel in before if parcel.account.name == '/tf_static') == 2
    (state,) = latched
    rows = state.rows.to_pylist()
    assert sorted(deserialize_message(row['payload'], String).data for row in rows) == [
        '0 old',
        '1 old',
    ]
    assert all(row['ros_latched'] for row in rows)
    assert [row['timestamp_ns'] for row in rows] == [
        row['timestamp_ns'] for row in listener.rows('/tf_static')
    ]

    listener.capture.pause_taking()
    for number in range(3):
        robot.publish(publishers[1], [text(f'1 new {number}')])
    ticks.publish(text('unheard'))
    wait_for(lambda: listener.report('/tf_static').paused == 3, 'messages while paused')
    wait_for(lambda: listener.report('/tick').paused == 1, 'a tick while paused')
    listener.capture.resume_taking()
    publishers[0].publish(text('0 after'))
    ticks.publish(text('heard'))
    listener.wait_received('/tf_static', 6)
    listener.wait_received('/tick', 2)
    listener.finish()
    assert listener.texts('/tick') == ['heard']
    report = listener.report('/tf_static')
    now = [
        deserialize_message(row['payload'], String).data
        for parcel in listener.capture.latched()
        for row in parcel.rows.to_pylist()
    ]
    if listener.names_publishers('/tf_static'):
        assert listener.texts('/tf_static')[2:] == ['1 new 2', '0 after']
        assert (report.received, report.paused, report.lost) == (6, 2, 0)
        assert now == ['1 new 2', '0 after']
    else:  # the last of one publisher cannot be told from older ones of another: all are kept
        assert listener.texts('/tf_static')[-2:] == ['1 new 2', '0 after']
        assert (report.received, report.lost) == (6, None)
        assert now[-2:] == ['1 new 2', '0 after']


def test_a_throttled_topic_and_one_that_is_not(robot: Any, listen: Listen) -> None:
    fast = robot.publisher(String, '/fast', 1000)
    free = robot.publisher(String, '/free', 1000)
    listener = listen(topics=['/f*'], topic_max_hz=['/fast=20'])
    robot.wait_matched(fast, free)
    began = time.monotonic()
    for number in range(200):
        fast.publish(text(str(number)))
        free.publish(text(str(number)))
        time.sleep(0.004)
    took = time.monotonic() - began
    listener.wait_received('/fast', 200)
    listener.wait_received('/free', 200)
    listener.finish()
    kept = listener.texts('/fast')
    assert kept[0] == '0'
    assert 5 <= len(kept) <= took * 20 + 1
    report = listener.report('/fast')
    assert (report.received, report.throttled, report.lost) == (200, 200 - len(kept), 0)
    stamps = [row['timestamp_ns'] for row in listener.rows('/fast')]
    assert all(after - before >= 50_000_000 for before, after in itertools.pairwise(stamps))
    assert listener.texts('/free') == [str(number) for number in range(200)]


@pytest.mark.parametrize('intake', ['drain', 'callbacks'])
def test_a_full_memory_spares_the_small_topics_and_tells(
    robot: Any, listen: Listen, intake: str
) -> None:
    camera = robot.publisher(UInt8MultiArray, '/camera', 20)
    imu = robot.publisher(String, '/imu', 100)
    listener = listen(topics=['/camera', '/imu'], buffer_max_mb=1.0, intake=intake)
    listener.releasing = False
    robot.wait_matched(camera, imu)
    frame = UInt8MultiArray(data=bytes(50_000))
    for number in range(60):
        camera.publish(frame)
        imu.publish(text(str(number)))
        time.sleep(0.01)
    listener.wait_received('/camera', 60)
    listener.wait_received('/imu', 60)
    listener.finish()
    assert listener.texts('/imu') == [str(number) for number in range(60)]
    report = listener.report('/camera')
    assert report.dropped > 0
    stored = len(listener.rows('/camera'))
    assert report.received == 60 == stored + report.thinned + report.dropped
    assert report.lost == 0
    assert 750_000 < listener.capture.peak_bytes <= 1_100_000
    assert any('% full' in event and '/camera' in event for event in listener.events)
    values = listener.capture.diagnostics()
    assert values['memory_stage'] in ('throttle', 'shed')
    assert int(values['memory_peak_bytes']) == listener.capture.peak_bytes
    assert 'received 60' in values['/imu']


def test_a_hundred_topics_at_a_thousand_a_second_have_no_gap(robot: Any, listen: Listen) -> None:
    publishers = [robot.publisher(String, f'/many/t{number}', 100) for number in range(100)]
    listener = listen(topics=['/many/*'])
    robot.wait_matched(*publishers)
    began = time.monotonic()
    for index in range(2000):
        time.sleep(max(0.0, began + index / 1000 - time.monotonic()))
        publishers[index % 100].publish(text(str(index)))
    for number in range(100):
        listener.wait_received(f'/many/t{number}', 20)
    listener.finish()
    for number in range(100):
        name = f'/many/t{number}'
        report = listener.report(name)
        assert (report.received, report.lost) == (20, 0)
        assert listener.texts(name) == [str(number + 100 * turn) for turn in range(20)]


def test_a_static_topic_is_subscribed_to_unseen(robot: Any, listen: Listen, wait_for: Any) -> None:
    listener = listen(static_topics=['/radio:std_msgs/msg/String', '/silent:std_msgs/msg/String'])
    listener.wait_subscribed('/radio')
    listener.wait_subscribed('/silent')
    publisher = robot.publisher(String, '/radio', LATCHED)
    unasked = robot.publisher(String, '/unasked', LATCHED)
    unasked.publish(text('x'))
    publisher.publish(text('hello'))
    listener.wait_received('/radio', 1)
    listener.finish()
    assert listener.texts('/radio') == ['hello']
    assert listener.capture.never_seen() == ['/silent']
    assert listener.report('/unasked') is None


def test_service_events_and_the_topics_of_an_action(
    robot: Any, listen: Listen, wait_for: Any
) -> None:
    node = robot.node
    service = node.create_service(SetBool, '/arm/enable', lambda _request, response: response)
    service.configure_introspection(
        node.get_clock(), QoSProfile(depth=10), ServiceIntrospectionState.CONTENTS
    )
    status = robot.publisher(GoalStatusArray, '/dock/_action/status', LATCHED)
    status.publish(GoalStatusArray())
    listener = listen(
        services=['/arm/enable', '/absent'], actions=['/d*'], exclude_actions=['/x*']
    )
    listener.wait_subscribed('/arm/enable/_service_event')
    client = node.create_client(SetBool, '/arm/enable')
    assert client.wait_for_service(10.0)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def called() -> bool:
        executor.spin_until_future_complete(client.call_async(SetBool.Request(data=True)), 5.0)
        report = listener.report('/arm/enable/_service_event')
        return report is not None and report.received >= 2

    wait_for(called, 'a request and a response')
    executor.shutdown()
    listener.wait_received('/dock/_action/status', 1)
    listener.finish()
    first = listener.rows('/arm/enable/_service_event')[0]['payload']
    assert deserialize_message(first, SetBool.Event).request[0].data is True
    details = listener.capture.topic_details('/arm/enable/_service_event')
    assert (details['kind'], details['service']) == ('service_event', '/arm/enable')
    assert listener.capture.topic_details('/dock/_action/status')['action'] == '/dock'
    assert listener.capture.never_seen() == ['service /absent']


def test_service_events_are_rows_in_the_archive(
    daemon: Any, robot: Any, start_recorder: Any, wait_for: Any
) -> None:
    node = robot.node
    service = node.create_service(SetBool, '/lamp/switch', lambda _request, response: response)
    service.configure_introspection(
        node.get_clock(), QoSProfile(depth=10), ServiceIntrospectionState.CONTENTS
    )
    recorder = start_recorder(services=['/lamp/switch'], discovery_period_sec=0.1)
    recorder.wait_recording('/lamp/switch/_service_event')
    client = node.create_client(SetBool, '/lamp/switch')
    assert client.wait_for_service(10.0)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def called() -> bool:
        executor.spin_until_future_complete(client.call_async(SetBool.Request(data=True)), 5.0)
        return recorder.topic('/lamp/switch/_service_event').get('stored', 0) >= 2

    wait_for(called, 'stored events')
    executor.shutdown()
    assert recorder.finish(signal.SIGINT) == 0
    with daemon.client() as client:
        topic = client.topic_handler(recorder.state()['sequence'], '/lamp/switch/_service_event')
        assert topic.user_metadata['_ros_']['service'] == '/lamp/switch'
        requests = topic.to_arrow().column('request').to_pylist()
    assert [{'data': True}] in requests


@pytest.mark.parametrize('intake', ['drain', 'callbacks'])
def test_with_simulated_time_nothing_is_recorded_before_the_clock(
    robot: Any, listen: Listen, wait_for: Any, intake: str
) -> None:
    clock = robot.publisher(Clock, '/clock', BEST_EFFORT)
    latched = robot.publisher(String, '/map', LATCHED)
    latched.publish(text('the map'))
    listener = listen(topics=['/map', '/imu'], use_sim_time=True, intake=intake)
    robot.wait_matched(clock)
    wait_for(lambda: any('waiting for /clock' in event for event in listener.events), 'the wait')
    assert listener.capture.reports() == []
    message = Clock()
    message.clock.sec, message.clock.nanosec = 1234, 5
    imu = robot.publisher(String, '/imu', 100)

    def subscribed() -> bool:
        clock.publish(message)
        return bool(imu.get_subscription_count())

    wait_for(subscribed, 'the subscription to /imu')
    before = time.time_ns()
    imu.publish(text('x'))
    listener.wait_received('/imu', 1)
    listener.wait_received('/map', 1)
    listener.finish()
    (row,) = listener.rows('/imu')
    assert row['ros_clock_ns'] == 1_234_000_000_005
    assert before <= row['timestamp_ns'] <= time.time_ns()
    assert listener.texts('/map') == ['the map']


def test_odd_stamps_are_told_once_and_the_axis_is_the_system_clock(
    robot: Any, listen: Listen, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No middleware here stamps wrongly, so that right stamps have to count as wrong.
    monkeypatch.setattr('mosaico_ros.nodes.taken._DAY_NS', -1)
    publishers = [robot.publisher(String, f'/odd{number}', LATCHED) for number in range(2)]
    for publisher in publishers:
        publisher.publish(text('x'))
    listener = listen(topics=['/odd*'])
    for number in range(2):
        listener.wait_received(f'/odd{number}', 1)
    wait_for(lambda: any('more than a day' in event for event in listener.events), 'the warning')
    listener.finish()
    assert sum('more than a day' in event for event in listener.events) == 1
    assert listener.report('/odd0').odd_stamps == 1
    (row,) = listener.rows('/odd0')
    assert row['timestamp_ns'] > row['ros_receive_ns'] > row['ros_source_ns']


def test_the_override_file_decides_alone(robot: Any, listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / 'qos.yaml'
    path.write_text('/strict: {depth: 5, reliability: reliable}\n')
    weak = robot.publisher(String, '/strict', BEST_EFFORT)
    strong = robot.publisher(String, '/strict', 10)
    listener = listen(topics=['/strict'], qos_overrides_path=str(path))
    robot.wait_matched(strong)
    weak.publish(text('weak'))
    strong.publish(text('strong'))
    listener.wait_received('/strict', 1)
    listener.finish()
    assert listener.texts('/strict') == ['strong']
    assert any('depth 5 by qos_overrides_path' in event for event in listener.events)


def test_what_overflows_the_queue_shows_as_a_gap(
    robot: Any, listen: Listen, tmp_path: Path
) -> None:
    path = tmp_path / 'qos.yaml'
    path.write_text('/burst: {depth: 3, reliability: reliable}\n')
    publisher = robot.publisher(String, '/burst', 200)
    listener = listen(topics=['/burst'], qos_overrides_path=str(path), drain_period_ms=200.0)
    robot.wait_matched(publisher)
    robot.publish(publisher, [text('first')])
    listener.wait_received('/burst', 1)
    robot.publish(publisher, [text(str(number)) for number in range(100)])
    robot.publish(publisher, [text('last')], period=0.3)
    listener.finish()
    report = listener.report('/burst')
    assert listener.texts('/burst')[-1] == 'last'
    assert report.lost > 0
    assert report.received + report.lost == 102


def test_a_guess_is_given_up_once_the_publisher_is_known(
    robot: Any, listen: Listen, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A static topic begins with two subscriptions; one is enough, and nothing falls between."""
    monkeypatch.setattr('mosaico_ros.nodes.discovery._OVERLAP', 1.0)
    listener = listen(static_topics=['/radio:std_msgs/msg/String'], discovery_period_sec=0.05)
    listener.wait_subscribed('/radio')
    publisher = robot.publisher(String, '/radio', 1000)

    def count() -> int:
        return len(robot.node.get_subscriptions_info_by_topic('/radio'))

    wait_for(lambda: count() >= 2, 'both subscriptions')
    sent = 0

    def one_left() -> bool:
        nonlocal sent
        publisher.publish(text(str(sent)))
        sent += 1
        return count() == 1

    wait_for(one_left, 'the end of the others')
    robot.publish(publisher, [text('last')])
    wait_for(lambda: listener.texts('/radio')[-1:] == ['last'], 'the last message')
    listener.finish()
    *heard, _ = listener.texts('/radio')
    # The first ones may have been sent before the two found each other.
    numbers = sorted(map(int, heard))
    assert numbers == list(range(numbers[0], sent))
    assert numbers[0] < sent - 10
    assert (listener.report('/radio').duplicates > 0, listener.report('/radio').lost) == (True, 0)


def test_topics_without_publisher_and_without_other_subscriber(
    robot: Any, listen: Listen, wait_for: Any
) -> None:
    context_node = robot.node
    context_node.create_subscription(String, '/wanted', lambda _: None, 10)
    heard = robot.publisher(String, '/wanted_and_sent', LATCHED)
    context_node.create_subscription(String, '/wanted_and_sent', lambda _: None, 10)
    leaf = robot.publisher(String, '/leaf', LATCHED)
    for publisher in (heard, leaf):
        publisher.publish(text('x'))
    picky = listen(
        topics=['/wanted*', '/leaf'], include_unpublished_topics=True, ignore_leaf_topics=True
    )
    picky.wait_received('/wanted_and_sent', 1)
    picky.wait_subscribed('/wanted')
    assert picky.report('/leaf') is None
    late = robot.publisher(String, '/wanted', LATCHED)
    late.publish(text('late'))
    picky.wait_received('/wanted', 1)
    picky.finish()
    assert picky.texts('/wanted') == ['late']


def test_discovery_once_finds_nothing_later(robot: Any, listen: Listen, wait_for: Any) -> None:
    robot.publisher(String, '/early', LATCHED).publish(text('x'))
    listener = listen(discovery='once', topics=['/early', '/late'], discovery_period_sec=0.05)
    listener.wait_received('/early', 1)
    # 25 looks without news, a hundredth of a second apart.
    wait_for(lambda: listener.capture.pause > 0.04, 'the end of discovery')
    late = robot.publisher(String, '/late', LATCHED)
    late.publish(text('x'))
    wait_for(lambda: listener.node.count_publishers('/late'), 'the late publisher in the graph')
    looks = listener.node.get_clock().now()
    wait_for(
        lambda: (listener.node.get_clock().now() - looks).nanoseconds > 3e8, 'some more looks'
    )
    assert late.get_subscription_count() == 0
    assert listener.capture.never_seen() == ['/late']


def test_what_is_published_is_recorded_though_somebody_listens_with_another_type(
    robot: Any, operator: Any, listen: Listen
) -> None:
    operator.listen(GoalStatusArray, '/mixed')  # the first of the two in the alphabet
    publisher = robot.publisher(String, '/mixed', LATCHED)
    publisher.publish(text('x'))
    # Both are in the graph before anybody decides.
    operator.wait(
        lambda: len(dict(robot.node.get_topic_names_and_types()).get('/mixed', ())) == 2,
        'both types',
    )
    listener = listen(topics=['/mixed'], topic_types=['std_msgs/msg/*'])
    listener.wait_received('/mixed', 1)
    assert listener.report('/mixed').type == 'std_msgs/msg/String'


def test_a_second_type_on_a_topic_is_told_once(
    robot: Any, operator: Any, listen: Listen, wait_for: Any
) -> None:
    first = robot.publisher(String, '/mixed', LATCHED)
    first.publish(text('x'))
    listener = listen(topics=['/mixed'])
    listener.wait_received('/mixed', 1)
    operator.node.create_publisher(GoalStatusArray, '/mixed', 10)

    def told() -> int:
        words = '/mixed is published as action_msgs/msg/GoalStatusArray, too'
        return sum(words in event for event in listener.events)

    wait_for(told, 'the warning')
    first.publish(text('y'))
    listener.wait_received('/mixed', 2)
    listener.finish()
    assert told() == 1


def test_a_type_that_becomes_importable_is_recorded_then(
    robot: Any, listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is hidden from this process at first, as if its package were not built yet."""
    import std_msgs.msg

    publisher = robot.publisher(String, '/odd', LATCHED)
    publisher.publish(text('hello'))
    with monkeypatch.context() as patch:
        patch.delattr(std_msgs.msg, 'String')
        listener = listen(topics=['/odd'])
        listener._wait_for(
            lambda: any('not recording /odd' in event for event in listener.events), 'the refusal'
        )
        assert 'std_msgs' in listener.report('/odd').problem
    listener.wait_received('/odd', 1)
    listener.finish()
    assert sum('not recording /odd' in event for event in listener.events) == 1
    assert listener.report('/odd').problem == ''
    assert listener.texts('/odd') == ['hello']


_PUBLISHER = """
import sys, time, rclpy
from rclpy.qos import QoSProfile, QoSDurabilityPolicy
from std_msgs.msg import String
rclpy.init(args=[])
node = rclpy.create_node('other_process')
latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
node.create_publisher(String, '/described', latched).publish(String(data='from afar'))
stream = node.create_publisher(String, '/stream', QoSProfile(depth=1000))
while not stream.get_subscription_count():
    time.sleep(0.01)
for number in range(500):
    stream.publish(String(data=str(number)))
    time.sleep(0.001)
sys.stdin.read()
"""


def test_another_process_is_heard_whole(listen: Listen, ros_environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, '-c', _PUBLISHER], env=ros_environment, stdin=subprocess.PIPE
    )
    try:
        listener = listen(topics=['/described', '/stream'])
        listener.wait_received('/stream', 500)
        listener.wait_received('/described', 1)
        listener.finish()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
    assert listener.texts('/stream') == [str(number) for number in range(500)]
    assert listener.report('/stream').lost == 0
    (row,) = listener.rows('/described')
    assert row['ros_latched'] is True
    assert row['ros_source_ns'] < row['timestamp_ns']
    assert row['ros_publication'] == 1
