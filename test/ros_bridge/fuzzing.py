"""Damaged payloads and recordings, by the thousand: nothing may crash, hang or swallow memory.

Every case begins with something valid, which is then cut, flipped, spliced, or given lengths that
nothing can have. What comes out must be the rows that are left and a reason for each that is not;
whole files may be refused, by an error of ours that names the file.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, struct_pb2

sys.path.insert(0, str(Path(__file__).parent))
import wire

from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.adapters import LidarAdapter
from mosaico_ros.ros_bridge.bags import BagTopic, open_bag
from mosaico_ros.ros_bridge.bags.mcap_writer import McapWriter
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder
from mosaico_ros.ros_bridge.cdr.layout import ENCAPSULATIONS, ROS1
from mosaico_ros.ros_bridge.channels.channel_decoder import ChannelDecoder
from mosaico_ros.ros_bridge.definitions import Definition, find_definition
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

TYPES = (
    'std_msgs/msg/String',
    'sensor_msgs/msg/Imu',
    'sensor_msgs/msg/JointState',
    'sensor_msgs/msg/PointCloud2',
    'tf2_msgs/msg/TFMessage',
    'diagnostic_msgs/msg/DiagnosticArray',
    'trajectory_msgs/msg/JointTrajectory',
)
#: Lengths and counts that nothing here can have, and those at the edges of machine words.
HOSTILE = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """The data with one to three things done to it."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        if not out:
            break
        at = dice.randrange(len(out))
        match dice.randrange(5):
            case 0:
                del out[at:]
            case 1:
                for _ in range(dice.randint(1, 8)):
                    out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
            case 2:
                size = dice.choice((1, 2, 4, 8))
                number = dice.choice(HOSTILE) % (1 << 8 * size)
                at -= at % size
                out[at : at + size] = number.to_bytes(size, dice.choice(('little', 'big')))
            case 3:
                del out[at : at + dice.randint(1, 16)]
            case _:
                out[at:at] = dice.randbytes(dice.randint(1, 16))
    return bytes(out)


class _Draw:
    """Random values without hypothesis, whose bookkeeping would be most of the time."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def value(self, node: object) -> object:
        from mosaico_ros.ros_bridge.cdr.layout import Array, Primitive, Sequence, Struct, Text

        dice = self._dice
        match node:
            case Struct(members=members):
                return {name: self.value(member) for name, member in members}
            case Text():
                return ''.join(dice.choices('abc äß/_', k=dice.randrange(12)))
            case Primitive(code='b1'):
                return dice.random() < 0.5
            case Primitive(code=code) if code[0] == 'f':
                return dice.gauss(0, 10)
            case Primitive():
                return dice.randrange(100)
            case Array(item=item, count=count):
                return [self.value(item) for _ in range(count)]
            case Sequence(item=Primitive(code='u1')):
                return dice.randbytes(dice.randrange(40))
            case Sequence(item=item):
                return [self.value(item) for _ in range(dice.randrange(4))]
        raise AssertionError(node)


def definition(name: str) -> Definition:
    return find_definition(name)


def payload_cases(dice: random.Random, count: int) -> Counter[str]:
    """Decode damaged payloads in batches; every payload is a row or has a reason."""
    outcomes: Counter[str] = Counter()
    draw = _Draw(dice)
    while sum(outcomes.values()) < count:
        tree = definition(dice.choice(TYPES)).tree
        layout = dice.choice([*ENCAPSULATIONS.values(), ROS1])
        decoder = PayloadDecoder(tree, ros1=layout is ROS1)
        batch = [
            damaged(wire.serialize(tree, draw.value(tree), layout), dice)
            for _ in range(dice.choice((1, 7, 64)))
        ]
        rows = sum(len(part.column) for part in decoder.decode(batch))
        refused = sum(decoder.problems.values())
        assert rows + refused == len(batch), (rows, decoder.problems, len(batch))
        outcomes.update({'rows decoded': rows, 'payloads refused': refused})
    return outcomes


def recordings(folder: Path, dice: random.Random) -> list[Path]:
    """Small valid recordings of every kind."""
    draw = _Draw(dice)
    found = []
    for compression in ('zstd', 'lz4', ''):
        path = folder / f'{compression or "plain"}.mcap'
        with McapWriter(path, compression=compression) as writer:
            for name in TYPES:
                about = definition(name)
                channel = writer.add_channel(
                    f'/{name.split("/")[-1].lower()}',
                    'cdr',
                    (name, 'ros2msg', about.text.encode()),
                )
                payloads = [
                    wire.serialize(about.tree, draw.value(about.tree), ENCAPSULATIONS[1])
                    for _ in range(20)
                ]
                writer.write(np.full(20, channel), np.arange(20), payloads)
        found.append(path)
    found.append(_channels(folder / 'channels.mcap', dice))
    return [*found, _database(folder / 'talk.db3', draw), _ros1(folder / 'talk.bag', draw)]


def _channels(path: Path, dice: random.Random) -> Path:
    """JSON and protobuf messages of random values."""
    files = descriptor_pb2.FileDescriptorSet()
    struct_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    kinds = {name: {'type': name} for name in ('string', 'integer', 'number', 'boolean')}
    schema = {'properties': {**kinds, 'list': {'type': 'array', 'items': {'properties': kinds}}}}
    values = {'string': 'ä', 'integer': 5, 'number': 0.5, 'boolean': True}
    texts, packed = [], []
    for _ in range(20):
        chosen = {name: v for name, v in values.items() if dice.random() < 0.7}
        value = {**chosen, 'list': [chosen] * dice.randrange(3)}
        texts.append(json.dumps(value).encode())
        message = struct_pb2.Struct()
        message.update(value)
        packed.append(message.SerializeToString())
    with McapWriter(path, compression='') as writer:
        about = ('demo.Value', 'jsonschema', json.dumps(schema).encode())
        channel = writer.add_channel('/json', 'json', about)
        writer.write(np.full(20, channel), np.arange(20), texts)
        about = ('google.protobuf.Struct', 'protobuf', files.SerializeToString())
        channel = writer.add_channel('/protobuf', 'protobuf', about)
        writer.write(np.full(20, channel), np.arange(20), packed)
    return path


def _database(path: Path, draw: _Draw) -> Path:
    from rosbags.rosbag2 import StoragePlugin, Writer

    about = definition('sensor_msgs/msg/JointState')
    folder = path.with_suffix('')
    with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection(
            '/joints', about.msgtype, msgdef=about.text, rihs01=about.type_hash
        )
        for i in range(20):
            payload = wire.serialize(about.tree, draw.value(about.tree), ENCAPSULATIONS[1])
            writer.write(connection, i, payload)
    return next(folder.glob('*.db3')).rename(path)


def _ros1(path: Path, draw: _Draw) -> Path:
    from rosbags.rosbag1 import Writer

    about = find_definition('sensor_msgs/msg/JointState', distro='noetic', ros1=True)
    with Writer(path) as writer:
        connection = writer.add_connection(
            '/joints', about.msgtype, msgdef=about.text, md5sum=about.md5
        )
        for i in range(20):
            payload = wire.serialize(about.tree, draw.value(about.tree), ROS1)
            writer.write(connection, i, payload)
    return path


def recording_cases(dice: random.Random, count: int, folder: Path) -> Counter[str]:
    """Read damaged recordings to their end, decoding what they yield."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=folder) as originals:
        made = recordings(Path(originals), dice)
        valid = [(path.suffix, path.read_bytes()) for path in made]
    for _ in range(count):
        suffix, data = dice.choice(valid)
        path = folder / f'damaged{suffix}'
        path.write_bytes(damaged(data, dice))
        try:
            rows = _read(path)
        except MosaicoError as error:
            if path.name not in str(error):
                raise
            outcomes['recordings refused'] += 1
        else:
            outcomes['recordings read'] += 1
            outcomes['rows of recordings'] += rows
    return outcomes


def _read(path: Path) -> int:
    rows = 0
    decoders: dict[str, TopicDecoder | ChannelDecoder | None] = {}
    with open_bag(path) as bag:
        for group in bag.groups(lambda topic: True):
            topic = bag.topics[group.topic]
            if group.topic not in decoders:
                try:
                    decoders[group.topic] = _decoder(topic)
                except MosaicoError:
                    decoders[group.topic] = None
            decoder = decoders[group.topic]
            if decoder is not None:
                known = decoder.malformed
                found = decoder.decode(group.timestamps, group.payloads).num_rows
                assert found + decoder.malformed - known == len(group.payloads)
                rows += found
    return rows


def _decoder(topic: BagTopic) -> TopicDecoder | ChannelDecoder:
    """With all that looks at values: residuals, and points of clouds."""
    if topic.channel is not None:
        return ChannelDecoder(topic.channel, fidelity=Fidelity.VALUES)
    adapter = LidarAdapter if topic.msgtype == 'sensor_msgs/msg/PointCloud2' else None
    return TopicDecoder(
        topic.msgtype,
        topic.definition,
        ros1=topic.ros1,
        adapter=adapter,
        fidelity=Fidelity.VALUES,
    )


def runs(seed: int, payloads: int, files: int, folder: Path) -> Iterator[Counter[str]]:
    """Both kinds of cases, a few at a time."""
    dice = random.Random(seed)
    parts: list[tuple[Callable[[int], Counter[str]], int]] = [
        (lambda count: payload_cases(dice, count), payloads),
        (lambda count: recording_cases(dice, count, folder), files),
    ]
    for run, left in parts:
        while left > 0:
            share = min(left, 500)
            yield run(share)
            left -= share
