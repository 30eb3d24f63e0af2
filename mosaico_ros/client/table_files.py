"""Topics as files of tables: Parquet as it is stored, or flat CSV."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mosaico_ros.client.handlers.table_output import flattened

if TYPE_CHECKING:
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler
    from mosaico_ros.client.handlers.topic_handler import TopicHandler

__all__ = ['TableFormat', 'write_table_file']


class TableFormat(str, Enum):
    """Kinds of table files."""

    #: One column per field of the ontology, structs as structs, zstd.
    PARQUET = 'parquet'
    #: Flat columns ``struct.member``; lists as JSON, blobs as base64.
    CSV = 'csv'


def write_table_file(
    handler: TopicHandler | RecordedTopicHandler,
    path: Path,
    form: TableFormat,
    start_timestamp_ns: int | None = None,
    end_timestamp_ns: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows of [start, end) to a file, a batch in memory at a time.

    Parameters
    ----------
    handler
        The topic.
    path
        File to write; one that exists is replaced when the new one is complete.
    form
        What to write.
    start_timestamp_ns, end_timestamp_ns
        Times from (inclusive) and to (exclusive), in ns; everything by default.
    progress
        Called with the rows written so far.

    Returns
    -------
    int
        Rows written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    prepare = _as_text if form is TableFormat.CSV else pa.Table.from_batches
    rows = 0
    try:
        with handler.get_data_streamer(start_timestamp_ns, end_timestamp_ns) as streamer:
            first = prepare([], streamer.schema)
            with _writer(form, partial, first.schema) as writer:
                for batch in streamer.batches():
                    writer.write_table(prepare([batch], streamer.schema))
                    rows += batch.num_rows
                    if progress is not None:
                        progress(rows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _writer(form: TableFormat, path: Path, schema: pa.Schema) -> AbstractContextManager[Any]:
    if form is TableFormat.PARQUET:
        from pyarrow import parquet

        return parquet.ParquetWriter(path, schema, compression='zstd')
    from pyarrow import csv

    return csv.CSVWriter(path, schema)


def _as_text(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """A flat table whose columns CSV can say."""
    flat = flattened(pa.Table.from_batches(batches, schema))
    for i, field in enumerate(flat.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            texts = [_text(value) for value in flat.column(i).to_pylist()]
            flat = flat.set_column(i, field.name, pa.array(texts, pa.string()))
    return flat


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode('ascii')
    return json.dumps(value, default=_text)
