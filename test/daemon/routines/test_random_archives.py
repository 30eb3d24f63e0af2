"""Whatever was done to an archive: with its catalog rebuilt it says the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given, settings as hypothesis_settings
from thoroughness import examples

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.routines.check import check
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

SCHEMAS = [
    pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())]),
    pa.schema([('timestamp_ns', pa.int64()), ('x', pa.list_(pa.string()))]),
    pa.schema([('timestamp_ns', pa.int64()), ('x', pa.timestamp('s'))]),
]
VALUES = [
    st.one_of(st.none(), st.floats(width=64)),
    st.one_of(st.none(), st.lists(st.text(max_size=80), max_size=3)),
    st.one_of(st.none(), st.integers(0, 2**40)),
]
TIMES = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20)
NAMES = st.sampled_from(['a', 'b'])


@st.composite
def uploads(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(range(len(SCHEMAS))))
    row = st.tuples(TIMES, VALUES[kind])
    chunks = draw(st.lists(st.lists(row, min_size=1, max_size=4), max_size=3))
    end = draw(st.sampled_from(['finish', 'finish', 'abort']))
    return 'upload', draw(NAMES), draw(NAMES), kind, chunks, end


OPERATIONS = st.one_of(
    uploads(),
    uploads(),
    st.tuples(st.just('session'), NAMES),
    st.tuples(st.just('finalize'), NAMES),
    st.tuples(st.just('notify'), NAMES, NAMES, st.text(st.characters(codec='utf-8'), max_size=5)),
    st.tuples(st.just('purge'), NAMES, NAMES),
    st.tuples(st.just('delete_topic'), NAMES, NAMES),
    st.tuples(st.just('delete_session'), NAMES),
    st.tuples(st.just('delete_sequence'), NAMES),
)


class Actor:
    """Performs operations; what is not possible just now is left out."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.sessions: dict[str, str] = {}

    def perform(self, name: str, sequence: str, *more: Any) -> None:
        try:
            getattr(self, name)(SequenceLocator(sequence), *more)
        except (MosaicoError, KeyError):
            pass

    def session(self, sequence: SequenceLocator) -> None:
        try:
            self.archive.create_sequence(sequence, {'ü': [2**70, None]})
        except MosaicoError:
            pass
        self.sessions[sequence.name], _ = self.archive.create_session(sequence)

    def upload(
        self, sequence: SequenceLocator, path: str, kind: int, chunks: list[Any], end: str
    ) -> None:
        if sequence.name not in self.sessions:
            self.session(sequence)
        topic = TopicLocator(sequence.name, path)
        uuid = self.archive.create_topic(
            self.sessions[sequence.name], topic, f'T{kind}', SerializationFormat.Default, {}
        )
        schema = SCHEMAS[kind]
        upload = self.archive.begin_upload(topic, uuid, schema)
        for rows in chunks:
            columns = [
                pa.array(list(column), field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            upload.append(pa.record_batch(columns, schema=schema))
            upload.commit()
        if end == 'finish':
            upload.finish()
        else:
            upload.abort('cable\npulled')

    def finalize(self, sequence: SequenceLocator) -> None:
        self.archive.finalize_session(self.sessions[sequence.name])

    def notify(self, sequence: SequenceLocator, path: str, text: str) -> None:
        text = text.replace('\0', '')
        self.archive.notify(sequence, 'error', text)
        self.archive.notify(TopicLocator(sequence.name, path), 'error', text)

    def purge(self, sequence: SequenceLocator, path: str) -> None:
        self.archive.purge_notifications(TopicLocator(sequence.name, path))
        self.archive.purge_notifications(sequence)

    def delete_topic(self, sequence: SequenceLocator, path: str) -> None:
        self.archive.delete_topic(TopicLocator(sequence.name, path))

    def delete_session(self, sequence: SequenceLocator) -> None:
        self.archive.delete_session(uuid=self.sessions.pop(sequence.name))

    def delete_sequence(self, sequence: SequenceLocator) -> None:
        self.sessions.pop(sequence.name, None)
        self.archive.delete_sequence(sequence)


def state(archive: Archive) -> list[Any]:
    """Return all that can be read."""
    found: list[Any] = []
    for name in archive.list_sequences():
        described = archive.describe_sequence(name)
        found.append(
            replace(described, sessions=[replace(s, uuid='') for s in described.sessions])
        )
        found += [n for n in archive.notifications(name) if 'rebuilt' not in n.message]
        for topic in described.topics:
            found += archive.notifications(topic.locator)
            if topic.schema is not None:
                ticket = Ticket(topic.locator, topic.topic_id, None, None, True)
                read, batches = archive.read(ticket)
                sink = pa.BufferOutputStream()  # as bytes: NaN equals NaN there
                with pa.ipc.new_stream(sink, read.schema) as stream:
                    for batch in batches:
                        stream.write_batch(batch)
                found.append(sink.getvalue().to_pybytes())
    return found


@hypothesis_settings(max_examples=examples(10))
@given(st.lists(OPERATIONS, max_size=8))
def test_a_rebuilt_catalog_says_the_same(operations: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        archive = Archive(settings)
        archive.start()
        actor = Actor(archive)
        for operation in operations:
            actor.perform(*operation)
        before = state(archive)
        archive.close()
        for file in Path(folder).glob('catalog.db*'):
            file.unlink()
        report = rebuild(settings, lambda done, total: None)
        assert (report.faults, report.interrupted, report.remarks) == ([], [], [])
        assert check(settings, lambda done, total: None, deep=True).differences == []
        archive = Archive(settings)
        assert state(archive) == before
        archive.close()
