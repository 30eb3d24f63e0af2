"""Compiled decoders: an Arrow array in, a list of Python values out.

Objects are built in bulk and without validation: what is stored was validated when it was
written. Per object that leaves one dict and a handful of slots to fill.
"""

from __future__ import annotations

import datetime
import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, pairwise, repeat
from typing import Any, get_args, get_origin

import numpy as np
import pyarrow as pa
import pydantic

from mosaico_ros.models.core.arrow import strip

#: The values of an array, and whether None is among them.
Decoded = tuple[list[Any], bool]
Decoder = Callable[[pa.Array], Decoded]
#: Columns and the number of rows, to objects.
Builder = Callable[[Sequence[Iterable[Any]], int], list[Any]]


def decoder(annotation: Any, arrow: pa.DataType) -> Decoder:
    """Compile the decoder of a node; the annotation `Any` yields plain Python values."""
    bare = strip(annotation)[0]
    origin, args = get_origin(bare), get_args(bare)
    is_class = isinstance(bare, type)
    if pa.types.is_struct(arrow):
        modeled = is_class and issubclass(bare, pydantic.BaseModel)
        return _struct_decoder(bare if modeled else None, arrow)
    if pa.types.is_fixed_size_list(arrow) or pa.types.is_list(arrow):
        return _list_decoder(args[0] if args else Any, arrow, tuple if origin is tuple else None)
    if pa.types.is_map(arrow):
        return _map_decoder(args if len(args) == 2 else (Any, Any), arrow)
    if is_class and issubclass(bare, enum.Enum):
        return _enum_decoder(bare)
    if bare is int and pa.types.is_temporal(arrow):
        return _ticks_decoder(pa.int32() if arrow.bit_width == 32 else pa.int64())
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow):
        return _number_decoder
    if bare is datetime.datetime and pa.types.is_timestamp(arrow) and arrow.unit == 'ns':
        # pyarrow would ask pandas for a type that keeps nanoseconds; a datetime cannot.
        return _cast_decoder(pa.timestamp('us', arrow.tz))
    return _value_decoder


def _value_decoder(array: pa.Array) -> Decoded:
    return array.to_pylist(), array.null_count > 0


def _number_decoder(array: pa.Array) -> Decoded:
    if array.null_count:
        if array.null_count == len(array):
            return [None] * len(array), True
        return array.to_pylist(), True
    return array.to_numpy(zero_copy_only=False).tolist(), False


def _ticks_decoder(ticks: pa.DataType) -> Decoder:
    return lambda array: _number_decoder(array.cast(ticks))


def _cast_decoder(target: pa.DataType) -> Decoder:
    return lambda array: _value_decoder(array.cast(target, safe=False))


def _enum_decoder(kind: type[enum.Enum]) -> Decoder:
    if issubclass(kind, enum.Flag):  # a value is any combination of members
        flags = kind
        return lambda array: (
            [None if v is None else flags(v) for v in array.to_pylist()],
            array.null_count > 0,
        )
    members: dict[Any, Any] = {None: None, **{member.value: member for member in kind}}

    def decode(array: pa.Array) -> Decoded:
        # A value that a newer writer added stays what it is rather than hiding the whole topic.
        return [members.get(v, v) for v in array.to_pylist()], array.null_count > 0

    return decode


# ---- structs ----------------------------------------------------------------------------------


def builder(model: type[pydantic.BaseModel] | None, names: Sequence[str]) -> Builder:
    """Compile the function that turns columns into objects of a model, or into dicts.

    Parameters
    ----------
    model
        The class to build; None builds dicts.
    names
        Names of the members, in the order of the columns.

    Returns
    -------
    callable
        Takes the columns and the number of rows.
    """
    rows_of = _dict_builder(names)
    if model is None:
        return rows_of
    # The slots of an instance, filled one by one for all instances: `map` runs without a frame.
    slots = vars(pydantic.BaseModel)
    set_members = slots['__dict__'].__set__
    set_fields = slots['__pydantic_fields_set__'].__set__
    set_extra = slots['__pydantic_extra__'].__set__
    set_private = slots['__pydantic_private__'].__set__
    keeps_extra = model.model_config.get('extra') == 'allow'
    new = model.__new__
    # All instances share it: assignment only ever adds names, and all of them are in it.
    given = set(names)

    def build(columns: Sequence[Iterable[Any]], count: int) -> list[Any]:
        objects = list(map(new, repeat(model, count)))
        _exhaust(map(set_members, objects, rows_of(columns, count)))
        _exhaust(map(set_fields, objects, repeat(given)))
        _exhaust(map(set_extra, objects, ({} for _ in objects) if keeps_extra else repeat(None)))
        _exhaust(map(set_private, objects, repeat(None)))
        if model.__pydantic_post_init__:  # private attributes, or a hook of the user's
            for instance in objects:
                instance.model_post_init(None)
        return objects

    return build


def _exhaust(iterator: Iterable[Any]) -> None:
    deque(iterator, maxlen=0)


def _dict_builder(names: Sequence[str]) -> Builder:
    """Generate the comprehension that zips columns into dicts; a literal is the fastest way."""
    if not names:
        return lambda columns, count: [{} for _ in range(count)]
    values = [f'v{i}' for i in range(len(names))]
    members = ', '.join(f'{n!r}: {v}' for n, v in zip(names, values, strict=True))
    source = f'[{{{members}}} for {", ".join(values)}, in zip(*columns)]'
    build: Builder = eval(f'lambda columns, count: {source}')
    return build


def member_decoders(
    model: type[pydantic.BaseModel] | None, struct: pa.StructType
) -> list[Decoder]:
    """Compile the decoders of all members of a struct."""
    fields = model.model_fields if model is not None else {}
    return [
        decoder(fields[field.name].annotation if fields else Any, field.type) for field in struct
    ]


def _struct_decoder(model: type[pydantic.BaseModel] | None, struct: pa.StructType) -> Decoder:
    decoders = member_decoders(model, struct)
    names = [field.name for field in struct]
    build = builder(model, names)

    def decode(array: pa.Array) -> Decoded:
        rows = len(array)
        nulls = array.null_count
        if nulls == rows:
            return [None] * rows, rows > 0
        decoded = [member(array.field(i)) for i, member in enumerate(decoders)]
        columns = [values for values, _ in decoded]
        present = array.is_valid().to_pylist() if nulls else None
        # A model without any value reads as a missing one; some stores cannot tell them apart.
        if model is not None and decoded and all(has_none for _, has_none in decoded):
            given = [any(v is not None for v in row) for row in zip(*columns, strict=True)]
            if present is not None:
                given = [a and b for a, b in zip(present, given, strict=True)]
            present = None if all(given) else given
        if present is None:
            return build(columns, rows), False
        kept = [list(compress(column, present)) for column in columns]
        objects = iter(build(kept, sum(present)))
        return [next(objects) if there else None for there in present], True

    return decode


# ---- lists and maps ---------------------------------------------------------------------------


def _list_decoder(item: Any, arrow: pa.DataType, convert: Callable[[Any], Any] | None) -> Decoder:
    inner = decoder(item, arrow.value_type)
    size = arrow.list_size if pa.types.is_fixed_size_list(arrow) else None

    def decode(array: pa.Array) -> Decoded:
        rows, nulls = len(array), array.null_count
        if nulls == rows:
            return [None] * rows, rows > 0
        if size is None:
            bounds = array.offsets.to_numpy()
        else:
            bounds = (np.arange(rows + 1) + array.offset) * size
        start, end = int(bounds[0]), int(bounds[-1])
        flat, _ = inner(array.values.slice(start, end - start))
        ends = (bounds - start).tolist()
        out: list[Any] = [flat[a:b] for a, b in pairwise(ends)]
        if convert is not None:
            out = [convert(values) for values in out]
        if nulls:
            valid = array.is_valid().to_pylist()
            out = [values if ok else None for ok, values in zip(valid, out, strict=True)]
        return out, nulls > 0

    return decode


def _map_decoder(args: tuple[Any, ...], arrow: pa.MapType) -> Decoder:
    keys, values = decoder(args[0], arrow.key_type), decoder(args[1], arrow.item_type)

    def decode(array: pa.Array) -> Decoded:
        rows, nulls = len(array), array.null_count
        if nulls == rows:
            return [None] * rows, rows > 0
        bounds = array.offsets.to_numpy()
        start, end = int(bounds[0]), int(bounds[-1])
        flat_keys, _ = keys(array.keys.slice(start, end - start))
        flat_values, _ = values(array.items.slice(start, end - start))
        ends = (bounds - start).tolist()
        out: list[Any] = [
            dict(zip(flat_keys[a:b], flat_values[a:b], strict=True)) for a, b in pairwise(ends)
        ]
        if nulls:
            valid = array.is_valid().to_pylist()
            out = [entry if ok else None for ok, entry in zip(valid, out, strict=True)]
        return out, nulls > 0

    return decode
