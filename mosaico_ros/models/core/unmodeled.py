"""Data whose type no class of this process describes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from mosaico_ros.models.core import registry
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.fingerprint import fingerprint
from mosaico_ros.protocol.serialization import SerializationFormat

_creation = threading.RLock()


class Unmodeled(Serializable):
    """Payload of a type known only by its Arrow layout.

    Not for direct use: :func:`make_unmodeled_ontology_class` derives a class per layout. Such
    classes are written, read and queried like any other.

    Attributes
    ----------
    raw_data
        The values by field name; nested structs are nested dicts.
    """

    __explicit_struct__ = pa.struct([])

    raw_data: dict[str, Any]

    @model_validator(mode='after')
    def _check_layout(self) -> Self:
        mismatches = list(_mismatches(self.raw_data, type(self).arrow_struct(), ''))
        if mismatches:
            raise ValueError(
                f'raw_data does not fit the layout of {type(self).__name__}: '
                + '; '.join(mismatches)
            )
        return self


def _mismatches(data: dict[str, Any], struct: pa.StructType, path: str) -> Iterator[str]:
    fields = {field.name: field for field in struct}
    for name in data.keys() - fields.keys():
        yield f'unknown field {path}{name}'
    for name, field in fields.items():
        value = data.get(name)
        if value is None:
            if not field.nullable:
                yield f'missing field {path}{name}'
        elif pa.types.is_struct(field.type):
            if isinstance(value, dict):
                yield from _mismatches(value, field.type, f'{path}{name}.')
            else:
                yield f'field {path}{name} should be a dict, got {type(value).__name__}'


def make_unmodeled_ontology_class(
    class_name: str,
    ontology_tag: str | None,
    serialization_format: SerializationFormat,
    pyarrow_schema: pa.StructType,
    registry_key: str | None = None,
) -> type[Unmodeled]:
    """Create and register a class for a layout.

    Parameters
    ----------
    class_name
        Name of the class.
    ontology_tag
        Tag in the archive; None takes the class name.
    serialization_format
        Storage hint for topics of this type.
    pyarrow_schema
        The layout without the envelope column.
    registry_key
        Key in this process, where it has to differ from the tag because several layouts share
        the tag.

    Raises
    ------
    InvalidArgumentError
        The key belongs to a class of another layout.
    """
    key = registry_key or ontology_tag or class_name
    with _creation:
        holder = registry.lookup(key)
        if holder is not None:
            same = fingerprint(pyarrow_schema) == holder.fingerprint()
            if same and issubclass(holder, Unmodeled):
                return holder
            raise InvalidArgumentError(
                f'The ontology tag {key!r} belongs to {holder.__name__}',
                remedy='Choose another tag, or a registry key for a variant of the layout.',
            )
        return type(
            class_name,
            (Unmodeled,),
            {
                '__module__': __name__,
                '__ontology_tag__': ontology_tag,
                '__registry_key__': registry_key,
                '__serialization_format__': serialization_format,
                '__explicit_struct__': pyarrow_schema,
            },
        )


def resolve_ontology_class(
    ontology_tag: str,
    schema: pa.StructType | None = None,
    schema_fingerprint: str | None = None,
    serialization_format: SerializationFormat | None = None,
) -> type[Serializable]:
    """Find the class for stored data, or create one.

    A registered class serves if its layout is the given one; otherwise a class of the same tag
    is created for the layout, under the key ``<tag>__<fingerprint>`` if the tag is taken.

    Parameters
    ----------
    ontology_tag
        Tag of the topic.
    schema
        Layout of the data without the envelope column; None accepts the registered class as is.
    schema_fingerprint
        Fingerprint of ``schema`` where the caller knows it already.
    serialization_format
        Storage hint for a class that has to be created.

    Raises
    ------
    InvalidArgumentError
        The tag is unknown and no layout is given.
    """
    known = registry.lookup(ontology_tag)
    if schema is None:
        if known is None:
            raise InvalidArgumentError(
                f'No class is registered for the ontology tag {ontology_tag!r}',
                remedy='Import the module that defines it, or pass the layout of the data.',
            )
        return known
    digits = schema_fingerprint or fingerprint(schema)
    with _creation:
        known = registry.lookup(ontology_tag)
        if known is not None and known.fingerprint() == digits:
            return known
        key = ontology_tag if known is None else f'{ontology_tag}__{digits}'
        variant = registry.lookup(key)
        if variant is not None:
            return variant
        return make_unmodeled_ontology_class(
            key, ontology_tag, serialization_format or SerializationFormat.Default, schema, key
        )
