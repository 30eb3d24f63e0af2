"""The fault snapshot node against real publishers and a real daemon."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from action_msgs.msg import GoalStatus, GoalStatusArray
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import Imu

sys.path.insert(0, str(Path(__file__).parent))
from snapshot_process import NODE, Peer, SnapshotNode, Stream, imu, wait_for

from mosaico_ros.nodes.fault_reporter import FaultReporter
from mosaico_ros.nodes.faults import Severity, fault_code

PRE, POST, RING = 0.5, 0.3, 0.6
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope='module')
def environment(domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    import os

    ros = {
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_LOG_DIR': str(tmp_path_factory.mktemp('ros_log')),
        'ROS_PYTHON_CHECK_FIELDS': '1',
        'PYTHONUNBUFFERED': '1',
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ros.items():
            patch.setenv(name, value)
        yield dict(os.environ)


@pytest.fixture
def peer(domain: int, environment: dict[str, str]) -> Iterator[Peer]:
    made = Peer(domain)
    yield made
    made.close()


@pytest.fixture
def start_node(
    peer: Peer, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., SnapshotNode]]:
    """``start_node(pre_sec=1.0)`` starts one of this test alone."""
    started: list[SnapshotNode] = []

    def start(**parameters: Any) -> SnapshotNode:
        node = SnapshotNode(peer, tmp_path / 'snapshots', environment, parameters)
        started.append(node)
        return node.start()

    yield start
    for node in started:
        node.kill()


@dataclass
class Robot:
    """A robot with a node that watches it; what the tests below look at from all sides."""

    peer: Peer
    node: SnapshotNode
    stream: Stream
    diagnostics: dict[str, DiagnosticStatus]
    latched_at: float


@pytest.fixture(scope='class')
def robot(
    domain: int,
    environment: dict[str, str],
    shared_daemon: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Robot]:
    peer = Peer(domain)
    diagnostics: dict[str, DiagnosticStatus] = {}

    def hear(message: DiagnosticArray) -> None:
        diagnostics.update({each.name.rpartition(': ')[2]: each for each in message.status})

    peer.node.create_subscription(DiagnosticArray, '/diagnostics', hear, 10)
    before = peer.publisher(TransformStamped, '/before', LATCHED)
    before.publish(TransformStamped(child_frame_id='published before the node'))
    parameters = {
        'port': shared_daemon.port,
        'pre_sec': PRE,
        'post_sec': POST,
        'ring_sec': RING,
        'diagnostics_period_sec': 0.1,
        'topics': ['/imu', '/before', '/after', '/absent'],
        'metadata': '{"site": "hall 3"}',
        'software_version': '1.2',
    }
    folder = tmp_path_factory.mktemp('robot') / 'snapshots'
    node = SnapshotNode(peer, folder, environment, parameters).start()
    after = peer.publisher(TransformStamped, '/after', LATCHED)
    frames = [TransformStamped(child_frame_id=name) for name in ('old', 'published with it')]
    peer.publish(after, *frames)
    latched_at = time.monotonic()
    with Stream(peer) as stream:
        node.captures('/imu', '/before', '/after')
        stream.wait(int(150 * RING))
        yield Robot(peer, node, stream, diagnostics, latched_at)
    assert node.stop() == 0, node.log
    peer.close()


def values(daemon: Any, sequence: str) -> list[tuple[int, float]]:
    with daemon.client() as client:
        stream = client.topic_handler(sequence, '/imu').get_data_streamer()
        return [(each.timestamp_ns, each.data.acceleration.x) for each in stream]


def assert_full(told: dict[str, Any], got: list[tuple[int, float]]) -> None:
    """All of the window, from its first to its last moment, nothing missing between."""
    numbers = [int(number) for _, number in got]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    # 100 Hz, on a machine that is shared.
    assert 0 <= got[0][0] - told['window_start_ns'] < 0.15e9
    assert 0 <= told['window_end_ns'] - got[-1][0] < 0.15e9


class TestARobotThatNeverHoldsStill:
    """One node for all of these."""

    def test_a_trigger_brings_the_seconds_around_it_into_the_archive(
        self, shared_daemon: Any, robot: Robot
    ) -> None:
        snapshot_id = robot.node.trigger()
        (told,) = robot.node.told('delivered', snapshot_id=snapshot_id)
        assert_full(told, values(shared_daemon, told['sequence']))
        with shared_daemon.client() as client:
            about = client.sequence_handler(told['sequence']).user_metadata
            topic = client.topic_handler(told['sequence'], '/imu').user_metadata['_ros_']
        assert topic['msgtype'] == 'sensor_msgs/msg/Imu'
        expected = {
            'robot_id': 'r1',
            'fault_code': 'MANUAL',
            'fault_severity': 'INFO',
            'fault_severity_int': 0,
            'fault_status': 'CONFIRMED',
            'reporting_sources': 'trigger',
            'pre_sec': PRE,
            'post_sec': POST,
            'lost_messages': 0,
            'topics_missing': '/absent',
            'software_version': '1.2',
            'schema_version': 1,
            'site': 'hall 3',
            'source_pipeline': 'mosaico_ros',
        }
        assert {key: about[key] for key in expected} == expected
        assert about['snapshot_id'] == about['incident_id'] == about['event_id'] == snapshot_id
        assert about['window_end_ns'] - about['window_start_ns'] == int((PRE + POST) * 1e9)
        assert about['captured_at_seconds'] == pytest.approx(about['window_start_ns'] / 1e9 + PRE)
        assert about['captured_at_iso'].endswith('Z')

    def test_faults_close_together_each_have_their_whole_window_in_a_file_others_read(
        self, shared_daemon: Any, robot: Robot
    ) -> None:
        faults = FaultReporter(robot.peer.node)
        robot.node.captures('/faults/report')
        robot.stream.wait(10)
        faults.failed('GRIPPER_SLIPS', Severity.WARN, 'the object moved', object='bottle')
        robot.stream.wait(30)
        faults.failed('DROP', Severity.CRITICAL, 'the object is gone')
        (first,) = robot.node.told('delivered', fault_code='GRIPPER_SLIPS')
        (second,) = robot.node.told('delivered', fault_code='DROP')
        assert 0.25e9 < second['window_start_ns'] - first['window_start_ns'] < (PRE + POST) * 1e9
        assert first['incident_id'] == second['incident_id'] == first['snapshot_id']
        assert (first['fault_severity'], second['fault_severity_int']) == ('WARNING', 3)
        assert first['fault_extra'] == {'object': 'bottle'}
        assert first['reporting_sources'] == robot.peer.node.get_fully_qualified_name()
        for told in (first, second):
            assert_full(told, values(shared_daemon, told['sequence']))
            with Reader(Path(told['file'])) as reader:
                topics = {connection.topic: connection for connection in reader.connections}
                recorded = [bytes(data) for _, _, data in reader.messages([topics['/imu']])]
                (offer,) = topics['/before'].ext.offered_qos_profiles
                assert offer.durability.name == 'TRANSIENT_LOCAL'
            begin = robot.stream.published.index(recorded[0])
            assert recorded == robot.stream.published[begin : begin + len(recorded)]
            with Path(told['file']).open('rb') as file:
                mcap = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
                records = {record.name: record.metadata for record in mcap.iter_metadata()}
                (attachment,) = mcap.iter_attachments()
                decoded = list(mcap.iter_decoded_messages(topics=['/before']))
            assert records['fault']['fault_code'] == told['fault_code']
            assert records['robot']['robot_id'] == 'r1'
            captured = json.loads(records['capture']['topics'])['/imu']
            assert (captured['messages'], captured['lost']) == (len(recorded), 0)
            frozen = json.loads(attachment.data)['topics']['/imu']
            last = int(frozen['message']['linear_acceleration']['x'])
            assert frozen['age_sec'] < 0.15
            # The last one before the fault, not of the window.
            assert 100 * PRE - 15 < last - begin < 100 * PRE + 5
            assert [each.decoded_message.child_frame_id for each in decoded] == [
                'published before the node'
            ]
            assert decoded[0].message.log_time == told['window_start_ns']

    def test_latched_messages_are_there_long_after_the_ring_forgot_them(
        self, shared_daemon: Any, robot: Robot
    ) -> None:
        wait_for(lambda: time.monotonic() > robot.latched_at + 10 * RING, 'ten times the ring')
        (told,) = robot.node.told('delivered', snapshot_id=robot.node.trigger())
        with shared_daemon.client() as client:
            for topic, expected in (
                ('/before', 'published before the node'),
                ('/after', 'published with it'),
            ):
                # Several where nobody says whose they are (Jazzy): the last counts.
                *_, message = client.topic_handler(told['sequence'], topic).get_data_streamer()
                assert message.data.target_frame_id == expected
                assert told['window_start_ns'] <= message.timestamp_ns <= told['window_end_ns']

    def test_it_says_how_it_is(self, robot: Robot) -> None:
        robot.node.told('delivered', snapshot_id=robot.node.trigger())

        def facts(name: str) -> dict[str, str]:
            return {pair.key: pair.value for pair in robot.diagnostics[name].values}

        delivered = len(robot.node.told('delivered'))
        wait_for(
            lambda: robot.diagnostics['outbox'].message.startswith(
                f'0 waiting, {delivered} deliv'
            ),
            'news of the outbox',
        )
        assert facts('faults')['snapshots'] == str(delivered)
        assert float(facts('ring')['ring MB']) > 0
        assert facts('capture')['lost'] == '0'
        assert {status.hardware_id for status in robot.diagnostics.values()} == {'r1'}
        assert {status.level for status in robot.diagnostics.values()} == {b'\x00'}


RULE = '/imu: linear_acceleration.z < 2.0 -> code FREE_FALL severity ERROR'


def test_every_source_brings_its_faults(
    shared_daemon: Any, peer: Peer, start_node: Callable[..., SnapshotNode]
) -> None:
    node = start_node(
        port=shared_daemon.port,
        value_rules=[RULE],
        post_sec=0.1,
        confirm_count=2,
        overrides=['FREE_FALL: confirm_count=0 confirm_after_sec=0.2', 'ARM: confirm_count=1'],
        min_severity='ERROR',
    )
    diagnostics = peer.publisher(DiagnosticArray, '/diagnostics')
    goals = peer.publisher(GoalStatusArray, '/arm/reach/_action/status')
    readings = peer.publisher(Imu, '/imu')
    faults = FaultReporter(peer.node)
    node.captures('/diagnostics', '/arm/reach/_action/status', '/imu', '/rosout', '/faults/report')
    decided: list[DiagnosticStatus] = []
    events = f'{NODE}/fault_events'
    peer.node.create_subscription(DiagnosticStatus, events, decided.append, 100)
    wait_for(lambda: peer.node.count_publishers(events), 'the events of faults')
    motor = DiagnosticStatus(level=b'\x02', name='motor', message='hot', hardware_id='m1')
    mild = DiagnosticStatus(level=b'\x01', name='battery', message='low')
    peer.publish(diagnostics, *[DiagnosticArray(status=[motor, mild])] * 2)
    aborted = GoalStatus(status=GoalStatus.STATUS_ABORTED)
    peer.publish(goals, GoalStatusArray(status_list=[aborted]))
    peer.publish(readings, imu(0, z=0.3))
    logger = peer.node.get_logger()
    logger.fatal('the planner gave up')
    faults.failed('WHEEL_SLIPS', Severity.WARN, 'for a moment', wheel='left')
    faults.passed('WHEEL_SLIPS')
    told = {each['fault_code']: each for each in node.told('captured', 4)}
    assert {
        code: (each['reporting_sources'], each['fault_description'], each['fault_severity_int'])
        for code, each in told.items()
    } == {
        'MOTOR': ('m1', 'hot', 2),
        'ARM_REACH_ABORTED': ('/arm/reach', 'a goal of /arm/reach was aborted', 2),
        'FREE_FALL': ('/imu', RULE, 2),
        fault_code(f'log {logger.name}'): (logger.name, 'the planner gave up', 3),
    }
    wait_for(lambda: len(decided) >= 5, 'what became of each fault')
    outcomes = {each.name: {v.key: v.value for v in each.values} for each in decided}
    assert {code: outcomes[code]['outcome'] for code in told} == dict.fromkeys(told, 'snapshot')
    assert outcomes['MOTOR']['snapshot_id'] == told['MOTOR']['snapshot_id']
    slip = outcomes['WHEEL_SLIPS']
    assert (slip['outcome'], slip['reports'], slip['wheel']) == ('near_miss', '1', 'left')
    (drop,) = node.told('delivered', fault_code='FREE_FALL')
    with shared_daemon.client() as client:
        topics = client.sequence_handler(drop['sequence']).topics
    assert {'/diagnostics', '/arm/reach/_action/status'} <= set(topics)


def test_snapshots_arrive_after_an_outage_and_a_kill_in_order(
    mortal_daemon: Any, peer: Peer, start_node: Callable[..., SnapshotNode]
) -> None:
    node = start_node(
        port=mortal_daemon.port, pre_sec=PRE, post_sec=POST, overrides=['CRASH: post_sec=3600']
    )
    faults = FaultReporter(peer.node)
    with Stream(peer):
        node.captures('/imu', '/faults/report')
        mortal_daemon.kill()
        node.trigger()
        faults.failed('FIRST')
        node.told('captured', fault_code='FIRST')
        node.told('captured', fault_code='MANUAL')
        # The robot goes down with this one: what was before it is on the disk.
        faults.failed('CRASH')
        wait_for(lambda: any(node.folder.glob('*CRASH*.mcap')), 'the seconds before it')
        node.kill()
        node.start()
        node.captures('/imu', '/faults/report')
        faults.failed('SECOND')
        node.told('captured', fault_code='SECOND')
    mortal_daemon.start()
    order = node.told('delivered', 4)
    codes = [each['fault_code'] for each in order]
    assert codes == ['FIRST', 'CRASH', 'SECOND', 'MANUAL']
    assert [each['window_complete'] for each in order] == [True, False, True, True]
    assert node.stop() == 0
    with mortal_daemon.client() as client:
        names = set(client.list_sequences())
    assert names == {each['sequence'] for each in order}
    for told in order:
        assert values(mortal_daemon, told['sequence'])


def test_a_pause_or_stop_after_a_fault_keeps_what_there_is(
    peer: Peer, start_node: Callable[..., SnapshotNode]
) -> None:
    node = start_node(deliver=False, post_sec=60.0)
    with Stream(peer) as stream:
        node.captures('/imu')
        stream.wait(20)
        first = node.trigger()
        reached = [stream.wait(20)]
        assert node.change_state(Transition.TRANSITION_DEACTIVATE)
        node.told('captured', snapshot_id=first)
        node.said.clear()
        assert node.change_state(Transition.TRANSITION_ACTIVATE)
        wait_for(lambda: node.log.count('recording /imu ') == 2, 'the capture after the pause')
        stream.wait(20)
        node.trigger()
        reached.append(stream.wait(20))
        assert node.stop() == 0
    assert '2 snapshots wait in' in node.log
    entries = [json.loads(path.read_text()) for path in node.folder.glob('*.json')]
    entries.sort(key=lambda entry: entry['stamp_ns'])
    assert [entry['metadata']['window_complete'] for entry in entries] == [False, False]
    for entry, last in zip(entries, reached, strict=True):
        with (node.folder / entry['file']).open('rb') as file:
            messages = list(make_reader(file).iter_messages(topics=['/imu']))
        assert stream.published.index(messages[-1][2].data) >= last - 10


@pytest.mark.parametrize(
    ('parameter', 'reason'),
    [
        ('value_rules:=["/imu: z <"]', 'is not a value rule'),
        ('report_topic:="not good"', "'not good' is no name in ROS"),
        ('pre_sec:=100.0', 'the ring holds 15 s'),
        ('snapshot_dir:=/proc/snapshots', '/proc/snapshots cannot be used'),
    ],
)
def test_wrong_use_is_refused_with_its_reason(
    environment: dict[str, str], tmp_path: Path, parameter: str, reason: str
) -> None:
    command = [sys.executable, '-m', 'mosaico_ros.nodes.fault_snapshot', '--ros-args']
    command += ['-p', f'snapshot_dir:="{tmp_path}"', '-p', parameter]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert 'Traceback' not in done.stderr
