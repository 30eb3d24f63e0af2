"""Messages to columns and back: nulls, subclasses, bad values, arrays, custom types."""

import datetime
import enum
from typing import Annotated, Literal, Optional

import numpy as np
import pyarrow as pa
import pydantic
import pytest

from mosaico_ros import models
from mosaico_ros.models import (
    IMU,
    CameraInfo,
    CompressedImage,
    FrameTransform,
    Header,
    ImageFormat,
    Lidar,
    Message,
    MosaicoField,
    MosaicoType,
    PointFieldDataType,
    Quaternion,
    RobotJoint,
    Serializable,
    String,
    Time,
    Vector3d,
    Velocity,
)
from mosaico_ros.models.core.columns import Rows, decode, encode
from mosaico_ros.models.core.unmodeled import make_unmodeled_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.serialization import SerializationFormat


def imu(**fields):
    given = {
        'acceleration': Vector3d(x=1, y=2, z=3),
        'angular_velocity': Vector3d(x=0, y=0, z=0),
        **fields,
    }
    return Message(timestamp_ns=7, data=IMU(**given))


def test_rows_with_and_without_a_header():
    messages = [
        imu(),
        imu(header=Header(timestamp=Time(seconds=1, nanoseconds=2), frame_id='a')),
        imu(header=Header(frame_id='b')),
    ]
    batch = encode(IMU, messages)
    assert batch.column('header').null_count == 1
    assert decode(IMU, batch) == messages


def test_struct_of_nulls_reads_as_none():
    batch = encode(IMU, [imu(header=Header())])
    assert batch.column('header').null_count == 0
    assert decode(IMU, batch)[0].data.header is None


def test_decoded_objects_are_full_models():
    message = decode(IMU, encode(IMU, [imu()]))[0]
    assert message.data.model_fields_set == set(IMU.model_fields)
    message.data.acceleration.x = 5.0
    assert message.data.model_copy(deep=True).acceleration.x == 5.0
    assert message.model_dump_json()
    with pytest.raises(AttributeError):
        _ = message.data.speed


def test_private_attributes_and_hooks_survive_decoding():
    class Hooked(Serializable):
        value: float
        _twice: float = pydantic.PrivateAttr(default=0.0)

        def model_post_init(self, context):
            self._twice = 2 * self.value

    message = Message(data=Hooked(value=4.0), timestamp_ns=0)
    assert decode(Hooked, encode(Hooked, [message]))[0].data._twice == 8.0


def test_wrong_type_is_named():
    with pytest.raises(InvalidArgumentError, match=r'IMU.*String'):
        encode(IMU, [imu(), Message(data=String(data='x'), timestamp_ns=0)])


def test_subclass_goes_into_the_topic_of_its_base():
    class BetterIMU(IMU):
        bias: float = 0.0

    better = BetterIMU(
        acceleration=Vector3d(x=1, y=2, z=3), angular_velocity=Vector3d(x=0, y=0, z=0)
    )
    back = decode(IMU, encode(IMU, [imu(), Message(data=better, timestamp_ns=7)]))
    assert back == [imu(), imu()]


@pytest.mark.parametrize(
    ('path', 'value', 'told'),
    [
        ('acceleration.x', 'fast', r"IMU\.acceleration\.x should hold double, got 'fast' \(str\)"),
        ('acceleration', None, r'IMU\.acceleration is None in row 1'),
        ('acceleration', 3, r'IMU\.acceleration should hold Vector3d, got 3 \(int\)'),
        ('acceleration.covariance', 'abc', r'IMU\.acceleration\.covariance should hold list'),
        ('acceleration.covariance', 5, r'IMU\.acceleration\.covariance should hold list'),
    ],
)
def test_bad_assignment_is_located(path, value, told):
    message = imu()
    *parents, last = path.split('.')
    holder = message.data
    for parent in parents:
        holder = getattr(holder, parent)
    setattr(holder, last, value)
    with pytest.raises(InvalidArgumentError, match=told):
        encode(IMU, [imu(), message])


def test_wrong_length_of_a_fixed_list_is_located():
    info = CameraInfo(
        height=1,
        width=1,
        distortion_model='',
        distortion_parameters=[],
        intrinsic_parameters=[0.0] * 9,
        rectification_parameters=[0.0] * 9,
        projection_parameters=[0.0] * 12,
    )
    info.intrinsic_parameters = [1.0, 2.0]
    with pytest.raises(InvalidArgumentError, match='intrinsic_parameters'):
        encode(CameraInfo, [Message(data=info, timestamp_ns=0)])


def test_missing_column_is_named():
    batch = encode(String, [Message(data=String(data='x'), timestamp_ns=0)])
    with pytest.raises(InvalidArgumentError, match='header'):
        decode(IMU, batch)


def test_arrays_travel_without_lists():
    points = np.linspace(0, 1, 1000, dtype=np.float32)
    lidar = Lidar(x=points, y=points.astype(np.float64), z=points[::2], beam_id=np.arange(5))
    assert isinstance(lidar.x, np.ndarray)
    points[:] = 9  # the sender's buffer is not ours
    mixed = Lidar(x=[1.0], y=[2.0], z=[])
    messages = [Message(data=lidar, timestamp_ns=0), Message(data=mixed, timestamp_ns=1)]
    back = decode(Lidar, encode(Lidar, messages))
    assert back[0].data.x == np.linspace(0, 1, 1000, dtype=np.float32).tolist()
    assert back[0].data.beam_id == [0, 1, 2, 3, 4]
    assert back == messages
    assert lidar.model_dump()['beam_id'] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('blob', [b'ab', bytearray(b'ab'), memoryview(b'ab'), [97, 98]])
def test_blobs_take_any_buffer(blob):
    assert CompressedImage(data=blob, format='png').data == b'ab'
    array = np.frombuffer(b'ab', np.uint8)
    assert CompressedImage(data=array, format=ImageFormat.PNG).data == b'ab'


def test_blobs_assigned_later_are_encoded_by_value():
    plain_blob, assigned = (CompressedImage(data=b'ab', format='png') for _ in range(2))
    assigned.data = memoryview(b'cd')
    messages = [Message(data=blob, timestamp_ns=0) for blob in (plain_blob, assigned)]
    assert [m.data.data for m in decode(CompressedImage, encode(CompressedImage, messages))] == [
        b'ab',
        b'cd',
    ]
    assigned.data = 5
    with pytest.raises(InvalidArgumentError, match=r'CompressedImage\.data should hold binary'):
        encode(CompressedImage, messages)


def test_enums_come_back_as_members():
    cloud = models.PointCloud2(
        height=1,
        width=1,
        fields=[models.PointField(name='x', offset=0, datatype=7, count=1)],
        is_bigendian=False,
        point_step=4,
        row_step=4,
        data=b'\0\0\0\0',
        is_dense=True,
    )
    back = decode(
        models.PointCloud2, encode(models.PointCloud2, [Message(data=cloud, timestamp_ns=0)])
    )
    assert back[0].data.fields[0].datatype is PointFieldDataType.FLOAT32


class Level(enum.Enum):
    LOW = 'low'
    HIGH = 'high'


class Fault(enum.IntFlag):
    HOT = 1
    WET = 2


class Part(models.BaseModel):
    name: str
    mass: float | None = None


class Everything(Serializable):
    level: Level
    faults: Fault
    mode: Literal['a', 'b']
    pair: tuple[float, float]
    names: tuple[str, ...]
    when: datetime.datetime
    day: datetime.date
    clock: datetime.time
    span: datetime.timedelta
    parts: list[Part]
    by_name: dict[str, Part]
    limits: dict[str, float] | None = None
    half: MosaicoType.float16
    grid: MosaicoType.matrix(MosaicoType.float32, cols=2)
    cube: MosaicoType.tensor3d(MosaicoType.int8, 1, 2, 2)
    maybe_parts: Optional[list[Part]] = None  # noqa: UP045 - the older spelling, on purpose
    stamp: MosaicoType.annotate(int, pa.timestamp('ns')) = 0
    boxed: Annotated[int, pa.int16()] = MosaicoField(default=3, description='Boxed.')


def everything(**fields):
    return Everything(
        **{
            'level': Level.HIGH,
            'faults': Fault.HOT | Fault.WET,
            'mode': 'b',
            'pair': (1.0, 2.0),
            'names': ('x', 'y', 'z'),
            'when': datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc),
            'day': datetime.date(2026, 1, 2),
            'clock': datetime.time(1, 2, 3, 4),
            'span': datetime.timedelta(microseconds=5),
            'parts': [Part(name='p', mass=1.0), Part(name='q')],
            'by_name': {'k': Part(name='r')},
            'half': 1.5,
            'grid': [[1.0, 2.0], [3.0, 4.0]],
            'cube': [[[1, 2], [3, 4]]],
            **fields,
        }
    )


def test_every_annotation_survives():
    messages = [
        Message(data=everything(limits={'a': 1.0}, stamp=17), timestamp_ns=0),
        Message(data=everything(maybe_parts=[], by_name={}, parts=[], names=()), timestamp_ns=1),
    ]
    batch = encode(Everything, messages)
    batch.validate(full=True)
    back = decode(Everything, batch)
    assert back == messages
    assert back[0].data.faults is Fault.HOT | Fault.WET
    assert decode(Everything, batch.slice(1)) == messages[1:]


def test_matrices_take_arrays():
    grid = np.arange(6, dtype=np.float64).reshape(3, 2)
    message = Message(data=everything(grid=grid), timestamp_ns=0)
    assert decode(Everything, encode(Everything, [message]))[0].data.grid == grid.tolist()
    with pytest.raises(pydantic.ValidationError, match='any x 2, got 2 x 3'):
        everything(grid=grid.T)


def test_unmodeled_rows():
    cls = make_unmodeled_ontology_class(
        'Gyro',
        'gyro_raw',
        SerializationFormat.Default,
        pa.struct(
            [
                pa.field('rate', pa.struct([('x', pa.float32()), ('y', pa.float32())])),
                pa.field('tags', pa.map_(pa.string(), pa.int32())),
                pa.field('deep', pa.struct([('m', pa.map_(pa.string(), pa.int8()))])),
                pa.field('steps', pa.list_(pa.struct([('n', pa.int8())]))),
                pa.field('id', pa.int32(), nullable=False),
            ]
        ),
    )
    rows = [
        {
            'rate': {'x': 0.5, 'y': None},
            'tags': {'a': 1},
            'deep': {'m': {'q': 2}},
            'steps': [{'n': 1}],
            'id': 1,
        },
        {'rate': None, 'tags': None, 'deep': None, 'steps': [], 'id': 2},
        {'id': 3},
    ]
    messages = [Message(data=cls(raw_data=row), timestamp_ns=i) for i, row in enumerate(rows)]
    back = [message.data.raw_data for message in decode(cls, encode(cls, messages))]
    assert back == [*rows[:2], {'rate': None, 'tags': None, 'deep': None, 'steps': None, 'id': 3}]
    assert cls.Q.rate.x.gt(1).key == 'gyro_raw.rate.x'


def test_empty_layout_keeps_its_rows():
    cls = make_unmodeled_ontology_class(
        'NoMembers', 'NoMembers', SerializationFormat.Default, pa.struct([])
    )
    messages = [Message(data=cls(raw_data={}), timestamp_ns=i) for i in range(3)]
    assert decode(cls, encode(cls, messages)) == messages


def test_lists_of_structs_keep_their_validators_out_of_the_way():
    transform = models.Transform(
        translation=Vector3d(x=1, y=2, z=3), rotation=models.Quaternion(x=0, y=0, z=0, w=1)
    )
    frames = FrameTransform(transforms=[transform] * 3)
    message = Message(data=frames, timestamp_ns=0)
    assert decode(FrameTransform, encode(FrameTransform, [message])) == [message]
    one_sided = Message(data=Velocity(linear=Vector3d(x=1, y=0, z=0)), timestamp_ns=0)
    assert decode(Velocity, encode(Velocity, [one_sided])) == [one_sided]
    names = Message(
        data=RobotJoint(names=[], positions=[], velocities=[], efforts=[]), timestamp_ns=0
    )
    assert decode(RobotJoint, encode(RobotJoint, [names])) == [names]


def test_rows_are_gathered_bit_by_bit():
    """Headers that begin to come late, in groups of which some have none."""
    messages = [
        Message(
            timestamp_ns=row,
            data=IMU(
                header=Header(timestamp=Time(seconds=row, nanoseconds=1), frame_id=f'f{row}')
                if row in {5, 6, 9}
                else None,
                acceleration=Vector3d(x=row, y=0, z=0, covariance=[row] if row > 7 else None),
                angular_velocity=Vector3d(x=0, y=0, z=0),
                orientation=None if row else Quaternion(x=0, y=0, z=0, w=1),
            ),
        )
        for row in range(12)
    ]
    rows = Rows(IMU)
    for start, stop in ((0, 3), (3, 3), (3, 6), (6, 8), (8, 12)):
        rows.add(messages[start:stop])
    whole = encode(IMU, messages)
    assert len(rows) == 12
    assert rows.encode() == whole
    for start in range(12):
        for stop in range(start + 1, 13):
            assert decode(IMU, rows.encode(start, stop)) == messages[start:stop]


def test_a_group_of_messages_is_gathered_as_a_whole_or_not_at_all():
    good = [imu(acceleration=Vector3d(x=row, y=0, z=0)) for row in range(3)]
    bad = imu()
    bad.data.__dict__['angular_velocity'] = 'fast'  # after the acceleration was gathered
    hollow = Message.model_construct(timestamp_ns=4, data=None)
    rows = Rows(IMU)
    for group, told in (([bad], 'angular_velocity'), ([*good, bad], 'fast'), ([hollow], 'data')):
        with pytest.raises(InvalidArgumentError, match=told):
            rows.add(group)
        assert len(rows) == 0
    rows.add(good[:1])
    with pytest.raises(InvalidArgumentError, match='fast'):
        rows.add([good[1], bad])
    rows.add(good[1:])
    assert decode(IMU, rows.encode()) == good
