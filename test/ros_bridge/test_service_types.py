"""Events of services and the topics of actions, as columns."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.definitions import find_definition
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder


def test_service_events_written_by_rclpy_are_read() -> None:
    pytest.importorskip('rclpy')
    from rclpy.serialization import serialize_message
    from std_srvs.srv import SetBool, Trigger

    event = SetBool.Event()
    event.info.sequence_number = 7
    event.request = [SetBool.Request(data=True)]
    answered = SetBool.Event(response=[SetBool.Response(success=True, message='on')])
    decoder = TopicDecoder('std_srvs/srv/SetBool_Event')
    payloads = Payloads.join([serialize_message(event), serialize_message(answered)])
    rows = decoder.decode(np.array([1, 2]), payloads).to_pylist()
    assert rows[0]['info']['sequence_number'] == 7
    assert (rows[0]['request'], rows[0]['response']) == ([{'data': True}], [])
    assert rows[1]['response'] == [{'success': True, 'message': 'on'}]

    # A request without members still takes a byte on the wire.
    empty = Trigger.Event(request=[Trigger.Request()])
    empty.response = [Trigger.Response(success=True, message='done')]
    decoder = TopicDecoder('std_srvs/srv/Trigger_Event')
    (row,) = decoder.decode(np.array([1]), Payloads.join([serialize_message(empty)])).to_pylist()
    assert row['response'] == [{'success': True, 'message': 'done'}]
    assert len(row['request']) == 1


def test_the_text_of_a_service_event_defines_it_again() -> None:
    pytest.importorskip('std_srvs')
    known = find_definition('std_srvs/srv/SetBool_Event')
    again = find_definition('std_srvs/srv/SetBool_Event', known.text)
    assert again.text == known.text
    # Texts know only messages: the parts come back under such names.
    assert 'std_srvs/msg/SetBool_Request' in again.types


ACTION = """\
# where to
float64 distance
---
bool arrived
---
float32 left
"""


def test_the_messages_of_an_action_follow_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / 'share' / 'drive_msgs' / 'action'
    folder.mkdir(parents=True)
    (folder / 'Drive.action').write_text(ACTION)
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join([str(tmp_path), '']))

    def members(name: str) -> list[str]:
        definition = find_definition(f'drive_msgs/action/Drive_{name}')
        return [member for member, _ in definition.types[definition.msgtype][1]]

    assert members('FeedbackMessage') == ['goal_id', 'feedback']
    assert members('Feedback') == ['left']
    assert members('SendGoal_Request') == ['goal_id', 'goal']
    assert members('SendGoal_Response') == ['accepted', 'stamp']
    assert members('GetResult_Response') == ['status', 'result']
    event = find_definition('drive_msgs/action/Drive_SendGoal_Event')
    assert {name for name in event.types if name.startswith('drive_msgs')} == {
        'drive_msgs/action/Drive_SendGoal_Event',
        'drive_msgs/action/Drive_SendGoal_Request',
        'drive_msgs/action/Drive_SendGoal_Response',
        'drive_msgs/action/Drive_Goal',
    }
