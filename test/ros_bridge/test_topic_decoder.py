"""Payloads of a topic to rows of its ontology type."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import wire

from mosaico_ros import IMU, Image, MosaicoField, MosaicoType, Serializable
from mosaico_ros.models.core.columns import decode
from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.ros_bridge import ROSAdapterBase, ROSMessage, TopicDecoder
from mosaico_ros.ros_bridge.adapter_base import register_default_adapter
from mosaico_ros.ros_bridge.adapters.helpers import _validate_msgdata
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE
from mosaico_ros.ros_bridge.definitions import typestore
from mosaico_ros.ros_bridge.residual import Fidelity

STORE = typestore('jazzy')


def serialize(msgtype, message) -> bytes:
    return bytes(STORE.serialize_cdr(message, msgtype))


def new(msgtype, *values):
    return STORE.types[msgtype](*values)


def imu(x: float, orientation_covariance=0.0) -> bytes:
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 7, 8), 'imu_link')
    vector = new('geometry_msgs/msg/Vector3', x, 0.0, 9.8)
    covariance = np.zeros(9)
    covariance[0] = orientation_covariance
    turn = new('geometry_msgs/msg/Quaternion', 0.0, 0.0, 0.0, 1.0)
    zero = np.zeros(9)
    message = new('sensor_msgs/msg/Imu', head, turn, covariance, vector, zero, vector, zero)
    return serialize('sensor_msgs/msg/Imu', message)


def test_rows_read_as_messages_of_the_model():
    decoder = TopicDecoder('sensor_msgs/Imu')
    assert decoder.ontology_type is IMU
    batch = decoder.decode(np.array([10, 20]), [imu(1.0), imu(2.0, orientation_covariance=-1.0)])
    assert batch.schema == decoder.schema
    first, second = decode(IMU, batch)
    assert (first.timestamp_ns, second.timestamp_ns) == (10, 20)
    assert first.data.acceleration.x == 1.0
    assert first.data.header.frame_id == 'imu_link'
    assert first.data.header.timestamp.to_nanoseconds() == 7 * 10**9 + 8
    assert first.data.orientation.w == 1.0
    assert second.data.orientation is None  # the robot said that it does not know


def test_broken_rows_are_left_out_with_their_times():
    decoder = TopicDecoder('sensor_msgs/msg/Imu')
    batch = decoder.decode(np.array([1, 2, 3]), [imu(1.0), imu(2.0)[:90], imu(3.0)])
    assert batch['timestamp_ns'].to_pylist() == [1, 3]
    assert decoder.malformed == 1
    nothing = decoder.decode(np.array([4]), [b''])
    assert (nothing.num_rows, nothing.schema) == (0, decoder.schema)
    assert decoder.malformed == 2


def test_mixed_byte_orders_keep_their_order():
    decoder = TopicDecoder('std_msgs/msg/UInt32')
    payloads = [
        (b'\0\1\0\0' + i.to_bytes(4, 'little')) if i % 2 else (b'\0\0\0\0' + i.to_bytes(4, 'big'))
        for i in range(9)
    ]
    batch = decoder.decode(np.arange(9), payloads)
    assert batch['data'].to_pylist() == batch['timestamp_ns'].to_pylist() == list(range(9))


def test_large_payloads_beside_small_and_broken_ones():
    msgtype = 'sensor_msgs/msg/CompressedImage'
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 1, 2), 'camera')
    blobs = [np.full(size, i, np.uint8) for i, size in enumerate((900_000, 10, 1_200_000, 0))]
    payloads = [serialize(msgtype, new(msgtype, head, 'jpeg', blob)) for blob in blobs]
    payloads.insert(2, payloads[0][:500_000])
    decoder = TopicDecoder(msgtype)
    batch = decoder.decode(np.arange(5), payloads)
    batch.validate(full=True)
    assert batch['timestamp_ns'].to_pylist() == [0, 1, 3, 4]
    assert batch['data'].to_pylist() == [blob.tobytes() for blob in blobs]
    assert decoder.malformed == 1


@pytest.mark.parametrize(
    ('words', 'container'),
    [
        ('jpeg', 'jpeg'),
        ('rgb8; jpeg compressed bgr8', 'jpeg'),
        ('bgr8; png compressed bgr8', 'png'),
        ('16UC1; compressedDepth png', 'png'),
        ('32FC1; compressedDepth', 'png'),
        ('16UC1; compressedDepth rvl', 'raw'),
        ('H264', 'h264'),
        ('h265', 'hevc'),
        ('av1', 'av1'),
        ('vp9', 'vp9'),
        ('', 'png'),
        ('webp', 'raw'),
    ],
)
def test_container_of_a_compressed_image(words, container):
    msgtype = 'sensor_msgs/msg/CompressedImage'
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 1, 2), 'camera')
    payload = serialize(msgtype, new(msgtype, head, words, np.zeros(3, np.uint8)))
    batch = TopicDecoder(msgtype).decode(np.arange(1), [payload])
    assert batch['format'].to_pylist() == [container]


@pytest.mark.parametrize('order', '<>')
def test_rows_of_an_image_are_its_pixels(order):
    msgtype = 'sensor_msgs/msg/Image'
    depths = np.array([[0, 1500], [65535, 1]], f'{order}u2')
    padded = np.full((2, 7), 99, np.uint8)
    padded[:, :4] = depths.view(np.uint8)
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 1, 2), 'camera')
    image = new(msgtype, head, 2, 2, '16UC1', order == '>', 7, padded.reshape(-1))
    batch = TopicDecoder(msgtype).decode(np.arange(1), [serialize(msgtype, image)])
    (message,) = decode(Image, batch)
    np.testing.assert_array_equal(message.data.to_numpy(), depths)
    np.testing.assert_array_equal(
        message.data.to_depth(), np.array([[np.nan, 1.5], [65.535, 0.001]], np.float32)
    )


@pytest.mark.parametrize('fidelity', Fidelity)
def test_memory_of_decoding_is_free_without_the_garbage_collector(fidelity):
    msgtype = 'sensor_msgs/msg/CompressedImage'
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 1, 2), 'camera')
    payload = serialize(msgtype, new(msgtype, head, 'jpeg', np.zeros(1_000_000, np.uint8)))
    decoder = TopicDecoder(msgtype, fidelity=fidelity)
    decoder.decode(np.arange(1), [payload])
    gc.collect()
    gc.disable()  # a few pictures are too few objects to call it
    tracemalloc.start()
    try:
        decoder.decode(np.arange(1), [payload])
        left, _ = tracemalloc.get_traced_memory()
        assert left < 100_000
    finally:
        tracemalloc.stop()
        gc.enable()


def test_as_many_times_as_payloads():
    with pytest.raises(InvalidArgumentError, match='2 timestamps for 1 payloads'):
        TopicDecoder('std_msgs/msg/String').decode(np.arange(2), [b''])


def test_metadata_tells_where_rows_came_from():
    about = TopicDecoder('sensor_msgs/msg/BatteryState').metadata()['_ros_']
    assert about['msgtype'] == 'sensor_msgs/msg/BatteryState'
    assert about['enums']['POWER_SUPPLY_STATUS_FULL'] == 4
    assert 'float32 voltage' in about['msgdef']
    assert 'MSG: std_msgs/Header' in about['msgdef']
    assert about['type_hash'].startswith('RIHS01_')


# --- derived types ------------------------------------------------------------------------------

ODD = """
uint8 KIND_A=1
bool[2] flags
byte level
float32[] samples
uint8[] blob
Part[] parts
Part[2] pair
builtin_interfaces/Duration left
string<=10 note
wstring title
int64 timestamp_ns
================================================================================
MSG: odd_msgs/Part
string name
uint16[] codes
"""


def test_an_unknown_type_keeps_every_field():
    """Values through a derived type, fields that clash with the envelope included."""
    decoder = TopicDecoder('odd_msgs/msg/Odd', ODD)
    assert decoder.ontology_type.ontology_tag() == 'Odd'
    names = decoder.schema.names
    assert names == [
        *('timestamp_ns', 'flags', 'level', 'samples', 'blob', 'parts', 'pair', 'left'),
        *('note', 'title', 'timestamp_ns_'),
    ]
    assert decoder.schema.field('blob').type == pa.binary()
    assert all(decoder.schema.field(name).nullable for name in names[1:])
    value = {
        'flags': [True, False],
        'level': 200,
        'samples': [1.5, -2.0],
        'blob': b'\0\1\xff',
        'parts': [{'name': 'a', 'codes': [1, 65535]}, {'name': '', 'codes': []}],
        'pair': [{'name': 'left', 'codes': [7]}, {'name': 'right', 'codes': []}],
        'left': {'sec': -1, 'nanosec': 999_999_999},
        'note': 'kurz',
        'title': 'größe \U0001f916',
        'timestamp_ns': -5,
    }
    payload = wire.serialize(decoder.definition.tree, value, CDR_LE)
    row = decoder.decode(np.array([3]), [payload]).to_pylist()[0]
    assert row == {**value, 'timestamp_ns': 3, 'timestamp_ns_': -5}


def test_diagnostics_are_stored_whole():
    msgtype = 'diagnostic_msgs/msg/DiagnosticArray'
    head = new('std_msgs/msg/Header', new('builtin_interfaces/msg/Time', 1, 2), '')
    statuses = [
        new(
            'diagnostic_msgs/msg/DiagnosticStatus',
            *(i, f'motor {i}', 'hot' * i, f'hw{i}'),
            [new('diagnostic_msgs/msg/KeyValue', f'k{j}', 'v' * j) for j in range(i)],
        )
        for i in range(4)
    ]
    messages = [new(msgtype, head, statuses[:count]) for count in (0, 1, 4, 2)]
    decoder = TopicDecoder(msgtype)
    rows = decoder.decode(np.arange(4), [serialize(msgtype, m) for m in messages]).to_pylist()
    for row, message in zip(rows, messages, strict=True):
        assert row['header']['stamp'] == {'sec': 1, 'nanosec': 2}
        assert [status['name'] for status in row['status']] == [s.name for s in message.status]
        for stored, sent in zip(row['status'], message.status, strict=True):
            assert (stored['level'], stored['message']) == (sent.level, sent.message)
            assert stored['values'] == [{'key': v.key, 'value': v.value} for v in sent.values]


def test_a_message_without_members():
    batch = TopicDecoder('std_msgs/msg/Empty').decode(np.array([5]), [b'\0\1\0\0\0'])
    assert batch['timestamp_ns'].to_pylist() == [5]


def test_a_definition_that_differs_from_the_known_type_is_stored_as_it_is(caplog):
    """A fork of `sensor_msgs/Imu` with other members must not be squeezed into the map."""
    decoder = TopicDecoder('sensor_msgs/msg/Imu', 'float64 heading\n')
    assert decoder.ontology_type is not IMU
    assert 'does not fit' in caplog.text
    row = decoder.decode(np.array([1]), [b'\0\1\0\0' + np.float64(2.5).tobytes()]).to_pylist()[0]
    assert row == {'timestamp_ns': 1, 'heading': 2.5}


# --- adapters written per message ---------------------------------------------------------------

TICKS = 'uint32 left_ticks\nuint32 right_ticks\nuint64 encoder_timestamp\n'


class BridgeTicks(Serializable):
    left_ticks: MosaicoType.uint32 = MosaicoField(description='Left wheel.')
    right_ticks: MosaicoType.uint32 = MosaicoField(description='Right wheel.')


def ticks(left: int, right: int) -> bytes:
    return b'\0\1\0\0' + np.array([left, right, 0, 0], '<u4').tobytes()


def test_registered_adapter_is_used_and_its_refusals_are_counted():
    @register_default_adapter
    class TicksAdapter(ROSAdapterBase[BridgeTicks]):
        ros_msgtype = ('test_bridge_msgs/msg/Ticks',)
        __mosaico_ontology_type__ = BridgeTicks
        _REQUIRED_KEYS = ('left_ticks', 'right_ticks')

        @classmethod
        def from_dict(cls, ros_data):
            _validate_msgdata(cls, ros_data)
            if ros_data['left_ticks'] == 13:
                raise ValueError('unlucky')
            return BridgeTicks(
                left_ticks=ros_data['left_ticks'], right_ticks=ros_data['right_ticks']
            )

        @classmethod
        def translate(cls, ros_msg: ROSMessage, **kwargs):
            assert ros_msg.topic == '/wheels'
            return super().translate(ros_msg, **kwargs)

    decoder = TopicDecoder('test_bridge_msgs/msg/Ticks', TICKS, topic='/wheels')
    assert decoder.ontology_type is BridgeTicks
    batch = decoder.decode(np.array([1, 2, 3]), [ticks(1, 2), ticks(13, 2), ticks(3, 4)])
    assert batch.to_pylist() == [
        {'timestamp_ns': 1, 'left_ticks': 1, 'right_ticks': 2},
        {'timestamp_ns': 3, 'left_ticks': 3, 'right_ticks': 4},
    ]
    assert decoder.malformed == 1
    assert 'unlucky' in next(iter(decoder.problems))

    with pytest.raises(AlreadyExistsError, match='TicksAdapter'):

        @register_default_adapter(is_default=True)
        class OtherAdapter(ROSAdapterBase[BridgeTicks]):
            ros_msgtype = 'test_bridge_msgs/msg/Ticks'
            __mosaico_ontology_type__ = BridgeTicks


def test_adapter_given_for_one_topic_sees_plain_python_values():
    seen = []

    class Spy(ROSAdapterBase[BridgeTicks]):
        ros_msgtype = 'odd_msgs/msg/Blob'
        __mosaico_ontology_type__ = BridgeTicks
        _REQUIRED_KEYS = ('data', 'absent')

        @classmethod
        def from_dict(cls, ros_data):
            seen.append(ros_data)
            with pytest.raises(InvalidArgumentError, match='absent'):
                _validate_msgdata(cls, ros_data)
            return BridgeTicks(left_ticks=len(ros_data['data']), right_ticks=0)

    decoder = TopicDecoder('odd_msgs/msg/Blob', 'uint8[] data\n', adapter=Spy)
    payload = b'\0\1\0\0' + (3).to_bytes(4, 'little') + b'abc'
    assert decoder.decode(np.array([9]), [payload])['left_ticks'].to_pylist() == [3]
    assert seen == [{'data': [97, 98, 99]}]
