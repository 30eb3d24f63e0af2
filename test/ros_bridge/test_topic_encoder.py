"""Payloads into columns of the ontology and back, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import wire

from mosaico_ros.protocol.errors import DataLossError, InvalidArgumentError
from mosaico_ros.ros_bridge.adapters.maps import column_map, mapped_types
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE, ENCAPSULATIONS
from mosaico_ros.ros_bridge.provenance import SOURCE_NS
from mosaico_ros.ros_bridge.residual import RESIDUAL, Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder

SETTINGS = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TEXTS = {'nmea_msgs/msg/Sentence': 'std_msgs/Header header\nstring sentence\n'}


def decoder(name: str, fidelity: Fidelity) -> TopicDecoder:
    return TopicDecoder(name, TEXTS.get(name), fidelity=fidelity)


def back(topic: TopicDecoder, batch: pa.RecordBatch) -> list[bytes]:
    times, _, payloads = TopicEncoder(topic.definition, column_map(topic.msgtype)).encode(batch)
    assert times.tolist() == batch.column(0).to_pylist()
    return [bytes(payloads[i]) for i in range(len(payloads))]


def random_payloads(data, topic: TopicDecoder) -> list[bytes]:
    tree = topic.definition.tree
    count = data.draw(st.integers(1, 4))
    return [wire.serialize(tree, wire.values(data.draw, tree), CDR_LE) for _ in range(count)]


@pytest.mark.parametrize('name', mapped_types())
def test_every_mapped_type_comes_back(name):
    topic = decoder(name, Fidelity.VALUES)

    @SETTINGS
    @given(st.data())
    def check(data):
        payloads = random_payloads(data, topic)
        batch = topic.decode(np.arange(len(payloads)), payloads)
        batch.validate(full=True)
        assert back(topic, batch) == payloads

    check()


def test_a_residual_is_kept_only_where_the_ontology_has_no_place():
    topic = decoder('sensor_msgs/msg/CompressedImage', Fidelity.VALUES)
    data = bytes(range(256)) * 400
    header = {'stamp': {'sec': 7, 'nanosec': 9}, 'frame_id': 'eye'}
    values = [
        {'header': header, 'format': text, 'data': data}
        for text in ('jpeg', 'bgr8; jpeg compressed bgr8')
    ]
    payloads = [wire.serialize(topic.definition.tree, value, CDR_LE) for value in values]
    batch = topic.decode(np.arange(2), payloads)
    plain, labelled = batch.column(RESIDUAL.name).to_pylist()
    assert plain is None
    assert len(labelled) < 100  # not the picture
    assert back(topic, batch) == payloads


def test_what_imu_says_of_a_missing_orientation_needs_no_residual():
    topic = decoder('sensor_msgs/msg/Imu', Fidelity.VALUES)
    tree = topic.definition.tree
    zeros = wire_zeros(tree)
    value = zeros | {'orientation_covariance': [-1.0] + [0.0] * 8}
    payload = wire.serialize(tree, value, CDR_LE)
    batch = topic.decode(np.arange(1), [payload])
    assert batch.column('orientation').null_count == 1
    assert batch.column(RESIDUAL.name).null_count == 1
    assert back(topic, batch) == [payload]


def wire_zeros(tree):
    from mosaico_ros.ros_bridge.cdr.columns import column_of, derived_array, derived_type

    return derived_array(column_of(tree, None, 1), derived_type(tree)).to_pylist()[0]


@pytest.mark.parametrize(
    'name', ['sensor_msgs/msg/Imu', 'diagnostic_msgs/msg/KeyValue', 'tf2_msgs/msg/TFMessage']
)
def test_garbage_and_foreign_encapsulations_come_back(name):
    """Bytes that no member owns: padding, options, what follows the last member."""
    topic = decoder(name, Fidelity.BYTES)
    tree = topic.definition.tree

    @SETTINGS
    @given(st.data())
    def check(data):
        payloads = []
        for payload in random_payloads(data, topic):
            spoilt = bytearray(payload + data.draw(st.binary(max_size=5)))
            spoilt[2:4] = data.draw(st.binary(min_size=2, max_size=2))
            payloads.append(bytes(spoilt))
        layout = data.draw(st.sampled_from(list(ENCAPSULATIONS.values())))
        payloads.append(wire.serialize(tree, wire.values(data.draw, tree), layout))
        batch = topic.decode(np.arange(len(payloads)), payloads)
        assert batch.num_rows == len(payloads)
        assert back(topic, batch) == payloads

    check()


@pytest.mark.parametrize('layout', [other for other in ENCAPSULATIONS.values() if other != CDR_LE])
def test_clean_payloads_of_other_encapsulations_come_back(layout):
    topic = decoder('sensor_msgs/msg/Imu', Fidelity.VALUES)
    tree = topic.definition.tree
    payloads = [wire.serialize(tree, wire_zeros(tree), each) for each in (layout, CDR_LE)]
    batch = topic.decode(np.arange(2), payloads)
    assert back(topic, batch) == payloads
    assert batch.column(RESIDUAL.name)[1].as_py() is None


@pytest.mark.parametrize('name', ['std_msgs/msg/String', 'my_msgs/msg/Label'])
def test_text_that_is_not_utf8_comes_back(name):
    """Many a robot sends Latin-1, or bytes, as a string."""
    topic = TopicDecoder(name, 'string data\n', fidelity=Fidelity.VALUES)
    payloads = [
        b'\0\1\0\0' + len(raw).to_bytes(4, 'little') + raw
        for raw in (b'M\xfcnchen\0', 'München\0'.encode(), b'\x80\x81\xff\0', '\ufffd\0'.encode())
    ]
    batch = topic.decode(np.arange(4), payloads)
    assert back(topic, batch) == payloads
    assert batch.column(RESIDUAL.name)[1].as_py() is None
    assert topic.invalid_text == 2


@pytest.mark.parametrize('tail', [b'\1\0\0\0', b'\0' * 8, b'\0\0\0\0\1', b'x' * 100])
@pytest.mark.parametrize('name', ['std_msgs/msg/String', 'my_msgs/msg/Label'])
def test_what_a_larger_definition_wrote_comes_back(name, tail):
    topic = TopicDecoder(name, 'string data\n', fidelity=Fidelity.VALUES)
    payload = wire.serialize(topic.definition.tree, {'data': 'abc'}, CDR_LE)
    batch = topic.decode(np.arange(2), [payload + tail, payload])
    assert back(topic, batch) == [payload + tail, payload]
    assert batch.column(RESIDUAL.name)[1].as_py() is None


def test_members_may_have_the_names_of_our_columns():
    names = ['timestamp_ns', 'timestamp_ns_', 'ros_residual', 'ros_source_ns', 'ros_latched']
    names += ['recording_timestamp_ns', 'header', 'data', 'id', 'type', 'select', 'class', 'None']
    topic = TopicDecoder(
        'my_msgs/msg/Names',
        ''.join(f'int64 {name}\n' for name in names),
        fidelity=Fidelity.BYTES,
        sidecars=(SOURCE_NS,),
    )
    value = {name: i for i, name in enumerate(names)}
    payload = wire.serialize(topic.definition.tree, value, CDR_LE) + b'!'
    batch = topic.decode(np.array([77]), [payload], [pa.array([5])])
    assert back(topic, batch) == [payload]
    row = batch.to_pylist()[0]
    assert (row['timestamp_ns'], row['timestamp_ns__'], row['timestamp_ns_']) == (77, 0, 1)
    assert (row['ros_source_ns'], row['ros_source_ns_'], row['select']) == (5, 3, 10)


def test_residuals_of_other_payloads_are_refused():
    topic = decoder('std_msgs/msg/String', Fidelity.BYTES)
    payloads = [
        wire.serialize(topic.definition.tree, {'data': text}, CDR_LE) + b'!!'
        for text in ('one', 'two')
    ]
    batch = topic.decode(np.arange(2), payloads)
    kept = batch.column(RESIDUAL.name)
    swapped = batch.set_column(2, RESIDUAL, kept.take(pa.array([1, 0])))
    with pytest.raises(DataLossError, match='not the one that was recorded'):
        back(topic, swapped)


def test_values_that_do_not_fit_name_their_member():
    topic = decoder('sensor_msgs/msg/CameraInfo', Fidelity.COLUMNS)
    zeros = wire.serialize(topic.definition.tree, wire_zeros(topic.definition.tree), CDR_LE)
    batch = topic.decode(np.arange(1), [zeros])
    at = batch.schema.get_field_index('intrinsic_parameters')
    kind = pa.list_(pa.float64())
    spoilt = batch.set_column(at, pa.field('intrinsic_parameters', kind), pa.array([[1.0]], kind))
    with pytest.raises(InvalidArgumentError, match=r'^k: .* 1 items where'):
        back(topic, spoilt)
