"""From sorted rows to the bytes of a chunk, and what is known about them afterwards.

Chunks are Parquet wherever Parquet gives the schema back exactly, else (unions, run-end
encoding, intervals, seconds) Arrow IPC files. The encoding of each Parquet column is chosen by
trial on the first rows of a topic: dictionaries are 4-5x smaller on quantised sensors, and both
slower and larger than plain on full-entropy values, where BYTE_STREAM_SPLIT wins.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from mosaico_ros.daemon import statistics
from mosaico_ros.daemon.columns import Leaf, leaves
from mosaico_ros.daemon.statistics import LeafStatistics
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.query.kinds import Kind, is_list
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = [
    'ENCODINGS',
    'ROW_GROUP_ROWS',
    'ChunkEncoder',
    'EncodedChunk',
    'arrow_statistics',
    'parquet_statistics',
]

ARROW, PARQUET = 'arrow', 'parquet'
#: Chunk encodings and the ending of their objects' keys.
ENCODINGS = {PARQUET: 'parquet', ARROW: 'arrow'}

#: Rows of a row group: what one look-up by time has to decode.
ROW_GROUP_ROWS = 8192
#: Row groups of large rows are cut by size instead.
ROW_GROUP_BYTES = 4 << 20

_BLOB_SAMPLE_BYTES = 1 << 20
_CODEC, _LEVEL = 'zstd', 1
# Compressing a blob must save this share, or it is stored as it is.
_WORTH = 0.9


@dataclass(frozen=True)
class EncodedChunk:
    """What is known of a chunk that was written.

    Parameters
    ----------
    size
        Bytes of the object.
    encoding
        A key of :data:`ENCODINGS`.
    rows, t_min, t_max
        Number of rows, first and last ``timestamp_ns``.
    statistics
        Bounds of every leaf column that has an order.

    """

    size: int
    encoding: str
    rows: int
    t_min: int
    t_max: int
    statistics: list[LeafStatistics]


@dataclass(frozen=True)
class _Choice:
    """How each Parquet column is written; trial rows say how much the choice has seen."""

    rows: int
    options: dict[str, Any] = field(default_factory=dict)


class ChunkEncoder:
    """Encodes the chunks of one topic.

    Parameters
    ----------
    schema
        The announced schema.
    serialization_format
        Arrow files hold images as they are; in Parquet a sample of each blob column decides.

    Raises
    ------
    InvalidArgumentError
        If rows of this schema cannot be stored at all.

    """

    def __init__(
        self,
        schema: pa.Schema,
        serialization_format: SerializationFormat = SerializationFormat.Default,
    ) -> None:
        self.schema = schema
        self.leaves = leaves(schema)
        self._images = serialization_format is SerializationFormat.Image
        self._choice: _Choice | None = None
        self._column_paths = self._probe_parquet()
        self.encoding = ARROW if self._column_paths is None else PARQUET
        self._probe_rows()

    def encode(self, batches: list[pa.RecordBatch], sink: pa.NativeFile) -> EncodedChunk:
        """Sort rows by ``timestamp_ns``, equal ones in the order given, and write them.

        Raises
        ------
        InvalidArgumentError
            If the rows contradict the schema, for example nulls where it promises none.

        """
        table = pa.Table.from_batches(batches, self.schema)
        times = table.column(TIMESTAMP_COLUMN).to_numpy()
        if len(times) > 1 and bool((times[1:] < times[:-1]).any()):
            order = np.argsort(times, kind='stable')
            table, times = table.take(pa.array(order)), times[order]
        try:
            if self.encoding == PARQUET:
                found = self._encode_parquet(table, sink)
            else:
                found = self._encode_arrow(table, sink)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidArgumentError(f'The rows cannot be stored: {error}') from error
        return EncodedChunk(
            sink.tell(), self.encoding, len(times), int(times[0]), int(times[-1]), found
        )

    # -- Parquet -----------------------------------------------------------------------------

    def _probe_parquet(self) -> list[str] | None:
        """Return Parquet's column paths, or `None` if the schema does not survive Parquet."""
        if any(_needs_arrow(column.type, _absence_matters(column)) for column in self.schema):
            return None
        try:
            sink = pa.BufferOutputStream()
            _write_parquet(self.schema.empty_table(), sink, ROW_GROUP_ROWS, {})
            file = pq.ParquetFile(pa.BufferReader(sink.getvalue()))
        except (pa.ArrowException, ValueError):
            return None
        if not file.schema_arrow.equals(self.schema, check_metadata=False):
            return None
        paths = [file.schema.column(index).path for index in range(len(file.schema))]
        return paths if len(paths) == len(self.leaves) else None

    def _encode_parquet(self, table: pa.Table, sink: pa.NativeFile) -> list[LeafStatistics]:
        group_rows = _group_rows(table)
        if self._choice is None or (
            self._choice.rows < group_rows and table.num_rows >= 4 * self._choice.rows
        ):
            self._choice = self._choose(table, group_rows)
        footer = _write_parquet(table, sink, group_rows, self._choice.options)
        return parquet_statistics(self.leaves, footer, table.columns)

    def _choose(self, table: pa.Table, group_rows: int) -> _Choice:
        """Write the first rows in every sensible way and keep the smallest for each column.

        One row group says it all: each has dictionaries of its own.
        """
        assert self._column_paths is not None
        trial = table.slice(0, group_rows)
        rows = trial.num_rows
        named = list(zip(self._column_paths, self.leaves, strict=True))
        ordered = [path for path, leaf in named if leaf.kind is not None]
        blobs = {path: leaf for path, leaf in named if leaf.kind is None}
        base: dict[str, Any] = {
            'write_statistics': ordered or False,
            'compression': {path: _CODEC for path, _ in named},
            'compression_level': {path: _LEVEL for path, _ in named},
        }
        for path, leaf in blobs.items():
            if not _shrinks(trial.column(leaf.top_level)):
                base['compression'][path] = 'none'
                del base['compression_level'][path]
        time_path = TIMESTAMP_COLUMN
        base['compression'][time_path] = 'none'
        base['compression_level'].pop(time_path, None)

        values = [path for path in ordered if path != time_path]
        ways = {path: _split_encoding(leaf) for path, leaf in named if path in set(values)}
        split = {path: encoding for path, encoding in ways.items() if encoding}
        fixed = {time_path: 'DELTA_BINARY_PACKED'}
        dictionary = {**base, 'use_dictionary': values or False, 'column_encoding': fixed}
        plain = {**base, 'use_dictionary': False, 'column_encoding': fixed}
        splitting = {**base, 'use_dictionary': False, 'column_encoding': {**fixed, **split}}
        if not values:
            return _Choice(rows, plain)
        # There is nothing to choose for blobs, and most to write.
        trial = trial.select(sorted({leaf.top_level for _, leaf in named if leaf.kind}))
        # Where sizes are equal the first wins, so the one that is cheapest to write comes first.
        sizes = [
            _column_sizes(trial, group_rows, options) for options in (splitting, plain, dictionary)
        ]
        with_dictionary, encodings = [], dict(fixed)
        for path in values:
            best = min(range(3), key=lambda way, at=path: sizes[way][at])  # type: ignore[misc]
            if best == 2:
                with_dictionary.append(path)
            elif best == 0 and path in split:
                encodings[path] = split[path]
        return _Choice(
            rows,
            {**base, 'use_dictionary': with_dictionary or False, 'column_encoding': encodings},
        )

    # -- Arrow IPC ---------------------------------------------------------------------------

    def _encode_arrow(self, table: pa.Table, sink: pa.NativeFile) -> list[LeafStatistics]:
        table = table.unify_dictionaries().combine_chunks()
        options = pa.ipc.IpcWriteOptions(compression=None if self._images else 'zstd')
        with pa.ipc.new_file(sink, self.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=_group_rows(table))
        return arrow_statistics(self.leaves, table)

    def _probe_rows(self) -> None:
        """Find out now whether such rows can be sorted and written, not at the first chunk."""
        try:
            empty = self.schema.empty_table()
            empty.take(pa.array([], pa.int64()))
            if self.encoding == ARROW:
                self._encode_arrow(empty, pa.BufferOutputStream())
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise InvalidArgumentError(
                f'Rows of this schema cannot be stored: {error}',
                remedy='Use structs, lists, maps, numbers, times, text and binary.',
            ) from error


def parquet_statistics(
    leaves: list[Leaf], footer: Any, columns: Sequence[pa.ChunkedArray | None]
) -> list[LeafStatistics]:
    """Return the statistics of every ordered leaf of a Parquet chunk.

    Parameters
    ----------
    leaves
        Of the schema.
    footer
        The chunk's.
    columns
        The rows by top-level column; those without an ordered leaf may be `None`.

    """
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    return [
        statistics.with_values(
            leaf,
            statistics.from_footer(leaf, [group.column(index) for group in groups]),
            values,
        )
        for index, (leaf, values) in enumerate(_leaf_columns(leaves, columns))
        if values is not None
    ]


def arrow_statistics(leaves: list[Leaf], table: pa.Table) -> list[LeafStatistics]:
    """Return the statistics of every ordered leaf from the rows of a chunk."""
    return [
        statistics.from_array(leaf, values.combine_chunks())
        for leaf, values in _leaf_columns(leaves, table.columns)
        if values is not None
    ]


def _write_parquet(
    table: pa.Table, sink: pa.NativeFile, group_rows: int, options: dict[str, Any]
) -> Any:
    """Write a Parquet file and return its footer."""
    footers: list[Any] = []
    try:
        pq.write_table(
            table,
            sink,
            row_group_size=group_rows,
            # Else a list's child comes back as "element", whatever its name was.
            use_compliant_nested_type=False,
            write_page_checksum=True,
            metadata_collector=footers,
            **options,
        )
    except RuntimeError as error:
        # The writer's cleaning up hides what went wrong.
        raise error.__context__ or error from None
    return footers[0]


def _group_rows(table: pa.Table) -> int:
    size = table.nbytes // max(1, table.num_rows)
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // max(1, size)))


def _column_sizes(table: pa.Table, group_rows: int, options: dict[str, Any]) -> Counter[str]:
    """Bytes that each Parquet column takes, by its path."""
    footer = _write_parquet(table, pa.BufferOutputStream(), group_rows, options)
    sizes: Counter[str] = Counter()
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            sizes[column.path_in_schema] += column.total_compressed_size
    return sizes


def _split_encoding(leaf: Leaf) -> str | None:
    if pt.is_floating(leaf.type) and not pt.is_float16(leaf.type):
        return 'BYTE_STREAM_SPLIT'
    if pt.is_integer(leaf.type) or (leaf.kind is Kind.TIME and not pt.is_dictionary(leaf.type)):
        return 'DELTA_BINARY_PACKED'
    return None


def _shrinks(column: pa.ChunkedArray) -> bool:
    """Whether compressing the column's bytes pays, judged by the first of them."""
    taken = io.BytesIO()
    for buffer in _data_buffers(column):
        taken.write(memoryview(buffer)[: _BLOB_SAMPLE_BYTES - taken.tell()])
        if taken.tell() >= _BLOB_SAMPLE_BYTES:
            break
    sample = taken.getvalue()
    if not sample:
        return True
    return len(pa.compress(sample, codec=_CODEC, asbytes=True)) < _WORTH * len(sample)


def _data_buffers(column: pa.ChunkedArray) -> Iterator[pa.Buffer]:
    for chunk in column.chunks:
        for values in _leaf_values(chunk):
            if values.type in (pa.binary(), pa.large_binary()):
                # A slice's buffer holds the whole parent; read what the slice covers.
                width = np.int32 if values.type == pa.binary() else np.int64
                _, offsets, data = values.buffers()
                if data is not None and len(values):
                    bounds = np.frombuffer(offsets, width)[values.offset :]
                    start, end = int(bounds[0]), int(bounds[len(values)])
                    yield data.slice(start, end - start)
            else:
                yield from (buffer for buffer in values.buffers()[1:] if buffer is not None)


def _leaf_columns(
    leaves: list[Leaf], columns: Sequence[pa.ChunkedArray | None]
) -> Iterator[tuple[Leaf, pa.ChunkedArray | None]]:
    """Yield each leaf with its values, `None` where it has no order."""
    for index, column in enumerate(columns):
        parts = [leaf for leaf in leaves if leaf.top_level == index]
        chunks: list[list[pa.Array]] = []
        if column is not None and any(leaf.kind for leaf in parts):
            chunks = [list(_leaf_values(chunk)) for chunk in column.chunks]
        for at, leaf in enumerate(parts):
            if leaf.kind is None:
                yield leaf, None
            else:
                yield leaf, pa.chunked_array([values[at] for values in chunks], leaf.type)


def _leaf_values(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the values of each leaf below an array, in the order of :func:`leaves`."""
    if isinstance(array, pa.ExtensionArray):
        yield from _leaf_values(array.storage)
    elif pt.is_struct(array.type):
        for part in array.flatten():
            yield from _leaf_values(part)
    elif is_list(array.type):
        yield from _leaf_values(array.flatten())
    elif pt.is_map(array.type):
        start, end = array.offsets[0].as_py() or 0, array.offsets[-1].as_py() or 0
        yield from _leaf_values(array.keys.slice(start, end - start))
        yield from _leaf_values(array.items.slice(start, end - start))
    else:
        yield array


def _needs_arrow(arrow_type: pa.DataType, absent: bool = False) -> bool:
    """Types whose round trip through Parquet fails for some values, not for the schema.

    Parquet knows no lists of fixed size: one that is absent because what holds it is comes
    back with the wrong length. `absent` says whether that can happen.
    """
    if isinstance(arrow_type, pa.BaseExtensionType):
        return _needs_arrow(arrow_type.storage_type, absent)
    if pt.is_fixed_size_list(arrow_type) and (absent or arrow_type.list_size == 0):
        return True
    if pt.is_dictionary(arrow_type):
        return arrow_type.ordered or not (
            pt.is_string(arrow_type.value_type) and arrow_type.index_type == pa.int32()
        )
    if pt.is_struct(arrow_type):
        return any(
            _needs_arrow(field.type, absent or _absence_matters(field))
            for field in (arrow_type.field(index) for index in range(arrow_type.num_fields))
        )
    if pt.is_map(arrow_type):
        return _needs_arrow(arrow_type.key_type, True) or _needs_arrow(arrow_type.item_type, True)
    if is_list(arrow_type):
        return _needs_arrow(arrow_type.value_type, True)
    return False


def _absence_matters(field: pa.Field) -> bool:
    """Whether a null here can take a list of fixed size with it that Parquet cannot return."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if not field.nullable:
        return False
    return pt.is_struct(kind) or (pt.is_fixed_size_list(kind) and not _null_fixed_lists_return())


@lru_cache(maxsize=1)
def _null_fixed_lists_return() -> bool:
    """Whether this pyarrow reads a null list of fixed size back from Parquet (26 and newer do)."""
    table = pa.table({'x': pa.array([None, [1.0]], pa.list_(pa.float64(), 1))})
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
        return bool(pq.read_table(pa.BufferReader(sink.getvalue())).equals(table))
    except pa.ArrowException:
        return False
