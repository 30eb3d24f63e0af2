"""What the values of Arrow columns are to a condition."""

from __future__ import annotations

from enum import Enum

import pyarrow as pa
import pyarrow.types as pt

__all__ = ['Kind', 'is_list', 'kind_of_type']


class Kind(str, Enum):
    """What the values of a leaf column compare with."""

    NUMBER = 'number'
    BOOLEAN = 'boolean'
    TEXT = 'text'
    #: Points in time, in the column's own unit; operands are ISO-8601 text.
    TIME = 'time'


def kind_of_type(arrow_type: pa.DataType) -> Kind | None:
    """Return what values of a type compare with, `None` for nested types and blobs."""
    if pt.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if pt.is_boolean(arrow_type):
        return Kind.BOOLEAN
    if pt.is_integer(arrow_type) or pt.is_floating(arrow_type) or pt.is_decimal(arrow_type):
        return Kind.NUMBER
    if pt.is_duration(arrow_type):
        return Kind.NUMBER
    if pt.is_timestamp(arrow_type) or pt.is_date(arrow_type) or pt.is_time(arrow_type):
        return Kind.TIME
    if pt.is_string(arrow_type) or pt.is_large_string(arrow_type) or _is_view(arrow_type):
        return Kind.TEXT
    return None


def _is_view(arrow_type: pa.DataType) -> bool:
    return str(arrow_type) == 'string_view'


def is_list(arrow_type: pa.DataType) -> bool:
    """Whether the type is any kind of list (maps are not)."""
    return (
        pt.is_list(arrow_type)
        or pt.is_large_list(arrow_type)
        or pt.is_fixed_size_list(arrow_type)
        or str(arrow_type).startswith(('list_view<', 'large_list_view<'))
    )
