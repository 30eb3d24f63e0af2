"""Clouds as columns of points, and back to the recorded bytes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mosaico_ros.models import Lidar, Radar
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.adapters import LidarAdapter, RadarAdapter, RGBDCameraAdapter
from mosaico_ros.ros_bridge.definitions import typestore
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder

_spec = importlib.util.spec_from_file_location('messages', Path(__file__).parent / 'messages.py')
assert _spec is not None
assert _spec.loader is not None
messages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(messages)

PLAIN = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
#: As a driver lays it out: gaps, other types than the ontology's, fields that it lacks.
OUSTER = np.dtype(
    {
        'names': ['x', 'y', 'z', 'intensity', 't', 'reflectivity', 'ring', 'range'],
        'formats': ['<f4', '<f4', '<f4', '<u2', '<u4', '<u2', '<u1', '<u4'],
        'offsets': [0, 4, 8, 16, 20, 24, 26, 28],
        'itemsize': 48,
    }
)


def points(dtype: np.dtype, count: int, seed: int = 0) -> np.ndarray:
    dice = np.random.default_rng(seed)
    made = np.zeros(count, dtype)
    for name in dtype.names:
        made[name] = dice.integers(0, 200, count) + (dtype[name].kind == 'f') * 0.25
    return made


def decoder(adapter=LidarAdapter, fidelity=Fidelity.VALUES) -> TopicDecoder:
    return TopicDecoder(messages.CLOUD, adapter=adapter, distro='jazzy', fidelity=fidelity)


def round_trip(payloads, adapter=LidarAdapter):
    """Rows, and how many bytes stand beside them; the payloads have to come back."""
    reading = decoder(adapter)
    batch = reading.decode(np.arange(len(payloads)), payloads)
    found = adapter.column_map(messages.CLOUD)
    _, _, back = TopicEncoder(reading.definition, found).encode(batch)
    assert [bytes(one) for one in back] == payloads
    return batch, [len(kept or b'') for kept in batch.column('ros_residual').to_pylist()]


def test_a_plain_cloud_needs_nothing_beside_its_columns():
    clouds = [points(PLAIN, count, count) for count in (5, 0, 1000)]
    batch, beside = round_trip([messages.cloud(one) for one in clouds])
    assert beside == [0, 0, 0]
    for row, cloud in zip(batch.to_pylist(), clouds, strict=True):
        for name in PLAIN.names:
            assert row[name] == cloud[name].tolist()
        assert row['beam_id'] is None
        assert row['header'] == {
            'timestamp': {'seconds': 12, 'nanoseconds': 34},
            'frame_id': 'lidar',
            'sample_counter': None,
        }


def test_other_layouts_and_types_come_back():
    cloud = points(OUSTER, 50)
    batch, beside = round_trip([messages.cloud(cloud)])
    row = batch.to_pylist()[0]
    assert row['intensity'] == cloud['intensity'].tolist()
    assert row['reflectivity'] == cloud['reflectivity'].tolist()
    assert row['range'] == cloud['range'].tolist()
    assert row['point_timestamp'] is None  # `t` is another name
    assert beside[0] > 0


def test_layouts_that_change_between_messages():
    some = [messages.cloud(points(PLAIN, 3, i)) for i in range(3)]
    other = [messages.cloud(points(OUSTER, 4, i)) for i in range(2)]
    batch, _ = round_trip([some[0], other[0], *some[1:], other[1]])
    assert [len(x) for x in batch.column('x').to_pylist()] == [3, 4, 3, 3, 4]
    given = [values is not None for values in batch.column('reflectivity').to_pylist()]
    assert given == [False, True, False, False, True]


def test_big_endian_grids_padded_rows_and_bytes_behind_the_points():
    big = PLAIN.newbyteorder('>')
    cloud = points(PLAIN, 12)
    cloud['x'][3] = np.nan
    payloads = [
        messages.cloud(cloud.astype(big), big=True),
        messages.cloud(cloud, grid=(3, 4)),
        messages.cloud(cloud, grid=(3, 4), row_padding=8),
        messages.cloud(cloud, tail=b'more'),
    ]
    batch, beside = round_trip(payloads)
    for values in batch.column('z').to_pylist():
        assert values == cloud['z'].tolist()
    assert beside[1] < 200  # no more than the description of the layout


def test_fields_of_several_numbers_have_no_list():
    wide = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4', (2,))])
    payload = messages.cloud(np.ones(6, wide), counts={'intensity': 2})
    batch, _ = round_trip([payload])
    assert batch.column('intensity').null_count == 1


def test_values_that_do_not_fit_come_back_too():
    doubles = np.dtype([('x', '<f8'), ('y', '<f8'), ('z', '<f8')])
    cloud = np.zeros(5, doubles)
    cloud['x'] = 1 / 3
    cloud['y'] = 1e300
    batch, _ = round_trip([messages.cloud(cloud)], RGBDCameraAdapter)
    assert batch.column('x').to_pylist()[0][0] == np.float32(1 / 3)


def test_a_cloud_without_coordinates_is_refused():
    flat = np.dtype([('x', '<f4'), ('y', '<f4')])
    reading = decoder()
    payloads = [messages.cloud(np.zeros(n, flat)) for n in (2, 0)]
    batch = reading.decode(np.array([1, 2]), payloads)
    assert batch['timestamp_ns'].to_pylist() == [2]  # without points it needs none
    assert batch['z'].to_pylist() == [[]]
    assert reading.problems == {'it lacks one of x, y, z': 1}


def test_a_cloud_with_fewer_bytes_than_points_is_refused():
    store = typestore('jazzy')
    built = store.deserialize_cdr(messages.cloud(points(PLAIN, 4)), messages.CLOUD)
    built.width = 5
    short = bytes(store.serialize_cdr(built, messages.CLOUD))
    built.width, built.height, built.point_step = 2**32 - 1, 2**32 - 1, 0
    endless = bytes(store.serialize_cdr(built, messages.CLOUD))
    reading = decoder()
    good = messages.cloud(points(PLAIN, 4))
    batch = reading.decode(np.arange(4), [short, good, endless, good])
    assert batch['timestamp_ns'].to_pylist() == [1, 3]
    assert [len(x) for x in batch['x'].to_pylist()] == [4, 4]
    assert reading.problems == {'it has fewer bytes than points': 2}
    built.width, built.height, built.point_step, built.row_step = 0, 2**32 - 1, 16, 0
    rows_of_nothing = bytes(store.serialize_cdr(built, messages.CLOUD))
    assert decoder().decode(np.arange(1), [rows_of_nothing])['x'].to_pylist() == [[]]
    told = {'height': 1, 'width': 9, 'fields': [], 'is_bigendian': False, 'point_step': 4}
    told |= {'row_step': 36, 'data': [], 'is_dense': True}
    told['header'] = {'stamp': {'sec': 0, 'nanosec': 0}, 'frame_id': ''}
    with pytest.raises(InvalidArgumentError, match='fewer bytes than points'):
        LidarAdapter.from_dict(told)


def test_one_message_at_a_time():
    radar = Radar(x=[1.0, 2.0], y=[3.0, 4.0], z=[0.0, 0.0], rcs=[5.0, 6.0])
    store = typestore('jazzy')
    made = RadarAdapter.to_ros(radar, store)
    assert [field.name for field in made.fields] == ['x', 'y', 'z', 'rcs']
    assert (made.width, made.point_step, made.row_step, made.is_dense) == (2, 16, 32, True)
    fields = [
        {'name': f.name, 'offset': f.offset, 'datatype': f.datatype, 'count': f.count}
        for f in made.fields
    ]
    told = {
        'header': {'stamp': {'sec': 0, 'nanosec': 0}, 'frame_id': ''},
        'height': 1,
        'width': 2,
        'fields': fields,
        'is_bigendian': False,
        'point_step': 16,
        'row_step': 32,
        'data': made.data.tolist(),
        'is_dense': True,
    }
    assert RadarAdapter.from_dict(told) == radar
    assert LidarAdapter.from_dict(told) == Lidar(x=radar.x, y=radar.y, z=radar.z)
