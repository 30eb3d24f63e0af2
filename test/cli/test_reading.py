"""The verbs that read an archive: ls, info, cat, query."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from mosaico_ros import IMU, CompressedImage, Message, Vector3d

SECOND = 10**9


def imu(y: float) -> IMU:
    still = Vector3d(x=0.0, y=0.0, z=0.0)
    return IMU(acceleration=Vector3d(x=math.nan, y=y, z=9.81), angular_velocity=still)


@pytest.fixture
def daemon(make_daemon: Callable[..., Any], free_port: int) -> Any:
    """A daemon that counts its calls at :data:`free_port`."""
    return make_daemon(MOSAICOD_METRICS_PORT=str(free_port))


@pytest.fixture
def mosaico(daemon: Any, run_command: Callable[..., Any]) -> Callable[..., str]:
    """``mosaico('ls', '--json')`` returns what the command prints."""

    def run(*arguments: str) -> str:
        environment = {**os.environ, 'MOSAICO_PORT': str(daemon.port)}
        done = run_command('mosaico', *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def filled(daemon: Any) -> None:
    with daemon.client() as client, client.sequence_create('run', {'site': {'hall': 'B'}}) as run:
        topic = run.topic_create('/arm/imu', ontology_type=IMU)
        for i in range(100):
            y = 9.0 if i in (20, 21, 70) else 0.5
            topic.push(Message(timestamp_ns=i * SECOND // 10, data=imu(y)))
        camera = run.topic_create('/camera', ontology_type=CompressedImage)
        camera.push(Message(timestamp_ns=5, data=CompressedImage(data=b'\xff\xd8', format='jpeg')))


def test_an_empty_archive_says_how_to_fill_it(mosaico: Callable[..., str]) -> None:
    assert 'mosaico record' in mosaico('ls')
    assert mosaico('ls', '--json') == ''
    assert mosaico('query', 'IMU.acceleration.y > 8') == 'nothing matches\n'


def test_ls(filled: None, mosaico: Callable[..., str]) -> None:
    (line,) = mosaico('ls', '--json').splitlines()
    listed = json.loads(line)
    assert listed['sequence'] == 'run'
    assert listed['topics'] == ['/arm/imu', '/camera']
    assert (listed['start_ns'], listed['end_ns']) == (0, 99 * SECOND // 10)
    assert listed['metadata'] == {'site': {'hall': 'B'}}
    header, row = mosaico('ls').splitlines()
    assert header.split()[0] == 'sequence'
    assert row.split()[:2] == ['run', '2']


def test_info(filled: None, mosaico: Callable[..., str]) -> None:
    told = json.loads(mosaico('info', 'run', '--json'))
    first, second = told['topics']
    assert (first['topic'], first['type'], first['count']) == ('/arm/imu', 'IMU', 100)
    assert (second['count'], second['complete']) == (1, True)
    assert told['sessions'][0]['finalized']
    shown = mosaico('info', '/run/')
    assert '10.0 Hz' in shown
    assert '0.00 – 9.90 s' in shown
    assert 'site.hall: "B"' in shown
    assert 'incomplete' not in shown


def test_info_asks_no_more_often_for_many_topics_than_for_one(
    daemon: Any, mosaico: Callable[..., str], free_port: int
) -> None:
    def calls() -> float:
        with urllib.request.urlopen(f'http://127.0.0.1:{free_port}/metrics') as answer:
            found = re.findall(r'^mosaicod_rpcs_total\{.*\} (\S+)$', answer.read().decode(), re.M)
        return sum(map(float, found))

    took = {}
    for count in (1, 12):
        with daemon.client() as client, client.sequence_create(f'run{count}') as run:
            for number in range(count):
                topic = run.topic_create(f'/imu{number}', ontology_type=IMU)
                topic.push(Message(timestamp_ns=number, data=imu(0.0)))
        before = calls()
        told = json.loads(mosaico('info', f'run{count}', '--json'))
        assert [topic['start_ns'] for topic in told['topics']] == list(range(count))
        took[count] = calls() - before
    assert took[12] == took[1] > 0


def test_cat(filled: None, mosaico: Callable[..., str]) -> None:
    lines = [json.loads(line) for line in mosaico('cat', 'run/arm/imu', '-n', '3').splitlines()]
    assert [line['timestamp_ns'] for line in lines] == [0, SECOND // 10, SECOND // 5]
    assert lines[0]['acceleration']['x'] is None  # NaN
    window = mosaico('cat', 'run/arm/imu', '--start', str(2 * SECOND), '--end', str(3 * SECOND))
    assert len(window.splitlines()) == 11  # both ends count
    (image,) = mosaico('cat', 'run/camera').splitlines()
    assert base64.b64decode(json.loads(image)['data']) == b'\xff\xd8'


def test_query(filled: None, mosaico: Callable[..., str]) -> None:
    condition = 'IMU.acceleration.y > 8'
    (hit,) = mosaico('query', condition, '--gap', '1', '--json').splitlines()
    assert json.loads(hit)['windows'] == [
        {'start_ns': 2 * SECOND, 'end_ns': 21 * SECOND // 10},
        {'start_ns': 7 * SECOND, 'end_ns': 7 * SECOND},
    ]
    assert mosaico('query', condition).count('[') == 2
    by_name = mosaico('query', "sequence.name match 'run' and topic.ontology_tag == 'IMU'")
    assert by_name == 'run/arm/imu  (IMU)\n'


def test_query_with_or_order_and_limit(
    filled: None, daemon: Any, mosaico: Callable[..., str]
) -> None:
    with daemon.client() as client, client.sequence_create('another') as run:
        topic = run.topic_create('/imu', ontology_type=IMU)
        topic.push(Message(timestamp_ns=1, data=imu(9.0)))
    either = "IMU.acceleration.y > 8 or (topic.name == '/camera' and not sequence.name == 'x')"
    assert [line for line in mosaico('query', either).splitlines() if line[0] != ' '] == [
        'run/arm/imu  (IMU)',
        'run/camera  (CompressedImage)',
        'another/imu  (IMU)',
    ]
    first = mosaico('query', either, '--order-by', 'name', '--limit', '1').splitlines()
    assert first[0] == 'another/imu  (IMU)'
    assert len(first) == 2


def test_query_explains_itself(filled: None, mosaico: Callable[..., str]) -> None:
    told = mosaico('query', 'IMU.acceleration.y > 8 or not IMU.acceleration.y > 0', '--explain')
    assert 'alternative 2\n  not (IMU.acceleration.y > 0)\n' in told
    assert 'chunks: 1, of them 0 pruned' in told
    plan = json.loads(mosaico('query', 'IMU.acceleration.y > 8', '--explain', '--json'))
    assert plan['alternatives'][0]['groups'][0]['conditions'] == [
        {'IMU.acceleration.y': {'$gt': 8}}
    ]


def test_what_broke_off_is_marked(daemon: Any, mosaico: Callable[..., str]) -> None:
    with (
        daemon.client() as client,
        contextlib.suppress(ZeroDivisionError),
        client.sequence_create('broken') as run,
    ):
        topic = run.topic_create('/imu', ontology_type=IMU)
        topic.push(Message(timestamp_ns=1, data=imu(0.0)))
        raise ZeroDivisionError('the arm fell off')
    assert 'the arm fell off' in mosaico('info', 'broken')
    assert len(mosaico('cat', 'broken/imu').splitlines()) == 1
