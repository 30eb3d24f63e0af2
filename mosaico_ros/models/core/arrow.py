"""From Python annotations to Arrow types."""

from __future__ import annotations

import datetime
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pydantic
from pydantic.fields import FieldInfo

from mosaico_ros.protocol.errors import InvalidArgumentError

PRIMITIVES: dict[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    # Naive datetimes are taken as UTC; every datetime that is read back is aware.
    datetime.datetime: pa.timestamp('us', tz='UTC'),
    datetime.date: pa.date32(),
    datetime.time: pa.time64('us'),
    datetime.timedelta: pa.duration('us'),
}

# Readers may widen text and blobs on their way; for the identity of a layout the forms are one.
_structs: WeakKeyDictionary[type, pa.StructType] = WeakKeyDictionary()


def strip(annotation: Any) -> tuple[Any, pa.DataType | None, bool]:
    """Take an annotation apart.

    Returns
    -------
    tuple
        The bare Python type; the Arrow type that an ``Annotated`` names, if one does; whether
        ``None`` is allowed.
    """
    arrow: pa.DataType | None = None
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *metadata = get_args(annotation)
            arrow = arrow or next((m for m in metadata if isinstance(m, pa.DataType)), None)
        elif origin in (Union, types.UnionType):
            members = [a for a in get_args(annotation) if a is not type(None)]
            optional = optional or len(members) < len(get_args(annotation))
            if len(members) != 1:
                return annotation, arrow, optional
            annotation = members[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, '__value__'):  # `type X = ...` of Python 3.12
            annotation = annotation.__value__
        else:
            return annotation, arrow, optional


def arrow_type(annotation: Any) -> pa.DataType:
    """Return the Arrow type of a Python annotation.

    Understood are ``int``, ``float``, ``str``, ``bool``, ``bytes``, date and time types, text and
    integer enums, ``Literal``, ``list``, ``tuple`` of one element type, ``dict`` (as a map),
    models, ``Optional``, and ``Annotated`` with an Arrow type, which wins over all the others.

    Raises
    ------
    InvalidArgumentError
        The annotation has no Arrow counterpart.
    """
    bare, arrow, _ = strip(annotation)
    if arrow is not None:
        return arrow
    origin, args = get_origin(bare), get_args(bare)
    if origin is Literal:
        return _uniform_type([type(value) for value in args], annotation)
    if origin in (list, Sequence) and args:
        return pa.list_(arrow_type(args[0]))
    if origin is tuple and args:
        return _tuple_type(args, annotation)
    if origin in (dict, Mapping) and args:
        return pa.map_(arrow_type(args[0]), arrow_type(args[1]))
    if isinstance(origin or bare, type):
        kind = origin or bare
        if issubclass(kind, pydantic.BaseModel):
            return struct_of(kind)
        if issubclass(kind, enum.Enum):
            return _uniform_type([type(member.value) for member in kind], annotation)
        if kind in PRIMITIVES:
            return PRIMITIVES[kind]
    raise InvalidArgumentError(
        f'no Arrow type is known for the annotation {annotation!r}',
        remedy='Use a MosaicoType, a model, a list or dict of those, or name the Arrow type with '
        'MosaicoType.annotate(python_type, arrow_type).',
    )


def _uniform_type(kinds: list[type], annotation: Any) -> pa.DataType:
    if len(set(kinds)) != 1 or kinds[0] not in PRIMITIVES:
        raise InvalidArgumentError(
            f'the values of {annotation!r} are not of one primitive type',
            remedy='Give all of them the same type: all text or all integers.',
        )
    return PRIMITIVES[kinds[0]]


def _tuple_type(args: tuple[Any, ...], annotation: Any) -> pa.DataType:
    items = {arrow_type(a) for a in args if a is not Ellipsis}
    if len(items) != 1:
        raise InvalidArgumentError(
            f'the elements of {annotation!r} are not of one type',
            remedy='Use a model with one field per element.',
        )
    return pa.list_(items.pop(), -1 if Ellipsis in args else len(args))


def numpy_dtype(arrow: pa.DataType) -> np.dtype | None:
    """Return the dtype of a number or boolean; None for all other types."""
    if pa.types.is_boolean(arrow):
        return np.dtype(bool)
    if pa.types.is_floating(arrow):
        return np.dtype(f'f{arrow.bit_width // 8}')
    if pa.types.is_integer(arrow):
        kind = 'u' if pa.types.is_unsigned_integer(arrow) else 'i'
        return np.dtype(f'{kind}{arrow.bit_width // 8}')
    return None


def struct_of(model: type[pydantic.BaseModel]) -> pa.StructType:
    """Return the Arrow struct of a model: one field per model field, in order of declaration.

    Fields of mixins come first, the last base before the others.

    Raises
    ------
    InvalidArgumentError
        An annotation has no Arrow counterpart.
    """
    struct = _structs.get(model)
    if struct is None:
        if not model.__pydantic_fields_complete__:
            model.model_rebuild()
        struct = pa.struct(
            [_arrow_field(model, name, info) for name, info in model.model_fields.items()]
        )
        _structs[model] = struct
    return struct


def _arrow_field(model: type, name: str, info: FieldInfo) -> pa.Field:
    annotation: Any = info.annotation
    if info.metadata:
        parts = (annotation, *info.metadata)
        annotation = Annotated[parts]
    try:
        kind = arrow_type(annotation)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f'Field {name!r} of {model.__name__}: {error.message}', remedy=error.remedy
        ) from None
    return pa.field(
        name,
        kind,
        nullable=_is_nullable(annotation, info),
        metadata={'description': info.description} if info.description else None,
    )


def _is_nullable(annotation: Any, info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    if isinstance(extra, dict) and 'nullable' in extra:
        declared = bool(extra['nullable'])
    else:
        declared = not info.is_required()
    return declared or strip(annotation)[2]
