"""JSON and protobuf channels: every field in columns, the messages back out of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import any_pb2, descriptor_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer
from mosaico_ros.bridges import mcap

from mosaico_ros import MosaicoClient, MosaicoField, MosaicoType, Serializable
from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.ros_bridge import (
    RosbagInjector,
    ROSExtractorConfig,
    ROSInjectionConfig,
    ROSSequenceExtractor,
)
from mosaico_ros.ros_bridge.bags import open_bag
from mosaico_ros.ros_bridge.channels import MCAPAdapterBase, MCAPBridge, register_default_adapter
from mosaico_ros.ros_bridge.channels.channel_decoder import ChannelDecoder, ChannelEncoder
from mosaico_ros.ros_bridge.channels.codec import Channel, codec_for
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.verification import verify

SCHEMA = {
    'title': 'foxglove.LocationFix',
    'type': 'object',
    'definitions': {
        'time': {
            'type': 'object',
            'properties': {'sec': {'type': 'integer'}, 'nsec': {'type': 'integer'}},
        },
    },
    'properties': {
        'timestamp': {'$ref': '#/definitions/time'},
        'frame_id': {'type': 'string'},
        'latitude': {'type': ['number', 'null']},
        'kind': {'enum': [0, 1, 2]},
        'valid': {'anyOf': [{'type': 'boolean'}, {'type': 'null'}]},
        'covariance': {'type': 'array', 'items': {'type': 'number'}},
        'satellites': {
            'type': 'array',
            'items': {
                'type': 'object',
                'properties': {'id': {'type': 'integer'}, 'used': {'type': 'boolean'}},
            },
        },
        'publish_time_ns': {'type': 'integer'},
    },
}


def json_channel(schema: Any = SCHEMA, name: str = '/fix') -> Channel:
    return Channel(name, 'json', 'foxglove.LocationFix', 'jsonschema', json.dumps(schema).encode())


def fix(i: int) -> dict[str, Any]:
    return {
        'timestamp': {'sec': i, 'nsec': 5},
        'frame_id': 'gps "größe"\n',
        'latitude': 45.1 + i,
        'kind': i % 3,
        'valid': i % 2 == 0,
        'covariance': [0.5] * (i % 4),
        'satellites': [{'id': k, 'used': k > 1} for k in range(i % 3)],
        'publish_time_ns': 7,
    }


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(',', ':')).encode()


def proto_file() -> descriptor_pb2.FileDescriptorSet:
    """A type with everything that protobuf has, and what it refers to; users before the used."""
    file = descriptor_pb2.FileDescriptorProto(
        name='demo.proto',
        package='demo',
        syntax='proto3',
        dependency=[
            'google/protobuf/timestamp.proto',
            'google/protobuf/any.proto',
            'google/protobuf/struct.proto',
        ],
    )
    file.enum_type.add(name='Mode').value.add(name='OFF', number=0)
    file.message_type.add(name='Nothing')
    point = file.message_type.add(name='Point')
    for number, name in enumerate(('x', 'y'), 1):
        point.field.add(name=name, number=number, type=1, label=1)
    made = file.message_type.add(name='Scan')
    entry = made.nested_type.add(name='LabelsEntry')
    entry.options.map_entry = True
    entry.field.add(name='key', number=1, type=9, label=1)
    entry.field.add(name='value', number=2, type=11, label=1, type_name='.demo.Point')
    made.oneof_decl.add(name='choice')
    made.oneof_decl.add(name='_count')
    add = made.field.add
    add(name='stamp', number=1, type=11, label=1, type_name='.google.protobuf.Timestamp')
    add(name='frame', number=2, type=9, label=1)
    add(name='ranges', number=3, type=2, label=3)
    add(name='points', number=4, type=11, label=3, type_name='.demo.Point')
    add(name='data', number=5, type=12, label=1)
    add(name='mode', number=6, type=14, label=1, type_name='.demo.Mode')
    add(name='big', number=7, type=4, label=1)
    add(name='labels', number=8, type=11, label=3, type_name='.demo.Scan.LabelsEntry')
    add(name='left', number=9, type=5, label=1, oneof_index=0)
    add(name='right', number=10, type=9, label=1, oneof_index=0)
    add(name='count', number=11, type=13, label=1, oneof_index=1, proto3_optional=True)
    add(name='extra', number=12, type=11, label=1, type_name='.google.protobuf.Struct')
    add(name='any', number=13, type=11, label=1, type_name='.google.protobuf.Any')
    add(name='nothing', number=14, type=11, label=1, type_name='.demo.Nothing')
    add(name='names', number=15, type=9, label=3)
    add(name='child', number=16, type=11, label=1, type_name='.demo.Scan')
    files = descriptor_pb2.FileDescriptorSet(file=[file])
    for module in (timestamp_pb2, any_pb2, struct_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    return files


FILES = proto_file()


def scan_class() -> Any:
    pool = DescriptorPool()
    for file in reversed(FILES.file):
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName('demo.Scan'))


SCAN = scan_class()


def proto_channel(name: str = '/scan') -> Channel:
    return Channel(name, 'protobuf', 'demo.Scan', 'protobuf', FILES.SerializeToString())


def scan(i: int) -> Any:
    made = SCAN(
        stamp={'seconds': i, 'nanos': 5},
        frame='laser',
        ranges=[1.5, float('inf'), i],
        points=[{'x': 1.0, 'y': i}] * (i % 3),
        data=bytes(range(i % 256)),
        mode=i % 2,
        big=2**64 - 1 - i,
        names=['a', 'b'],
    )
    made.labels['one'].x = i
    if i % 3 == 0:
        made.left = 0
    elif i % 3 == 1:
        made.right = 'r'
    if i % 2:
        made.count = 0
        made.nothing.SetInParent()
        made.extra['k'] = [1, {'deep': True}]
        made.any.type_url, made.any.value = 't', b'\0v'
        made.child.frame = 'inner'
    return made


def decoder(channel: Channel, fidelity: Fidelity = Fidelity.VALUES) -> ChannelDecoder:
    return ChannelDecoder(channel, fidelity=fidelity)


def round_trip(channel: Channel, payloads: list[bytes], fidelity: Fidelity = Fidelity.VALUES):
    """Rows, messages that come back, and how many bytes stand beside each row."""
    batch = decoder(channel, fidelity).decode(np.arange(len(payloads)), payloads)
    _, _, back = ChannelEncoder(channel, codec_for(channel)).encode(batch)
    kept = [None if one is None else len(one) for one in batch['ros_residual'].to_pylist()]
    return batch, [bytes(one) for one in back], kept


def test_json_fields_become_columns():
    rows = [fix(i) for i in range(50)]
    batch, back, kept = round_trip(json_channel(), [compact(row) for row in rows])
    assert back == [compact(row) for row in rows]
    assert kept == [None] * 50
    stored = batch.drop_columns(['ros_residual']).to_pylist()
    for i, (row, want) in enumerate(zip(stored, rows, strict=True)):
        assert row.pop('timestamp_ns') == row.pop('publish_time_ns') == i
        assert row.pop('publish_time_ns_') == want['publish_time_ns']  # the message's own
        assert row == {k: v for k, v in want.items() if k != 'publish_time_ns'}


def test_json_of_another_spelling_means_the_same():
    """Order, spaces, escapes and 1.0 for 1 are not kept, unless every byte is asked for."""
    payloads = [
        b'{ "frame_id": "a\\u0062",\r\n  "latitude": 3, "kind": 1.0, "covariance": [1, 2.50] }',
        b'{"kind":2,"frame_id":"x"}',
    ]
    _, back, kept = round_trip(json_channel(), payloads)
    assert kept == [None, None]
    assert [json.loads(one) for one in back] == [json.loads(one) for one in payloads]
    _, back, kept = round_trip(json_channel(), payloads, Fidelity.BYTES)
    assert back == payloads
    assert None not in kept


def test_json_that_is_not_as_its_schema_says_is_kept_whole():
    payloads = [
        b'{"frame_id":"more","unknown":{"deep":[1]}}',
        b'{"frame_id":5,"kind":"text","covariance":"none","timestamp":3}',
        b'{"frame_id":null}',
        b'{"timestamp":{}}',
        b'{"kind":123456789012345678901234567890,"latitude":9007199254740993}',
        b'{"latitude":1e400}',
        b'{"frame_id":"\\ud800"}',
        b'{"satellites":[{"id":1.5},null]}',
    ]
    batch, back, _ = round_trip(json_channel(), payloads)
    assert [json.loads(one) for one in back] == [json.loads(one) for one in payloads]
    assert back[5] == b'{"latitude":1e400}'  # infinity is no JSON
    assert batch['frame_id'].to_pylist()[:3] == ['more', None, None]


def test_text_that_is_not_utf8():
    """Neither Arrow nor a codec that guesses encodings may let it in."""
    reading = decoder(json_channel())
    payloads = [b'{"frame_id":"\xff"}', '{"kind":1}'.encode('utf-16'), b'{"frame_id":"ok"}']
    assert reading.decode(np.arange(3), payloads)['frame_id'].to_pylist() == ['ok']
    assert reading.problems == {'not JSON': 2}
    assert decoder(Channel('/any', 'json')).decode(np.arange(3), payloads).num_rows == 1
    lone = [b'{"frame_id":"\\ud800"}']
    _, back, _ = round_trip(json_channel(), lone)
    assert back == lone


def test_names_that_the_envelope_owns_are_stored_under_others():
    taken = {'timestamp_ns': 1, 'timestamp_ns_': 2, 'publish_time_ns': 3}
    schema = {'properties': {name: {'type': 'integer'} for name in taken}}
    batch, back, _ = round_trip(json_channel(schema), [compact(taken)])
    assert back == [compact(taken)]
    row = batch.to_pylist()[0]
    assert (row['timestamp_ns__'], row['timestamp_ns_'], row['publish_time_ns_']) == (1, 2, 3)


def test_damaged_messages_are_counted():
    reading = decoder(json_channel())
    batch = reading.decode(np.arange(5), [b'{"kind":1}', b'{"kind":', b'', b'[1]', b'{"kind":2}'])
    assert batch['kind'].to_pylist() == [1, 2]
    assert batch['timestamp_ns'].to_pylist() == [0, 4]
    assert reading.problems == {'not JSON': 2, 'not a JSON object': 1}
    reading = decoder(proto_channel())
    good = scan(1).SerializeToString()
    batch = reading.decode(np.arange(2), [b'\xff\xff', good])
    assert batch['timestamp_ns'].to_pylist() == [1]
    assert reading.malformed == 1


@pytest.mark.parametrize('text', [b'', b'{}', b'{"type":"array","items":{"type":"number"}}'])
def test_json_without_properties_is_text(text):
    channel = Channel('/any', 'json', '', 'jsonschema' if text else '', text)
    payloads = [b'{ "a": 1}', b'[1, 2]', b'"x"']
    batch, back, kept = round_trip(channel, payloads)
    assert back == payloads
    assert kept == [None] * 3
    assert batch['json'].to_pylist() == [one.decode() for one in payloads]
    assert decoder(channel).ontology_type.ontology_tag() == 'Json'


def test_open_parts_of_a_schema_are_text():
    schema = {
        'properties': {
            'free': {'type': 'object'},
            'either': {'oneOf': [{'type': 'string'}, {'type': 'number'}]},
            'map': {'type': 'object', 'additionalProperties': {'type': 'number'}},
            'tree': {'$ref': '#/$defs/node'},
        },
        '$defs': {
            'node': {'properties': {'v': {'type': 'integer'}, 'next': {'$ref': '#/$defs/node'}}}
        },
    }
    rows = [
        {'free': {'a': [1]}, 'either': 'x', 'map': {'k': 1}, 'tree': {'v': 1, 'next': {'v': 2}}},
        {'either': 5},
    ]
    batch, back, kept = round_trip(json_channel(schema), [compact(row) for row in rows])
    assert [json.loads(one) for one in back] == rows
    assert kept == [None, None]
    assert batch['free'].to_pylist() == ['{"a":[1]}', None]
    assert batch['tree'].to_pylist()[0] == {'v': 1, 'next': '{"v":2}'}


def test_schemas_that_cannot_be_read_are_refused():
    endless = {
        'properties': {'a': {'$ref': '#/$defs/0'}},
        '$defs': {
            str(i): {'properties': {k: {'$ref': f'#/$defs/{i + 1}'} for k in 'ab'}}
            for i in range(40)
        },
    }
    with pytest.raises(InvalidArgumentError, match='more than'):
        codec_for(json_channel(endless))
    with pytest.raises(InvalidArgumentError, match='cannot be read'):
        codec_for(Channel('/x', 'json', 'X', 'jsonschema', b'{'))
    with pytest.raises(InvalidArgumentError, match='cannot be read'):
        codec_for(Channel('/x', 'protobuf', 'demo.Scan', 'protobuf', b'\xff'))
    with pytest.raises(InvalidArgumentError, match='cannot be read'):
        codec_for(Channel('/x', 'protobuf', 'demo.Gone', 'protobuf', FILES.SerializeToString()))
    odd = FILES.SerializeToString().replace(b'\x0a\x03key', b'\x0a\x03kez')
    with pytest.raises(InvalidArgumentError, match='cannot be read'):
        codec_for(Channel('/x', 'protobuf', 'demo.Scan', 'protobuf', odd))
    with pytest.raises(InvalidArgumentError, match='no text'):
        codec_for(json_channel({'properties': {'\ud800': {'type': 'string'}}}))
    strange = {'a': {'type': {}}, 'b': {'enum': 5}, 'c': {'type': [['x']]}, 'd': {'$ref': []}}
    assert {f.type for f in codec_for(json_channel({'properties': strange})).struct} == {
        pa.string()
    }
    with pytest.raises(InvalidArgumentError, match="encoded as 'cbor'"):
        codec_for(Channel('/x', 'cbor'))


def test_protobuf_fields_become_columns():
    made = [scan(i) for i in range(30)]
    payloads = [one.SerializeToString(deterministic=True) for one in made]
    batch, back, kept = round_trip(proto_channel(), payloads)
    assert back == payloads
    assert kept == [None] * 30
    row = batch.to_pylist()[1]
    assert row['stamp'] == {'seconds': 1, 'nanos': 5}
    assert row['ranges'] == [1.5, float('inf'), 1.0]
    assert row['points'] == [{'x': 1.0, 'y': 1.0}]
    assert (row['mode'], row['big'], row['count']) == (1, 2**64 - 2, 0)
    assert (row['left'], row['right'], row['names']) == (None, 'r', ['a', 'b'])
    assert row['labels'] == [('one', {'x': 1.0, 'y': 0.0})]
    assert row['any'] == {'type_url': 't', 'value': b'\0v'}
    assert SCAN.FromString(row['child']).frame == 'inner'  # it contains itself
    assert batch.to_pylist()[0]['nothing'] is None
    assert decoder(proto_channel()).ontology_type.ontology_tag() == 'Scan'


def test_protobuf_fields_that_the_schema_lacks_are_kept():
    payload = scan(2).SerializeToString(deterministic=True) + b'\xa2\x06\x03new'
    _, back, kept = round_trip(proto_channel(), [payload])
    assert back == [payload]
    assert kept[0] is not None
    # Another order of fields means the same.
    stamp = b'\x0a\x02\x08\x01'
    _, back, kept = round_trip(proto_channel(), [b'\x12\x01f' + stamp])
    assert (back, kept) == ([stamp + b'\x12\x01f'], [None])


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from([*SCHEMA['properties'], 'z']), _values), max_size=4)
)
def test_any_json_object_comes_back(rows):
    payloads = [json.dumps(row).encode() for row in rows]
    _, back, _ = round_trip(json_channel(), payloads)
    assert [json.loads(one) for one in back] == rows
    _, back, _ = round_trip(json_channel(), payloads, Fidelity.BYTES)
    assert back == payloads


# --- recordings ---------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def daemon(start_shared):
    return start_shared()


def write(path: Path, channels: dict[Channel, list[bytes]]) -> Path:
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start()
        for k, (channel, payloads) in enumerate(channels.items()):
            schema = 0
            if channel.schema_name:
                schema = writer.register_schema(
                    channel.schema_name, channel.schema_encoding, channel.schema_def
                )
            key = writer.register_channel(
                channel.name, channel.encoding, schema, {'driver': f'd{k}'}
            )
            for i, payload in enumerate(payloads):
                at = 1000 + 10 * i + k
                writer.add_message(key, at, payload, at - i % 3)
        writer.finish()
    return path


def contents(path: Path):
    """Everything of each channel that a reader sees."""
    found: dict[str, Any] = {}
    with path.open('rb') as file:
        for schema, channel, message in make_reader(file).iter_messages():
            about = (channel.message_encoding, channel.metadata) + (
                (schema.name, schema.encoding, schema.data) if schema else ()
            )
            row = (message.log_time, message.publish_time, message.data)
            found.setdefault(channel.topic, (about, []))[1].append(row)
    return found


def ingest(daemon, path: Path, name: str, **options: Any) -> RosbagInjector:
    injector = RosbagInjector(
        ROSInjectionConfig(
            path, name, host=daemon.host, port=daemon.port, log_level='ERROR', **options
        )
    )
    injector.run()
    return injector


def export(daemon, folder: Path, name: str, **options: Any):
    config = ROSExtractorConfig(
        folder, name, daemon.host, daemon.port, log_level='ERROR', **options
    )
    return ROSSequenceExtractor(config).run()


def test_recordings_come_back(daemon, tmp_path):
    mixed = {
        json_channel(name='/fix'): [json.dumps(fix(i)).encode() for i in range(40)],
        proto_channel('front.scan'): [scan(i).SerializeToString() for i in range(30)],
        Channel('/free', 'json'): [b'{"a": 1}', b'[]'],
    }
    bag = write(tmp_path / 'mixed.mcap', mixed)
    with open_bag(bag) as opened:
        assert opened.message_count == 72
        assert opened.topics['front.scan'].msgtype == 'demo.Scan'
    injector = ingest(daemon, bag, 'mixed', keep_raw=True)
    assert injector.report.complete
    assert injector.report.stored == 72
    report = export(daemon, tmp_path, 'mixed')
    assert contents(next(report.path.glob('*.mcap'))) == contents(bag)
    verdict = verify(bag, ROSExtractorConfig(tmp_path, 'mixed', daemon.host, daemon.port))
    assert verdict.equal_bytes
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        topic = client.topic_handler('mixed', 'front/scan')
        assert topic.ontology_tag == 'Scan'
        messages = list(topic.get_data_streamer())
        assert messages[4].data.raw_data['frame'] == 'laser'
        assert messages[4].data.raw_data['labels'] == {'one': {'x': 4.0, 'y': 0.0}}
        assert messages[4].data.raw_data['publish_time_ns'] == 1041 - 1
        facts = topic.user_metadata['_mcap_']
        assert (facts['channel_name'], facts['source_file']) == ('front.scan', 'mixed.mcap')
        fixes = client.topic_handler('mixed', 'fix').to_arrow()
        assert fixes['latitude'].to_pylist()[3] == 48.1
    with pytest.raises(InvalidArgumentError, match='export it as mcap'):
        export(daemon, tmp_path / 'other', 'mixed', storage_plugin='sqlite3')


class ChannelSpeed(Serializable):
    speed: MosaicoType.float64 = MosaicoField(description='In m/s.')


@register_default_adapter
class SpeedAdapter(MCAPAdapterBase[ChannelSpeed]):
    schema_name = 'demo.Speed'
    schema_encoding = 'jsonschema'
    __mosaico_ontology_type__ = ChannelSpeed

    @classmethod
    def from_dict(cls, mcap_data, publish_time_ns):
        return ChannelSpeed(speed=mcap_data['kmh'] / 3.6)

    @classmethod
    def to_mcap(cls, mosaico_data):
        return {'kmh': mosaico_data.speed * 3.6}, None


def test_adapters_of_users(daemon, tmp_path):
    schema = json.dumps({'properties': {'kmh': {'type': 'number'}}}).encode()
    channel = Channel('/speed', 'json', 'demo.Speed', 'jsonschema', schema)
    bag = write(tmp_path / 'speed.mcap', {channel: [b'{"kmh": 36}', b'{"kmh": 72}', b'{}']})
    injector = ingest(daemon, bag, 'speeds')
    assert injector.report.topics['/speed'].malformed
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        table = client.topic_handler('speeds', 'speed').to_arrow()
    assert table['speed'].to_pylist() == [10.0, 20.0]
    back = contents(next(export(daemon, tmp_path, 'speeds').path.glob('*.mcap')))
    assert [json.loads(data) for _, _, data in back['/speed'][1]] == [{'kmh': 36}, {'kmh': 72}]
    assert MCAPBridge.is_adapted(ChannelSpeed)
    assert MCAPBridge.is_msgtype_adapted('demo.Speed__jsonschema')

    class OtherAdapter(SpeedAdapter):
        pass

    with pytest.raises(AlreadyExistsError, match='SpeedAdapter'):
        register_default_adapter(OtherAdapter)
    with pytest.raises(InvalidArgumentError, match='schema_encoding'):
        register_default_adapter(MCAPAdapterBase)


def test_messages_one_by_one_and_back(daemon, tmp_path):
    """The published names, over one recording."""
    texts = [compact(fix(i)) for i in range(20)]
    packed = [scan(i).SerializeToString(deterministic=True) for i in range(20)]
    texts[3] = b'{"kind":'
    channels = {json_channel(): texts, proto_channel('front.scan'): packed}
    bag = write(tmp_path / 'one.mcap', channels)
    with mcap.MCAPLoader(bag) as loader:
        assert loader.topics == ['/fix', 'front.scan']
        assert loader.channel_types == [
            ('foxglove.LocationFix', 'jsonschema'),
            ('demo.Scan', 'protobuf'),
        ]
        assert (loader.msg_count(), loader.duration) == (40, 191)
        read = list(loader)
    times = [message.log_time_ns for message, _ in read]
    assert times == sorted(times)
    ((broken, error),) = [(message, error) for message, error in read if error]
    assert (broken.channel_name, broken.data_field, broken.log_time_ns) == ('/fix', None, 1030)
    assert 'not JSON' in str(error)
    scans = [message for message, _ in read if message.channel_name == 'front.scan']
    assert scans[1].data_field['labels'] == {'one': {'x': 1.0, 'y': 0.0}}
    assert scans[2].publish_time_ns == scans[2].log_time_ns - 2

    name = 'by_channels'
    config = mcap.MCAPInjectionConfig(
        bag,
        name,
        host=daemon.host,
        port=daemon.port,
        log_level='ERROR',
        channels=['front.*', '/fix'],
    )
    mcap.MCAPInjector(config).run()
    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        mcap.MosaicoToMCAPLoader(client, name) as loader,
    ):
        assert sorted(loader.topics) == ['/fix', '/front/scan']
        assert loader.resolve_metadata('/front/scan').fields['channel_name'] == 'front.scan'
        back: dict[str, list[bytes]] = {}
        for topic, message in loader:
            made = loader.resolve_adapter(topic).to_native(message)
            back.setdefault(loader.resolve_native_msg_type(topic), []).append(made.data_bytes)
            assert message.timestamp_ns - 2 <= made.publish_time_ns <= message.timestamp_ns
    assert back['demo.Scan'] == packed
    assert [json.loads(one) for one in back['foxglove.LocationFix']] == [
        fix(i) for i in range(20) if i != 3
    ]
    again = [message for message, _ in mcap.MCAPLoader(bag, 'front.*')]
    with mcap.MCAPLoader(bag, 'front.*') as loader:
        adapter = loader.resolve_adapter('front.scan')
        assert [adapter.to_native(adapter.translate(one)).data_bytes for one in again] == packed


def test_ros_channels_are_not_for_this_loader(tmp_path):
    bag = write(tmp_path / 'ros.mcap', {Channel('/r', 'cdr', 'std_msgs/msg/Empty', 'ros2msg'): []})
    with pytest.raises(InvalidArgumentError, match='no topic to read'):
        mcap.MCAPLoader(bag)
