"""Taking turns: of all daemons of an archive one does a routine at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import runs as module
from mosaico_ros.daemon.catalog.runs import take_turn
from mosaico_ros.daemon.catalog.tables import runs


def turn(archive, work=lambda: 'done', interval_s: float = 0.0, routine: str = 'chore'):
    return take_turn(archive._database, routine, archive._instance.id, work, interval_s)


def log(archive, routine: str = 'chore') -> list[tuple[str, str]]:
    with archive._database.read() as connection:
        rows = connection.execute(
            sa.select(runs.c.state, runs.c.outcome)
            .where(runs.c.routine == routine)
            .order_by(runs.c.id)
        )
        return [(row.state, row.outcome) for row in rows]


def test_one_works_while_the_others_stay_idle(filled, open_archive):
    archives = [filled.archive, open_archive(), open_archive()]
    at_work, most, lock = 0, 0, threading.Lock()

    def work() -> str:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.3)
        with lock:
            at_work -= 1
        return 'done'

    with ThreadPoolExecutor(9) as pool:
        outcomes = list(pool.map(lambda at: turn(archives[at % 3], work, 60.0), range(9)))
    assert outcomes.count('done') == 1
    assert most == 1
    assert turn(archives[1], work, 60.0) is None  # the last success is not long ago
    time.sleep(0.02)
    assert turn(archives[1], interval_s=0.01) == 'done'
    assert turn(archives[2], routine='another') == 'done'


def test_a_run_of_a_dead_daemon_is_taken_over_at_once(filled, open_archive):
    doomed = open_archive()

    def die() -> None:
        # What a killed process leaves: its run, until somebody has found it dead.
        module._begin(doomed._database, 'chore', doomed._instance.id, 0.0)

    die()
    assert turn(filled.archive) is None
    doomed.close()
    assert turn(filled.archive, interval_s=3600.0) == 'done'
    assert log(filled.archive) == [('failed', 'Its daemon has ended'), ('done', 'done')]


def test_a_failure_is_written_down_and_tried_again_later(filled):
    def fail() -> str:
        raise ValueError('out of paper')

    with pytest.raises(ValueError, match='paper'):
        turn(filled.archive, fail)
    assert log(filled.archive) == [('failed', 'out of paper')]
    assert turn(filled.archive, interval_s=3600.0) is None
    assert turn(filled.archive, interval_s=0.001) == 'done'


def test_the_log_is_trimmed(filled, monkeypatch):
    monkeypatch.setattr(module, '_KEPT', 3)
    for number in range(6):
        turn(filled.archive, lambda number=number: number)
    assert [outcome for _, outcome in log(filled.archive)] == ['3', '4', '5']


def test_two_daemons_share_out_the_cleanups_of_an_archive(filled, open_archive):
    filled.archive.close()
    changes = {'cleanup_time_interval': 0.4, 'cleanup_retention_duration': 0.1}
    one, two = open_archive(**changes), open_archive(**changes)
    time.sleep(3)
    found = log(one, 'cleanup')
    assert {state for state, _ in found} <= {'done', 'running'}
    # Each on its own would come to twice as many.
    assert 2 <= len(found) <= 8
    assert two.list_sequences() == []


def test_a_failing_routine_does_not_stop_the_daemon(filled, stored):
    filled.reopen(cleanup_time_interval=0.2)
    (stored / 'store.json').rename(stored / 'away')
    deadline = time.monotonic() + 15
    while not any(state == 'failed' for state, _ in log(filled.archive, 'cleanup')):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (stored / 'away').rename(stored / 'store.json')
    while log(filled.archive, 'cleanup')[-1][0] != 'done':
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_daemon_ends_promptly_whatever_its_routines_are_at(filled):
    begin = time.monotonic()
    filled.archive.close()
    assert time.monotonic() - begin < 5.0
