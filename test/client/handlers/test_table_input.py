"""Tables of every kind become the same rows; what does not fit is named."""

from __future__ import annotations

import datetime
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mosaico_ros import (
    GPS,
    IMU,
    Floating32,
    Header,
    Message,
    Quaternion,
    Serializable,
    Time,
    Unsigned8,
    Vector3d,
)
from mosaico_ros.models.core import MosaicoType, columns
from mosaico_ros.protocol.errors import InvalidArgumentError

ROWS = 5
TIMES = np.arange(ROWS) * 10
VALUES = np.linspace(0.5, 4.5, ROWS)


def imu(row: int) -> Message:
    return Message(
        timestamp_ns=int(TIMES[row]),
        data=IMU(
            header=Header(timestamp=Time(seconds=row, nanoseconds=7), frame_id=f'frame{row}'),
            acceleration=Vector3d(x=VALUES[row], y=-VALUES[row], z=9.8),
            angular_velocity=Vector3d(x=0.0, y=0.1, z=0.2, covariance=[row, 0.0, 1.0]),
            orientation=Quaternion(x=0.0, y=0.0, z=0.0, w=1.0) if row % 2 else None,
        ),
    )


IMUS = [imu(row) for row in range(ROWS)]


def dotted() -> dict[str, object]:
    """The rows of `IMUS` as numpy arrays, structs by their members' names."""
    turned = np.arange(ROWS) % 2 == 1
    missing = [None if not t else 0.0 for t in turned]
    return {
        'acceleration.z': np.full(ROWS, 9.8),
        'acceleration.x': VALUES,
        'acceleration.y': -VALUES,
        'timestamp_ns': TIMES,
        'header.timestamp.seconds': np.arange(ROWS),  # int64 into int32
        'header.timestamp.nanoseconds': np.full(ROWS, 7, np.int8),
        'header.frame_id': np.array([f'frame{row}' for row in range(ROWS)]),
        'angular_velocity.x': [0] * ROWS,
        'angular_velocity.y': [0.1] * ROWS,
        'angular_velocity.z': np.full(ROWS, 0.2),
        'angular_velocity.covariance': np.stack([TIMES / 10, TIMES * 0.0, TIMES * 0.0 + 1], 1),
        'orientation.x': missing,
        'orientation.y': missing,
        'orientation.z': missing,
        'orientation.w': [1.0 if t else None for t in turned],
    }


def nested() -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, values in dotted().items():
        *steps, last = path.split('.')
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
        node[last] = values
    return tree


def rows() -> pa.RecordBatch:
    return columns.encode(IMU, IMUS)


def flat_table() -> pa.Table:
    table = pa.Table.from_batches([rows().slice(0, 2), rows().slice(2)])
    for _ in range(3):
        table = table.flatten()
    return table


def flat_frame() -> pd.DataFrame:
    frame = flat_table().to_pandas()
    frame['header.frame_id'] = frame['header.frame_id'].astype('category')
    return frame


def frame_by_time() -> pd.DataFrame:
    frame = flat_frame()
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop('timestamp_ns')), name='timestamp_ns')
    return frame


def frame_with_gaps_in_its_index() -> pd.DataFrame:
    doubled = pd.concat([flat_frame(), flat_frame()], ignore_index=True)
    return doubled[np.arange(2 * ROWS) % 2 == 0].sort_values('timestamp_ns')


class Stream:
    """What polars and others offer: nothing but the Arrow stream protocol."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        table = pa.Table.from_batches([rows()])
        header = table['header'].combine_chunks()
        table = table.drop_columns('header')
        table = table.append_column('header.timestamp', header.field('timestamp'))
        text = header.field('frame_id').cast(pa.string_view())
        return table.append_column('header.frame_id', text).__arrow_c_stream__()


@pytest.mark.parametrize(
    'make',
    [
        rows,
        flat_table,
        lambda: pa.Table.from_batches([rows()]).to_reader(),
        lambda: rows().select(list(reversed(rows().schema.names))),
        lambda: pa.Table.from_batches([rows()]).to_pandas(),
        flat_frame,
        frame_by_time,
        frame_with_gaps_in_its_index,
        dotted,
        nested,
        lambda: {name: rows().column(name).to_pylist() for name in rows().schema.names},
        Stream,
    ],
)
def test_all_forms_of_a_table_give_the_same_messages(client, name, make):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        writer.push_batch(make())
        assert writer.rows_pushed == ROWS
    assert list(client.topic_handler(name, 'imu').get_data_streamer()) == IMUS


@pytest.mark.parametrize(
    'times',
    [
        np.array(['2026-05-01T12:00:00.000000123', '2026-05-01T12:00:01'], 'datetime64[ns]'),
        pd.Series([1777636800000000123, 1777636801000000000]).astype(
            'datetime64[ns, Europe/Rome]'
        ),
        [1777636800000000123, 1777636801000000000],
        np.array([1777636800000000123, 1777636801000000000], np.uint64),
        pa.array([1777636800000000123, 1777636801000000000], pa.timestamp('ns')),
    ],
)
def test_times_are_nanoseconds_or_timestamps(client, name, times):
    with client.sequence_create(name) as sequence:
        sequence.topic_create('n', ontology_type=Unsigned8).push_batch(
            {'data': [1, 2], 'timestamp_ns': times}
        )
    got = [m.timestamp_ns for m in client.topic_handler(name, 'n').get_data_streamer()]
    assert got == [1777636800000000123, 1777636801000000000]


def test_datetimes_without_a_zone_are_utc(client, name):
    with client.sequence_create(name) as sequence:
        sequence.topic_create('n', ontology_type=Unsigned8).push_batch(
            {'data': [1], 'timestamp_ns': [datetime.datetime(1970, 1, 2)]}
        )
    assert client.topic_handler(name, 'n').timestamp_ns_min == 86_400 * 10**9


class Shape(Serializable):
    corner: MosaicoType.list_(MosaicoType.float32, 2)  # type: ignore[valid-type]
    path: list[Vector3d] | None = None
    blob: bytes | None = None
    weight: float = 0.0
    count: MosaicoType.uint16 | None = None


def test_lists_blobs_and_missing_values(client, name):
    path = [[{'x': 1.0, 'y': 2.0, 'z': 3.0}], None, []]
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('shape', ontology_type=Shape)
        writer.push_batch(
            {
                'timestamp_ns': range(3),
                'corner': np.arange(6.0).reshape(3, 2),
                'path': path,
                'blob': [b'\0a', None, b''],
                'weight': np.array([np.nan, 1, 2]),
                'count': np.ma.array([1, 2, 3], mask=[0, 1, 0]),
            }
        )
        writer.push_batch(
            pd.DataFrame(
                {
                    'timestamp_ns': [3, 4],
                    'corner': [np.array([1, 2]), [3, 4]],
                    'weight': [np.nan, 1.0],
                    'count': [np.nan, 65535],
                }
            )
        )
    shapes = [m.data for m in client.topic_handler(name, 'shape').get_data_streamer()]
    assert [list(s.corner) for s in shapes] == [[0, 1], [2, 3], [4, 5], [1, 2], [3, 4]]
    assert [s.path for s in shapes] == [[Vector3d(x=1, y=2, z=3)], None, [], None, None]
    assert [s.blob for s in shapes] == [b'\0a', None, b'', None, None]
    assert [str(s.weight) for s in shapes[:3]] == ['nan', '1.0', '2.0']
    assert [s.count for s in shapes] == [1, None, 3, None, 65535]


class SometimesStamped(Serializable):
    pose: Header | None = None


def test_a_struct_that_is_missing_in_some_rows_keeps_its_strict_members(client, name):
    """Header.timestamp.seconds must not be null, even below a null header."""
    layout = SometimesStamped.arrow_struct().field('pose').type
    stamps = pa.StructArray.from_arrays(
        [pa.array([1, None], pa.int32()), pa.array([2, None], pa.uint32())],
        ['seconds', 'nanoseconds'],
    )
    whole = pa.StructArray.from_arrays(
        [stamps, pa.array(['a', None])], ['timestamp', 'frame_id'], mask=pa.array([False, True])
    )
    assert layout.field('timestamp').type.field('seconds').nullable is False
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('s', ontology_type=SometimesStamped)
        writer.push_batch({'timestamp_ns': [0, 1], 'pose': whole})
        with pytest.raises(InvalidArgumentError, match=r"'pose.timestamp.seconds' .* row 1"):
            writer.push_batch(
                {
                    'timestamp_ns': [0, 1],
                    'pose.timestamp.seconds': [1, None],
                    'pose.timestamp.nanoseconds': [1, 1],
                }
            )
    header = Header(timestamp=Time(seconds=1, nanoseconds=2), frame_id='a')
    got = [m.data.pose for m in client.topic_handler(name, 's').get_data_streamer()]
    assert got == [header, None]


GOOD = {'timestamp_ns': [0, 1], 'data': [1, 2]}


@pytest.mark.parametrize(
    ('kind', 'wrong', 'said'),
    [
        (Unsigned8, {**GOOD, 'data': [1, 300]}, r"'data' .* uint8, got int64: .*300"),
        (Unsigned8, {**GOOD, 'data': [1, -1]}, r"'data' .* uint8, got int64: .*-1"),
        (Unsigned8, {**GOOD, 'data': [1.0, 1.5]}, r"'data' .* uint8, got double: .*1\.5"),
        (Unsigned8, {**GOOD, 'data': ['1', '2']}, r"'data' .* uint8, got string"),
        (Unsigned8, {**GOOD, 'data': [True, False]}, r"'data' .* uint8, got bool"),
        (Unsigned8, {**GOOD, 'data': [1, None]}, r"'data' .* null, .* row 1"),
        (Unsigned8, {**GOOD, 'data': [1, 'a']}, r"'data' .* Arrow column"),
        (Unsigned8, {**GOOD, 'data': [1]}, r"'timestamp_ns' has 2 values, 'data' has 1"),
        (Unsigned8, {**GOOD, 'data': 7}, r"'data' .* is a int"),
        (Unsigned8, {**GOOD, 'value': [1, 2]}, r"'value', which the topic has not"),
        (Unsigned8, {**GOOD, 'data.x': [1, 2]}, r"'data.x' .* twice"),
        (Unsigned8, {'data': [1, 2]}, r"lack the column 'timestamp_ns' \(int64\)"),
        (Unsigned8, {'timestamp_ns': [0, 1]}, r"lack the column 'data' \(uint8\)"),
        (Unsigned8, {}, r"lack the column 'timestamp_ns'"),
        (Unsigned8, {**GOOD, 'timestamp_ns': [0.5, 1.0]}, r"'timestamp_ns' .* int64, got double"),
        (Floating32, {**GOOD, 'data': [0.5, 1e300]}, r'float, got 1e\+300 \(double\)'),
        (Floating32, {**GOOD, 'data': [1, 2**40 + 1]}, r'float, got int64'),
        (Shape, {'timestamp_ns': [0, 1], 'corner': np.zeros((2, 3))}, r"'corner' .* 3 elements"),
        (Shape, {'timestamp_ns': [0, 1], 'corner': [[0, 1], [1]]}, r"'corner' .* row 1"),
        (
            Shape,
            {'timestamp_ns': [0], 'corner': [[0, 1]], 'path': [[{'x': 1.0, 'q': 2.0}]]},
            r"'path\[\]\.q', which",
        ),
        (GPS, {'timestamp_ns': [0], 'position': [1.0]}, r"'position' .* struct<.*got double"),
        (GPS, {'timestamp_ns': [0], 'position': {}}, r"lack the column 'position'"),
        (
            GPS,
            {'timestamp_ns': [0], 'position.x': [1.0], 'position': [{'x': 1.0}]},
            r"'position' .* twice",
        ),
        (Unsigned8, [1, 2], r'got a list as a batch'),
        (Unsigned8, Message(timestamp_ns=0, data=Unsigned8(data=1)), r'got a Message as a batch'),
    ],
)
def test_what_does_not_fit_is_named(client, name, kind, wrong, said):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('topic', ontology_type=kind)
        with pytest.raises(InvalidArgumentError, match=said) as caught:
            writer.push_batch(wrong)
        assert f'{name}/topic' in str(caught.value)
        assert writer.rows_pushed == 0


def test_floats_round_where_the_column_is_narrower_and_keep_infinity(client, name):
    with client.sequence_create(name) as sequence:
        sequence.topic_create('f', ontology_type=Floating32).push_batch(
            {'timestamp_ns': range(4), 'data': [0.1, np.inf, -np.inf, 3]}
        )
    got = client.topic_handler(name, 'f').to_arrow()['data'].to_pylist()
    assert got == [float(np.float32(0.1)), np.inf, -np.inf, 3.0]


def test_a_fault_in_a_later_batch_of_a_table_sends_nothing_of_it(client, name):
    table = pa.table({'timestamp_ns': range(4), 'data': [1, 2, 3, 300]})
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=2))
    with client.sequence_create(name) as sequence:
        whole = sequence.topic_create('table', ontology_type=Unsigned8)
        with pytest.raises(InvalidArgumentError):
            whole.push_batch(parts)
        stream = sequence.topic_create('stream', ontology_type=Unsigned8)
        with pytest.raises(InvalidArgumentError):
            stream.push_batch(parts.to_reader())
        assert (whole.rows_pushed, stream.rows_pushed) == (0, 2)
    assert client.topic_handler(name, 'table').message_count == 0
    assert client.topic_handler(name, 'stream').message_count == 2


@pytest.mark.parametrize('streamed', [False, True])
def test_rows_can_be_made_durable_as_they_are_pushed(client, name, streamed):
    table = pa.table({'timestamp_ns': range(4), 'data': [1, 2, 3, 4]})
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=2))
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create('table', ontology_type=Unsigned8)
        topic.push_batch(parts.to_reader() if streamed else parts, commit=True)
        deadline = time.monotonic() + 60
        while topic.durable_rows < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        topic.push_batch(parts.slice(0, 0), commit=True)  # nothing to add, and no error
    assert client.topic_handler(name, 'table').message_count == 4
