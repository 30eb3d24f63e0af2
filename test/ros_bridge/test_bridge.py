"""The published names: adapters looked up, and used one message at a time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mosaico_ros.bridges.ros import (
    ROSAdapterBase,
    ROSBridge,
    ROSMessage,
    RosSchemaMetadata,
    register_default_adapter,
)
from mosaico_ros.bridges.ros.adapters import IMUAdapter, PoseAdapter, RobotJointAdapter

from mosaico_ros import IMU, Message, MosaicoField, MosaicoType, Serializable, Vector3d
from mosaico_ros.models import Pose
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge import adapters
from mosaico_ros.ros_bridge.adapters.maps import column_map, mapped_types
from mosaico_ros.ros_bridge.definitions import typestore
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

_spec = importlib.util.spec_from_file_location('messages', Path(__file__).parent / 'messages.py')
assert _spec is not None
assert _spec.loader is not None
messages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(messages)

IMU_TYPE = 'sensor_msgs/msg/Imu'
#: Not in the type set of the distribution.
ELSEWHERE = {'nmea_msgs/msg/Sentence'}


def filled(store: Any, msgtype: str) -> Any:
    members = {}
    names = [name for name, _ in store.fielddefs[msgtype][1]]
    if 'header' in names:
        members['header'] = messages.header(store)
    return messages.message(store, msgtype, **members)


@pytest.mark.parametrize('msgtype', sorted(set(mapped_types()) - ELSEWHERE))
def test_an_adapter_does_what_its_map_does(msgtype):
    store = typestore('jazzy')
    payload = bytes(store.serialize_cdr(filled(store, msgtype), msgtype))
    reading = TopicDecoder(msgtype, distro='jazzy', topic='/t')
    row = reading.decode(np.array([7]), [payload]).to_pylist()[0]
    ((_, native),) = reading.messages(np.array([7]), [payload])
    adapter = ROSBridge.get_default_adapter(msgtype)
    assert adapter is not None
    assert adapter.is_rosmsg_type_valid(msgtype)
    translated = ROSBridge.from_ros_message(native)
    assert translated is not None
    assert translated.timestamp_ns == 7
    assert type(translated.data) is adapter.ontology_data_type()
    again = TopicDecoder(msgtype, distro='jazzy', adapter=adapter).decode(np.array([7]), [payload])
    assert again.to_pylist()[0] == row
    back = adapter.to_native(translated, typestore=store, ros_msg_type=msgtype)
    once_more = bytes(store.serialize_cdr(back, msgtype))
    assert reading.decode(np.array([7]), [once_more]).to_pylist()[0] == row


def test_adapters_under_their_published_names():
    for name, ontology in adapters.ADAPTERS.items():
        adapter = getattr(adapters, name)
        assert adapter.__name__ == name
        assert adapter.ontology_data_type().__name__ == ontology
    assert set(PoseAdapter.ros_msg_types()) == {
        f'geometry_msgs/msg/Pose{suffix}'
        for suffix in ('', 'Stamped', 'WithCovariance', 'WithCovarianceStamped')
    }
    with pytest.raises(AttributeError, match='NonsenseAdapter'):
        _ = adapters.NonsenseAdapter


def test_ros1_messages_have_their_own_members():
    store = typestore('noetic')
    joint = messages.message(
        store, 'sensor_msgs/msg/JointState', header=messages.header(store), name=['elbow']
    )
    joint.header.seq = 5
    joint.position = np.array([1.5])
    told = {
        'header': {'seq': 5, 'stamp': {'sec': 12, 'nanosec': 34}, 'frame_id': 'base'},
        'name': ['elbow'],
        'position': [1.5],
        'velocity': [],
        'effort': [],
    }
    made = RobotJointAdapter.from_dict(told)
    assert made.header.sample_counter == 5
    assert made.positions == [1.5]
    back = RobotJointAdapter.to_ros(made, store)
    assert (back.header.seq, back.name) == (5, ['elbow'])


def test_what_is_looked_up():
    assert ROSBridge.is_msgtype_adapted(IMU_TYPE)
    assert not ROSBridge.is_msgtype_adapted('std_msgs/msg/Empty')
    assert ROSBridge.is_mosaico_type_adapted('IMU')
    assert ROSBridge.is_mosaico_type_adapted('imu')
    assert not ROSBridge.is_mosaico_type_adapted('Nonsense')
    assert ROSBridge.is_adapted(IMU)
    assert ROSBridge.get_default_mosaico_adapter('IMU') is IMUAdapter
    assert ROSBridge.get_default_adapters()[IMU_TYPE] is IMUAdapter
    assert ROSBridge.get_default_mosaico_adapters()['IMU'] is IMUAdapter
    unknown = ROSMessage(1, '/t', 'std_msgs/msg/Empty', {})
    assert ROSBridge.from_ros_message(unknown) is None


def test_a_message_of_the_archive_becomes_one_of_ros():
    vector = Vector3d(x=1.0, y=2.0, z=3.0)
    kept = Message(timestamp_ns=3, data=IMU(acceleration=vector, angular_velocity=vector))
    made = ROSBridge.from_mosaico_message(kept, 'humble')
    assert made.linear_acceleration.y == 2.0
    pose = Message(timestamp_ns=3, data=Pose(position=vector_point(), orientation=turn()))
    plain = ROSBridge.from_mosaico_message(pose, 'humble', 'geometry_msgs/msg/Pose')
    assert plain.position.x == 1.0
    with pytest.raises(InvalidArgumentError, match='makes no'):
        ROSBridge.from_mosaico_message(pose, 'humble', IMU_TYPE)
    with pytest.raises(NotFoundError, match='does not know'):
        PoseAdapter.to_ros(pose, typestore('empty'))
    with pytest.raises(InvalidArgumentError, match='not of IMU'):
        PoseAdapter.to_ros(kept, typestore('humble'))


def vector_point() -> Any:
    from mosaico_ros.models import Point3d

    return Point3d(x=1.0, y=0.0, z=0.0)


def turn() -> Any:
    from mosaico_ros.models import Quaternion

    return Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)


def test_members_that_are_missing_are_named():
    with pytest.raises(InvalidArgumentError, match='linear_acceleration'):
        IMUAdapter.from_dict({'angular_velocity': {}})


def test_a_subclass_works_on_columns_until_it_says_otherwise():
    class Same(IMUAdapter):
        pass

    class Louder(IMUAdapter):
        @classmethod
        def from_dict(cls, ros_data):
            made = super().from_dict(ros_data)
            made.acceleration.x *= 2
            return made

    assert Same.column_map(IMU_TYPE) is column_map(IMU_TYPE)
    assert Louder.column_map(IMU_TYPE) is None
    store = typestore('jazzy')
    raw = filled(store, IMU_TYPE)
    raw.linear_acceleration.x = 4.0
    payload = bytes(store.serialize_cdr(raw, IMU_TYPE))
    reading = TopicDecoder(IMU_TYPE, distro='jazzy', adapter=Louder)
    (row,) = reading.decode(np.array([1]), [payload]).to_pylist()
    assert row['acceleration']['x'] == 8.0


class BridgedTicks(Serializable):
    ticks: MosaicoType.uint32 = MosaicoField(description='Of a wheel.')


@register_default_adapter(is_default=True)
class BridgedTicksAdapter(ROSAdapterBase[BridgedTicks]):
    ros_msgtype = ('bridged_msgs/msg/Ticks',)
    __mosaico_ontology_type__ = BridgedTicks

    @classmethod
    def from_dict(cls, ros_data):
        return BridgedTicks(ticks=ros_data['ticks'])

    @classmethod
    def to_ros(cls, data, typestore, ros_msg_type=None):
        content, header = cls.unpack_mosaico_msg(data)
        assert header.frame_id == ''
        return typestore.types[ros_msg_type or cls.get_default_ros_msg()](ticks=content.ticks)


def test_adapters_of_users_come_first():
    from rosbags.typesys import get_types_from_msg
    from rosbags.typesys.store import Typestore

    name = BridgedTicksAdapter.get_default_ros_msg()
    assert ROSBridge.get_default_adapter(name) is BridgedTicksAdapter
    assert ROSBridge.get_default_mosaico_adapter('BridgedTicks') is BridgedTicksAdapter
    store = Typestore()
    store.register(get_types_from_msg('uint8 FEW=3\nuint32 ticks', name))
    message = Message(timestamp_ns=1, data=BridgedTicks(ticks=9))
    assert BridgedTicksAdapter.to_native(message, typestore=store).ticks == 9
    facts = BridgedTicksAdapter.schema_metadata(store, name, 2)
    assert facts['_ros_']['enums'] == {'FEW': 3}
    assert 'uint32 ticks' in facts['_ros_']['msgdef']
    assert BridgedTicksAdapter.schema_metadata(store, IMU_TYPE, 2) is None


def test_metadata_below_the_reserved_key():
    facts = RosSchemaMetadata(msgtype=IMU_TYPE).update(source_file='a.mcap')
    mine = {'site': 'lab', '_ros_': {'msgdef': 'x'}}
    assert facts.merge_into(mine)['_ros_'] == {
        'msgdef': 'x',
        'msgtype': IMU_TYPE,
        'source_file': 'a.mcap',
    }
    assert mine['site'] == 'lab'
    assert RosSchemaMetadata.from_dict(mine).fields == RosSchemaMetadata.extract(mine)
    assert RosSchemaMetadata.extract(None) == {}
    assert facts.to_dict() == {'_ros_': {'msgtype': IMU_TYPE, 'source_file': 'a.mcap'}}
