"""A topic unlike the others of its tag is noticed when its session is finalized."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.protocol.fingerprint import schema_fingerprint
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator


def layout(**columns: pa.DataType) -> pa.Schema:
    stamp = pa.field('timestamp_ns', pa.int64(), nullable=False)
    return pa.schema([stamp, *(pa.field(name, kind) for name, kind in columns.items())])


PLAIN = layout(x=pa.float64())
SINGLE = layout(x=pa.float32())
MORE = layout(x=pa.float64(), y=pa.float64())


def write(filled, name: str, *, finalize: bool = True, **topics: tuple[str, pa.Schema]) -> str:
    """Write a session with topics without rows; return its uuid."""
    session = filled.session(name)
    for path, (tag, schema) in topics.items():
        filled.write(schema.empty_table(), f'{name}/{path}', tag, session=session)
    if finalize:
        filled.archive.finalize_session(session)
    return session


def notes(filled, name: str) -> list[str]:
    return [n.message for n in filled.archive.notifications(TopicLocator.parse(name))]


def test_the_first_topic_of_a_tag_teaches_and_equals_are_silent(filled):
    write(filled, 'a', t=('Drive', PLAIN), other=('Gripper', SINGLE))
    described = pa.field('x', pa.float64(), metadata={b'description': b'a torque'})
    write(filled, 'b', t=('Drive', pa.schema([PLAIN.field(0), described])))
    for name in ('a/t', 'a/other', 'b/t'):
        assert notes(filled, name) == []


def test_a_new_layout_is_mentioned_once_and_then_known(filled):
    write(filled, 'a', t=('Drive', PLAIN), u=('Drive', PLAIN))
    write(filled, 'b', t=('Drive', SINGLE), u=('Drive', PLAIN), v=('Drive', SINGLE))
    assert notes(filled, 'b/u') == []
    for path in 'tv':
        (note,) = notes(filled, f'b/{path}')
        assert f'b/{path} has a layout that is new for the tag Drive' in note
        assert schema_fingerprint(SINGLE) in note
        assert f'{schema_fingerprint(PLAIN)} (2 topics)' in note
        assert 'x is float instead of double' in note
        assert 'write it under another tag' in note
    write(filled, 'c', t=('Drive', SINGLE), u=('Drive', PLAIN))
    assert notes(filled, 'c/t') == notes(filled, 'c/u') == []
    write(filled, 'd', t=('Drive', MORE))
    (note,) = notes(filled, 'd/t')
    assert f'{schema_fingerprint(PLAIN)} (4 topics), {schema_fingerprint(SINGLE)} (3 topics)' in (
        note
    )


def test_within_one_session_the_first_topic_teaches(filled):
    write(filled, 'a', t=('Drive', PLAIN), u=('Drive', MORE), v=('Drive', PLAIN))
    assert notes(filled, 'a/t') == notes(filled, 'a/v') == []
    (note,) = notes(filled, 'a/u')
    assert f'{schema_fingerprint(PLAIN)} (2 topics)' in note
    assert "columns ['timestamp_ns', 'x', 'y'] instead of ['timestamp_ns', 'x']" in note


@pytest.mark.parametrize(('first', 'second'), [('IMU', 'imu'), ('vector_3_d', 'Vector3d')])
def test_both_spellings_are_one_tag(filled, first, second):
    write(filled, 'a', t=(first, PLAIN))
    write(filled, 'b', t=(second, PLAIN))
    assert notes(filled, 'b/t') == []
    write(filled, 'c', t=(second, SINGLE))
    assert len(notes(filled, 'c/t')) == 1


def test_only_finalized_sessions_teach_and_deleted_ones_are_forgotten(filled):
    draft = write(filled, 'a', finalize=False, t=('Drive', MORE))
    write(filled, 'b', t=('Drive', PLAIN))
    assert notes(filled, 'b/t') == []
    filled.archive.finalize_session(draft)
    assert len(notes(filled, 'a/t')) == 1
    for name in 'ab':
        filled.archive.delete_sequence(SequenceLocator(name))
    write(filled, 'c', t=('Drive', SINGLE))
    assert notes(filled, 'c/t') == []


def test_of_two_daemons_that_begin_a_tag_at_once_one_teaches(filled, settings):
    other = Archive(settings)
    other.start()
    try:
        for number in range(4):
            tag = f'Tag{number}'
            drafts = [
                write(filled, f's{number}{i}', finalize=False, t=(tag, schema))
                for i, schema in enumerate((PLAIN, SINGLE))
            ]
            with ThreadPoolExecutor(2) as pool:
                list(
                    pool.map(
                        lambda archive, uuid: archive.finalize_session(uuid),
                        (filled.archive, other),
                        drafts,
                    )
                )
            told = [notes(filled, f's{number}{i}/t') for i in range(2)]
            assert sorted(map(len, told)) == [0, 1]
    finally:
        other.close()
