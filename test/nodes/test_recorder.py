"""The recorder against real publishers and a real daemon."""

from __future__ import annotations

import signal
import socket
import time
from typing import Any

import pytest

pytest.importorskip('rclpy')

from geometry_msgs.msg import Vector3Stamped
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Imu, Temperature
from std_msgs.msg import String

SIGINT, SIGTERM = signal.SIGINT, signal.SIGTERM


def imu(index: int) -> Imu:
    message = Imu()
    message.header.frame_id = 'imu'
    message.header.stamp.sec = index
    message.linear_acceleration.y = float(index)
    return message


def stored(daemon: Any, sequence: str, topic: str) -> list[Any]:
    with daemon.client() as client:
        return [
            message.data for message in client.topic_handler(sequence, topic).get_data_streamer()
        ]


@pytest.mark.parametrize(
    'signals', [(SIGINT,), (SIGINT, SIGINT, SIGINT), (SIGTERM,), (SIGTERM, SIGINT)], ids=str
)
def test_a_signal_closes_the_recording_with_every_message(
    daemon: Any, robot: Any, start_recorder: Any, signals: tuple[signal.Signals, ...]
) -> None:
    # Nothing is sent or committed by time: all of it depends on the closing.
    recorder = start_recorder(topics=['/imu'], commit_period_sec=60.0)
    publisher = robot.publisher(Imu, '/imu')
    robot.wait_matched(publisher)
    robot.publish(publisher, [imu(index) for index in range(500)], period=0.0005)
    assert recorder.finish(*signals) == 0
    topic = recorder.topic('/imu')
    assert (topic['received'], topic['stored'], topic['lost']) == (500, 500, 0)
    assert recorder.state()['state'] == 'closed'
    data = stored(daemon, recorder.state()['sequence'], '/imu')
    assert [each.acceleration.y for each in data] == [float(index) for index in range(500)]


def test_rows_are_readable_columns_with_receive_stamps_and_metadata(
    daemon: Any, robot: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/imu'], metadata='{"robot": "r1"}', sequence_name='columns')
    publisher = robot.publisher(Imu, '/imu')
    robot.wait_matched(publisher)
    before = time.time_ns()
    robot.publish(publisher, [imu(index) for index in range(10)], period=0.01)
    after = time.time_ns()
    assert recorder.finish(SIGINT) == 0
    with daemon.client() as client:
        sequence = client.sequence_handler('columns')
        assert sequence.user_metadata['robot'] == 'r1'
        assert sequence.user_metadata['recording']['node'] == '/mosaico_recorder'
        topic = client.topic_handler('columns', '/imu')
        assert topic.ontology_tag == 'IMU'
        ros = topic.user_metadata['_ros_']
        assert ros['msgtype'] == 'sensor_msgs/msg/Imu'
        assert ros['offered_qos'][0]['reliability'] == 'reliable'
        assert ros['type_hash'].startswith('RIHS01_')
        stamps = [message.timestamp_ns for message in topic.get_data_streamer()]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] < stamps[-1] <= after


def test_a_publisher_that_comes_late_is_recorded(
    daemon: Any, robot: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/late*', '/never'])
    time.sleep(1.0)
    publisher = robot.publisher(String, '/late')
    recorder.wait_recording('/late')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='hello'), String(data='again')])
    recorder.wait_received('/late', 2)
    assert recorder.finish(SIGINT) == 0
    assert [each.data for each in stored(daemon, recorder.state()['sequence'], '/late')] == [
        'hello',
        'again',
    ]
    assert any('/never was asked for' in event for event in recorder.events())


def test_latched_messages_are_fetched(daemon: Any, robot: Any, start_recorder: Any) -> None:
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    publisher = robot.publisher(String, '/robot_description', latched)
    publisher.publish(String(data='published before the recorder started'))
    recorder = start_recorder(topics=['/robot_description'])
    recorder.wait_received('/robot_description', 1)
    assert recorder.finish(SIGINT) == 0
    (data,) = stored(daemon, recorder.state()['sequence'], '/robot_description')
    assert data.data == 'published before the recorder started'


def test_a_best_effort_publisher_beside_a_reliable_one_is_heard(
    robot: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/mixed'])
    reliable = robot.publisher(String, '/mixed')
    robot.wait_matched(reliable)
    robot.publish(reliable, [String(data='reliable')])
    recorder.wait_received('/mixed', 1)
    weak = robot.publisher(
        String, '/mixed', QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    )
    robot.wait_matched(weak)
    weak.publish(String(data='best effort'))
    recorder.wait_received('/mixed', 2)
    assert recorder.finish(SIGINT) == 0
    assert any('different qualities of service' in event for event in recorder.events())


def test_selection_by_type_and_exclusion(robot: Any, start_recorder: Any) -> None:
    publishers = [
        robot.publisher(Temperature, '/motor/temperature'),
        robot.publisher(Temperature, '/battery/temperature'),
        robot.publisher(Vector3Stamped, '/force'),
    ]
    recorder = start_recorder(
        topic_types=['sensor_msgs/msg/*'], exclude_regex='battery', discovery_period_sec=0.1
    )
    recorder.wait_recording('/motor/temperature')
    robot.publish(publishers[0], [Temperature(temperature=1.5)])
    recorder.wait_received('/motor/temperature', 1)
    assert recorder.finish(SIGINT) == 0
    assert [topic['name'] for topic in recorder.state()['topics']] == ['/motor/temperature']


def test_a_missing_message_package_is_said_once_and_counted(
    robot: Any, start_recorder: Any, monkeypatch: pytest.MonkeyPatch, ros_environment: Any,
    tmp_path: Any,
) -> None:  # fmt: skip
    # The recorder's process finds an empty package where the robot's has nav_msgs.
    (tmp_path / 'nav_msgs').mkdir()
    (tmp_path / 'nav_msgs' / '__init__.py').touch()
    from nav_msgs.msg import Odometry

    publisher = robot.publisher(Odometry, '/odom')
    fine = robot.publisher(String, '/fine')
    path = ros_environment.get('PYTHONPATH', '')
    ros_environment['PYTHONPATH'] = f'{tmp_path}:{path}'
    recorder = start_recorder(topics=['/odom', '/fine'], discovery_period_sec=0.1)
    robot.wait_matched(fine)
    robot.publish(fine, [String(data='x')])
    recorder.wait_received('/fine', 1)
    assert recorder.finish(SIGINT) == 3
    warnings = [event for event in recorder.events() if 'not recording /odom' in event]
    assert len(warnings) == 1
    assert 'nav_msgs' in warnings[0]
    assert 'nav_msgs' in recorder.topic('/odom')['problem']
    assert recorder.topic('/fine')['stored'] == 1
    assert publisher.get_subscription_count() == 0


def test_callbacks_record_the_same(daemon: Any, robot: Any, start_recorder: Any) -> None:
    recorder = start_recorder(topics=['/imu'], intake='callbacks')
    publisher = robot.publisher(Imu, '/imu')
    robot.wait_matched(publisher)
    robot.publish(publisher, [imu(index) for index in range(100)], period=0.002)
    recorder.wait_received('/imu', 100)
    assert recorder.finish(SIGINT) == 0
    topic = recorder.topic('/imu')
    assert (topic['received'], topic['stored'], topic['lost']) == (100, 100, 0)


def test_a_taken_name_gets_a_number(robot: Any, start_recorder: Any) -> None:
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    robot.publisher(String, '/latched', latched).publish(String(data='x'))
    names = []
    for _ in range(2):
        recorder = start_recorder(topics=['/latched'], sequence_name='same')
        recorder.wait_received('/latched', 1)
        assert recorder.finish(SIGINT) == 0
        names.append(recorder.state()['sequence'])
    assert names == ['same', 'same_2']


def test_a_recording_of_nothing_leaves_nothing(daemon: Any, start_recorder: Any) -> None:
    recorder = start_recorder(topics=['/nothing'], sequence_name='nothing')
    assert recorder.finish(SIGINT) == 0
    assert any('nothing was received' in event for event in recorder.events())
    with daemon.client() as client:
        assert 'nothing' not in client.list_sequences()


def test_a_recording_of_nothing_without_a_daemon_leaves_nothing(
    start_recorder: Any, tmp_path: Any
) -> None:
    with socket.create_server(('127.0.0.1', 0)) as nobody:
        port = nobody.getsockname()[1]
    recorder = start_recorder(topics=['/nothing'], port=port, topcis=['/imu'])
    assert recorder.finish(SIGINT) == 0
    assert any('nothing was received' in event for event in recorder.events())
    assert not list((tmp_path / 'spool').iterdir())
    assert 'topcis has no effect: this node has none of that name; did you mean topics?' in (
        recorder.errors.read_text()
    )


def test_it_stops_by_itself_after_the_duration(start_recorder: Any) -> None:
    recorder = start_recorder(duration_sec=0.5)
    assert recorder.process.wait(20) == 0


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'port': 0}, 'parameter port'),
        ({'commit_period_sec': 1}, 'decimal point'),
        ({'regex': '('}, 'regex'),
        ({'topics': ['no good!']}, "'no good!' is no name in ROS"),
        ({'metadata': '[1]'}, 'metadata must be a JSON object'),
        ({'sequence_name': '{robot}'}, 'known placeholders'),
        (
            {'sequence_name': 'drive/1'},
            "The sequence name 'drive/1' contains forbidden characters",
        ),
        ({'report': 'loud'}, 'report must be one of'),
    ],
)
def test_wrong_parameters_are_refused_by_name(
    start_recorder: Any, parameters: dict[str, Any], words: str
) -> None:
    recorder = start_recorder(**parameters)
    assert recorder.process.wait(20) == 2
    assert words in recorder.errors.read_text()
    assert 'Traceback' not in recorder.errors.read_text()
