"""Reading chunks: footers are cached, row groups outside a window are never decoded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mosaico_ros.daemon.columns import Leaf
from mosaico_ros.daemon.encoding import ARROW, ROW_GROUP_ROWS
from mosaico_ros.daemon.statistics import LeafStatistics, from_footer
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.ranges import ByteRange, ReadPlan
from mosaico_ros.protocol.errors import DataLossError, MosaicoError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

__all__ = ['ChunkFiles', 'Footer', 'OpenChunk']

#: Large rows that are decoded at once.
_DECODED_BYTES = 1 << 20
# What the readers hold of large rows, all together: many of them decode smaller pieces.
_POOL_BYTES = 16 << 20
# The speed of pieces below that suffers more than memory gains.
_SMALLEST_PIECE = 128 << 10

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Footer:
    """What is known of a chunk without decoding rows.

    Parameters
    ----------
    first, last
        Time bounds of each row group, both inclusive.
    rows
        Rows of each row group.
    size
        Bytes of the object.
    parquet
        Parquet's own footer; `None` for Arrow IPC.

    """

    first: Times
    last: Times
    rows: Times
    size: int
    parquet: Any
    _bounds: dict[int, list[LeafStatistics]] = field(default_factory=dict, repr=False)

    def statistics(self, index: int, leaf: Leaf) -> list[LeafStatistics]:
        """Return the bounds of Parquet's column `index` in each row group."""
        found = self._bounds.get(index)
        if found is None:
            found = self._bounds[index] = [
                from_footer(leaf, [self.parquet.row_group(group).column(index)])
                for group in range(len(self.rows))
            ]
        return found

    def groups_in(self, start_ns: int | None, end_ns: int | None) -> list[int]:
        """Return the row groups that overlap [start_ns, end_ns)."""
        low = 0 if start_ns is None else int(np.searchsorted(self.last, start_ns, 'left'))
        high = len(self.rows)
        if end_ns is not None:
            high = int(np.searchsorted(self.first, end_ns, 'left'))
        return list(range(low, high))


class ChunkFiles:
    """Opens chunks of a store.

    Parameters
    ----------
    store
        Where they are.
    cache_bytes
        Bound on the footers kept, least recently used ones go first.

    """

    def __init__(self, store: Store, cache_bytes: int = 64 << 20) -> None:
        self._store = store
        self._limit = cache_bytes
        self._lock = threading.Lock()
        self._footers: OrderedDict[str, tuple[Footer, int]] = OrderedDict()
        self._size = 0
        self._pool = _DecodingPool()

    @property
    def waits(self) -> bool:
        """Whether reading waits for a network."""
        return self._store.waits

    def open(self, key: str, encoding: str, *, partly: bool = False) -> OpenChunk:
        """Return a chunk to read, to be closed; `partly` as for :meth:`Store.open`."""
        with self._lock:
            known, _ = self._footers.get(key, (None, 0))
            if known is not None:
                self._footers.move_to_end(key)
        return OpenChunk(self._store, key, encoding, known, self._keep, self._pool, partly)

    def _keep(self, key: str, footer: Footer, size: int) -> None:
        with self._lock:
            if key not in self._footers:
                self._footers[key] = footer, size
                self._size += size
                while self._size > self._limit and len(self._footers) > 1:
                    _, (_, freed) = self._footers.popitem(last=False)
                    self._size -= freed


class _DecodingPool:
    """What all readers together hold of large rows; many of them decode smaller pieces."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Be one of the readers."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    @property
    def share(self) -> int:
        """Bytes of the largest piece that a reader may hold just now."""
        share = max(_SMALLEST_PIECE, _POOL_BYTES // self._readers)
        return min(_DECODED_BYTES, share)


class OpenChunk:
    """One chunk being read, by one thread at a time.

    The object is opened once, when something is asked of it that is not known yet. Whatever is
    asked raises NotFoundError if it is gone, and DataLossError if it is damaged.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        encoding: str,
        footer: Footer | None,
        keep: Callable[[str, Footer, int], None],
        pool: _DecodingPool,
        partly: bool,
    ) -> None:
        self._store = store
        self._key = key
        self._encoding = encoding
        self._footer = footer
        self._keep = keep
        self._pool = pool
        self._partly = partly
        self._source: pa.NativeFile | None = None
        self._parquet: pq.ParquetFile | None = None
        self._ranges: ReadPlan = list

    def __enter__(self) -> OpenChunk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the object; batches that were read stay."""
        if self._source is not None:
            self._source.close()

    @property
    def footer(self) -> Footer:
        """What is known without decoding rows."""
        if self._footer is None:
            with self._checked():
                source = self._opened()
                read = partial(_read_arrow, source)
                if self._encoding != ARROW:
                    read = partial(_read_parquet, source, self._parquet_file().metadata)
                self._footer, size = read()
            self._keep(self._key, self._footer, size)
        return self._footer

    def batches(
        self, groups: Sequence[int], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some row groups, at most 8192 at once.

        Parameters
        ----------
        groups
            Indices of row groups, ascending.
        columns
            Top-level columns, or paths into structs (dots); `None` for all. More than asked
            for may come along.

        """
        if not groups:
            return
        footer = self.footer
        with self._checked():
            if self._encoding == ARROW:
                yield from _arrow_batches(self._opened(), groups, columns)
                return
            self._ranges = partial(_ranges, footer, groups, columns)
            file = self._parquet_file()
            with self._pool.counted():
                for group in groups:
                    yield from _group_batches(file, group, columns, self._pool.share)

    def _opened(self) -> pa.NativeFile:
        if self._source is None:
            plan = None if self._encoding == ARROW else lambda: self._ranges()
            self._source = self._store.open(self._key, plan, partly=self._partly)
        return self._source

    def _parquet_file(self) -> pq.ParquetFile:
        if self._parquet is None:
            # The store reads ahead; Arrow's own buffer would hold the whole chunk.
            self._parquet = pq.ParquetFile(
                self._opened(),
                metadata=None if self._footer is None else self._footer.parquet,
                page_checksum_verification=True,
                pre_buffer=False,
            )
        return self._parquet

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except MosaicoError:  # of the store; some of them are OSErrors too
            raise
        except (pa.ArrowException, OSError) as error:
            raise DataLossError(
                f'The stored chunk {self._key} is damaged: {error}',
                remedy='Restore it from a backup.',
            ) from error


def _group_batches(
    file: pq.ParquetFile, group: int, columns: Sequence[str] | None, piece_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one row group so that whoever keeps a batch for hours holds little.

    Small rows are decoded at once: the decoders, which hold as much memory again, are gone
    then. Large rows are decoded bit by bit, as no decoder holds more than a page of them.
    """
    names = None if columns is None else list(columns)
    described = file.metadata.row_group(group)
    if described.num_rows == ROW_GROUP_ROWS or described.total_byte_size <= _DECODED_BYTES:
        yield from file.read_row_group(group, columns=names, use_threads=False).to_batches()
        return
    rows = max(1, described.num_rows * piece_bytes // described.total_byte_size)
    yield from file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False)


def _below(footer: Footer, columns: Sequence[str] | None) -> list[int]:
    """Return the indices of Parquet's columns below top-level columns or paths into structs."""
    leaves = list(range(footer.parquet.num_columns))
    if columns is None:
        return leaves
    paths = [footer.parquet.schema.column(leaf).path for leaf in leaves]
    wanted = tuple(f'{column}.' for column in columns)
    return [leaf for leaf in leaves if f'{paths[leaf]}.'.startswith(wanted)]


def _ranges(
    footer: Footer, groups: Sequence[int], columns: Sequence[str] | None
) -> list[ByteRange]:
    """Return where the column chunks lie that reading some columns of some groups takes."""
    found = []
    leaves = _below(footer, columns)
    for group in groups:
        described = footer.parquet.row_group(group)
        for leaf in leaves:
            column = described.column(leaf)
            start = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            found.append((start, start + column.total_compressed_size))
    return sorted(found)


def _read_parquet(source: pa.NativeFile, parquet: Any) -> tuple[Footer, int]:
    time_leaf = _time_leaf(parquet.schema)
    first, last, rows = [], [], []
    for index in range(parquet.num_row_groups):
        group = parquet.row_group(index)
        found = group.column(time_leaf).statistics
        if found is None or not found.has_min_max:
            raise pa.ArrowInvalid('Its times have no bounds')
        first.append(found.min_raw)
        last.append(found.max_raw)
        rows.append(group.num_rows)
    return _footer(first, last, rows, source.size(), parquet), parquet.serialized_size * 2 + 1024


def _time_leaf(schema: pq.ParquetSchema) -> int:
    for index in range(len(schema)):
        if schema.column(index).path == TIMESTAMP_COLUMN:
            return index
    raise pa.ArrowInvalid(f'It has no column {TIMESTAMP_COLUMN}')


def _read_arrow(source: pa.NativeFile) -> tuple[Footer, int]:
    first, last, rows = [], [], []
    reader = pa.ipc.open_file(source)
    index = reader.schema.get_field_index(TIMESTAMP_COLUMN)
    reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=[index]))
    for number in range(reader.num_record_batches):
        times = reader.get_batch(number).column(0).to_numpy()
        first.append(times[0])
        last.append(times[-1])
        rows.append(len(times))
    return _footer(first, last, rows, source.size(), None), 1024 + 24 * len(rows)


def _footer(first: list[int], last: list[int], rows: list[int], size: int, parquet: Any) -> Footer:
    low, high, counts = (np.array(values, np.int64) for values in (first, last, rows))
    return Footer(low, high, counts, size, parquet)


def _arrow_batches(
    source: pa.NativeFile, groups: Sequence[int], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(source)
    if columns is not None:
        wanted = {path.partition('.')[0] for path in columns} | set(columns)
        included = [i for i, name in enumerate(reader.schema.names) if name in wanted]
        options = pa.ipc.IpcReadOptions(included_fields=included)
        reader = pa.ipc.open_file(source, options=options)
    for number in groups:
        yield reader.get_batch(number)
