"""Topics of one type decoded together: the same rows as each alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import captured, message

from mosaico_ros import MosaicoType, Serializable
from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.decoding import Decoders, decode, together
from mosaico_ros.nodes.latched_file import LatchedFile
from mosaico_ros.nodes.spool import Position, SpooledTopic
from mosaico_ros.nodes.spool_log import Piece, Share
from mosaico_ros.nodes.topic_delivery import TopicDelivery
from mosaico_ros.ros_bridge import ROSAdapterBase, register_default_adapter

IMU, JOINTS = 'sensor_msgs/msg/Imu', 'sensor_msgs/msg/JointState'
BROKEN = b'\0\1\0\0\xff\xff\xff\x7f'
STAMP = 1_700_000_000 * 10**9


class Fleet:
    """Topics with rows that wait to be decoded."""

    def __init__(self) -> None:
        self.decoders = Decoders()
        self.topics: list[TopicDelivery] = []

    def add(self, msgtype: str, *batches: list[bytes], definition: str = '') -> TopicDelivery:
        number = len(self.topics)
        topic = TopicDelivery(
            SpooledTopic(number, f'/topic{number}', msgtype, {}, definition),
            TopicAccount(f'/topic{number}', msgtype),
            Position(),
            self.decoders,
            lambda _pieces: None,
            LatchedFile(Path('/nowhere')),
        )
        first = 0
        for payloads in batches:
            end = first + len(payloads)
            rows = captured(range(STAMP + first, STAMP + end), payloads)
            topic.take(Piece(Share(number, first, len(payloads), 100), rows, False), 0.0)
            first = end
        self.topics.append(topic)
        return topic


def imu(place: int, frame: str) -> bytes:
    return message(IMU, {'header': {'frame_id': frame}, 'linear_acceleration': {'x': place + 0.5}})


def joints(*names: str) -> bytes:
    return message(JOINTS, {'name': list(names), 'position': [1.0] * len(names)})


def alone(topic: TopicDelivery) -> pa.RecordBatch:
    return decode(topic.decoder, pa.concat_batches(topic.waiting)).rows


def through_ipc(rows: pa.RecordBatch) -> pa.RecordBatch:
    return pa.ipc.read_record_batch(rows.serialize(), rows.schema)


def test_topics_of_one_type_are_decoded_together_into_the_rows_of_each() -> None:
    fleet = Fleet()
    for topic in range(4):
        fleet.add(IMU, *([imu(topic, 'x' * topic)] * count for count in range(1, topic + 2)))
        fleet.add(JOINTS, [joints(*'abcde'[:topic]), joints('wheel')])
    seen = []
    for topic, decoded in together(fleet.topics):
        assert decoded is not None
        seen.append(topic)
        expected = alone(topic)
        assert decoded.rows.equals(expected)
        assert through_ipc(decoded.rows).equals(expected)
        assert decoded.captured.equals(pa.concat_batches(topic.waiting))
        assert decoded.malformed == 0
    assert {id(topic) for topic in seen} == {id(topic) for topic in fleet.topics}
    assert len(seen) == len(fleet.topics)
    assert len({id(topic.decoder) for topic in fleet.topics}) == 2


def test_a_malformed_message_is_not_laid_at_another_topics_door() -> None:
    fleet = Fleet()
    good = fleet.add(IMU, [imu(1, 'a')])
    bad = fleet.add(IMU, [imu(2, 'b'), BROKEN])
    sent: dict[str, pa.RecordBatch] = {}

    class Writer:
        def __init__(self, name: str) -> None:
            self.name = name

        def push_batch(self, rows: pa.RecordBatch, commit: bool) -> None:
            sent[self.name] = rows

    for topic, decoded in together(fleet.topics):
        topic.push(lambda each: (Writer(each.topic.name), None), 1 << 20, decoded)
        topic.acknowledge(1)
    assert {name: len(rows) for name, rows in sent.items()} == {'/topic0': 1, '/topic1': 1}
    assert (good.account.malformed, bad.account.malformed) == (0, 1)


def test_what_cannot_or_need_not_be_decoded_together_is_left_to_the_topic() -> None:
    fleet = Fleet()
    fleet.add('nobody_msgs/msg/Knows', [BROKEN])
    fleet.add(IMU, [imu(1, 'a')])  # the only one of its type
    large = fleet.add(JOINTS, [joints('a')])
    fleet.add(JOINTS, [joints('b')])
    large.waiting_size = 10_000_000
    assert [decoded for _, decoded in together(fleet.topics)] == [None] * 4


class Named(Serializable):
    """The name of the topic that a message came by."""

    text: MosaicoType.string


def test_an_adapter_that_sees_the_topic_sees_the_right_one() -> None:
    @register_default_adapter
    class NamedAdapter(ROSAdapterBase[Named]):
        ros_msgtype = 'decoded_alone_msgs/msg/Named'
        __mosaico_ontology_type__ = Named

        @classmethod
        def from_dict(cls, ros_data: dict[str, Any]) -> Named:
            return Named(text='')

        @classmethod
        def translate(cls, ros_msg: Any, **kwargs: Any) -> Any:
            message = super().translate(ros_msg, **kwargs)
            message.data.text = ros_msg.topic
            return message

    fleet = Fleet()
    for _ in range(2):
        fleet.add(
            'decoded_alone_msgs/msg/Named', [b'\0\1\0\0\1\0\0\0'], definition='uint32 number'
        )
    for topic, decoded in together(fleet.topics):
        rows = decoded.rows if decoded else alone(topic)
        assert rows.column('text').to_pylist() == [topic.topic.name]
