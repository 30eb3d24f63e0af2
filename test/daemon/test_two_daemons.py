"""Whatever is done through two daemons of one archive, both say what a plain model says."""

from __future__ import annotations

import itertools
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from thoroughness import examples

from mosaico_ros.daemon import merging
from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import instances
from mosaico_ros.daemon.removal import sweep
from mosaico_ros.daemon.routines.check import check
from mosaico_ros.daemon.routines.cleanup import Cleanup
from mosaico_ros.daemon.routines.optimizer import Optimizer
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.errors import (
    AbortedError,
    AlreadyExistsError,
    CancelledError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.query import parse
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
#: A time, and a value or none.
Row = tuple[int, float | None]
SLOTS = st.sampled_from([0, 1])
NAMES = st.sampled_from(['a', 'b'])
TAGS = st.sampled_from(['IMU', 'GPS'])
TIMES = st.integers(0, 12)
VALUES = st.none() | st.integers(0, 4).map(float)
BATCH = st.lists(st.tuples(TIMES, VALUES), max_size=4)
RECENT = st.integers(0, 3)
COMPARE: dict[str, Callable[[float, float], bool]] = {
    '$eq': lambda x, y: x == y,
    '$gt': lambda x, y: x > y,
    '$leq': lambda x, y: x <= y,
}


@dataclass(eq=False)
class Topic:
    """What a topic holds: rows in the order of arrival, first those that are durable."""

    locator: TopicLocator
    uuid: str
    id: int
    tag: str
    mark: int
    state: str = 'created'
    durable: list[Row] = field(default_factory=list)
    received: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    upload: Any = None
    slot: int = 0

    @property
    def sealed(self) -> bool:
        return self.state in ('locked', 'interrupted')

    def rows(self, start: int | None = None, end: int | None = None) -> list[Row]:
        inside = [
            row
            for row in self.durable
            if (start is None or row[0] >= start) and (end is None or row[0] < end)
        ]
        return sorted(inside, key=lambda row: row[0])

    def interrupt(self) -> None:
        self.state, self.received, self.upload = 'interrupted', [], None
        self.notes.append(f'The upload of {self.locator} was interrupted')


@dataclass(eq=False)
class Session:
    sequence: SequenceLocator
    uuid: str
    locator: Any
    finalized: bool = False
    topics: list[Topic] = field(default_factory=list)


@dataclass(eq=False)
class Sequence:
    mark: int
    sessions: list[Session] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def topics(self) -> list[Topic]:
        return [topic for session in self.sessions for topic in session.topics]


def batch_of(rows: list[Row]) -> pa.RecordBatch:
    columns = [[time for time, _ in rows], [value for _, value in rows]]
    return pa.record_batch(
        [pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


class TwoDaemons(RuleBasedStateMachine):
    """Two daemons, and the model of their archive."""

    def __init__(self, storage: dict[str, Any]) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.settings = Settings(
            data_dir=Path(self.folder.name),
            **storage,
            optimizer_time_interval=0,
            cleanup_time_interval=0,
            cleanup_retention_duration=0,
            lease_seconds=3600,
            max_db_connections=4,
        )
        self.archives = [self.open(), self.open()]
        self.dead: list[Archive] = []
        self.sequences: dict[str, Sequence] = {}
        # Everything that ever was, newest last.
        self.sessions: list[Session] = []
        self.topics: list[Topic] = []
        self.lost: list[Any] = []
        self.turn = itertools.cycle([0, 1])

    def open(self) -> Archive:
        archive = Archive(self.settings)
        archive.start()
        return archive

    def attempt(self, error: type[Exception] | None, call: Any, *arguments: Any) -> Any:
        """Make a call that succeeds, or fails with exactly this error."""
        if error is None:
            return call(*arguments)
        with pytest.raises(error) as caught:
            call(*arguments)
        assert type(caught.value) is error
        return None

    def living(self) -> list[Topic]:
        return [topic for sequence in self.sequences.values() for topic in sequence.topics()]

    def uploading(self) -> list[Topic]:
        return [topic for topic in self.living() if topic.state == 'uploading']

    def topic(self, name: str, path: str) -> Topic | None:
        found = self.sequences[name].topics() if name in self.sequences else []
        return next((topic for topic in found if topic.locator.path == path), None)

    def forget(self, topics: list[Topic]) -> None:
        self.lost += [topic.upload for topic in topics if topic.upload is not None]

    # -- sequences, sessions, topics ---------------------------------------------------------

    @rule(slot=SLOTS, name=NAMES, mark=RECENT)
    def create_sequence(self, slot: int, name: str, mark: int) -> None:
        error = AlreadyExistsError if name in self.sequences else None
        create = self.archives[slot].create_sequence
        self.attempt(error, create, SequenceLocator(name), {'mark': mark})
        self.sequences.setdefault(name, Sequence(mark))

    @rule(slot=SLOTS, name=NAMES)
    def delete_sequence(self, slot: int, name: str) -> None:
        error = None if name in self.sequences else NotFoundError
        self.attempt(error, self.archives[slot].delete_sequence, SequenceLocator(name))
        if error is None:
            self.forget(self.sequences.pop(name).topics())

    @rule(slot=SLOTS, name=NAMES)
    def create_session(self, slot: int, name: str) -> None:
        error = None if name in self.sequences else NotFoundError
        sequence = SequenceLocator(name)
        made = self.attempt(error, self.archives[slot].create_session, sequence)
        if made is not None:
            session = Session(sequence, *made)
            self.sessions.append(session)
            self.sequences[name].sessions.append(session)

    def session(self, recent: int) -> tuple[str, Session | None]:
        """Return the uuid of a session that is, was or never was; and the session if it is."""
        if recent >= len(self.sessions):
            return str(uuid.uuid4()), None
        session = self.sessions[-1 - recent]
        sequence = self.sequences.get(session.sequence.name)
        return session.uuid, session if sequence and session in sequence.sessions else None

    @rule(slot=SLOTS, recent=RECENT, by_uuid=st.booleans())
    def delete_session(self, slot: int, recent: int, by_uuid: bool) -> None:
        key, session = self.session(recent)
        delete = self.archives[slot].delete_session
        if session is None:
            self.attempt(NotFoundError, delete, None, key)
            return
        delete(uuid=key) if by_uuid else delete(session.locator)
        self.sequences[session.sequence.name].sessions.remove(session)
        self.forget(session.topics)

    @rule(slot=SLOTS, recent=RECENT)
    def finalize(self, slot: int, recent: int) -> None:
        key, session = self.session(recent)
        error: type[Exception] | None = None
        if session is None:
            error = NotFoundError
        elif (
            session.finalized
            or not session.topics
            or not all(topic.sealed for topic in session.topics)
        ):
            error = FailedPreconditionError
        self.attempt(error, self.archives[slot].finalize_session, key)
        if error is None and session is not None:
            session.finalized = True

    @rule(slot=SLOTS, recent=RECENT, other=st.none() | NAMES, path=NAMES, tag=TAGS, mark=RECENT)
    def create_topic(
        self, slot: int, recent: int, other: str | None, path: str, tag: str, mark: int
    ) -> None:
        _, session = self.session(recent)
        name = other or ('a' if session is None else session.sequence.name)
        self.make_topic(slot, recent, name, path, tag, mark)

    def make_topic(
        self, slot: int, recent: int, name: str, path: str, tag: str, mark: int
    ) -> Topic | None:
        key, session = self.session(recent)
        error: type[Exception] | None = None
        if session is None:
            error = NotFoundError
        elif session.sequence.name != name:
            error = PermissionDeniedError
        elif session.finalized:
            error = FailedPreconditionError
        elif self.topic(name, path) is not None:
            error = AlreadyExistsError
        locator = TopicLocator(name, path)
        made = self.attempt(
            error,
            self.archives[slot].create_topic,
            *(key, locator, tag, SerializationFormat.Default, {'mark': mark}),
        )
        if made is None or session is None:
            return None
        number = self.archives[1 - slot].describe_topic(locator).topic_id
        assert number not in {topic.id for topic in self.topics}
        topic = Topic(locator, made, number, tag, mark)
        self.topics.append(topic)
        session.topics.append(topic)
        return topic

    @rule(slot=SLOTS, name=NAMES, path=NAMES)
    def delete_topic(self, slot: int, name: str, path: str) -> None:
        topic = self.topic(name, path)
        error = NotFoundError if topic is None else None
        self.attempt(error, self.archives[slot].delete_topic, TopicLocator(name, path))
        if topic is not None:
            for session in self.sequences[name].sessions:
                session.topics = [other for other in session.topics if other is not topic]
            self.forget([topic])

    # -- uploads -----------------------------------------------------------------------------

    @rule(slot=SLOTS, recent=RECENT)
    def begin(self, slot: int, recent: int) -> None:
        archive = self.archives[slot]
        if recent >= len(self.topics):
            unknown = str(uuid.uuid4())
            self.attempt(
                NotFoundError, archive.begin_upload, TopicLocator('a', 'a'), unknown, SCHEMA
            )
            return
        topic = self.topics[-1 - recent]
        error: type[Exception] | None = None
        if topic not in self.living():
            error = NotFoundError
        elif topic.state != 'created':
            error = FailedPreconditionError
        else:
            other = TopicLocator(topic.locator.sequence, 'other')
            self.attempt(PermissionDeniedError, archive.begin_upload, other, topic.uuid, SCHEMA)
        upload = self.attempt(error, archive.begin_upload, topic.locator, topic.uuid, SCHEMA)
        if upload is not None:
            topic.upload, topic.slot, topic.state = upload, slot, 'uploading'

    @precondition(lambda self: self.uploading())
    @rule(data=st.data(), batches=st.lists(BATCH, min_size=1, max_size=5), commit=st.booleans())
    def append(self, data: Any, batches: list[list[Row]], commit: bool) -> None:
        topic = data.draw(st.sampled_from(self.uploading()))
        for rows in batches:
            topic.upload.append(batch_of(rows))
            topic.received += rows
            if commit:
                topic.durable, topic.received = topic.durable + topic.received, []
                assert topic.upload.commit() == len(topic.durable)

    @precondition(lambda self: self.uploading())
    @rule(data=st.data(), end=st.sampled_from(['finish', 'finish', 'miscounted', 'abort', 'keep']))
    def end_upload(self, data: Any, end: str) -> None:
        topic = data.draw(st.sampled_from(self.uploading()))
        upload, count = topic.upload, len(topic.durable + topic.received)
        if end == 'miscounted':
            self.attempt(AbortedError, upload.finish, count + 1)
        elif end == 'finish':
            upload.finish(count)
        else:
            upload.abort('enough', keep_received=end == 'keep')
        if end in ('finish', 'keep'):
            topic.durable, topic.received = topic.durable + topic.received, []
        if end == 'finish':
            topic.state, topic.upload = 'locked', None
        else:
            topic.interrupt()

    @precondition(lambda self: self.lost)
    @rule(rows=BATCH.filter(bool))
    def go_on_with_what_was_taken_away(self, rows: list[Row]) -> None:
        upload = self.lost.pop()
        if not upload.failed:
            try:
                upload.append(batch_of(rows))
            except CancelledError:
                return  # its daemon was closed
            self.attempt(AbortedError, upload.commit)
        upload.abort('lost')

    @rule(
        slot=SLOTS,
        name=NAMES,
        path=NAMES,
        tag=TAGS,
        mark=RECENT,
        chunks=st.lists(BATCH, min_size=2, max_size=6),
    )
    def write(
        self, slot: int, name: str, path: str, tag: str, mark: int, chunks: list[list[Row]]
    ) -> None:
        """Do what most writers do, in one step."""
        if self.topic(name, path) is not None:
            return
        if name not in self.sequences:
            self.create_sequence(slot, name, mark)
        self.create_session(1 - slot, name)
        topic = self.make_topic(slot, 0, name, path, tag, mark)
        assert topic is not None
        upload = self.archives[slot].begin_upload(topic.locator, topic.uuid, SCHEMA)
        for rows in chunks:
            upload.append(batch_of(rows))
            topic.durable += rows
            assert upload.commit() == len(topic.durable)
        upload.finish()
        topic.state = 'locked'

    # -- daemons -----------------------------------------------------------------------------

    @rule(slot=SLOTS, other_recovers=st.booleans())
    def kill(self, slot: int, other_recovers: bool) -> None:
        gone = self.archives[slot]
        with gone._database.write() as connection:
            connection.execute(
                instances.update()
                .where(instances.c.id == gone._instance.id)
                .values(started='another process')
            )
        self.dead.append(gone)
        if other_recovers:
            self.archives[1 - slot]._instance.recover()
        self.archives[slot] = self.open()
        for topic in [topic for topic in self.uploading() if topic.slot == slot]:
            self.forget([topic])
            topic.interrupt()

    @rule(slot=SLOTS)
    def restart(self, slot: int) -> None:
        """Stop a daemon in order: what it has received is kept."""
        self.archives[slot].close()
        for topic in [topic for topic in self.uploading() if topic.slot == slot]:
            topic.durable += topic.received
            topic.interrupt()
        self.archives[slot] = self.open()

    @rule(slot=SLOTS)
    def clean(self, slot: int) -> None:
        archive = self.archives[slot]
        stop = threading.Event()
        done = Cleanup(archive._database, archive._store, archive._instance.id, 0, 0.5, stop).run()
        assert done.unexplained == []

    @rule(slot=SLOTS, size=st.sampled_from([40, 200, 1 << 20]), again=st.booleans())
    def optimize(self, slot: int, size: int, again: bool) -> None:
        archive = self.archives[slot]
        stop = threading.Event()
        Optimizer(archive._database, archive._store, archive._instance.id, size, stop).run(
            again=again
        )

    @rule(slot=SLOTS)
    def sweep(self, slot: int) -> None:
        """Remove the chunks that were replaced, without waiting for their readers."""
        archive = self.archives[slot]
        for topic in self.living():
            sweep(archive._database, archive._store, topic.id, archive._instance.id)

    # -- notifications -----------------------------------------------------------------------

    @rule(slot=SLOTS, name=NAMES, path=st.none() | NAMES, text=st.text('ab\n', max_size=3))
    def notify(self, slot: int, name: str, path: str | None, text: str) -> None:
        notify, (target, notes) = self.archives[slot].notify, self.target(name, path)
        self.attempt(InvalidArgumentError, notify, target, 'warning', text)
        self.attempt(NotFoundError if notes is None else None, notify, target, 'error', text)
        if notes is not None:
            notes.append(text)

    @rule(slot=SLOTS, name=NAMES, path=st.none() | NAMES)
    def purge(self, slot: int, name: str, path: str | None) -> None:
        target, notes = self.target(name, path)
        error = NotFoundError if notes is None else None
        self.attempt(error, self.archives[slot].purge_notifications, target)
        if notes is not None:
            notes.clear()

    def target(self, name: str, path: str | None) -> tuple[Any, list[str] | None]:
        if path is None:
            sequence = self.sequences.get(name)
            return SequenceLocator(name), None if sequence is None else sequence.notes
        topic = self.topic(name, path)
        return TopicLocator(name, path), None if topic is None else topic.notes

    # -- answers -----------------------------------------------------------------------------

    @rule(
        slot=SLOTS,
        name=st.none() | NAMES,
        sequence_mark=st.none() | RECENT,
        topic_mark=st.none() | RECENT,
        value=st.none()
        | st.tuples(
            TAGS,
            st.dictionaries(st.sampled_from(list(COMPARE)), st.integers(0, 4), min_size=1),
            st.none() | TIMES,
        ),
    )
    def query(
        self,
        slot: int,
        name: str | None,
        sequence_mark: int | None,
        topic_mark: int | None,
        value: tuple[str, dict[str, int], int | None] | None,
    ) -> None:
        body: dict[str, Any] = {'sequence': {}, 'topic': {}, 'ontology': {}}
        if name is not None:
            body['sequence']['name'] = {'$eq': name}
        if sequence_mark is not None:
            body['sequence']['user_metadata'] = {'mark': {'$eq': sequence_mark}}
        if topic_mark is not None:
            body['topic']['user_metadata'] = {'mark': {'$leq': topic_mark}}
        if value is not None:
            tag, conditions, since = value
            body['ontology'] = {f'{tag}.x': conditions, 'include_timestamp_range': True}
            if since is not None:
                body['ontology'][f'{tag}.timestamp_ns'] = {'$geq': since}
        if not any(body.values()):
            return
        expected = {}
        for sequence_name, sequence in self.sequences.items():
            for topic in sequence.topics():
                if name not in (None, sequence_name):
                    continue
                if sequence_mark not in (None, sequence.mark):
                    continue
                if topic_mark is not None and topic.mark > topic_mark:
                    continue
                times = None
                if value is not None:
                    tag, conditions, since = value
                    matching = [
                        time
                        for time, x in topic.durable
                        if x is not None
                        and (since is None or time >= since)
                        and all(COMPARE[sign](x, y) for sign, y in conditions.items())
                    ]
                    if topic.tag != tag or not matching or not topic.sealed:
                        continue
                    times = (min(matching), max(matching))
                expected[topic.locator] = times
        found = self.archives[slot].query(parse(body))
        got = {topic.locator: topic.timestamp_range for item in found for topic in item.topics}
        assert got == expected

    @precondition(lambda self: self.topics)
    @rule(slot=SLOTS, recent=RECENT, start=st.none() | TIMES, end=st.none() | TIMES)
    def slice(self, slot: int, recent: int, start: int | None, end: int | None) -> None:
        archive, topic = self.archives[slot], self.topics[-1 - recent % len(self.topics)]
        ticket = Ticket(topic.locator, topic.id, start, end)
        if start is not None and end is not None and start >= end:
            self.attempt(InvalidArgumentError, archive.read, ticket)
        elif topic not in self.living():
            self.attempt(NotFoundError, archive.read, ticket)
        elif not topic.sealed:
            self.attempt(FailedPreconditionError, archive.read, ticket)
        else:
            self.reads(archive, topic, start, end)
            described = archive.describe_topic(topic.locator, start, end)
            times = [time for time, _ in topic.rows(start, end)]
            if start is not None or end is not None:
                assert described.window_rows == len(times)
                assert described.window_interval == ((times[0], times[-1]) if times else None)

    def reads(self, archive: Archive, topic: Topic, start: Any = None, end: Any = None) -> None:
        _, batches = archive.read(Ticket(topic.locator, topic.id, start, end))
        got = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        assert got == topic.rows(start, end)

    @invariant()
    def both_say_what_the_model_says(self) -> None:
        archive = self.archives[next(self.turn)]
        assert [locator.name for locator in archive.list_sequences()] == list(self.sequences)
        for name, sequence in self.sequences.items():
            described = archive.describe_sequence(SequenceLocator(name))
            assert described.user_metadata == {'mark': sequence.mark}
            assert self.notes(archive, described.locator) == sequence.notes
            assert [
                (one.locator, one.uuid, one.locked, one.topics) for one in described.sessions
            ] == [
                (one.locator, one.uuid, one.finalized, [topic.locator for topic in one.topics])
                for one in sequence.sessions
            ]
            for one, topic in zip(described.topics, sequence.topics(), strict=True):
                times = [time for time, _ in topic.durable]
                assert (one.locator, one.topic_id) == (topic.locator, topic.id)
                assert (one.ontology_tag, one.user_metadata) == (topic.tag, {'mark': topic.mark})
                assert (one.locked, one.interrupted) == (
                    topic.state == 'locked',
                    topic.state == 'interrupted',
                )
                assert one.rows == len(times)
                assert one.interval == ((min(times), max(times)) if times else None)
                assert one.schema == (None if topic.state == 'created' else SCHEMA)
                notes = self.notes(archive, topic.locator)
                assert len(notes) == len(topic.notes)
                for note, start in zip(notes, topic.notes, strict=True):
                    assert note == start or note.startswith(f'{start}: ')
                if topic.sealed:
                    self.reads(archive, topic)

    @staticmethod
    def notes(archive: Archive, target: Any) -> list[str]:
        return [notification.message for notification in archive.notifications(target)]

    def teardown(self) -> None:
        for archive in self.dead:  # as late as can be: what they still do must harm nobody
            archive.close()
        self.both_say_what_the_model_says()
        for slot in (0, 1):
            self.restart(slot)
        self.both_say_what_the_model_says()
        self.sweep(0)
        self.clean(1)
        report = check(self.settings, lambda done, total: None, deep=True)
        assert report.differences == []
        for archive in self.archives:
            archive.close()
        self.folder.cleanup()


@pytest.mark.parametrize(('kind', 'count', 'steps'), [('local', 15, 40), ('remote', 3, 30)])
def test_two_daemons_say_what_a_model_says(
    kind: str, count: int, steps: int, request: pytest.FixtureRequest, monkeypatch: Any
) -> None:
    monkeypatch.setattr(merging, 'FAN_IN', 3)  # few chunks are enough to have them merged
    storage: Callable[[], dict[str, Any]] = dict
    if kind == 'remote':
        storage = request.getfixturevalue('new_storage')
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: TwoDaemons(storage()),
        settings=hypothesis_settings(
            max_examples=examples(count),
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )
