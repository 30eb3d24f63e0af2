"""The spool on the disk: whatever it is cut off at, what was whole before comes back."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.nodes.spool import (
    Part,
    Position,
    Recording,
    Spool,
    SpooledTopic,
    left_behind,
)
from mosaico_ros.nodes.spool_log import Piece, Record, Share, SpoolLog
from mosaico_ros.protocol.errors import FailedPreconditionError, ResourceExhaustedError

IMU, GPS = 0, 1
BOTH = (IMU, GPS)
#: Stands for a topic where a split is read.
SPLIT = -1


def rows(first: int, count: int, size: int = 3) -> pa.RecordBatch:
    """Rows whose payload tells their number."""
    stamps = pa.array(range(first + 1, first + count + 1), pa.int64())
    unknown = [pa.nulls(count, field.type) for field in list(CAPTURED)[1:-1]]
    texts = [str(first + index).encode().ljust(size, b' ') for index in range(count)]
    payloads = pa.array(texts, CAPTURED.field('payload').type)
    return pa.RecordBatch.from_arrays([stamps, *unknown, payloads], schema=CAPTURED)


def append(log: SpoolLog, topic: int, first: int, count: int, size: int = 3) -> bool:
    share = Share(topic, first, count, count * size)
    return log.append(rows(first, count, size), [share])


def read_one(log: SpoolLog, record: Record) -> list[tuple[int, int, int]]:
    """Topic, first row and rows of each piece; checks that the rows are those."""
    found = [(SPLIT, record.split, 0)] if record.split else []
    for piece in record.pieces():
        found.append(piece.share[:3])
        check(piece)
        log.release([piece])
    return found


def check(piece: Piece) -> None:
    """The rows are those that were appended."""
    assert piece.batch is not None
    first, count = piece.share.first, piece.share.rows
    numbers = [int(text) for text in piece.batch.column('payload').to_pylist()]
    assert numbers == list(range(first, first + count))
    assert piece.batch.column(0).to_pylist() == list(range(first + 1, first + count + 1))


def read(log: SpoolLog) -> list[tuple[int, int, int]]:
    """Topic, first row and rows of all that is there."""
    found = []
    while (record := log.next(0.0)) is not None:
        found += read_one(log, record)
    return found


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where that can be: a thousand calls of a disk take long and show nothing."""
    place = '/dev/shm' if os.path.isdir('/dev/shm') else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_a_log_cut_off_at_any_byte_keeps_what_was_whole(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path)
    written, ends = [], []
    for first, count, topic, size in [(0, 2, IMU, 3), (0, 1, GPS, 30), (2, 3, IMU, 3)]:
        append(log, topic, first, count, size)
        written.append((topic, first, count))
        ends.append(log.size)
    log.mark_split(1)
    written.append((SPLIT, 1, 0))
    ends.append(log.size)
    log.append(
        pa.concat_batches([rows(1, 1), rows(5, 2)]), [Share(GPS, 1, 1, 3), Share(IMU, 5, 2, 6)]
    )
    ends += [log.size, log.size]
    written += [(GPS, 1, 1), (IMU, 5, 2)]
    log.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert len(whole) == ends[-1]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        again = SpoolLog(tmp_path)
        kept = sum(end <= length for end in ends)
        assert read(again) == written[:kept]
        assert again.cut == length - ([0, *ends][kept])
        assert path.stat().st_size == length - again.cut
        again.close()


def test_a_log_with_a_damaged_byte_never_gives_wrong_rows(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path)
    for first in range(0, 6, 2):
        append(log, IMU, first, 2)
    both = [Share(GPS, 0, 1, 3), Share(IMU, 6, 1, 3)]
    log.append(pa.concat_batches([rows(0, 1), rows(6, 1)]), both)
    log.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        again = SpoolLog(tmp_path)
        while (record := again.next(0.0)) is not None:
            for piece in record.pieces():
                if piece.batch is not None:
                    check(piece)
        again.close()


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just('append'), st.sampled_from([IMU, GPS, BOTH]), st.integers(1, 4)),
            st.tuples(st.just('read'), st.just(0), st.integers(1, 5)),
            st.tuples(st.just('split'), st.just(0), st.just(0)),
            st.tuples(st.just('sync'), st.just(0), st.just(0)),
            st.tuples(st.just('acknowledge'), st.sampled_from([IMU, GPS]), st.just(0)),
            st.tuples(st.just('rewind'), st.just(0), st.just(0)),
            st.tuples(st.just('reopen'), st.just(0), st.just(0)),
        ),
        max_size=40,
    ),
    memory=st.sampled_from([0, 100, 10_000]),
)
def test_every_row_is_read_in_order_until_it_is_acknowledged(
    steps: list[tuple[str, Any, int]], memory: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _walk(Path(folder), steps, memory)


def _walk(folder: Path, steps: list[tuple[str, Any, int]], memory: int) -> None:
    options: dict[str, Any] = {'segment_bytes': 1500, 'memory_bytes': memory}
    log = SpoolLog(folder, **options)
    appended: list[list[tuple[int, int, int]]] = []  # a list for each record
    ends = {IMU: 0, GPS: 0}
    acknowledged = {IMU: 0, GPS: 0}
    taken = 0  # of what was appended
    splits = 0
    for step, topic, count in steps:
        if step == 'append':
            shares = [
                Share(each, ends[each], count, count * 40)
                for each in (topic if topic == BOTH else [topic])
            ]
            log.append(pa.concat_batches([rows(each.first, count, 40) for each in shares]), shares)
            appended.append([each[:3] for each in shares])
            for each in shares:
                ends[each.topic] += count
        elif step == 'split':
            splits += 1
            log.mark_split(splits)
            appended.append([(SPLIT, splits, 0)])
        elif step == 'sync':
            log.sync()
        elif step == 'read':
            for _ in range(count):
                record = log.next(0.0)
                if record is None:
                    assert taken == len(appended)
                    break
                assert read_one(log, record) == appended[taken]
                taken += 1
        elif step == 'acknowledge':
            read_rows = [each for each in chain(*appended[:taken]) if each[0] == topic]
            if read_rows:
                acknowledged[topic] = read_rows[-1][1] + read_rows[-1][2]
            before = len(list(folder.iterdir()))
            gone = list(log.discard(acknowledged))
            assert len(list(folder.iterdir())) == before - len(gone)
        else:
            if step == 'rewind':
                log.rewind()
            else:
                log.close()
                log = SpoolLog(folder, **options)
                assert log.cut == 0
            pieces = list(chain(*appended))
            rest = read(log)
            assert rest == pieces[len(pieces) - len(rest) :]
            for lost_topic, first, number in pieces[: len(pieces) - len(rest)]:
                assert lost_topic == SPLIT or first + number <= acknowledged[lost_topic]
            taken = len(appended)
    assert log.size == sum(path.stat().st_size for path in folder.iterdir())
    log.close()


def test_memory_spares_the_reader_the_disk_within_its_bound(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, memory_bytes=20)
    assert [append(log, IMU, first, 2) for first in range(0, 8, 2)] == [True] * 3 + [False]
    assert read(log) == [(IMU, first, 2) for first in range(0, 8, 2)]
    assert append(log, IMU, 8, 2)  # the reader has caught up
    assert read(log) == [(IMU, 8, 2)]
    log.close()


def test_what_shrinks_is_compressed_and_what_does_not_is_left_alone(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path)
    append(log, IMU, 0, 1, size=100_000)  # blanks, mostly
    assert log.size < 20_000
    noise = pa.array([os.urandom(100_000)], pa.large_binary())
    noise = rows(0, 1).set_column(len(CAPTURED) - 1, CAPTURED.field('payload'), noise)
    for number in range(3):
        log.append(noise, [Share(GPS, number, 1, 100_000)])
    assert 300_000 < log.size < 330_000
    assert [log.next(0.0) is not None for _ in range(5)] == [True] * 4 + [False]
    log.close()


def test_a_bound_refuses_what_would_exceed_it_and_keeps_the_rest(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, limit_bytes=1000)
    append(log, IMU, 0, 1)
    with pytest.raises(ResourceExhaustedError, match='bound'):
        append(log, IMU, 1, 1, size=1500)
    assert read(log) == [(IMU, 0, 1)]
    log.close()
    with pytest.raises(ResourceExhaustedError, match='MB are free'):
        SpoolLog(tmp_path, min_free_bytes=1 << 60).check_space()


def test_a_full_disk_leaves_whole_records(tmp_path: Path) -> None:
    """This process may not let files grow further, in the middle of a record."""
    log = SpoolLog(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    count = 0

    def fill() -> None:
        nonlocal count
        while count < 100:
            append(log, IMU, count, 1)
            count += 1

    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(ResourceExhaustedError, match='is full'):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.close()
    log = SpoolLog(tmp_path)
    assert log.cut == 0
    assert read(log) == [(IMU, number, 1) for number in range(count)]
    assert 3 < count < 100
    log.close()


# -- the folder ----------------------------------------------------------------------------------

RECORDING = Recording('run-1', 'run', {'robot': 'r1'}, 'localhost:1')
TOPIC = SpooledTopic(IMU, '/imu', 'sensor_msgs/msg/Imu', {'type_hash': 'x'}, 'text')
PART = Part(1, 'run', '00000000-0000-0000-0000-000000000001', 0, 1000)


def abandon(spool: Spool) -> Path:
    """Leave a spool as the death of its process does."""
    spool.sync()
    os.close(spool._lock)
    return spool.folder


def test_a_spool_is_found_again_as_it_was(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, RECORDING)
    spool.add_topic(TOPIC)
    spool.open_part(PART, {})
    append(spool.log, IMU, 0, 3)
    spool.open_part(PART, {IMU: Position(2, -1)})
    assert Spool.take_over(spool.folder) is None  # its owner lives
    folder = abandon(spool)
    assert left_behind(tmp_path) == [folder]
    again = Spool.take_over(folder)
    assert again is not None
    assert again.recording == RECORDING
    assert again.topics == {IMU: TOPIC}
    assert (again.progress.name, again.progress.part) == ('run', PART)
    assert again.progress.position(IMU) == Position(2, -1)
    assert read(again.log) == [(IMU, 0, 3)]
    again.close(remove=True)
    assert not list(tmp_path.iterdir())


def test_a_journal_cut_off_at_any_byte_is_as_it_was_before_that_line(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, RECORDING)
    lines = [(spool.folder / 'journal').stat().st_size]
    states: list[tuple[dict[int, SpooledTopic], Part | None, Position]] = [({}, None, Position())]
    spool.add_topic(TOPIC)
    lines.append((spool.folder / 'journal').stat().st_size)
    states.append(({IMU: TOPIC}, None, Position()))
    spool.open_part(PART, {IMU: Position(5, 4)})
    lines.append((spool.folder / 'journal').stat().st_size)
    states.append(({IMU: TOPIC}, PART, Position(5, 4)))
    folder = abandon(spool)
    whole = (folder / 'journal').read_bytes()
    for length in range(len(whole) + 1):
        (folder / 'journal').write_bytes(whole[:length])
        if length < lines[0]:
            with pytest.raises(FailedPreconditionError, match='what was recorded'):
                Spool.take_over(folder)
            continue
        again = Spool.take_over(folder)
        assert again is not None
        state = states[sum(end <= length for end in lines) - 1]
        progress = again.progress
        assert (again.topics, progress.part, progress.position(IMU)) == state
        again.add_topic(SpooledTopic(GPS, '/gps', 'a/msg/B', {}))
        once_more = Spool.take_over(abandon(again))
        assert once_more is not None
        assert GPS in once_more.topics
        abandon(once_more)


def test_positions_are_durable_before_their_files_go(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, RECORDING, segment_bytes=400)
    spool.add_topic(TOPIC)
    for first in range(5):
        append(spool.log, IMU, first, 1)
    while spool.log.next(0.0):
        pass
    before = len(list(spool.folder.glob('*.seg')))
    spool.acknowledge({IMU: Position(3, 3)})
    assert len(list(spool.folder.glob('*.seg'))) < before
    again = Spool.take_over(abandon(spool))
    assert again is not None
    assert again.progress.position(IMU) == Position(3, 3)
    assert {(IMU, 3, 1), (IMU, 4, 1)} <= set(read(again.log))
    again.close(remove=False)


def test_the_disk_keeps_room_for_saying_what_is_delivered(tmp_path: Path) -> None:
    def room(folder: Path) -> int:
        status = (folder / 'journal').stat()
        return status.st_blocks * 512 - status.st_size

    spool = Spool.create(tmp_path, RECORDING)
    assert room(spool.folder) > 500_000
    for number in range(40):  # more than the room there was at first
        spool.add_topic(
            SpooledTopic(number, f'/topic_{number}', 'a/msg/B', {'long': 'x' * 50_000})
        )
        assert room(spool.folder) > 400_000
    again = Spool.take_over(abandon(spool))
    assert again is not None
    assert len(again.topics) == 40
    assert room(again.folder) > 400_000
    again.close(remove=True)


def test_half_made_and_half_removed_spools_are_nobodys(tmp_path: Path) -> None:
    half = tmp_path / '.run-2'
    half.mkdir()
    (half / 'journal').write_bytes(b'')
    assert left_behind(tmp_path) == []
    assert half.exists()  # perhaps somebody is at it
    os.utime(half, (0, 0))
    assert left_behind(tmp_path) == []
    assert not half.exists()
    assert left_behind(tmp_path / 'nowhere') == []
