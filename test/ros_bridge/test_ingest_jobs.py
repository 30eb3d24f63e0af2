"""Several recordings at once, against a real daemon."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcap.writer import Writer as McapWriter

from mosaico_ros import MosaicoClient, SessionLevelErrorPolicy
from mosaico_ros.ros_bridge import InjectionStatus, ROSInjectionConfig
from mosaico_ros.ros_bridge.ingest_jobs import Advance, Outcome, ingest_all

BAGS = 5
MESSAGES = 20_000


@pytest.fixture
def client(daemon: Any) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        yield client


@pytest.fixture
def configs(daemon: Any, tmp_path: Path) -> list[ROSInjectionConfig]:
    path = tmp_path / 'bag.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/UInt32', 'ros2msg', b'uint32 data\n')
        channel = writer.register_channel('/count', 'cdr', schema)
        for i in range(MESSAGES):
            writer.add_message(channel, 1000 + i, b'\0\1\0\0' + i.to_bytes(4, 'little'), 0)
        writer.finish()
    return [
        ROSInjectionConfig(
            path,
            f'bag{i}',
            host=daemon.host,
            port=daemon.port,
            on_error=SessionLevelErrorPolicy.Delete,
            log_level='ERROR',
        )
        for i in range(BAGS)
    ]


def rows(client: MosaicoClient, sequence: str) -> int:
    topic = client.topic_handler(sequence, 'count')
    return 0 if topic is None else topic.to_arrow().num_rows


@pytest.mark.parametrize('jobs', [1, 3])
def test_a_failing_bag_does_not_stop_the_others(configs, client, jobs):
    configs[1].file_path = configs[1].file_path.with_name('missing.mcap')
    told: list[Advance] = []
    outcomes = {o.report.sequence_name: o for o in ingest_all(configs, jobs, told.append)}
    failed = outcomes.pop('bag1')
    assert failed.status is None
    assert 'missing.mcap' in failed.error
    assert sorted(outcomes) == sorted(client.list_sequences()) == ['bag0', 'bag2', 'bag3', 'bag4']
    for name, outcome in outcomes.items():
        assert outcome.status is InjectionStatus.COMPLETED
        assert outcome.report.stored == rows(client, name) == MESSAGES
        last = max(advance for advance in told if advance.sequence_name == name)
        assert (last.stored, last.expected) == (MESSAGES, MESSAGES)
    assert not multiprocessing.active_children()


def test_a_process_that_dies_costs_its_own_bag(configs, client):
    victims: list[int] = []

    def kill(advance: Advance) -> None:
        if advance.stored and not victims:
            victim = multiprocessing.active_children()[0]
            victims.append(victim.pid or 0)
            os.kill(victims[0], signal.SIGKILL)

    outcomes = list(ingest_all(configs, 2, kill))
    assert len(outcomes) == BAGS
    (failed,) = (outcome for outcome in outcomes if outcome.status is None)
    assert 'SIGKILL' in failed.error
    whole = [o.report.sequence_name for o in outcomes if o is not failed]
    assert {rows(client, name) for name in whole} == {MESSAGES}


@pytest.mark.parametrize('jobs', [1, 2])
def test_ctrl_c_ends_all_and_leaves_no_halves(configs, client, jobs):
    def interrupt(advance: Advance) -> None:
        if advance.stored and not interrupted:
            interrupted.append(advance)
            os.kill(os.getpid(), signal.SIGINT)

    interrupted: list[Advance] = []
    outcomes: list[Outcome] = list(ingest_all(configs, jobs, interrupt))
    assert not multiprocessing.active_children()
    assert 0 < len(outcomes) < BAGS
    whole = {o.report.sequence_name for o in outcomes if o.status is InjectionStatus.COMPLETED}
    assert len(whole) < len(outcomes)
    assert {o.status for o in outcomes} <= {InjectionStatus.COMPLETED, InjectionStatus.CANCELLED}
    assert set(client.list_sequences()) == whole
    assert all(rows(client, name) == MESSAGES for name in whole)


def test_leaving_early_leaves_no_process(configs):
    with closing(ingest_all(configs, 2, lambda advance: None)) as outcomes:
        assert next(outcomes).status is InjectionStatus.COMPLETED
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()
