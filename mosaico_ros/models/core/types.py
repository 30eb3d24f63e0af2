"""The vocabulary for fields of a model: ``MosaicoType`` and ``MosaicoField``."""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from mosaico_ros.models.core.arrow import arrow_type


class MosaicoType:
    """Annotations that fix the Arrow type of a field.

    The scalar names (``uint8`` to ``int64``, ``float16`` to ``float64``, ``binary``, ``bool``,
    ``string``) stand for themselves; the functions build lists, matrices, tensors and anything
    else that Arrow can say. Integers out of range, and lists that miss their fixed size, are
    refused when a model is constructed.

    Examples
    --------
    >>> class WheelTicks(Serializable):
    ...     left: MosaicoType.uint32 = MosaicoField(description='Cumulative ticks.')
    ...     gains: MosaicoType.list_(MosaicoType.float32, list_size=3)
    """

    uint8 = Annotated[int, pa.uint8()]
    uint16 = Annotated[int, pa.uint16()]
    uint32 = Annotated[int, pa.uint32()]
    uint64 = Annotated[int, pa.uint64()]
    int8 = Annotated[int, pa.int8()]
    int16 = Annotated[int, pa.int16()]
    int32 = Annotated[int, pa.int32()]
    int64 = Annotated[int, pa.int64()]
    float16 = Annotated[float, pa.float16()]
    float32 = Annotated[float, pa.float32()]
    float64 = Annotated[float, pa.float64()]
    binary = Annotated[bytes, pa.binary()]
    string = Annotated[str, pa.string()]
    bool = Annotated[bool, pa.bool_()]

    @staticmethod
    def annotate(py_type: Any, pa_type: pa.DataType) -> Any:
        """Bind a Python type to any Arrow type, e.g. ``annotate(int, pa.timestamp('ns'))``."""
        return Annotated[py_type, pa_type]

    @staticmethod
    def list_(source_type: Any, list_size: int | None = None) -> Any:
        """Annotate a list.

        Parameters
        ----------
        source_type
            Type of the elements: a scalar of this class, a Python primitive, a model or a list.
        list_size
            Number of elements that every list has; None lets it vary from row to row.

        Raises
        ------
        InvalidArgumentError
            The element type has no Arrow counterpart.
        """
        item = arrow_type(source_type)
        return Annotated[list[source_type], pa.list_(item, list_size or -1)]

    @staticmethod
    def matrix(source_type: Any, rows: int | None = None, cols: int | None = None) -> Any:
        """Annotate a list of lists, row by row; a dimension left out may vary."""
        return MosaicoType.list_(MosaicoType.list_(source_type, cols), rows)

    @staticmethod
    def tensor3d(
        source_type: Any,
        depth: int | None = None,
        rows: int | None = None,
        cols: int | None = None,
    ) -> Any:
        """Annotate a list of matrices; a dimension left out may vary."""
        return MosaicoType.list_(MosaicoType.matrix(source_type, rows, cols), depth)


def MosaicoField(
    nullable: bool = False,
    default: Any = ...,
    description: str | None = None,
    **kwargs: Any,
) -> Any:
    """Declare a field of a model.

    Parameters
    ----------
    nullable
        Whether the field may be None and its Arrow column hold nulls; implied by ``default=None``
        and ``Optional``.
    default
        Value of the field when none is given; left out, the field is required.
    description
        Meaning and unit. It travels with the data as metadata of the Arrow field.
    **kwargs
        Anything else that `pydantic.Field` takes, such as bounds or a default factory.
    """
    extra = {
        **(kwargs.pop('json_schema_extra', None) or {}),
        'nullable': nullable or default is None,
    }
    return Field(default, description=description, json_schema_extra=extra, **kwargs)


# Lists that many models share, in the form that type checkers understand as well.
Int8List = Annotated[list[int], pa.list_(pa.int8())]
Int32List = Annotated[list[int], pa.list_(pa.int32())]
Uint8List = Annotated[list[int], pa.list_(pa.uint8())]
Uint16List = Annotated[list[int], pa.list_(pa.uint16())]
Float32List = Annotated[list[float], pa.list_(pa.float32())]
Float64List = Annotated[list[float], pa.list_(pa.float64())]
StringList = Annotated[list[str], pa.list_(pa.string())]
