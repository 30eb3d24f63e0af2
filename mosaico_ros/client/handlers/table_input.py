"""Tables as users have them, brought into the layout of a topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    import pandas as pd

__all__ = ['TableInput', 'TableLike']


class _ExportsArrow(Protocol):
    """Arrow tables and readers, and the data frames of pandas, polars and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


TableLike: TypeAlias = pa.RecordBatch | _ExportsArrow | Mapping[str, Any]

#: Columns by name; a struct may be such a dictionary itself.
Tree = dict[str, Any]
Mask = np.ndarray | None

_IS_LIST = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
# Values change their type inside a kind only, and only if they stay what they are.
_KINDS: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    'number': (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    'text': (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    'blob': (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    ),
    'instant': (pa.types.is_timestamp, pa.types.is_date),
    'time': (pa.types.is_time,),
    'duration': (pa.types.is_duration,),
    'map': (pa.types.is_map,),
}


class TableInput:
    """Takes tables of many forms and gives batches of one topic's schema.

    Parameters
    ----------
    schema
        The topic's schema.
    locator
        The topic, for error texts.

    """

    def __init__(self, schema: pa.Schema, locator: TopicLocator) -> None:
        self._schema = schema
        self._root = pa.field('', pa.struct(list(schema)), nullable=False)
        self._locator = locator
        self._missing_is_nan = False

    def batches(self, data: TableLike) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table; see :meth:`TopicWriter.push_batch`."""
        self._missing_is_nan = False
        if isinstance(data, pa.RecordBatch):
            yield self._of_batch(data)
        elif isinstance(data, Mapping):
            yield self._of_columns(data.items())
        elif _is_pandas(data):
            # Not by way of Arrow: a NaN there may be a number or a missing value, which the
            # schema decides.
            self._missing_is_nan = True
            named = [] if data.index.name is None else [(data.index.name, data.index)]
            yield self._of_columns([*named, *data.items()])
        elif hasattr(data, '__arrow_c_stream__'):
            for batch in pa.RecordBatchReader.from_stream(data):
                yield self._of_batch(batch)
        else:
            raise InvalidArgumentError(
                f'Topic {self._locator} got a {type(data).__name__} as a batch',
                remedy='Give an Arrow batch or table, a data frame, or a dictionary of columns; '
                'messages go to push.',
            )

    def _of_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.schema.equals(self._schema, check_metadata=True):
            return batch
        return self._of_columns(zip(batch.schema.names, batch.columns, strict=True))

    def _of_columns(self, columns: Iterable[tuple[Any, Any]]) -> pa.RecordBatch:
        tree = self._tree(columns, self._schema.names, '')
        arrays = list(_leaves(tree))
        rows = len(arrays[0][1]) if arrays else 0
        for path, array in arrays:
            if len(array) != rows:
                raise InvalidArgumentError(
                    f'The columns for topic {self._locator} differ in length: {arrays[0][0]!r} '
                    f'has {rows} values, {path!r} has {len(array)}'
                )
        struct = self._struct(tree, self._root, '', None, rows)
        return pa.RecordBatch.from_arrays(struct.flatten(), schema=self._schema)

    # ---- what was given, as a tree of arrays ----------------------------------------------------

    def _tree(self, columns: Iterable[tuple[Any, Any]], names: list[str], path: str) -> Tree:
        tree: Tree = {}
        for name, values in columns:
            # A field may have a dot in its name; all other dots lead into structs.
            steps = [name] if name in names else str(name).split('.')
            node = tree
            for step in steps[:-1]:
                node = node.setdefault(step, {})
                if not isinstance(node, dict):
                    raise self._given_twice(f'{path}{name}')
            if steps[-1] in node:
                raise self._given_twice(f'{path}{name}')
            node[steps[-1]] = (
                self._tree(values.items(), [], f'{path}{name}.')
                if isinstance(values, Mapping)
                else self._array(values, f'{path}{name}')
            )
        return tree

    def _given_twice(self, path: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f'The column {path!r} for topic {self._locator} is given twice',
            remedy='Give a struct either as one column or by its members.',
        )

    def _array(self, values: Any, path: str) -> pa.Array:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if isinstance(values, pa.Array):
            return values
        scalar = isinstance(values, (str, bytes)) or not hasattr(values, '__len__')
        if scalar or (isinstance(values, np.ndarray) and not values.ndim):
            raise InvalidArgumentError(
                f'The column {path!r} for topic {self._locator} is a {type(values).__name__}',
                remedy='Give one value per row: an array or a list.',
            )
        try:
            if isinstance(values, np.ndarray) and values.ndim > 1:
                array = pa.array(values.reshape(-1))
                for width in reversed(values.shape[1:]):
                    array = pa.FixedSizeListArray.from_arrays(array, width)
                return array
            array = pa.array(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InvalidArgumentError(
                f'The column {path!r} for topic {self._locator} cannot become an Arrow column: '
                f'{error}',
                remedy='Give values of one type.',
            ) from error
        return self._array(array, path)

    # ---- the tree, as the schema wants it -------------------------------------------------------

    def _column(self, node: Any, field: pa.Field, path: str, hidden: Mask, rows: int) -> pa.Array:
        """Bring a column into the form of a field.

        Parameters
        ----------
        node
            What was given: an array, a dictionary of members, or `None` for nothing.
        field
            What is wanted.
        path
            Its name from the top.
        hidden
            True where a struct above is null, so that whatever stands here means nothing.
        rows
            Values wanted, if nothing was given.

        """
        if isinstance(node, pa.Array):
            if node.type.equals(field.type) and (field.nullable or not node.null_count):
                return node  # as it is; what is below has promised the same
            if pa.types.is_null(node.type):
                node = None
        elif not node:
            node = None
        if node is None and not field.nullable and (hidden is None or not hidden.all()):
            raise InvalidArgumentError(
                f'The rows for topic {self._locator} lack the column {path!r} ({field.type})',
                remedy=f'The columns of the topic are {self._schema.names}; those that may be '
                'null can be left out, members of structs are written as "struct.member".',
            )
        if pa.types.is_struct(field.type) and not _is_leaf(node):
            return self._struct(node, field, path, hidden, rows)
        if isinstance(node, dict):
            raise self._refused(path, field, 'a struct with the members ' + ', '.join(node))
        array = pa.nulls(rows, field.type) if node is None else node
        if not array.type.equals(field.type):
            array = self._converted(array, field, path)
        if field.nullable or not array.null_count:
            return array
        if self._missing_is_nan and pa.types.is_floating(field.type):
            return array.fill_null(float('nan'))
        self._check_nulls(array.is_null().to_numpy(zero_copy_only=False), path, hidden)
        from mosaico_ros.models.core.encoding import placeholder

        return pc.coalesce(array, pa.scalar(placeholder(Any, field.type), field.type))

    def _struct(
        self, node: Any, field: pa.Field, path: str, hidden: Mask, rows: int
    ) -> pa.StructArray:
        members: Tree
        nulls: Mask = None
        if node is None:
            members, nulls = {}, np.ones(rows, bool)
        elif isinstance(node, dict):
            members = node
            if field.nullable:  # without any value it is null, as it is when it is read
                nulls = np.logical_and.reduce(
                    [
                        a.is_null(nan_is_null=False).to_numpy(zero_copy_only=False)
                        for _, a in _leaves(node)
                    ]
                )
        else:
            rows = len(node)
            members = {node.type.field(i).name: node.field(i) for i in range(node.type.num_fields)}
            if node.null_count:
                nulls = node.is_null().to_numpy(zero_copy_only=False)
        prefix = f'{path}.' if path else ''
        known = [member.name for member in field.type]
        for name in members:
            if name not in known:
                raise InvalidArgumentError(
                    f'The rows for topic {self._locator} have a column {prefix + name!r}, which '
                    'the topic has not',
                    remedy=f'There it has {known}.',
                )
        if nulls is not None and not field.nullable:
            self._check_nulls(nulls, path, hidden)
        inside = hidden if nulls is None else nulls if hidden is None else nulls | hidden
        arrays = [
            self._column(members.get(member.name), member, prefix + member.name, inside, rows)
            for member in field.type
        ]
        mask = pa.array(nulls) if nulls is not None and field.nullable else None
        return pa.StructArray.from_arrays(arrays, fields=list(field.type), mask=mask)

    def _check_nulls(self, nulls: np.ndarray, path: str, hidden: Mask) -> None:
        visible = nulls if hidden is None else nulls & ~hidden
        if visible.any():
            raise InvalidArgumentError(
                f'The column {path!r} for topic {self._locator} must not be null, but '
                f'{int(visible.sum())} of its values are, the first in row {visible.argmax()}',
                remedy='Fill or leave out those rows.',
            )

    def _converted(self, array: pa.Array, field: pa.Field, path: str) -> pa.Array:
        if pa.types.is_dictionary(array.type):
            return self._converted(array.dictionary_decode(), field, path)
        wanted = field.type
        try:
            if _kind(wanted) == _kind(array.type) == 'list':
                return self._list(array, field, path)
            if path == TIMESTAMP_COLUMN and _kind(array.type) == 'instant':
                zone = getattr(array.type, 'tz', None)
                return array.cast(pa.timestamp('ns', zone)).cast(pa.int64())
            if _kind(wanted) != _kind(array.type):
                raise self._refused(path, field, str(array.type))
            made = array.cast(wanted)
        except pa.ArrowException as error:
            raise self._refused(path, field, f'{array.type}: {error}') from None
        if pa.types.is_floating(wanted) and pa.types.is_floating(array.type):
            # Rounding is what a narrower column is for; turning numbers into infinity is not.
            lost = pc.and_(pc.is_inf(made), pc.is_finite(array))
            if pc.any(lost).as_py():
                value = array[lost.index(True).as_py()]
                raise self._refused(path, field, f'{value} ({array.type}), which is too large')
        return made

    def _list(self, array: pa.Array, field: pa.Field, path: str) -> pa.Array:
        wanted, rows = field.type, len(array)
        nulls = array.is_null().to_numpy(zero_copy_only=False)
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        flat = self._column(
            pc.list_flatten(array), wanted.value_field, f'{path}[]', None, int(lengths.sum())
        )
        mask = pa.array(nulls) if nulls.any() else None
        if pa.types.is_fixed_size_list(wanted):
            size = wanted.list_size
            wrong = (lengths != size) & ~nulls
            if wrong.any():
                row = int(wrong.argmax())
                raise self._refused(path, field, f'{lengths[row]} elements in row {row}')
            if mask is not None:  # null rows take their space, too
                first = np.where(nulls, -1, (np.cumsum(~nulls) - 1) * size)
                places = (first[:, None] + np.arange(size)).ravel()
                indices = pa.array(places, mask=np.repeat(nulls, size))
                flat = flat.take(indices)
            return pa.FixedSizeListArray.from_arrays(flat, type=wanted, mask=mask)
        offsets = np.zeros(rows + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        if pa.types.is_large_list(wanted):
            return pa.LargeListArray.from_arrays(pa.array(offsets), flat, wanted, mask=mask)
        return pa.ListArray.from_arrays(
            pa.array(offsets).cast(pa.int32()), flat, wanted, mask=mask
        )

    def _refused(self, path: str, field: pa.Field, got: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f'The column {path!r} for topic {self._locator} should hold {field.type}, got {got}',
            remedy='Convert it first.',
        )


def _is_pandas(data: Any) -> TypeGuard[pd.DataFrame]:
    return type(data).__module__.partition('.')[0] == 'pandas' and hasattr(data, 'columns')


def _is_leaf(node: Any) -> bool:
    return isinstance(node, pa.Array) and not isinstance(node, pa.StructArray)


def _leaves(tree: Tree, path: str = '') -> Iterator[tuple[str, pa.Array]]:
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from _leaves(node, f'{path}{name}.')
        else:
            yield f'{path}{name}', node


def _kind(arrow: pa.DataType) -> str:
    if any(test(arrow) for test in _IS_LIST):
        return 'list'
    for kind, tests in _KINDS.items():
        if any(test(arrow) for test in tests):
            return kind
    return str(arrow)
