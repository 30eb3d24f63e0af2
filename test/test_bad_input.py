"""What a user did wrong, and the one clear error that names the thing and the way out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mosaico_ros import IMU, MosaicoClient
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError


def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', f'mosaico_ros.cli.{module}', *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def one_line(text: str) -> str:
    (line,) = text.strip().splitlines()
    return line


def test_unknown_topic(daemon: Any) -> None:
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        assert client.topic_handler('nowhere', '/imu') is None
        with client.sequence_create('run') as sequence:
            sequence.topic_create('/imu', ontology_type=IMU)
        flight = pytest.importorskip('pyarrow.flight')
        raw = flight.connect(daemon.url)
        for locator in ('run/gps', 'nowhere/imu', 'nowhere'):
            command = json.dumps({'resource_locator': locator}).encode()
            with pytest.raises(KeyError, match=locator):  # how Flight says NOT_FOUND
                raw.get_flight_info(flight.FlightDescriptor.for_command(command))
        with pytest.raises(NotFoundError, match='nowhere'):
            client.sequence_delete('nowhere')
    said = run('mosaico', 'cat', 'run/gps', MOSAICO_PORT=str(daemon.port))
    assert said.returncode == 1
    assert one_line(said.stderr) == (
        "mosaico: there is no topic 'gps' in sequence 'run'. `mosaico info run` lists its topics"
    )


def test_wrong_schema(daemon: Any) -> None:
    """Against the topic at the client, and against the announced schema at the daemon."""
    from pyarrow import flight

    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        with client.sequence_create('run') as sequence:
            imu = sequence.topic_create('/imu', ontology_type=IMU)
            with pytest.raises(InvalidArgumentError, match=r"run/imu.*'timestamp_ns', 'header'"):
                imu.push_batch(pa.record_batch({'timestamp_ns': [1], 'x': [2.0]}))
        sequence = client.sequence_handler('run')
        assert sequence is not None

    raw = flight.connect(daemon.url)

    def call(action: str, **body: Any) -> Any:
        (result,) = raw.do_action(flight.Action(action, json.dumps(body).encode()))
        return json.loads(result.body.to_pybytes())['response']

    session = call('session_create', locator='run')
    topic = call(
        'topic_create',
        session_uuid=session['uuid'],
        locator='run/gps',
        serialization_format='default',
        ontology_tag='GPS',
        user_metadata={},
    )
    command = json.dumps({'resource_locator': 'run/gps', 'topic_uuid': topic['uuid']}).encode()
    writer, _ = raw.do_put(
        flight.FlightDescriptor.for_command(command), pa.schema([('x', pa.float64())])
    )
    with pytest.raises(pa.ArrowInvalid, match='timestamp_ns'):  # INVALID_ARGUMENT
        writer.close()


@pytest.mark.parametrize('name', ['two words', 'a.b', 'a:b', '_hidden', 'caf\u00e9', '', 'a/b'])
def test_forbidden_sequence_name(daemon: Any, name: str) -> None:
    from pyarrow import flight

    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        pytest.raises(InvalidArgumentError),
    ):
        client.sequence_create(name)
    body = json.dumps({'locator': name, 'user_metadata': {}}).encode()
    with pytest.raises(pa.ArrowInvalid):
        list(flight.connect(daemon.url).do_action(flight.Action('sequence_create', body)))


def test_port_in_use(daemon: Any, tmp_path: Path) -> None:
    said = run('mosaicod', 'run', '--port', str(daemon.port), '--data-dir', str(tmp_path / 'd'))
    assert said.returncode == 1
    line = one_line(said.stderr)
    assert str(daemon.port) in line
    assert 'in use' in line
    assert '--port' in line


@pytest.mark.parametrize('unreadable', ['file', 'file/below'])
def test_unreadable_data_folder(tmp_path: Path, unreadable: str) -> None:
    (tmp_path / 'file').touch()
    said = run('mosaicod', 'run', '--port', '0', '--data-dir', str(tmp_path / unreadable))
    assert said.returncode == 1
    assert str(tmp_path / 'file') in one_line(said.stderr)


@pytest.mark.parametrize('name', ['x.mcap', 'x.db3', 'x.bag', 'x.txt', 'folder', 'missing.mcap'])
def test_a_bag_that_is_none(daemon: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == 'folder':
        path.mkdir()
    elif not name.startswith('missing'):
        path.write_bytes(b'this is not a recording' * 40)
    said = run('mosaico', 'ingest', str(path), MOSAICO_PORT=str(daemon.port))
    assert said.returncode in (1, 2)
    assert name in said.stderr
    assert 'Traceback' not in said.stderr
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        assert client.list_sequences() == []


def test_nobody_there() -> None:
    said = run('mosaico', 'ls', '--port', '1')
    assert said.returncode == 1
    assert 'mosaicod run' in one_line(said.stderr)
