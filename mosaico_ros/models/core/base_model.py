"""Root of all models: pydantic underneath, with the limits of Arrow known at construction."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pydantic
from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mosaico_ros.models.core.arrow import numpy_dtype, struct_of

_NESTING = ('default', 'nullable', 'function-after', 'function-before')


class BaseModel(pydantic.BaseModel):
    """A model whose fields have Arrow types.

    Integers are checked against the width of their Arrow type and lists against their fixed
    size. List fields take numpy arrays, which are copied, kept as arrays and encoded without a
    Python object per element; blobs take any object that offers a buffer.
    """

    # Core schemas are built at the first instance: importing all models stays cheap.
    model_config: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(
        defer_build=True, ser_json_inf_nan='constants'
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        fields = _model_fields(handler.resolve_ref_schema(schema))
        if fields:
            for arrow in cls.arrow_struct():
                field = fields.get(arrow.name)
                if field is not None:
                    field['schema'] = _fit(field['schema'], arrow.type)
                    if _declared_nullable(cls.model_fields[arrow.name]):
                        field['schema'] = core_schema.nullable_schema(field['schema'])
        return schema

    @classmethod
    def arrow_struct(cls) -> pa.StructType:
        """Return the Arrow layout: one field per model field."""
        return struct_of(cls)

    def __eq__(self, other: object) -> bool:
        try:
            return super().__eq__(other)
        except ValueError:  # a numpy array has no truth value
            return type(self) is type(other) and _same(self.__dict__, other.__dict__)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.array_equal(np.asarray(left), np.asarray(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(v, right[k]) for k, v in left.items())
    return bool(left == right)


def _declared_nullable(info: FieldInfo) -> bool:
    """Whether ``MosaicoField(nullable=True)`` says what the annotation does not."""
    extra = info.json_schema_extra
    return info.is_required() and isinstance(extra, dict) and bool(extra.get('nullable'))


def _model_fields(schema: CoreSchema) -> dict[str, Any] | None:
    node: Any = schema
    while isinstance(node, dict) and node['type'] != 'model-fields':
        node = node.get('schema')
    return node['fields'] if node else None


def _fit(schema: Any, arrow: pa.DataType) -> Any:
    """Narrow the validation of a field to what its Arrow type can hold."""
    kind = schema['type']
    if kind in _NESTING:
        return {**schema, 'schema': _fit(schema['schema'], arrow)}
    if kind == 'int' and pa.types.is_integer(arrow):
        low, high = integer_range(arrow)
        return {
            **schema,
            'ge': max(low, schema.get('ge', low)),
            'le': min(high, schema.get('le', high)),
        }
    if kind == 'bytes' and pa.types.is_binary(arrow):
        return core_schema.no_info_before_validator_function(_as_bytes, schema)
    if kind == 'list' and (pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow)):
        return _fit_list(schema, arrow)
    return schema


def integer_range(arrow: pa.DataType) -> tuple[int, int]:
    """Return the least and the greatest value of an Arrow integer type."""
    if pa.types.is_unsigned_integer(arrow):
        return 0, 2**arrow.bit_width - 1
    return -(2 ** (arrow.bit_width - 1)), 2 ** (arrow.bit_width - 1) - 1


def _as_bytes(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list):
        try:
            return bytes(value)
        except (TypeError, ValueError):
            return value  # pydantic words the refusal
    return value


def _fit_list(schema: Any, arrow: pa.DataType) -> Any:
    schema = {**schema}
    if 'items_schema' in schema:
        schema['items_schema'] = _fit(schema['items_schema'], arrow.value_type)
    if pa.types.is_fixed_size_list(arrow):
        schema['min_length'] = schema['max_length'] = arrow.list_size
    shape, item = _array_shape(arrow)
    if item is None:
        return schema

    def accept_array(value: Any, validate: Any) -> Any:
        if type(value) is not list and isinstance(value, np.ndarray):
            return _checked_array(value, shape, item)
        return validate(value)

    def as_list(value: Any, serialize: Any) -> Any:
        return serialize(value.tolist() if isinstance(value, np.ndarray) else value)

    return core_schema.no_info_wrap_validator_function(
        accept_array,
        schema,
        serialization=core_schema.wrap_serializer_function_ser_schema(as_list, schema=schema),
    )


def _array_shape(arrow: pa.DataType) -> tuple[tuple[int, ...], np.dtype | None]:
    """Return the expected shape (-1 where free) and the dtype of the elements, if numeric."""
    shape: list[int] = []
    while pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow):
        shape.append(arrow.list_size if pa.types.is_fixed_size_list(arrow) else -1)
        arrow = arrow.value_type
    return tuple(shape), numpy_dtype(arrow)


def _checked_array(value: np.ndarray, shape: tuple[int, ...], item: np.dtype) -> np.ndarray:
    fits = len(shape) == value.ndim and all(
        expected in (-1, actual) for expected, actual in zip(shape, value.shape, strict=True)
    )
    if not fits:
        wanted = ' x '.join('any' if length == -1 else str(length) for length in shape)
        raise PydanticCustomError(
            'array_shape',
            'Input should be an array of shape {wanted}, got {got}',
            {'wanted': wanted, 'got': ' x '.join(map(str, value.shape))},
        )
    if value.dtype.kind in 'iu' and item.kind in 'iu':
        limits = np.iinfo(item)
        allowed = not value.size or (
            int(value.min()) >= limits.min and int(value.max()) <= limits.max
        )
    else:
        allowed = value.dtype.kind == item.kind or (value.dtype.kind in 'iu' and item.kind == 'f')
    if not allowed:
        raise PydanticCustomError(
            'array_type',
            'Input should be an array whose values fit {wanted}, got {got}',
            {'wanted': str(item), 'got': str(value.dtype)},
        )
    # A copy: callers reuse their buffers while the message still waits in a batch.
    return np.array(value, dtype=item, order='C')
