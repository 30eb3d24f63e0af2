"""What can be asked of a recorder while it records."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, KeyValue
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Empty, Trigger

from mosaico_ros import QueryTopic
from mosaico_ros.nodes.recorder_controls import controls
from mosaico_ros.nodes.stop_signals import StopSignals

NODE = '/mosaico_recorder'
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def ask(operator: Any, name: str) -> tuple[bool, str]:
    answer = operator.call(Trigger, f'{NODE}/{name}')
    return answer.success, answer.message


def texts(client: Any, sequence: str, topic: str) -> list[str]:
    streamer = client.topic_handler(sequence, topic).get_data_streamer()
    return [message.data.data for message in streamer]


def set_topics(operator: Any, *topics: str) -> tuple[bool, str]:
    (result,) = operator.call(
        SetParameters,
        f'{NODE}/set_parameters',
        parameters=[Parameter('topics', value=list(topics)).to_parameter_msg()],
    ).results
    return result.successful, result.reason


def test_parameters_may_be_set_while_it_is_not_configured(
    daemon: Any, robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/one'], sequence_name='set_anew')
    publishers = [robot.publisher(String, '/one'), robot.publisher(String, '/two')]
    robot.wait_matched(publishers[0])
    for number in (1, 2):
        for publisher in publishers:
            robot.publish(publisher, [String(data=f'{number}')] * 10)
        recorder.wait_received(('/one', '/two')[number - 1], 10)
        done, reason = set_topics(operator, '/two')
        assert not done
        assert 'topics is fixed while the node is configured' in reason
        assert operator.change(NODE, Transition.TRANSITION_DEACTIVATE)
        assert operator.change(NODE, Transition.TRANSITION_CLEANUP)
        if number == 1:
            done, reason = set_topics(operator, '/two')
            assert done, reason
            assert operator.change(NODE, Transition.TRANSITION_CONFIGURE)
            assert operator.change(NODE, Transition.TRANSITION_ACTIVATE)
            robot.wait_matched(publishers[1])
    assert recorder.finish(signal.SIGINT) == 0
    with daemon.client() as client:
        first, second = (client.sequence_handler(name) for name in ('set_anew', 'set_anew_2'))
        assert (first.topics, second.topics) == (['/one'], ['/two'])
        assert texts(client, first.name, '/one') == ['1'] * 10
        assert texts(client, second.name, '/two') == ['2'] * 10


def test_split_on_demand_begins_each_part_with_what_is_latched(
    daemon: Any, robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/talk', '/map'], sequence_name='on_demand')
    publisher = robot.publisher(String, '/talk')
    latched = robot.publisher(String, '/map', LATCHED)
    robot.wait_matched(publisher, latched)
    robot.publish(latched, [String(data='the map')])
    for part in range(3):
        robot.publish(publisher, [String(data=f'{part} {index}') for index in range(50)])
        recorder.wait_received('/talk', 50 * (part + 1))
        if part < 2:
            done, words = ask(operator, 'split')
            assert done, words
    assert recorder.finish(signal.SIGINT) == 0
    names = ['on_demand', 'on_demand_0002', 'on_demand_0003']
    assert recorder.state()['parts'] == names
    talk, board = recorder.topic('/talk'), recorder.topic('/map')
    assert (talk['received'], talk['stored'], talk['repeated']) == (150, 150, 0)
    assert (board['received'], board['stored'], board['repeated']) == (1, 3, 2)
    with daemon.client() as client:
        for part, name in enumerate(names):
            assert texts(client, name, '/talk') == [f'{part} {index}' for index in range(50)]
            assert texts(client, name, '/map') == ['the map']
            metadata = client.sequence_handler(name).user_metadata
            assert metadata['part'] == part + 1
            assert metadata.get('last_part', False) is (part == 2)


def test_what_comes_while_paused_is_counted_and_not_stored(
    daemon: Any, robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(topics=['/talk'], sequence_name='paused', start_paused=True)
    publisher = robot.publisher(String, '/talk')
    robot.wait_matched(publisher)
    assert ask(operator, 'is_paused') == (True, 'paused paused')
    for word in ('unheard', 'heard', 'unheard', 'heard'):
        done, words = ask(operator, 'resume' if word == 'heard' else 'pause')
        assert done, words
        before = recorder.topic('/talk').get('received', 0)
        robot.publish(publisher, [String(data=word)] * 10)
        recorder.wait_received('/talk', before + 10)
    assert ask(operator, 'toggle_paused')[0]
    assert ask(operator, 'is_paused')[0]
    assert ask(operator, 'stop')[0]
    assert recorder.finish() == 0
    topic = recorder.topic('/talk')
    assert (topic['received'], topic['stored'], topic['paused']) == (40, 20, 20)
    with daemon.client() as client:
        assert texts(client, 'paused', '/talk') == ['heard'] * 20


def test_what_comes_while_paused_does_not_count_as_recorded(
    robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(
        topics=['/talk'],
        sequence_name='bounded',
        start_paused=True,
        stop_after_messages=20,
        rotate_mb=0.001,
    )
    publisher = robot.publisher(String, '/talk')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x' * 100)] * 50)
    recorder.wait_received('/talk', 50)
    done, words = ask(operator, 'resume')
    assert done, words
    robot.publish(publisher, [String(data='x')] * 20)
    assert recorder.process.wait(30) == 0
    topic = recorder.topic('/talk')
    assert (topic['paused'], topic['stored']) == (50, 20)
    assert recorder.state()['parts'] == ['bounded']
    assert any('20 messages are recorded' in event for event in recorder.events())


def test_names_and_fields_are_those_of_rosbag2_where_its_interfaces_are(
    robot: Any, operator: Any, start_recorder: Any, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    # A stand-in for the package, which no package index has; these types of it have no fields.
    services = tmp_path / 'rosbag2_interfaces' / 'srv'
    services.mkdir(parents=True)
    for folder in (services.parent, services):
        (folder / '__init__.py').touch()
    lines = [f'from std_srvs.srv import Empty as {name}' for name in ('Pause', 'Resume', 'Stop')]
    (services / '__init__.py').write_text('\n'.join(lines))
    ros_environment['PYTHONPATH'] = f'{tmp_path}:{ros_environment.get("PYTHONPATH", "")}'
    recorder = start_recorder(topics=['/talk'], sequence_name='like_rosbag2')
    for name, paused in (('pause', True), ('resume', False)):
        operator.call(Empty, f'{NODE}/{name}')
        assert ask(operator, 'std/is_paused')[0] is paused
    operator.call(Empty, f'{NODE}/stop')
    assert recorder.finish() == 0

    # The types that have fields, by the names that rosbag2 gives these.
    answers = {each.name: each.answer for each in controls(lambda: None, StopSignals())}
    assert answers['is_paused'](None) == {'paused': False}
    assert answers['is_recording'](None) == {'recording': False}
    assert answers['is_discovery_running'](None) == {'running': False}
    assert answers['get_subscribed_topics'](None) == {'topics': []}
    refused = {'return_code': 1, 'error_string': 'nothing is being recorded'}
    for name in ('split_bagfile', 'pause', 'start_discovery'):
        assert answers[name](None) == refused
    # What is to happen later is refused, not done now.
    later = Time(sec=2**31 - 1)
    split = answers['split_bagfile'](SimpleNamespace(split_time=later))
    assert split['return_code'] == 4
    assert 'split_time lies in the future' in split['error_string']
    resume = answers['resume'](SimpleNamespace(resume_time=later))
    assert 'resume_time lies in the future' in resume['error_string']


def test_discovery_can_be_stopped_and_started(
    robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(sequence_name='looking', topics=['/a', '/b'], discovery='once')
    first = robot.publisher(String, '/a')
    robot.wait_matched(first)
    assert ask(operator, 'stop_discovery')[0]
    assert not ask(operator, 'is_discovery_running')[0]
    second = robot.publisher(String, '/b')
    time.sleep(1.0)
    assert second.get_subscription_count() == 0
    assert ask(operator, 'get_subscribed_topics') == (True, '/a')
    assert ask(operator, 'start_discovery')[0]
    robot.wait_matched(second)
    assert ask(operator, 'get_subscribed_topics') == (True, '/a /b')
    assert ask(operator, 'is_recording') == (True, 'recording looking')
    assert recorder.finish(signal.SIGINT) == 0


def test_notes_and_accounts_are_stored_with_the_recording(
    daemon: Any, robot: Any, operator: Any, start_recorder: Any
) -> None:
    recorder = start_recorder(
        topics=['/talk'], sequence_name='noted', robot_id='rover-7', software_version='2.1'
    )
    publisher = robot.publisher(String, '/talk')
    notes = robot.publisher(KeyValue, f'{NODE}/metadata')
    robot.wait_matched(publisher, notes)
    robot.publish(notes, [KeyValue(key='lap', value=str(lap)) for lap in range(3)])
    robot.publish(publisher, [String(data='x')] * 5)
    recorder.wait_received('/talk', 5)
    recorder.wait_received('/_marks', 3)
    assert recorder.finish(signal.SIGINT) == 0
    with daemon.client() as client:
        metadata = client.sequence_handler('noted').user_metadata
        assert (metadata['robot_id'], metadata['software_version']) == ('rover-7', '2.1')
        streamer = client.topic_handler('noted', '/_marks').get_data_streamer()
        marks = [(message.timestamp_ns, message.data.raw_data) for message in streamer]
        assert [data for _, data in marks] == [
            {'key': 'lap', 'value': str(lap)} for lap in range(3)
        ]
        assert marks[0][0] < marks[1][0] < marks[2][0]
        account = client.topic_handler('noted', '/talk').user_metadata['account']
        assert account['received'] == account['stored'] == 5
        assert account['lost'] == account['dropped'] == 0
        found = client.query(QueryTopic().with_user_metadata('account.stored', eq=5))
        assert 'noted' in [item.sequence.name for item in found]


def test_each_activation_is_a_recording_of_its_own(
    daemon: Any, robot: Any, operator: Any, start_recorder: Any, wait_for: Any
) -> None:
    recorder = start_recorder(topics=['/talk'], sequence_name='cycle')
    publisher = robot.publisher(String, '/talk')
    for round_number in range(2):
        robot.wait_matched(publisher)
        robot.publish(publisher, [String(data=str(round_number))])
        recorder.wait_received('/talk', 1)
        assert operator.change(NODE, Transition.TRANSITION_DEACTIVATE)
        wait_for(lambda: recorder.state()['state'] == 'closed', 'the last report')
        assert ask(operator, 'split') == (False, 'nothing is being recorded')
        if round_number == 0:
            assert operator.change(NODE, Transition.TRANSITION_ACTIVATE)
    assert recorder.finish(signal.SIGINT) == 0
    with daemon.client() as client:
        assert texts(client, 'cycle', '/talk') == ['0']
        assert texts(client, 'cycle_2', '/talk') == ['1']


def test_diagnostics_tell_how_the_recording_goes(
    robot: Any, operator: Any, start_recorder: Any
) -> None:
    heard = operator.listen(DiagnosticArray, '/diagnostics')
    recorder = start_recorder(
        topics=['/talk'], sequence_name='healthy', diagnostics_period_sec=0.2
    )
    publisher = robot.publisher(String, '/talk')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 5)

    def told() -> dict[str, Any]:
        statuses = [each for array in heard for each in array.status]
        return {each.name.partition(': ')[2]: each for each in statuses}

    def values(name: str) -> dict[str, str]:
        status = told().get(name)
        return {each.key: each.value for each in status.values} if status else {}

    operator.wait(lambda: values('recording').get('stored') == '5', 'five stored messages')
    assert values('losses')['/talk'] == 'lost on the way 0, dropped 0, malformed 0'
    assert told()['spool'].level == b'\x00'
    assert recorder.finish(signal.SIGINT) == 0
    json.dumps(recorder.state())
