"""Compiled encoders: a list of Python values in, an Arrow array out.

An encoder is a closure per node of a layout. Values are gathered column by column, so that each
leaf costs one list comprehension and one conversion in Arrow, whatever the number of rows.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import chain
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pydantic

from mosaico_ros.models.core.arrow import numpy_dtype, strip
from mosaico_ros.protocol.errors import InvalidArgumentError

Encoder = Callable[[list[Any]], pa.Array]

_NONE = type(None)
_NOT_LISTS = (str, bytes, dict, set)
_REFUSALS = (pa.ArrowException, TypeError, ValueError, OverflowError)
_MAX_ITEMS = 2**31 - 1
_CACHED_NULLS = 65_536


def encoder(annotation: Any, arrow: pa.DataType, path: str) -> Encoder:
    """Compile the encoder of a node.

    Parameters
    ----------
    annotation
        The Python side; `Any` leaves the conversion to Arrow.
    arrow
        The Arrow side.
    path
        Name of the node in error messages, such as ``IMU.acceleration.x``.
    """
    bare = strip(annotation)[0]
    args = get_args(bare)
    is_class = isinstance(bare, type)
    if pa.types.is_struct(arrow) and is_class and issubclass(bare, pydantic.BaseModel):
        return StructEncoder(bare, arrow, path)
    if (pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow)) and bare is not Any:
        return _list_encoder(args[0] if args else Any, arrow, path)
    if pa.types.is_map(arrow):
        return _map_encoder(args if len(args) == 2 else (Any, Any), arrow, path)
    if is_class and issubclass(bare, enum.Enum) and not issubclass(bare, (str, int)):
        return _converted(lambda member: member.value, arrow, path)
    if pa.types.is_float16(arrow):
        return _converted(np.float16, arrow, path)
    if arrow == pa.binary():
        return _blob_encoder(path)
    if _holds_map(arrow):
        return _converted(lambda value: _with_pairs(value, arrow), arrow, path)
    return _leaf_encoder(arrow, path)


def _leaf_encoder(arrow: pa.DataType, path: str) -> Encoder:
    def encode(values: list[Any]) -> pa.Array:
        try:
            return pa.array(values, arrow)
        except _REFUSALS:
            raise _refusal(values, arrow, path) from None

    return encode


def _converted(convert: Callable[[Any], Any], arrow: pa.DataType, path: str) -> Encoder:
    def encode(values: list[Any]) -> pa.Array:
        try:
            return pa.array([None if v is None else convert(v) for v in values], arrow)
        except (*_REFUSALS, AttributeError):
            raise _refusal(values, arrow, path) from None

    return encode


def _blob_encoder(path: str) -> Encoder:
    by_value = _leaf_encoder(pa.binary(), path)

    def encode(values: list[Any]) -> pa.Array:
        if set(map(type, values)) != {bytes}:
            return by_value(values)
        # One copy into a buffer of the right size, where a builder would grow its own.
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        offsets, data = _offsets(lengths, path).buffers()[1], pa.py_buffer(b''.join(values))
        return pa.Array.from_buffers(pa.binary(), len(values), [None, offsets, data])

    return encode


def _holds_map(arrow: pa.DataType) -> bool:
    children = [arrow.field(i).type for i in range(arrow.num_fields)]
    return pa.types.is_map(arrow) or any(map(_holds_map, children))


def _with_pairs(value: Any, arrow: pa.DataType) -> Any:
    """Turn the dicts that stand for maps into the pairs that Arrow takes, at any depth."""
    if value is None or not _holds_map(arrow):
        return value
    if pa.types.is_map(arrow):
        return [(key, _with_pairs(item, arrow.item_type)) for key, item in value.items()]
    if pa.types.is_struct(arrow):
        return {f.name: _with_pairs(value.get(f.name), f.type) for f in arrow}
    return [_with_pairs(item, arrow.value_type) for item in value]


def _refusal(values: list[Any], arrow: pa.DataType, path: str) -> InvalidArgumentError:
    for value in values:
        try:
            pa.array([value], arrow)
        except _REFUSALS:
            return wrong_value(path, str(arrow), value)
    return InvalidArgumentError(f'{path} holds values that do not fit {arrow} together')


def wrong_value(path: str, expected: str, value: Any) -> InvalidArgumentError:
    """Word the refusal of a value that was assigned without validation."""
    text = repr(value)
    shown = text if len(text) <= 80 else f'{text[:77]}...'
    return InvalidArgumentError(
        f'{path} should hold {expected}, got {shown} ({type(value).__name__})',
        remedy='Give a value that fits; construction checks values, assignment does not.',
    )


# ---- structs ----------------------------------------------------------------------------------


class _Blank:
    """Stands for a null struct: its members hold what Arrow puts under a null parent."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.__dict__ = members


class Gathered:
    """Values of many structs, one list per member; what they came from is no longer needed.

    Attributes
    ----------
    columns : list
        Per member a list of values, or what was gathered of the struct that it is.
    rows : int
        Structs, null ones included.
    nulls : list of int
        Rows that are null.
    blanks : int
        Null rows at the beginning that `columns` and `nulls` do not have; that is all rows or
        none. Most messages leave most headers out.
    """

    __slots__ = ('blanks', 'columns', 'nulls', 'rows')

    def __init__(self, columns: list[Any]) -> None:
        self.columns = columns
        self.rows = self.blanks = 0
        self.nulls: list[int] = []

    def part(self, start: int, stop: int) -> Gathered:
        """Return the rows from `start` to before `stop`."""
        part = Gathered(
            [
                column.part(start, stop) if isinstance(column, Gathered) else column[start:stop]
                for column in self.columns
            ]
        )
        part.rows = stop - start
        part.blanks = part.rows if self.blanks else 0
        part.nulls = [row - start for row in self.nulls if start <= row < stop]
        return part


class StructEncoder:
    """Turns instances of a model into the columns of a struct, in two steps.

    Gathering takes the values out of the instances, so that they can be forgotten: thousands of
    live objects cost more in garbage collection than all of the encoding.
    """

    def __init__(self, model: type[pydantic.BaseModel], struct: pa.StructType, path: str) -> None:
        self._model, self._path, self._fields = model, path, list(struct)
        self._names = [field.name for field in struct]
        infos = model.model_fields
        self._members = [
            encoder(
                infos[field.name].annotation if field.name in infos else Any,
                field.type,
                f'{path}.{field.name}',
            )
            for field in struct
        ]
        self._nulls_cache: pa.Array | None = None

    def empty(self) -> Gathered:
        """Return what is gathered of no instance."""
        return Gathered(
            [
                member.empty() if isinstance(member, StructEncoder) else []
                for member in self._members
            ]
        )

    def gather(self, objects: list[Any], into: Gathered) -> None:
        """Add the values of some instances; None is a null struct.

        If that fails, the rows from before are still there: :meth:`Gathered.part` returns them.
        """
        if not objects:
            return
        kinds = set(map(type, objects))
        if kinds != {self._model}:
            self._check(objects, kinds)
            if _NONE in kinds:
                if len(kinds) == 1 and into.blanks == into.rows:
                    into.blanks = into.rows = into.rows + len(objects)
                    return
                into.nulls += [into.rows + i for i, o in enumerate(objects) if o is None]
                blank = self._blank
                objects = [blank if o is None else o for o in objects]
        if into.blanks:
            self._extend([self._blank] * into.blanks, into)
            into.nulls[:0] = range(into.blanks)
            into.blanks = 0
        self._extend(objects, into)
        into.rows += len(objects)

    def arrays(self, gathered: Gathered) -> list[pa.Array]:
        """Return one array per member; what they hold in null rows means nothing."""
        arrays = []
        columns = gathered.columns
        for field, member, column in zip(self._fields, self._members, columns, strict=True):
            array = member.build(column) if isinstance(member, StructEncoder) else member(column)
            if not field.nullable and array.null_count:
                raise InvalidArgumentError(
                    f'{self._path}.{field.name} is None in row '
                    f'{array.is_null().index(True).as_py()}',
                    remedy='Give it a value: the field is not nullable.',
                )
            arrays.append(array)
        return arrays

    def build(self, gathered: Gathered) -> pa.StructArray:
        """Return the structs."""
        if gathered.blanks:
            return self._all_null(gathered.rows)
        mask = None
        if gathered.nulls:
            absent = np.zeros(gathered.rows, bool)
            absent[gathered.nulls] = True
            mask = pa.array(absent)
        return pa.StructArray.from_arrays(self.arrays(gathered), fields=self._fields, mask=mask)

    def __call__(self, objects: list[Any]) -> pa.StructArray:
        """Return instances as structs."""
        gathered = self.empty()
        self.gather(objects, gathered)
        return self.build(gathered)

    def _extend(self, objects: list[Any], into: Gathered) -> None:
        values = self._values(objects)
        for member, column, gathered in zip(self._members, into.columns, values, strict=True):
            if isinstance(member, StructEncoder):
                member.gather(gathered, column)
            else:
                column += gathered

    def _values(self, objects: list[Any]) -> Iterable[list[Any]]:
        """Yield the values of each member in turn."""
        rows = [o.__dict__ for o in objects]
        return ([row[name] for row in rows] for name in self._names)

    @cached_property
    def _blank(self) -> _Blank:
        return _blank(self._model, pa.struct(self._fields))

    def _all_null(self, count: int) -> pa.StructArray:
        array = self._nulls_cache
        if array is None or len(array) < count:
            size = 1 << (count - 1).bit_length()
            gathered = self.empty()
            self.gather([self._blank] * size, gathered)
            gathered.nulls = list(range(size))
            array = self.build(gathered)
            if size <= _CACHED_NULLS:
                self._nulls_cache = array
        return array.slice(0, count)

    def _check(self, objects: list[Any], kinds: set[type]) -> None:
        for kind in kinds - {self._model, _NONE, _Blank}:
            if not issubclass(kind, self._model):
                value = next(o for o in objects if type(o) is kind)
                raise wrong_value(self._path, self._model.__name__, value)


def _blank(model: type[pydantic.BaseModel], struct: pa.StructType) -> _Blank:
    fields = model.model_fields
    return _Blank(
        {
            f.name: None if f.nullable else placeholder(fields[f.name].annotation, f.type)
            for f in struct
        }
    )


def placeholder(annotation: Any, arrow: pa.DataType) -> Any:
    """Return the value that a not-null field has under a null parent.

    Parquet refuses nulls in such a field even there.
    """
    bare = strip(annotation)[0]
    if isinstance(bare, type) and issubclass(bare, pydantic.BaseModel):
        return _blank(bare, arrow)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return next(iter(bare))
    if pa.types.is_fixed_size_list(arrow):
        args = get_args(bare)
        return [placeholder(args[0] if args else Any, arrow.value_type)] * arrow.list_size
    if pa.types.is_struct(arrow):
        return {f.name: None if f.nullable else placeholder(Any, f.type) for f in arrow}
    if pa.types.is_list(arrow):
        return []
    if pa.types.is_map(arrow):
        return {}
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return ''
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow):
        return b''
    return False if pa.types.is_boolean(arrow) else 0


# ---- lists and maps ---------------------------------------------------------------------------


def _list_encoder(item: Any, arrow: pa.DataType, path: str) -> Encoder:
    inner = encoder(item, arrow.value_type, f'{path}[]')
    size = arrow.list_size if pa.types.is_fixed_size_list(arrow) else None
    dtype = numpy_dtype(arrow.value_type)
    absent = [placeholder(item, arrow.value_type)] * (size or 0)

    def encode(rows: list[Any]) -> pa.Array:
        kinds = set(map(type, rows))
        mask = None
        if kinds == {_NONE} and size is None:
            return pa.nulls(len(rows), arrow)
        if _NONE in kinds:
            mask = pa.array(np.fromiter((row is None for row in rows), bool, len(rows)))
            rows = [absent if row is None else row for row in rows]
        try:
            if any(issubclass(kind, _NOT_LISTS) for kind in kinds):
                raise TypeError
            lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        except TypeError:
            raise wrong_value(path, str(arrow), _not_a_list(rows)) from None
        if dtype is not None and kinds == {np.ndarray} and all(row.ndim == 1 for row in rows):
            flat = pa.array(np.concatenate(rows).astype(dtype, copy=False), arrow.value_type)
        else:
            flat = inner(list(chain.from_iterable(rows)))
        if size is not None:
            if (lengths != size).any():
                raise wrong_value(path, str(arrow), rows[int(np.argmax(lengths != size))])
            return pa.FixedSizeListArray.from_arrays(flat, type=arrow, mask=mask)
        return pa.ListArray.from_arrays(_offsets(lengths, path), flat, type=arrow, mask=mask)

    return encode


def _not_a_list(rows: list[Any]) -> Any:
    return next(r for r in rows if isinstance(r, _NOT_LISTS) or not hasattr(r, '__len__'))


def _offsets(lengths: np.ndarray, path: str) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > _MAX_ITEMS:
        raise InvalidArgumentError(
            f'{path} holds {offsets[-1]} elements or bytes in one batch',
            remedy='Write smaller batches.',
        )
    return pa.array(offsets.astype(np.int32))


def _map_encoder(args: tuple[Any, ...], arrow: pa.MapType, path: str) -> Encoder:
    keys = encoder(args[0], arrow.key_type, f'{path} keys')
    values = encoder(args[1], arrow.item_type, f'{path}[]')

    def encode(rows: list[Any]) -> pa.Array:
        for row in rows:
            if row is not None and not isinstance(row, dict):
                raise wrong_value(path, str(arrow), row)
        filled = [row or {} for row in rows]
        mask = None
        if None in rows:
            mask = pa.array(np.fromiter((row is None for row in rows), bool, len(rows)))
        lengths = np.fromiter(map(len, filled), np.int64, len(filled))
        return pa.MapArray.from_arrays(
            _offsets(lengths, path),
            keys([key for row in filled for key in row]),
            values([value for row in filled for value in row.values()]),
            type=arrow,
            mask=mask,
        )

    return encode
