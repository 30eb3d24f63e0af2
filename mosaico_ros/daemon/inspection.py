"""What a chunk's object says about itself: all that the catalog keeps of it."""

from __future__ import annotations

import pyarrow as pa

from mosaico_ros.daemon.catalog.chunks import ChunkRow
from mosaico_ros.daemon.chunk_files import ChunkFiles, OpenChunk
from mosaico_ros.daemon.columns import leaves
from mosaico_ros.daemon.encoding import arrow_statistics, parquet_statistics
from mosaico_ros.protocol.errors import DataLossError

__all__ = ['inspect_chunk', 'read_chunk']


def inspect_chunk(
    files: ChunkFiles, key: str, number: int, encoding: str, schema: pa.Schema
) -> ChunkRow:
    """Return the row of a chunk, equal to the one that its upload has recorded.

    Blobs of Parquet are not read.

    Raises
    ------
    NotFoundError
        If the chunk is gone.
    DataLossError
        If it is damaged, or not of this schema.

    """
    known = leaves(schema)
    with files.open(key, encoding) as chunk:
        footer = chunk.footer
        if not len(footer.rows):
            raise _other(key, 'it has no rows')
        if footer.parquet is None:
            found = arrow_statistics(known, _whole(chunk, key, schema))
        elif footer.parquet.num_columns == len(known):
            # Footers know neither NaN nor single values; blobs have no statistics.
            ordered = {schema.names[leaf.top_level] for leaf in known if leaf.kind is not None}
            groups = range(len(footer.rows))
            rows = pa.Table.from_batches(list(chunk.batches(groups, sorted(ordered))))
            columns = [rows.column(n) if n in ordered else None for n in schema.names]
            found = parquet_statistics(known, footer.parquet, columns)
        else:
            raise _other(key, f'it has {footer.parquet.num_columns} columns, not {len(known)}')
    return ChunkRow(
        number,
        encoding,
        int(footer.rows.sum()),
        footer.size,
        int(footer.first[0]),
        int(footer.last[-1]),
        found,
    )


def read_chunk(files: ChunkFiles, key: str, encoding: str, schema: pa.Schema) -> pa.Table:
    """Read every page of a chunk, checksums included; as :func:`inspect_chunk` else."""
    with files.open(key, encoding) as chunk:
        return _whole(chunk, key, schema)


def _whole(chunk: OpenChunk, key: str, schema: pa.Schema) -> pa.Table:
    groups = range(len(chunk.footer.rows))
    try:
        table = pa.Table.from_batches(list(chunk.batches(groups, None)))
        table = pa.Table.from_arrays([table.column(name) for name in schema.names], schema=schema)
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise _other(key, str(error)) from error
    return table.unify_dictionaries().combine_chunks() if chunk.footer.parquet is None else table


def _other(key: str, how: str) -> DataLossError:
    return DataLossError(
        f'The stored chunk {key} is not what it was: {how}', remedy='Restore it from a backup.'
    )
