"""Scripts for the published SDK run once its package name is replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / 'scripts'


def run(script: str, folder: Path, daemon) -> str:
    """Run a script with the name of the package replaced, nothing else."""
    replaced = folder / script
    replaced.write_text((SCRIPTS / script).read_text().replace('mosaicolabs', 'mosaico_ros'))
    # The package under test, wherever the tests were started from.
    root = Path(sys.modules['mosaico_ros'].__file__).parent.parent
    environment = os.environ | {
        'MOSAICO_HOST': daemon.host,
        'MOSAICO_PORT': str(daemon.port),
        'PYTHONPATH': os.pathsep.join([str(root), os.environ.get('PYTHONPATH', '')]),
    }
    done = subprocess.run(
        [sys.executable, str(replaced)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_published_scripts(daemon, tmp_path):
    import mosaico_ros  # noqa: F401

    assert 'Connected to version' in run('write.py', tmp_path, daemon)
    assert 'Discovered 2 sequences' in run('read.py', tmp_path, daemon)
    assert 'done' in run('query.py', tmp_path, daemon)


def test_scripts_are_typed(tmp_path):
    """What the package offers is visible to a strict type checker in a user's script."""
    script = tmp_path / 'user.py'
    script.write_text(
        'from mosaico_ros import IMU, Message, MosaicoClient, QueryTopic, Vector3d\n'
        'def main(client: MosaicoClient) -> int:\n'
        "    with client.sequence_create('a', {'b': 1}) as sequence:\n"
        "        writer = sequence.topic_create('imu', {}, ontology_type=IMU)\n"
        '        v = Vector3d(x=1, y=2, z=3)\n'
        '        imu = IMU(acceleration=v, angular_velocity=v)\n'
        '        writer.push(Message(timestamp_ns=1, data=imu))\n'
        "    handler = client.topic_handler('a', 'imu')\n"
        '    assert handler is not None\n'
        '    for message in handler.get_data_streamer():\n'
        '        data = message.get_data(IMU)\n'
        '        reveal_type(data)\n'
        "    response = client.query(QueryTopic().with_name('/imu'))\n"
        '    return sum(len(item.topics) for item in response)\n'
    )
    root = Path(sys.modules['mosaico_ros'].__file__).parent.parent
    # The examples too, as a user's copies; not those of libraries without types.
    for example in (root / 'mosaico_ros' / 'examples').glob('*.py'):
        if example.stem not in ('__init__', 'csv_sources', 'sample_files'):
            shutil.copy(example, tmp_path)
    # mypy finds an installed package by itself, and wants to be told where a checkout is.
    path = {} if root.name == 'site-packages' else {'MYPYPATH': str(root)}
    done = subprocess.run(
        [sys.executable, '-m', 'mypy', '--strict', '--follow-imports=silent', '.'],
        env=os.environ | path,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert 'IMU | None' in done.stdout or 'Union[' in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
