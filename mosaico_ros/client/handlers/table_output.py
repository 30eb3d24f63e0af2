"""Tables as users want them: flat columns, data frames, numpy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

__all__ = ['flattened', 'to_numpy', 'to_pandas']


def flattened(table: pa.Table) -> pa.Table:
    """Return a table without structs: their members become columns ``struct.member``.

    Members of a null struct are null.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a flat data frame; missing numbers are NaN, lists are numpy arrays."""
    return flattened(table).to_pandas()


def to_numpy(table: pa.Table) -> dict[str, np.ndarray]:
    """Return one array per flat column; see :meth:`TopicHandler.to_numpy`."""
    flat = flattened(table)
    return {
        name: _joined([_array(part) for part in column.chunks or [pa.array([], column.type)]])
        for name, column in zip(flat.column_names, flat.columns, strict=True)
    }


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    return np.ma.concatenate(parts) if masked else np.concatenate(parts)


def _array(column: pa.Array) -> np.ndarray:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        return _rows_of_equal_length(column, kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _rows_of_any_length(column)
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        # NaN would make floats of them, which do not hold every integer.
        return np.ma.array(
            column.fill_null(pa.scalar(0).cast(kind)).to_numpy(zero_copy_only=False),
            mask=column.is_null().to_numpy(zero_copy_only=False),
        )
    return column.to_numpy(zero_copy_only=False)


def _rows_of_equal_length(column: pa.FixedSizeListArray, length: int) -> np.ndarray:
    rows = len(column)
    values = _array(column.values.slice(column.offset * length, rows * length))
    values = values.reshape(rows, length, *values.shape[1:])
    if not column.null_count:
        return values
    absent = column.is_null().to_numpy(zero_copy_only=False)
    if values.dtype.kind == 'f':
        values = values.copy()
        values[absent] = np.nan
        return values
    if values.dtype == object:
        values[absent] = None
        return values
    masked = np.ma.array(values)
    masked[absent] = np.ma.masked
    return masked


def _rows_of_any_length(column: pa.ListArray) -> np.ndarray:
    """Return the rows as views into one array of all their values."""
    bounds = column.offsets.to_numpy()
    start = int(bounds[0])
    values = _array(column.values.slice(start, int(bounds[-1]) - start))
    ends = (bounds - start).tolist()
    out = np.empty(len(column), object)
    for row, valid in enumerate(column.is_valid().to_pylist()):
        out[row] = values[ends[row] : ends[row + 1]] if valid else None
    return out
