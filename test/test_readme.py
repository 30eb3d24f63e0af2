"""Everything the README and the guides in docs print, run as printed, real processes.

The two installation commands are not run here: one of them is what runs these tests, the other
one's work (`mosaico demo`) has a test of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import click
import pytest

from mosaico_ros import CompressedImage, ImageFormat, Message, MosaicoClient

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ('columns', 'deployment', 'images', 'operation', 'query')
PAGES = (ROOT / 'README.md', *(ROOT / 'docs' / f'{guide}.md' for guide in GUIDES))
BLOCK = re.compile(r'<!-- (?:run: )?(\S+) -->\n```(\w+)\n(.*?)```', re.DOTALL)
BLOCKS = {
    name: text
    for page in PAGES
    for name, _, text in BLOCK.findall(page.read_text(encoding='utf-8'))
}


@pytest.fixture(scope='module')
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('readme')


@pytest.fixture(scope='module')
def environment(workspace: Path, domain: int, new_port: Callable[[], int]) -> dict[str, str]:
    """A user's shell with the commands in its path and a daemon's port of our own."""
    commands = workspace / 'bin'
    commands.mkdir()
    for name in ('mosaico', 'mosaicod'):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mosaico_ros.cli.{name} "$@"\n')
        script.chmod(0o755)
    port = str(new_port())
    return {
        **os.environ,
        'PATH': f'{commands}:{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'MOSAICOD_PORT': port,
        'MOSAICO_PORT': port,
        'MOSAICOD_DATA_DIR': str(workspace / 'data'),
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_LOG_DIR': str(workspace / 'ros'),
        'ROS_HOME': str(workspace / 'ros'),
        'COLUMNS': '120',
    }


@contextmanager
def in_background(
    command: str, workspace: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until Ctrl-C; it must then end with code 0."""
    process = subprocess.Popen(
        ['sh', '-c', f'exec {command.strip()}'],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A process started with & would ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)[0]
        assert process.returncode == 0, output
        process.output = output  # type: ignore[attr-defined]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope='module')
def served(workspace: Path, environment: dict[str, str]) -> Iterator[None]:
    with in_background(BLOCKS['daemon'], workspace, environment):
        await_daemon(environment)
        yield


def await_daemon(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 15
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', int(environment['MOSAICOD_PORT']))) == 0:
                return
        assert time.monotonic() < deadline, 'the daemon does not answer'
        time.sleep(0.05)


def shell(command: str, workspace: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', command],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def recorded(served: None, workspace: Path, environment: dict[str, str]) -> str:
    """What `mosaico record` said of three seconds of the synthetic robot, watched for faults."""
    watch = f'{BLOCKS["snapshot"].strip()} --folder {workspace / "snapshots"}'
    with (
        in_background(BLOCKS['record'], workspace, environment) as recorder,
        in_background(watch, workspace, environment),
    ):
        shell(
            f'"{sys.executable}" -m mosaico_ros.demo.robot --seconds 3 --ledger ledger.json '
            '--subscribers 2',
            workspace,
            environment,
        )
        deadline = time.monotonic() + 30
        while 'HARD_BUMP' not in shell('mosaico ls', workspace, environment):
            assert time.monotonic() < deadline, 'no snapshot was delivered'
    return recorder.output  # type: ignore[attr-defined, no-any-return]


def test_record(recorded: str) -> None:
    imu = next(line for line in recorded.splitlines() if '/imu' in line and '600' in line)
    assert imu


def test_snapshot(recorded: str, workspace: Path, environment: dict[str, str]) -> None:
    assert re.match(r'fault_rover_7_HARD_BUMP_', shell(BLOCKS['faults'], workspace, environment))


def test_play(recorded: str, workspace: Path, environment: dict[str, str]) -> None:
    # Nobody subscribes: no reason to wait for that.
    said = shell(f'{BLOCKS["play"].strip()} --discovery 0', workspace, environment)
    assert re.search(r'/imu +\d\d', said)


def test_look(recorded: str, workspace: Path, environment: dict[str, str]) -> None:
    ls, info, cat, query = BLOCKS['look'].strip().splitlines()
    assert 'first_drive' in shell(ls, workspace, environment)
    described = shell(info, workspace, environment)
    for topic in ('/imu', '/odom', '/joint_states', '/gps/fix', '/lidar/points'):
        assert topic in described
    assert shell(cat, workspace, environment).count('"acceleration"') == 5
    found = shell(query, workspace, environment)
    drive = found.split('first_drive/imu', 1)[1].split('/imu', 1)[0]
    assert len(re.findall(r'\[\d+, \d+\]', drive)) == 2


@pytest.fixture(scope='module')
def ingested(served: None, workspace: Path, environment: dict[str, str]) -> str:
    """What `mosaico ingest` said of a bag with 25 texts."""
    from mcap_ros2.writer import Writer

    bag = workspace / 'recordings' / 'drive.mcap'
    bag.parent.mkdir()
    with open(bag, 'wb') as stream:
        writer = Writer(stream)
        schema = writer.register_msgdef('std_msgs/msg/String', 'string data')
        for i in range(25):
            writer.write_message(
                '/talk', schema, {'data': f'word {i}'}, log_time=i, publish_time=i
            )
        writer.finish()
    return shell(BLOCKS['ingest'], workspace, environment)


def test_ingest(ingested: str, workspace: Path, environment: dict[str, str]) -> None:
    assert '25' in ingested
    bags = workspace / 'recordings'
    shutil.copy(bags / 'drive.mcap', bags / 'second.mcap')
    said = shell(BLOCKS['ingest-tree'], workspace, environment)
    assert '1 already there' in said
    assert '1 stored' in said
    lines = shell('mosaico cat drive/talk', workspace, environment).splitlines()
    assert len(lines) == 25
    assert '"word 24"' in lines[-1]
    assert 'may be deleted' in shell(BLOCKS['verify'], workspace, environment)


def test_export(
    ingested: str, recorded: str, workspace: Path, environment: dict[str, str]
) -> None:
    shell(BLOCKS['export'], workspace, environment)
    assert (workspace / 'drive' / 'metadata.yaml').is_file()
    assert (workspace / 'tables' / 'drive' / 'talk.parquet').is_file()
    assert len(list((workspace / 'spikes').iterdir())) == 2


def test_python(served: None, workspace: Path, environment: dict[str, str]) -> None:
    script = BLOCKS['python'].replace('6726', environment['MOSAICOD_PORT'])
    (workspace / 'script.py').write_text(script)
    output = shell(f'"{sys.executable}" script.py', workspace, environment)
    assert output.splitlines() == [
        'bench_run /imu 3500000000',
        '3490000000 0.1',
        '3495000000 0.1',
        '3500000000 9.5',
        '3505000000 0.1',
        '1000',
    ]


def test_examples(served: None, workspace: Path, environment: dict[str, str]) -> None:
    listed, *runs = BLOCKS['examples'].strip().splitlines()
    assert 'sample_archive' in shell(listed, workspace, environment)
    said = [shell(run, workspace, environment) for run in runs]
    assert 'Event Window' in said[-1]


def test_columns(served: None, workspace: Path, environment: dict[str, str]) -> None:
    pytest.importorskip('pandas')
    script = BLOCKS['columns'].replace('6726', environment['MOSAICOD_PORT'])
    (workspace / 'columns.py').write_text(script)
    output = shell(f'"{sys.executable}" columns.py', workspace, environment)
    assert output.splitlines() == [
        "{'timestamp_ns': ('int64', (1000,)), 'acceleration.x': ('float64', (1000,))}",
        '200 0.909',
        '9810.0',
    ]


def test_images(served: None, workspace: Path, environment: dict[str, str]) -> None:
    script = BLOCKS['images'].replace('6726', environment['MOSAICOD_PORT'])
    (workspace / 'images.py').write_text(script)
    output = shell(f'"{sys.executable}" images.py', workspace, environment)
    assert output.splitlines() == ['[nan 1.5 1.5 1.5]', '(640, 480)']


def test_video(served: None, workspace: Path, environment: dict[str, str]) -> None:
    av = pytest.importorskip('av', reason='PyAV is not installed')
    codec = av.CodecContext.create('libx264', 'w')
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, 'yuv420p', Fraction(1, 30)
    frames = [av.VideoFrame(64, 48, 'yuv420p') for _ in range(12)]
    for number, frame in enumerate(frames):
        frame.pts = number
    packets = [bytes(packet) for frame in (*frames, None) for packet in codec.encode(frame)]
    with (
        MosaicoClient.connect('localhost', int(environment['MOSAICOD_PORT'])) as client,
        client.sequence_create('film') as sequence,
    ):
        camera = sequence.topic_create('camera', {}, CompressedImage)
        for number, packet in enumerate(packets):
            image = CompressedImage(data=packet, format=ImageFormat.H264)
            camera.push(Message(timestamp_ns=number, data=image))
    script = BLOCKS['video'].replace('6726', environment['MOSAICOD_PORT'])
    (workspace / 'video.py').write_text(script)
    lines = shell(f'"{sys.executable}" video.py', workspace, environment).splitlines()
    assert sorted(lines, key=lambda line: int(line.split()[0])) == [
        f'{number} (48, 64, 3) uint8' for number in range(12)
    ]


def test_fleet(
    tmp_path: Path, environment: dict[str, str], free_port: int, remote_storage: dict[str, str]
) -> None:
    """The exports as printed, with the addresses of servers that are there."""
    *exports, serve = BLOCKS['fleet'].strip().splitlines()
    values = {f'MOSAICOD_{name.upper()}': value for name, value in remote_storage.items()}
    assert set(re.findall(r'(\w+)=', '\n'.join(exports))) == set(values)
    own = (
        environment
        | values
        | {
            'MOSAICOD_PORT': str(free_port),
            'MOSAICO_PORT': str(free_port),
            'MOSAICOD_DATA_DIR': str(tmp_path / 'unused'),
        }
    )
    with in_background(serve, tmp_path, own):
        await_daemon(own)
        assert 'The archive is empty' in shell('mosaico ls', tmp_path, own)
    assert not (tmp_path / 'unused' / 'catalog.db').exists()


def test_secure(tmp_path: Path, environment: dict[str, str], free_port: int) -> None:
    own = environment | {
        'MOSAICOD_PORT': str(free_port),
        'MOSAICO_PORT': str(free_port),
        'MOSAICOD_DATA_DIR': str(tmp_path / 'data'),
    }
    shell(BLOCKS['secure-prepare'], tmp_path, own)
    payload, fingerprint = (tmp_path / 'robot.key').read_text().strip().split('_')[1:]
    with in_background(BLOCKS['secure-serve'], tmp_path, own):
        await_daemon(own)
        assert 'The archive is empty' in shell(BLOCKS['secure-use'], tmp_path, own)
        said = shell(BLOCKS['secure-revoke'], tmp_path, own)
        for text in (fingerprint, 'write', 'robot 1', f'Key {fingerprint} is revoked'):
            assert text in said
        assert payload not in said
        deadline = time.monotonic() + 5
        with pytest.raises(AssertionError, match='refused the API key'):  # noqa: PT012
            while time.monotonic() < deadline:
                shell(BLOCKS['secure-use'], tmp_path, own)


def test_ephemeral(workspace: Path, environment: dict[str, str]) -> None:
    own = {k: v for k, v in environment.items() if not k.startswith('MOSAICOD_')}
    with in_background(BLOCKS['ephemeral'], workspace, own) as daemon:
        assert daemon.stdout is not None
        assert re.search(r'ready on grpc://127\.0\.0\.1:\d+', daemon.stdout.readline())


def test_config(workspace: Path, environment: dict[str, str]) -> None:
    said = shell(BLOCKS['config'], workspace, environment)
    assert 'workers = 2  # MOSAICOD_WORKERS\n' in said
    assert 'log_level = "info"  # --log-level\n' in said
    assert '"name": "workers", "variable": "MOSAICOD_WORKERS", "value": 2' in said


def test_workers_metrics_and_ping(
    tmp_path: Path, environment: dict[str, str], new_port: Callable[[], int]
) -> None:
    free_port, metrics_port = new_port(), new_port()
    own = environment | {
        'MOSAICOD_PORT': str(free_port),
        'MOSAICO_PORT': str(free_port),
        'MOSAICOD_DATA_DIR': str(tmp_path / 'data'),
    }
    with in_background(BLOCKS['workers'], tmp_path, own) as daemon:
        assert daemon.stdout is not None
        assert '2 workers' in daemon.stdout.readline()
        plain, as_json = shell(BLOCKS['ping'], tmp_path, own).splitlines()
        assert f'127.0.0.1:{free_port} serves' in plain
        assert '"serving": true' in as_json
    with in_background(BLOCKS['metrics'].replace('9464', str(metrics_port)), tmp_path, own):
        await_daemon(own)
        with urllib.request.urlopen(f'http://127.0.0.1:{metrics_port}/metrics') as answer:
            assert b'mosaicod_rpcs_total' in answer.read()


def test_care(recorded: str, workspace: Path, environment: dict[str, str]) -> None:
    said = shell(BLOCKS['care'], workspace, environment)
    assert 'serves' in said
    assert '0 differences' in said
    shell(BLOCKS['cleanup'], workspace, environment)
    assert 'topics' in shell(BLOCKS['optimizer'], workspace, environment)
    with in_background(BLOCKS['optimizer-loop'], workspace, environment) as optimizer:
        assert optimizer.stdout is not None
        assert 'topics' in optimizer.stdout.readline()


def test_rebuild(tmp_path: Path, environment: dict[str, str], free_port: int) -> None:
    own = environment | {
        'MOSAICOD_PORT': str(free_port),
        'MOSAICO_PORT': str(free_port),
        'MOSAICOD_DATA_DIR': str(tmp_path / 'data'),
    }
    (tmp_path / 'script.py').write_text(BLOCKS['python'].replace('6726', str(free_port)))
    with in_background(BLOCKS['daemon'], tmp_path, own):
        await_daemon(own)
        shell(f'"{sys.executable}" script.py', tmp_path, own)
    for path in (tmp_path / 'data').glob('catalog.db*'):
        path.unlink()
    said = shell(BLOCKS['rebuild'], tmp_path, own)
    assert '1 sequence' in said
    with in_background(BLOCKS['daemon'], tmp_path, own):
        await_daemon(own)
        assert len(shell('mosaico cat bench_run/imu', tmp_path, own).splitlines()) == 1000


def test_queries(tmp_path: Path, environment: dict[str, str], free_port: int) -> None:
    own = environment | {
        'MOSAICOD_PORT': str(free_port),
        'MOSAICO_PORT': str(free_port),
        'MOSAICOD_DATA_DIR': str(tmp_path / 'data'),
    }
    for name in ('python', 'query-python'):
        (tmp_path / f'{name}.py').write_text(BLOCKS[name].replace('6726', str(free_port)))
    with in_background(BLOCKS['daemon'], tmp_path, own):
        await_daemon(own)
        shell(f'"{sys.executable}" python.py', tmp_path, own)
        said = shell(f'"{sys.executable}" query-python.py', tmp_path, own).splitlines()
        either, recent, plan = BLOCKS['query-shell'].strip().splitlines()
        assert '[3500000000, 3500000000]' in shell(either, tmp_path, own)
        assert shell(recent, tmp_path, own) == 'bench_run/imu  (IMU)\n'
        assert 'IMU.acceleration.y > 8' in shell(plan, tmp_path, own)
    assert said[:3] == [
        '<QueryResponse: 1 sequence, 1 topic>',
        '  bench_run: /imu (IMU)',
        '/imu 3500000000 3500000000',
    ]
    assert said[4].split() == ['0', 'bench_run', '/imu', 'IMU']
    assert '  IMU.acceleration.y > 8 and not (IMU.acceleration.y == 100)' in said
    assert 'alternative 2' in said


def test_queries_in_the_guide_are_understood() -> None:
    from mosaico_ros.protocol.query import parse

    text = (ROOT / 'docs' / 'query.md').read_text(encoding='utf-8')
    bodies = [json.loads(block) for block in re.findall(r'```json\n(.*?)```', text, re.DOTALL)]
    assert len(bodies) == 2
    assert all(parse(body) for body in bodies)


COMMAND = re.compile(r'^(mosaico (?:play|snapshot|record|daemon) .*?)(?: {2,}#.*)?$', re.MULTILINE)


def guide_commands() -> list[str]:
    """Commands that the guides of nodes print, one per line of their blocks."""
    found = []
    for guide in ('capture', 'fault_snapshots', 'launching', 'player', 'recording'):
        text = (ROOT / 'docs' / f'{guide}.md').read_text(encoding='utf-8')
        for block in re.findall(r'```sh\n(.*?)```', text, re.DOTALL):
            found += COMMAND.findall(block)
    return found


@pytest.mark.parametrize('command', guide_commands())
def test_commands_of_the_guides_have_the_options_they_use(command: str) -> None:
    """What the verbs do is tested in test/cli and test/nodes."""
    import shlex

    from mosaico_ros.cli.mosaico import mosaico

    _, verb, *arguments = shlex.split(command)
    known = mosaico.get_command(click.Context(mosaico), verb)
    assert known is not None
    known.make_context(verb, arguments)


@pytest.mark.parametrize('guide', ['launching', 'player'])
def test_parameters_of_the_guides_exist(guide: str) -> None:
    from mosaico_ros.nodes.parameters import Changes
    from mosaico_ros.nodes.player_parameters import PLAYER
    from mosaico_ros.nodes.recorder_parameters import RECORDER

    tables = {'player': PLAYER, 'recorder': RECORDER}
    text = (ROOT / 'docs' / f'{guide}.md').read_text(encoding='utf-8')
    for node, name in re.findall(r'ros2 param set /mosaico_(\w+) (\w+)', text):
        settable = {spec.name for spec in tables[node] if spec.changes is not Changes.NEVER}
        assert name in settable


def test_programs_of_the_guides(
    served: None, workspace: Path, environment: dict[str, str], domain: int
) -> None:
    rclpy = pytest.importorskip('rclpy')
    from mosaico_ros import IMU, QueryOntologyCatalog, QuerySequence

    context = rclpy.context.Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    node = rclpy.create_node('guide', context=context)
    port = int(environment['MOSAICO_PORT'])
    with MosaicoClient.connect('localhost', port) as client:
        names = {
            'node': node,
            'client': client,
            'time': time,
            'path': workspace / 'clouds.mcap',
            'IMU': IMU,
            'QueryOntologyCatalog': QueryOntologyCatalog,
            'QuerySequence': QuerySequence,
        }
        ran = 0
        for guide in ('fault_snapshots', 'ros_bridge', 'recording', 'capture', 'player'):
            text = (ROOT / 'docs' / f'{guide}.md').read_text(encoding='utf-8')
            for block in re.findall(r'```python\n(.*?)```', text, re.DOTALL):
                exec(block, dict(names))
                ran += 1
        assert ran >= 3
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_the_installation_commands_name_what_exists() -> None:
    extras = (ROOT / 'setup.py').read_text()
    for name in ('demo-command', 'test-command'):
        command = BLOCKS[name]
        extra = re.search(r"'\.\[(\w+)\]'", command)
        assert extra is not None
        assert f"'{extra[1]}':" in extras
    assert shutil.which('python3')
