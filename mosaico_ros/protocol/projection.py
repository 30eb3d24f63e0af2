"""Some columns out of all: which they are, and taking them out of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['narrowed', 'narrowed_schema']


def narrowed_schema(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Return what is left of a schema, in its own order.

    Parameters
    ----------
    schema
        All columns.
    columns
        Names of columns, or paths into structs (``acceleration.x``). A struct of which some
        members are wanted keeps only those.

    Raises
    ------
    InvalidArgumentError
        No column is named, or one that does not exist.

    """
    known = dict.fromkeys(_paths(schema, ''))
    unknown = [name for name in columns if name not in known]
    if unknown or not columns:
        raise InvalidArgumentError(
            f'There is no column {unknown[0]!r}' if unknown else 'No column is named',
            remedy=f'There are {", ".join(known)}.',
        )
    return pa.schema(_fields(schema, frozenset(columns), ''), schema.metadata)


def narrowed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch in exactly the schema, whatever else is in it."""
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    return pa.RecordBatch.from_arrays(
        [_narrowed(batch.column(field.name), field.type) for field in schema], schema=schema
    )


def _paths(fields: pa.Schema | pa.StructType, path: str) -> Iterator[str]:
    for field in fields:
        yield path + field.name
        if pa.types.is_struct(field.type):
            yield from _paths(field.type, f'{path}{field.name}.')


def _fields(
    fields: pa.Schema | pa.StructType, wanted: frozenset[str], path: str
) -> Iterator[pa.Field]:
    for field in fields:
        name = path + field.name
        if name in wanted:
            yield field
        elif pa.types.is_struct(field.type):
            members = list(_fields(field.type, wanted, f'{name}.'))
            if members:
                yield field.with_type(pa.struct(members))


def _narrowed(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if array.type.equals(wanted) or not pa.types.is_struct(wanted):
        return array
    members = [_narrowed(array.field(field.name), field.type) for field in wanted]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(members, fields=list(wanted), mask=mask)
