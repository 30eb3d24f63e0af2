"""The leaf columns of a schema: how they are addressed, and which of them have bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as pt

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_COLUMN_PATH_BYTES
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar
from mosaico_ros.protocol.query.kinds import Kind, is_list, kind_of_type

__all__ = [
    'KnownSchema',
    'Leaf',
    'check_upload_schema',
    'difference',
    'leaves',
    'public_columns',
]

_SPELLED = 300


@dataclass(frozen=True)
class Leaf:
    """One leaf column.

    Parameters
    ----------
    path
        Field names joined by dots, ``[]`` after each list: ``points[].x``.
    type
        Type of the values.
    kind
        What they compare with; `None` for blobs and whatever has no order.
    top_level
        Index of the column that it belongs to.

    """

    path: str
    type: pa.DataType
    kind: Kind | None
    top_level: int


def leaves(schema: pa.Schema) -> list[Leaf]:
    """Return the leaf columns depth first, the order in which Parquet stores them."""
    return [
        Leaf(path, leaf_type, kind_of_type(leaf_type), index)
        for index, field in enumerate(schema)
        for path, leaf_type in _walk(field.name, field.type)
    ]


def _walk(path: str, arrow_type: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if isinstance(arrow_type, pa.BaseExtensionType):
        # Compared, if at all, by code that knows the extension; here it is a blob.
        for inner, _ in _walk(path, arrow_type.storage_type):
            yield inner, pa.null()
    elif pt.is_struct(arrow_type):
        for index in range(arrow_type.num_fields):
            field = arrow_type.field(index)
            yield from _walk(f'{path}.{field.name}', field.type)
    elif is_list(arrow_type):
        yield from _walk(f'{path}[]', arrow_type.value_type)
    elif pt.is_map(arrow_type):
        yield from _walk(f'{path}[].key', arrow_type.key_type)
        yield from _walk(f'{path}[].value', arrow_type.item_type)
    else:
        yield path, arrow_type


class KnownSchema:
    """A schema, its leaf columns, and which of them lie below what."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.leaves = leaves(schema)
        self._below: dict[tuple[str, ...], list[int]] = {}

    def below(self, columns: tuple[str, ...]) -> list[int]:
        """Return the indices of the leaves of top-level columns or paths into structs."""
        found = self._below.get(columns)
        if found is None:
            begins = tuple(f'{column}{after}' for column in columns for after in ('.', '[]'))
            found = self._below[columns] = [
                at for at, leaf in enumerate(self.leaves) if f'{leaf.path}.'.startswith(begins)
            ]
        return found


def public_columns(schema: pa.Schema) -> list[int]:
    """Return the indices of the columns that are not sidecars."""
    return [index for index, field in enumerate(schema) if not is_sidecar(field.metadata)]


def difference(got: pa.Schema, wanted: pa.Schema) -> str:
    """Say in words where a schema differs from another one first."""
    if got.names != wanted.names:
        return f'columns {got.names[:20]} instead of {wanted.names[:20]}'
    for mine, theirs in zip(got, wanted, strict=True):
        if mine != theirs:
            return f'{mine.name} is {_spelled(mine)} instead of {_spelled(theirs)}'
    return 'they differ'


def _spelled(field: pa.Field) -> str:
    text = str(field.type)
    if len(text) > _SPELLED:
        text = f'{text[:_SPELLED]}...'
    return text if field.nullable else f'{text} not null'


def check_upload_schema(schema: pa.Schema) -> None:
    """Check that rows of this schema can be ordered in time and addressed by name.

    Raises
    ------
    InvalidArgumentError
        No int64 column ``timestamp_ns``, a name that occurs twice at one level, holds a
        NUL character, or makes a path that is too long.

    """
    for leaf in leaves(schema):
        _check_path(leaf.path)
    index = schema.get_field_index(TIMESTAMP_COLUMN)
    if index < 0 and TIMESTAMP_COLUMN not in schema.names:
        raise InvalidArgumentError(
            f'The schema has no column {TIMESTAMP_COLUMN!r}',
            remedy='Add it as int64, nanoseconds since 1970.',
        )
    _check_names(schema.names, 'the schema')
    found = schema.field(index)
    if found.type != pa.int64():
        raise InvalidArgumentError(
            f'The column {TIMESTAMP_COLUMN!r} is {found.type}, not int64',
            remedy='Send nanoseconds since 1970 as int64.',
        )
    if is_sidecar(found.metadata):
        raise InvalidArgumentError(f'The column {TIMESTAMP_COLUMN!r} cannot be a sidecar')
    for field in schema:
        _check_nested(field.name, field.type)


def _check_nested(path: str, arrow_type: pa.DataType) -> None:
    if pt.is_struct(arrow_type):
        fields = [arrow_type.field(index) for index in range(arrow_type.num_fields)]
        _check_names([field.name for field in fields], f'{path!r}')
        for field in fields:
            _check_nested(f'{path}.{field.name}', field.type)
    elif is_list(arrow_type):
        _check_nested(f'{path}[]', arrow_type.value_type)


def _check_path(path: str) -> None:
    """Check that the catalog can hold and index the path of a leaf column."""
    if '\0' in path:
        raise InvalidArgumentError(f'The name of the column {path[:80]!r} holds a NUL character')
    size = len(path.encode())
    if size > MAX_COLUMN_PATH_BYTES:
        raise InvalidArgumentError(
            f'The path of the column {path[:80]!r}... has {size} bytes',
            remedy=f'It may have at most {MAX_COLUMN_PATH_BYTES}; shorten the names.',
        )


def _check_names(names: list[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgumentError(
            f'The name {twice[0]!r} occurs twice in {where}', remedy='Rename one of them.'
        )
