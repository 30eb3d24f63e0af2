"""Messages between ROS 1 and ROS 2, held against what rosbags reads of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mosaico_ros.protocol.errors import DataLossError
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.definitions import Definition, find_definition, typestore
from mosaico_ros.ros_bridge.ros_versions import VersionTranslator

#: As rtabmap and others have it: the calibration inside of something else.
EYE = 'string name\nsensor_msgs/CameraInfo camera\n'


def header(frame: str) -> Any:
    types = typestore('jazzy').types
    stamp = types['builtin_interfaces/msg/Time'](sec=7, nanosec=8)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame)


def camera() -> Any:
    types = typestore('jazzy').types
    return types['sensor_msgs/msg/CameraInfo'](
        header=header('eye'),
        height=480,
        width=640,
        distortion_model='plumb_bob',
        d=np.arange(5.0),
        k=np.arange(9.0),
        r=np.arange(9.0) * 2,
        p=np.arange(12.0),
        binning_x=1,
        binning_y=1,
        roi=types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )


def to_ros1(definition: Definition, messages: list[Any]) -> tuple[list[Any], list[str]]:
    """What rosbags reads of messages of ROS 2 in ROS 1, and the members that are lost."""
    target = definition.for_ros(1)
    store = definition.messages
    raw = [bytes(store.serialize_cdr(message, definition.msgtype)) for message in messages]
    translator = VersionTranslator(definition, target)
    made = translator.translate(Payloads.join(raw))
    read = target.messages.deserialize_ros1
    return [read(bytes(one), target.msgtype) for one in made], translator.lost


def test_members_are_found_in_the_letters_of_either_version():
    definition = find_definition('pkg/msg/Eye', EYE, distro='jazzy')
    eye = definition.messages.types['pkg/msg/Eye'](name='left', camera=camera())
    (made,), lost = to_ros1(definition, [eye])
    assert made.name == 'left'
    assert made.camera.header.frame_id == 'eye'
    assert made.camera.D.tolist() == [0, 1, 2, 3, 4]
    assert made.camera.K.tolist() == list(range(9))
    assert made.camera.P.tolist() == list(range(12))
    assert lost == []

    back = VersionTranslator(definition.for_ros(1), definition)
    old = definition.for_ros(1)
    raw = bytes(old.messages.serialize_ros1(made, old.msgtype))
    (again,) = back.translate(Payloads.join([raw]))
    read = definition.messages.deserialize_cdr(bytes(again), 'pkg/msg/Eye')
    assert read.camera.d.tolist() == [0, 1, 2, 3, 4]
    assert read.camera.r.tolist() == eye.camera.r.tolist()
    assert back.lost == []  # headers of ROS 1 have a counter, which nobody misses


def test_members_that_the_other_version_lacks_are_named_where_they_have_values():
    definition = find_definition('sensor_msgs/msg/Range', distro='jazzy')
    make = definition.messages.types['sensor_msgs/msg/Range']

    def measured(variance: float) -> Any:
        return make(header('sonar'), 0, 0.1, 0.2, 4.0, 1.5, variance)

    (plain,), lost = to_ros1(definition, [measured(0.0)])
    assert (plain.range, lost) == (1.5, [])
    _, lost = to_ros1(definition, [measured(0.0), measured(0.25), measured(0.5)])
    assert lost == ['variance']


def test_members_are_looked_for_inside_of_lists():
    definition = find_definition('pkg/msg/Echoes', 'sensor_msgs/Range[] all\n', distro='jazzy')
    types = definition.messages.types
    one = types['sensor_msgs/msg/Range'](header('sonar'), 0, 0.1, 0.2, 4.0, 1.5, 0.25)
    (made, none), lost = to_ros1(
        definition, [types['pkg/msg/Echoes']([one, one]), types['pkg/msg/Echoes']([])]
    )
    assert [echo.range for echo in made.all] == [1.5, 1.5]
    assert none.all == []
    assert lost == ['all[].variance']


def test_the_order_stays_where_encapsulations_are_mixed():
    definition = find_definition('std_msgs/msg/Int32', distro='jazzy')
    little, big = b'\0\1\0\0', b'\0\0\0\0'
    raw = [
        head + value.to_bytes(4, order)
        for value, (head, order) in enumerate([(little, 'little'), (big, 'big')] * 3)
    ]
    made = VersionTranslator(definition, definition.for_ros(1)).translate(Payloads.join(raw))
    assert [int.from_bytes(bytes(one), 'little') for one in made] == list(range(6))


def test_what_is_no_message_is_not_passed_over():
    definition = find_definition('std_msgs/msg/Int32', distro='jazzy')
    translator = VersionTranslator(definition, definition.for_ros(1))
    with pytest.raises(DataLossError, match='1 stored messages cannot be read'):
        translator.translate(Payloads.join([b'\0\1\0\0\5\0\0\0', b'\0\1\0\0\5\0']))
