"""How rows become messages: joined, cut, never empty, and refused if one is too large."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mosaico_ros.daemon.transport.frames import read_frame
from mosaico_ros.daemon.transport.ipc import BatchReader
from mosaico_ros.daemon.transport.outgoing import Outgoing, SendLimits
from mosaico_ros.protocol.errors import ResourceExhaustedError

MIB = 1 << 20


def sent(batches: list[pa.RecordBatch], **limits: int) -> list[pa.RecordBatch]:
    """Return what a client reads of some batches."""
    outgoing = Outgoing(SendLimits(**{'max_message_bytes': 64 * MIB} | limits))
    first, *rest = outgoing.stream(batches[0].schema, iter(batches))
    reader = BatchReader(read_frame(first), 64 * MIB)
    read = [reader.read(read_frame(message)) for message in rest]
    return [batch for batch in read if batch is not None]


def numbers(count: int, start: int = 0) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(start, start + count))], names=['x'])


def values(batches: list[pa.RecordBatch]) -> list[object]:
    return pa.Table.from_batches(batches).column(0).to_pylist()


def test_small_batches_travel_together_and_the_first_at_once():
    got = sent([numbers(10, 10 * at) for at in range(2000)], max_rows=500)
    assert values(got) == list(range(20_000))
    assert got[0].num_rows == 10
    assert max(batch.num_rows for batch in got) == 500
    assert len(got) < 20_000 / 500 + 10


def test_joined_batches_stay_within_the_target():
    blobs = [pa.record_batch([pa.array([bytes(60_000)])], names=['x']) for _ in range(50)]
    got = sent(blobs, target_bytes=200_000)
    assert values(got) == values(blobs)
    assert {batch.num_rows for batch in got[2:-1]} == {3}


def test_large_batches_are_cut_by_rows_and_by_bytes():
    assert [b.num_rows for b in sent([numbers(1000)], max_rows=250)] == [250] * 4
    sizes = [30_000] * 40 + [500_000] + [0] * 20_000
    batch = pa.record_batch([pa.array([bytes(size) for size in sizes])], names=['x'])
    got = sent([batch], target_bytes=200_000)
    assert values(got) == batch.column(0).to_pylist()
    assert all(part.num_rows == 1 or part.nbytes <= 200_000 for part in got)
    assert max(part.num_rows for part in got) > 4000  # small rows still travel together


def test_dictionaries_that_differ_are_joined():
    batches = [
        pa.record_batch([pa.array(words).dictionary_encode()], names=['x'])
        for words in (['a', 'b'], ['c'], ['b', 'd'], ['a'])
    ]
    got = sent(batches)
    assert values(got) == ['a', 'b', 'c', 'b', 'd', 'a']
    assert len(got) < len(batches)


def test_batches_without_rows_are_never_sent():
    batch = numbers(3)
    got = sent([batch.slice(0, 0), batch, batch.slice(0, 0), batch, batch.slice(3)])
    assert [part.num_rows for part in got] == [3, 3]


def test_a_row_above_the_limit_is_refused_by_its_size():
    batch = pa.record_batch([pa.array([b'', bytes(3 * MIB)])], names=['x'])
    with pytest.raises(ResourceExhaustedError, match=r'31\d{5} bytes.*MAX_GRPC_MESSAGE_SIZE'):
        sent([batch], max_message_bytes=2 * MIB)


def test_many_streams_get_smaller_messages():
    outgoing = Outgoing(SendLimits(64 * MIB))
    blobs = pa.record_batch([pa.array([bytes(100_000)] * 40)], names=['x'])

    def first_batch(stream):
        next(stream)
        return len(next(stream))

    alone = first_batch(outgoing.stream(blobs.schema, iter([blobs])))
    others = [outgoing.stream(blobs.schema, iter([blobs])) for _ in range(64)]
    sizes = [first_batch(stream) for stream in others]
    assert alone > MIB > 300_000 > sizes[-1]
    for stream in others:
        stream.close()
    assert first_batch(outgoing.stream(blobs.schema, iter([blobs]))) == alone


def test_a_stream_that_is_dropped_closes_its_source():
    outgoing = Outgoing(SendLimits(64 * MIB))
    closed = []

    def source():
        try:
            while True:
                yield numbers(8192)
        finally:
            closed.append(True)

    for _ in range(20):
        stream = outgoing.stream(numbers(1).schema, source())
        next(stream), next(stream)
        stream.close()
    assert len(closed) == 20


def test_an_error_of_the_source_reaches_the_reader():
    def source():
        yield numbers(10)
        raise ResourceExhaustedError('nothing left')

    outgoing = Outgoing(SendLimits(64 * MIB))
    with pytest.raises(ResourceExhaustedError, match='nothing left'):
        list(outgoing.stream(numbers(1).schema, source()))
