"""Whether an archive has kept its promises, and is whole."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from model import Model
from world import SCHEMA, clean_up, rows, sweep_all, time_of

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import (
    chunks,
    removals,
    sequences,
    sessions,
    stats,
    topics,
)
from mosaico_ros.daemon.descriptions import SequenceDescription, TopicDescription
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.routines.check import check as compare
from mosaico_ros.daemon.routines.cleanup import Cleaned
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import tombstone_key
from mosaico_ros.protocol.errors import FailedPreconditionError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.query import parse
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

__all__ = ['check']

_CHUNK = re.compile(r'\d{8}\.(parquet|arrow)')


def check(settings: Settings, model: Model, objects: Path) -> None:
    """Open an archive as the successor of one that was stopped, and examine it."""
    if model.doing == ('routine', 'rebuild'):
        _rebuild_again(settings)
    archive = Archive(settings)
    archive.start()
    found = _keeps_promises(archive, model)
    _purges_for_good(model, objects)
    _clean_up(archive)
    _is_whole(archive, objects)
    report = compare(settings, lambda done, total: None, deep=True)
    assert not report.differences
    assert not report.waiting
    _accepts_work(archive, model, found)
    _is_whole(archive, objects)
    archive.close()
    left = [path.name for path in (objects / 'tmp').glob('*') if path.name != '.lock']
    assert not left, f'temporary files: {left}'


def _rebuild_again(settings: Settings) -> None:
    # Its last commit may have come to pass; then there is nothing to rebuild.
    with suppress(FailedPreconditionError):
        report = rebuild(settings, lambda done, total: None)
        assert not report.faults


def _clean_up(archive: Archive) -> None:
    sweep_all(archive)
    cleaned = [clean_up(archive) for _ in range(2)]
    assert not any(done.unexplained for done in cleaned), f'data without an entry: {cleaned}'
    assert clean_up(archive) == Cleaned(), 'a cleanup leaves work for the next but one'


def _keeps_promises(archive: Archive, model: Model) -> dict[str, SequenceDescription]:
    found = {
        locator.name: archive.describe_sequence(locator) for locator in archive.list_sequences()
    }
    described = {str(t.locator): t for sequence in found.values() for t in sequence.topics}
    _same_names(model, 'sequences', set(found))
    _same_names(model, 'topics', set(described))
    # By locator: a rebuilt session has another uuid.
    stored = {str(s.locator): s for sequence in found.values() for s in sequence.sessions}
    promised = {session.locator: session for session in model.sessions.values()}
    may_be_gone = {model.sessions[uuid].locator for uuid in model.may_be_gone('sessions')}
    missing = set(promised) - set(stored)
    assert missing in (set(), may_be_gone), f'sessions are lost: {missing}'
    assert len(set(stored) - set(promised)) <= (model.doing[0] == 'create_session')
    for locator, session in promised.items():
        if locator in stored:
            may_be = model.doing == ('finalize', session.uuid)
            assert stored[locator].locked in {session.finalized, may_be or session.finalized}
    for name, topic in described.items():
        _keeps_rows(archive, model, name, topic)
    for target in {*found, *described}:
        _keeps_notes(archive, model, target)
    query = parse({'ontology': {'IMU.x': {'$geq': 0}}})
    hits = {str(t.locator) for item in archive.query(query) for t in item.topics}
    readable = {name for name, topic in described.items() if topic.rows and not _is_open(topic)}
    assert hits == readable, f'a query finds {hits}, readable are {readable}'
    return found


def _same_names(model: Model, kind: str, found: set[str]) -> None:
    promised = set(getattr(model, kind))
    gone = promised - found
    # A deletion takes everything or nothing.
    assert gone in (set(), model.may_be_gone(kind)), f'{kind} are lost: {gone}'
    extra = found - promised - model.may_be_new(kind)
    assert not extra, f'{kind} that are deleted or never were: {extra}'


def _is_open(topic: TopicDescription) -> bool:
    return not topic.locked and not topic.interrupted


def _keeps_rows(archive: Archive, model: Model, name: str, topic: TopicDescription) -> None:
    promised = model.topics.get(name)
    if promised is None:
        assert _is_open(topic)
        return
    assert topic.rows >= promised.durable, f'{name} has lost rows'
    finishing, beginning = model.doing == ('finish', name), model.doing == ('begin', name)
    if promised.locked:
        assert topic.locked, f'{name} was locked'
    elif promised.begun:
        assert topic.interrupted or (finishing and topic.locked), f'{name} was not sealed'
    else:
        assert not topic.locked
        assert beginning or not topic.interrupted
    if _is_open(topic):
        return
    _, batches = archive.read(Ticket(topic.locator, topic.topic_id))
    table = pa.Table.from_batches(batches, SCHEMA)
    x = table['x'].to_numpy()
    times = table['timestamp_ns'].to_numpy()
    assert sorted(x) == list(range(topic.rows)), f'{name} holds {sorted(x)}, not {topic.rows}'
    assert (times == time_of(x, promised.stride)).all()
    assert (times[1:] >= times[:-1]).all()
    if topic.rows:
        assert topic.interval == (times[0], times[-1])


def _keeps_notes(archive: Archive, model: Model, target: str) -> None:
    locator = TopicLocator.parse(target) if '/' in target else SequenceLocator(target)
    kept, about = [], []
    for note in archive.notifications(locator):
        (about if note.message.startswith('The upload of') else kept).append(note.message)
    allowed = [model.notes.get(target, [])]
    if model.doing[0] == 'notify' and model.doing[1][0] == target:
        allowed.append([*allowed[0], model.doing[1][1]])
    if model.doing == ('purge', target):
        allowed.append([])
    assert kept in allowed, f'the notifications of {target} are {kept}'
    if isinstance(locator, TopicLocator):
        topic = archive.describe_topic(locator)
        assert len(about) == topic.interrupted
        assert all(f'{topic.rows} rows are durable' in message for message in about)


def _purges_for_good(model: Model, objects: Path) -> None:
    """What was purged is not in the store, from where a rebuild would bring it back."""
    stored = {_json(path)['message'] for path in objects.glob('sequences/**/notices/*.json')}
    assert not stored & model.purged, f'{stored & model.purged} was purged and is stored'


def _is_whole(archive: Archive, objects: Path) -> None:
    """Catalog and store say the same, and each of its own parts the same as the others."""
    known: set[str] = set()
    with archive._database.read() as connection:
        found = connection.execute(
            sa.select(topics, sessions.c.ulid, sequences.c.name)
            .join(sessions, sessions.c.id == topics.c.session_id)
            .join(sequences, sequences.c.id == topics.c.sequence_id)
        ).all()
        for topic in found:
            rows_of = connection.execute(
                sa.select(chunks).where(chunks.c.topic_id == topic.id).order_by(chunks.c.number)
            ).all()
            _agrees(objects, topic, rows_of)
            known |= {chunk_key(topic.folder, c.number, c.encoding) for c in rows_of}
        orphans = connection.execute(
            sa.select(stats.c.chunk_id).where(stats.c.chunk_id.not_in(sa.select(chunks.c.id)))
        ).all()
        assert not orphans
        for session in connection.execute(
            sa.select(sessions, sequences.c.folder).join(
                sequences, sequences.c.id == sessions.c.sequence_id
            )
        ).all():
            if session.completed_at_ns is not None:
                manifest = _json(objects / session.folder / 'sessions' / f'{session.ulid}.json')
                assert manifest['completed_at_ns'] == session.completed_at_ns
        folders = set(connection.execute(sa.select(sequences.c.folder)).scalars())
        assert not connection.execute(sa.select(removals)).all(), 'a removal still waits'
    for folder in folders:
        assert (objects / folder / 'sequence.json').exists(), f'{folder} has no manifest'
    homes = {topic.folder for topic in found}
    for path in objects.rglob('*'):
        key = str(path.relative_to(objects))
        if _CHUNK.fullmatch(path.name):
            assert key in known, f'{key} has no entry in the catalog'
        elif path.parent.name in ('sequences', 'topics') and any(path.rglob('*.*')):
            assert key in folders | homes, f'{key} has no entry in the catalog'
    for folder in folders | homes:
        assert not (objects / tombstone_key(folder)).exists(), f'{folder} lives and is buried'


def _agrees(objects: Path, topic: Any, rows_of: Any) -> None:
    for chunk in rows_of:
        path = objects / chunk_key(topic.folder, chunk.number, chunk.encoding)
        assert path.exists(), f'{path} is lost'
        assert path.stat().st_size == chunk.bytes
    totals = (topic.rows, topic.bytes, topic.chunks, topic.t_min, topic.t_max)
    assert totals == (
        sum(chunk.rows for chunk in rows_of),
        sum(chunk.bytes for chunk in rows_of),
        len(rows_of),
        min((chunk.t_min for chunk in rows_of), default=None),
        max((chunk.t_max for chunk in rows_of), default=None),
    )
    manifest = _json(objects / topic.folder / 'topic.json')
    assert (manifest['id'], manifest['locator']) == (topic.id, f'{topic.name}/{topic.path}')
    assert manifest['session'] == topic.ulid
    if topic.state in ('locked', 'interrupted'):
        assert manifest['state'] == topic.state
        listed = [(c['number'], c['rows'], c['bytes']) for c in manifest['chunks']]
        assert listed == [(c.number, c.rows, c.bytes) for c in rows_of], 'manifest and catalog'
    if topic.schema_id is not None:
        pa.ipc.read_schema(pa.OSFile(str(objects / topic.folder / 'schema.arrow')))


def _json(path: Path) -> dict[str, Any]:
    assert path.exists(), f'{path} does not exist'
    value: dict[str, Any] = json.loads(path.read_bytes())
    return value


def _accepts_work(archive: Archive, model: Model, found: dict[str, SequenceDescription]) -> None:
    """Names that are gone can be used again; what is open can go on."""
    for name in {'run', *model.sequences} - set(found):
        archive.create_sequence(SequenceLocator(name), {})
    for session in model.sessions.values():
        for stored in found.get(session.sequence, _NONE).sessions:
            if str(stored.locator) == session.locator and not stored.locked:
                locator = TopicLocator(session.sequence, 'more')
                archive.create_topic(stored.uuid, locator, 'IMU', SerializationFormat.Default, {})
    taken = {str(t.locator) for sequence in found.values() for t in sequence.topics}
    uuid, _ = archive.create_session(SequenceLocator('run'))
    for path in ('imu', 'new'):
        if f'run/{path}' not in taken:
            _write(archive, uuid, TopicLocator('run', path))
            break
    archive.finalize_session(uuid)


def _write(archive: Archive, session: str, locator: TopicLocator) -> None:
    uuid = archive.create_topic(session, locator, 'IMU', SerializationFormat.Default, {})
    upload = archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(0, 5, 1))
    upload.finish()
    topic = archive.describe_topic(locator)
    _, batches = archive.read(Ticket(locator, topic.topic_id))
    assert sum(batch.num_rows for batch in batches) == 5


_NONE = SequenceDescription(SequenceLocator('none'), 0, {}, [], [])
