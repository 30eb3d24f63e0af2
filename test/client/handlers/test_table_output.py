"""Columns out: flat frames, numpy arrays of the documented shapes, some columns only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mosaico_ros import IMU, Header, Message, Quaternion, Serializable, Time, Vector3d
from mosaico_ros.models.core import MosaicoType, columns
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError

ROWS = 3000


class Scan(Serializable):
    corner: MosaicoType.list_(MosaicoType.float32, 2)  # type: ignore[valid-type]
    ranges: list[float] | None = None
    echoes: list[list[int]] = []
    beams: list[Vector3d] = []
    label: str | None = None
    blob: bytes | None = None
    level: float | None = None
    count: MosaicoType.int16 | None = None
    valid: bool | None = None
    area: MosaicoType.list_(MosaicoType.int32, 3) | None = None  # type: ignore[valid-type]


SCANS = [
    Scan(
        corner=[0.5, 1.5],
        ranges=[1.0, 2.0, 3.0],
        echoes=[[1, 2], []],
        beams=[Vector3d(x=1.0, y=2.0, z=3.0)],
        label='a',
        blob=b'\0b',
        level=0.5,
        count=7,
        valid=True,
        area=[1, 2, 3],
    ),
    Scan(corner=[2.5, 3.5]),
    Scan(corner=[4.5, 5.5], ranges=[], count=-1, valid=False, level=float('inf')),
]


@pytest.fixture
def scans(client, name):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('scan', ontology_type=Scan)
        for row, scan in enumerate(SCANS):
            writer.push(Message(timestamp_ns=row, data=scan))
    return client.topic_handler(name, 'scan')


def imus(start: int, end: int) -> list[Message]:
    return [
        Message(
            timestamp_ns=row,
            data=IMU(
                header=Header(timestamp=Time(seconds=row, nanoseconds=1), frame_id='f'),
                acceleration=Vector3d(x=row * 0.5, y=0.0, z=9.8),
                angular_velocity=Vector3d(x=0.0, y=0.0, z=-row),
                orientation=Quaternion(x=0, y=0, z=0, w=1) if row % 3 else None,
            ),
        )
        for row in range(start, end)
    ]


@pytest.fixture
def imu(client, name):
    """3000 rows in several chunks."""
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        for start in range(0, ROWS, 1000):
            writer.push_batch(columns.encode(IMU, imus(start, start + 1000)))
            writer.commit()
    return client.topic_handler(name, 'imu')


def test_arrays_have_the_documented_shapes_and_dtypes(scans):
    arrays = scans.to_numpy()
    assert list(arrays) == ['timestamp_ns', *Scan.model_fields]
    assert {k: (a.dtype, a.shape) for k, a in arrays.items()} == {
        'timestamp_ns': (np.dtype('i8'), (3,)),
        'corner': (np.dtype('f4'), (3, 2)),
        'ranges': (np.dtype(object), (3,)),
        'echoes': (np.dtype(object), (3,)),
        'beams': (np.dtype(object), (3,)),
        'label': (np.dtype(object), (3,)),
        'blob': (np.dtype(object), (3,)),
        'level': (np.dtype('f8'), (3,)),
        'count': (np.dtype('i2'), (3,)),
        'valid': (np.dtype(bool), (3,)),
        'area': (np.dtype('i4'), (3, 3)),
    }
    assert arrays['corner'].tolist() == [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5]]
    ranges = arrays['ranges']
    assert ranges[0].dtype == np.float64
    assert [None if r is None else r.tolist() for r in ranges] == [[1.0, 2.0, 3.0], None, []]
    assert [[list(e) for e in row] for row in arrays['echoes']] == [[[1, 2], []], [], []]
    assert arrays['beams'][0][0]['z'] == 3.0
    assert arrays['label'].tolist() == ['a', None, None]
    assert arrays['blob'].tolist() == [b'\0b', None, None]
    np.testing.assert_array_equal(arrays['level'], [0.5, np.nan, np.inf])
    assert arrays['count'].tolist() == [7, None, -1]
    assert arrays['valid'].tolist() == [True, None, False]
    assert arrays['area'].tolist() == [[1, 2, 3], [None] * 3, [None] * 3]


def test_members_of_structs_are_columns(imu):
    arrays = imu.to_numpy(1000, 2500)
    assert arrays['timestamp_ns'].tolist() == list(range(1000, 2500))
    assert arrays['header.timestamp.seconds'].dtype == np.int32
    assert arrays['acceleration.x'].tolist() == [row * 0.5 for row in range(1000, 2500)]
    turned = np.arange(1000, 2500) % 3 > 0
    np.testing.assert_array_equal(arrays['orientation.w'], np.where(turned, 1.0, np.nan))
    frame = imu.to_pandas(1000, 2500)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(arrays)
    for column in ('timestamp_ns', 'acceleration.x', 'orientation.w'):
        np.testing.assert_array_equal(frame[column], arrays[column])


@pytest.mark.parametrize('form', ['to_arrow', 'to_pandas', 'to_numpy'])
def test_what_was_read_can_be_written(client, name, imu, form):
    with client.sequence_update(name) as more:
        writer = more.topic_create('copy', ontology_type=IMU)
        writer.push_batch(getattr(imu, form)())
    copy = client.topic_handler(name, 'copy').get_data_streamer()
    if form == 'to_numpy':  # arrays of floats cannot tell a missing value from NaN
        assert sum(m.data.orientation is None for m in copy) == 0
    else:
        assert list(copy) == imus(0, ROWS)


@pytest.mark.parametrize('announced', [True, False])
def test_some_columns(client, imu, announced, monkeypatch):
    if not announced:  # as a daemon without the extension
        plain = replace(client._connection.server, extensions=[])
        monkeypatch.setattr(client._connection, 'server', plain)
    paths = ['acceleration.x', 'timestamp_ns', 'orientation.w']
    table = imu.to_arrow(5, 2005, columns=paths)
    assert table.schema.names == ['timestamp_ns', 'acceleration', 'orientation']
    assert table.schema.field('acceleration').type == pa.struct([('x', pa.float64())])
    whole = imu.to_arrow(5, 2005)
    for path in paths:
        assert table.flatten()[path] == whole.flatten()[path]
    assert list(imu.to_pandas(columns='header.frame_id').columns) == ['header.frame_id']
    assert list(imu.to_numpy(columns=paths)) == ['timestamp_ns', 'acceleration.x', 'orientation.w']
    streamer = imu.get_data_streamer(columns=['acceleration.y'])
    assert sum(batch.num_rows for batch in streamer.batches()) == ROWS
    for wrong in ('acceleration.q', 'x'):
        with pytest.raises(InvalidArgumentError, match=rf"'{wrong}'.*acceleration\.z"):
            imu.to_arrow(columns=[wrong])


def test_messages_need_all_columns(imu):
    streamer = imu.get_data_streamer(columns=['acceleration.y'])
    with pytest.raises(FailedPreconditionError, match='batches'):
        next(streamer)
    with pytest.raises(FailedPreconditionError, match='batches'):
        streamer.next_timestamp()


def test_topics_of_a_sequence_as_arrays(client, name, imu):
    handler = client.sequence_handler(name)
    arrays = handler.to_numpy(start_timestamp_ns=10, end_timestamp_ns=20)
    assert list(arrays) == ['/imu']
    assert arrays['/imu']['timestamp_ns'].tolist() == list(range(10, 20))
    with handler.get_data_streamer() as streamer:
        assert len(streamer.to_numpy()['/imu']['acceleration.x']) == ROWS


def test_nothing_in_the_window_gives_empty_columns(imu):
    arrays = imu.to_numpy(ROWS, ROWS + 1, columns=['acceleration', 'header'])
    assert arrays['acceleration.x'].dtype == np.float64
    assert arrays['acceleration.covariance'].shape == (0,)
    assert imu.to_pandas(ROWS, ROWS + 1).empty
