"""What a crash has left ahead of the catalog is put right, and what a catalog has lost is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon import archive as archive_module, notices as notices_module
from mosaico_ros.daemon.catalog.tables import notices, sessions, topics
from mosaico_ros.daemon.catalog.ulid import new_ulid
from mosaico_ros.daemon.routines import cleanup
from mosaico_ros.daemon.routines.check import CheckReport, check
from mosaico_ros.daemon.routines.cleanup import Cleaned, Cleanup
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RUN, IMU = SequenceLocator('run'), TopicLocator('run', 'imu')


class CrashError(Exception):
    pass


@pytest.fixture
def run(filled: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An archive with an open session and two notifications; files count as old at once."""
    monkeypatch.setattr(cleanup, '_YOUNG_NS', 0)
    filled.open_session = filled.session('run')
    filled.write(pa.table([[1, 2], [0.5, 1.5]], schema=SCHEMA), session=filled.open_session)
    for target in (RUN, IMU):
        filled.archive.notify(target, 'error', 'earlier')
    return filled


@pytest.fixture
def compare(settings: Settings) -> Callable[[], CheckReport]:
    """``compare()`` checks the archive of this test."""
    return lambda: check(settings, lambda done, total: None, deep=True)


def clean(archive: Any, retention_s: float = 0.0, **options: Any) -> Cleaned:
    return Cleanup(
        archive._database, archive._store, archive._instance.id, retention_s, 1, threading.Event()
    ).run(**options)


def files(stored: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in stored.glob('sequences/**/*.json')}


def sql(filled: Any, statement: sa.Executable) -> None:
    with filled.archive._database.write() as connection:
        connection.execute(statement)


CRASHES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    'creation': (
        archive_module,
        'write_session_manifest',
        lambda f: f.archive.create_session(RUN),
    ),
    'finalization': (
        archive_module,
        'write_session_manifest',
        lambda f: f.archive.finalize_session(f.open_session),
    ),
    'notification': (
        notices_module,
        'write_notice',
        lambda f: f.archive.notify(IMU, 'error', 'never happened'),
    ),
    'purge': (archive_module, 'purge_notices', lambda f: f.archive.purge_notifications(IMU)),
}


def crash(filled: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a call change its small file, but not come to its commit."""
    module, step, call = CRASHES[name]
    work = getattr(module, step)

    def cut_short(*given: Any) -> None:
        work(*given)
        raise CrashError

    with monkeypatch.context() as dying:
        dying.setattr(module, step, cut_short)
        with pytest.raises(CrashError):
            call(filled)


@pytest.mark.parametrize('name', CRASHES)
def test_after_a_crash_the_store_says_again_what_the_catalog_says(
    run, stored, compare, monkeypatch, name
):
    before = files(stored)
    described, noted = run.archive.describe_sequence(RUN), run.archive.notifications(IMU)
    crash(run, monkeypatch, name)
    assert len(compare().differences) == 1
    named = clean(run.archive, dry_run=True)
    assert len(compare().differences) == 1
    done = [clean(run.archive) for _ in range(2)]
    assert (done[0].marked, done[0].mended) == (named.marked, named.mended)
    assert len(done[0].mended + done[1].purged) == 1
    assert (compare().differences, compare().waiting) == ([], 0)
    assert clean(run.archive) == Cleaned()
    assert files(stored) == before
    assert run.archive.describe_sequence(RUN) == described
    assert run.archive.notifications(IMU) == noted


@pytest.mark.parametrize('name', ['creation', 'notification'])
def test_what_has_no_entry_waits_for_an_hour_and_the_retention(
    run, stored, compare, monkeypatch, name
):
    crash(run, monkeypatch, name)
    left = files(stored)
    with monkeypatch.context() as now:
        now.setattr(cleanup, '_YOUNG_NS', 3600 * 10**9)
        assert clean(run.archive) == Cleaned()
    (marked,) = clean(run.archive, 3600).marked
    assert (compare().differences, compare().waiting) == ([], 1)
    assert clean(run.archive, 3600) == Cleaned()
    assert files(stored) == left
    assert clean(run.archive).purged == [marked]
    assert files(stored).keys() == {path for path in left if f'{marked}.json' not in path}


def test_a_finalized_session_that_the_catalog_has_lost_is_kept(run, stored, monkeypatch):
    """Also if its topics were deleted, and with it everything else that may be the only copy."""
    run.archive.finalize_session(run.open_session)
    run.archive.delete_topic(IMU)
    crash(run, monkeypatch, 'creation')
    other = run.session('run')
    sql(run, notices.delete())
    sql(run, sessions.delete().where(sessions.c.completed_at_ns.is_not(None)))
    before = files(stored)
    found = clean(run.archive)
    assert (len(found.unexplained), found.marked, found.mended) == (1, [], [])
    clean(run.archive)
    assert files(stored).keys() >= {p for p in before if '/topics/' not in p}
    assert len(clean(run.archive, force=True).marked) == 3
    clean(run.archive)
    (kept,) = stored.glob('sequences/*/sessions/*.json')
    (known,) = run.archive.describe_sequence(RUN).sessions
    assert (kept.stem, known.uuid) == (known.locator.ulid, other)


@pytest.mark.parametrize('known', [{'state': 'interrupted'}, None])
def test_a_finalization_that_the_catalog_is_too_old_to_know_is_kept(run, stored, known):
    run.archive.finalize_session(run.open_session)
    sql(run, sessions.update().values(completed_at_ns=None))
    sql(run, topics.delete() if known is None else topics.update().values(known))
    (manifest,) = stored.glob('sequences/*/sessions/*.json')
    before = manifest.read_bytes()
    assert clean(run.archive).mended == []
    assert manifest.read_bytes() == before


def test_a_finalization_cut_short_is_undone_though_a_topic_was_deleted_since(
    run, compare, monkeypatch
):
    crash(run, monkeypatch, 'finalization')
    run.archive.delete_topic(IMU)
    assert len(clean(run.archive).mended) == 1
    assert compare().differences == []


def test_manifests_that_are_gone_or_damaged_are_written_again(run, stored, compare):
    run.archive.finalize_session(run.open_session)
    (manifest,) = stored.glob('sequences/*/sessions/*.json')
    before = files(stored)
    store, key = run.archive._store, str(manifest.relative_to(stored))
    store.put(key, b'{')
    assert clean(run.archive).mended == [key]
    assert files(stored) == before
    store.delete(key)
    assert clean(run.archive).mended == [key]
    assert files(stored) == before
    assert compare().differences == []


def test_files_of_others_are_left_alone(run, stored):
    (manifest,) = stored.glob('sequences/*/sessions/*.json')
    folder = manifest.parent.relative_to(stored)
    for name in ('notes.txt', f'{new_ulid()}.json.backup'):
        run.archive._store.put(f'{folder}/{name}', b'x')
    assert clean(run.archive) == Cleaned()
