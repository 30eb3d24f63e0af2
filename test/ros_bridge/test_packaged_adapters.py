"""Adapters of an installed package, which no program here imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mcap.writer import Writer

ROOT = Path(__file__).resolve().parents[2]
CODE = """
from mosaico_ros import MosaicoField, MosaicoType, Serializable
from mosaico_ros.ros_bridge import ROSAdapterBase, register_default_adapter
from mosaico_ros.ros_bridge.channels import MCAPAdapterBase


class PackedWheel(Serializable):
    turns: MosaicoType.uint32 = MosaicoField(description='Since the start.')


@register_default_adapter
class WheelAdapter(ROSAdapterBase[PackedWheel]):
    ros_msgtype = 'packed_msgs/msg/Wheel'
    __mosaico_ontology_type__ = PackedWheel

    @classmethod
    def from_dict(cls, ros_data):
        return PackedWheel(turns=ros_data['ticks'] // 10)

    @classmethod
    def to_ros(cls, data, typestore, ros_msg_type=None):
        return typestore.types[ros_msg_type](ticks=data.turns * 10)


class TurnAdapter(MCAPAdapterBase[PackedWheel]):
    schema_name, schema_encoding = 'packed.Turn', 'jsonschema'
    __mosaico_ontology_type__ = PackedWheel

    @classmethod
    def from_dict(cls, mcap_data, publish_time_ns):
        return PackedWheel(turns=mcap_data['turns'])
"""


def wheel(folder: Path, name: str, files: dict[str, str], points: str) -> Path:
    """A wheel, as a build would make it."""
    path = folder / f'{name}-1.0-py3-none-any.whl'
    about = f'{name}-1.0.dist-info'
    content = {
        **files,
        f'{about}/METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n',
        f'{about}/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
        f'{about}/entry_points.txt': f'[mosaico_ros.adapters]\n{points}\n',
    }
    with zipfile.ZipFile(path, 'w') as archive:
        for member, text in content.items():
            archive.writestr(member, text)
        record = ''.join(f'{member},,\n' for member in [*content, f'{about}/RECORD'])
        archive.writestr(f'{about}/RECORD', record)
    return path


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """A folder with two packages in it, one of them broken."""
    folder = tmp_path_factory.mktemp('packages')
    target = folder / 'target'
    points = 'ros = packed_adapters\nturn = packed_adapters:TurnAdapter'
    wheels = [
        wheel(folder, 'packed_adapters', {'packed_adapters.py': CODE}, points),
        wheel(folder, 'broken_adapters', {'broken_adapters.py': '1 / 0'}, 'x = broken_adapters'),
    ]
    install = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index']
    subprocess.run([*install, '--target', target, *wheels], check=True, timeout=120)
    return target


@pytest.fixture
def bag(tmp_path) -> Path:
    path = tmp_path / 'wheels.mcap'
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema('packed_msgs/msg/Wheel', 'ros2msg', b'uint32 ticks')
        ros = writer.register_channel('/wheel', 'cdr', schema)
        text = b'{"properties":{"turns":{"type":"integer"}}}'
        schema = writer.register_schema('packed.Turn', 'jsonschema', text)
        turn = writer.register_channel('/turn', 'json', schema)
        for i in range(5):
            payload = b'\0\1\0\0' + (i * 10).to_bytes(4, 'little')
            writer.add_message(ros, 100 + i, payload, 100 + i)
            writer.add_message(turn, 100 + i, b'{"turns":%d}' % i, 100 + i)
        writer.finish()
    return path


def mosaico(daemon, target: Path, folder: Path, *arguments: object):
    return subprocess.run(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', *map(str, arguments)],
        cwd=folder,
        env={
            **os.environ,
            'PYTHONPATH': os.pathsep.join(map(str, (target, ROOT))),
            'MOSAICO_PORT': str(daemon.port),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_installed_package_brings_adapters(start_shared, installed, bag, tmp_path):
    daemon = start_shared()
    done = mosaico(daemon, installed, tmp_path, 'ingest', bag, '--json')
    assert done.returncode == 0, done.stderr
    assert 'broken_adapters are not used' in done.stderr
    assert {t['name']: t['ontology'] for t in json.loads(done.stdout)['topics']} == {
        '/wheel': 'PackedWheel',
        '/turn': 'PackedWheel',
    }
    with daemon.client() as client:
        for topic in ('wheel', 'turn'):
            table = client.topic_handler('wheels', topic).to_arrow()
            assert table['turns'].to_pylist() == [0, 1, 2, 3, 4]
    done = mosaico(daemon, installed, tmp_path, 'export', 'wheels', '--json')
    assert done.returncode == 3, done.stderr
    told = {topic['name']: topic for topic in json.loads(done.stdout)['topics']}
    assert told['/wheel']['messages'] == 5
    assert 'has no to_mcap' in told['/turn']['skipped']


def test_a_package_that_fails_is_told_and_left_out(installed):
    code = """
from mosaico_ros.ros_bridge import ROSBridge
print(ROSBridge.get_default_adapter('packed_msgs/msg/Wheel').__name__)
print(ROSBridge.is_msgtype_adapted('sensor_msgs/msg/Imu'))
"""
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, (installed, ROOT)))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['WheelAdapter', 'True']
    assert 'broken_adapters are not used (ZeroDivisionError' in done.stderr
