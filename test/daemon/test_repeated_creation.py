"""Creations that are asked for again: their answer was lost, not their effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

RUN, OTHER = SequenceLocator('run'), SequenceLocator('other')
IMU = TopicLocator('run', 'imu')
SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])

#: Takes a token and optional changes of the request; returns the answer.
Create = Callable[..., Any]


def sequence(archive: Archive) -> Create:
    def create(token: str | None, name: str = 'made', **metadata: int) -> None:
        archive.create_sequence(SequenceLocator(name), metadata, token)

    return create


def session(archive: Archive) -> Create:
    return lambda token, sequence=RUN: archive.create_session(sequence, token)


def topic(archive: Archive) -> Create:
    uuid, _ = archive.create_session(RUN)

    def create(token: str | None, name: str = 'gps', tag: str = 'GPS', **metadata: int) -> str:
        return archive.create_topic(
            uuid, TopicLocator('run', name), tag, SerializationFormat.Default, metadata, token
        )

    return create


def notification(archive: Archive) -> Create:
    def create(token: str | None, target: Any = IMU, text: str = 'cable loose') -> None:
        archive.notify(target, 'error', text, token)

    return create


KINDS = [sequence, session, topic, notification]
CHANGES = [
    (sequence, {'name': 'else'}),
    (sequence, {'trial': 2}),
    (session, {'sequence': OTHER}),
    (topic, {'name': 'else'}),
    (topic, {'tag': 'IMU'}),
    (topic, {'trial': 2}),
    (notification, {'target': RUN}),
    (notification, {'text': 'cable gone'}),
]


@pytest.fixture
def archive(filled) -> Archive:
    """Return an archive with the sequences `run`, which has the topic `imu`, and `other`."""
    filled.create('run/imu')
    filled.session('other')
    return filled.archive


@pytest.fixture
def contents(archive, stored) -> Callable[[], Any]:
    """``contents()`` returns all that a creation could add to."""

    def read() -> Any:
        described = [archive.describe_sequence(name) for name in archive.list_sequences()]
        notes = [archive.notifications(target) for target in (RUN, IMU)]
        return described, notes, files(stored)

    return read


def files(stored: Path) -> list[Path]:
    found = (path for path in stored.rglob('*') if path.is_file())
    return sorted(path for path in found if not path.is_relative_to(stored / 'tmp'))


@pytest.mark.parametrize('kind', KINDS)
def test_a_repetition_adds_nothing_and_is_answered_as_before(archive, contents, kind):
    create, before = kind(archive), contents()
    answer, once = create('token'), contents()
    assert create('token') == answer
    assert contents() == once != before
    create('another', **{'name': 'another'} if kind in (sequence, topic) else {})
    assert contents() != once


@pytest.mark.parametrize('kind', KINDS)
def test_of_concurrent_repetitions_one_creates(archive, contents, kind):
    create, start = kind(archive), threading.Barrier(6)

    def ask(_: int) -> Any:
        start.wait()
        return create('token')

    with ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(ask, range(6))
    assert others == [first] * 5
    once = contents()
    create('token')
    assert contents() == once
    assert [len(notes) for notes in once[1]] == [0, kind is notification]
    assert len(once[0]) == 2 + (kind is sequence)
    assert len(once[0][0].sessions) == 1 + (kind in (session, topic))
    assert len(once[0][0].topics) == 1 + (kind is topic)


@pytest.mark.parametrize(('kind', 'change'), CHANGES)
def test_a_token_names_one_request(archive, contents, kind, change):
    create = kind(archive)
    create('token')
    once = contents()
    with pytest.raises(InvalidArgumentError, match="'token' was used for another request"):
        create('token', **change)
    assert contents() == once


@pytest.mark.parametrize('kind', [sequence, topic])
def test_a_name_stays_taken_for_other_tokens_and_none(archive, kind):
    create = kind(archive)
    create('token')
    for other in ('another', None):
        with pytest.raises(AlreadyExistsError):
            create(other)


def test_a_topic_is_answered_for_even_if_its_session_has_ended_since(filled):
    uuid = filled.session()
    made = [
        filled.archive.create_topic(uuid, IMU, 'IMU', SerializationFormat.Default, {}, 'token')
        for _ in range(2)
    ]
    filled.archive.begin_upload(IMU, made[0], SCHEMA).finish()
    filled.archive.finalize_session(uuid)
    again = filled.archive.create_topic(uuid, IMU, 'IMU', SerializationFormat.Default, {}, 'token')
    assert {again, *made} == {made[0]}


def test_a_token_goes_with_what_it_has_made(archive):
    archive.create_sequence(SequenceLocator('made'), {}, 'token')
    archive.delete_sequence(SequenceLocator('made'))
    archive.create_sequence(SequenceLocator('made'), {'trial': 2}, 'token')
    assert archive.describe_sequence(SequenceLocator('made')).user_metadata == {'trial': 2}
