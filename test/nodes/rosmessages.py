"""Captured rows of messages made by rosbags, for parts that need no middleware."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.ros_bridge.definitions import Definition, Types, find_definition


def message(msgtype: str, values: dict[str, Any], extra: Types | None = None) -> bytes:
    """Serialize a message; what `values` leaves out is zero or empty."""
    definition = _definition(msgtype) if extra is None else find_definition(msgtype, extra=extra)
    return bytes(definition.messages.serialize_cdr(_made(definition, msgtype, values), msgtype))


_definition = cache(find_definition)


def captured(stamps: Sequence[int], payloads: Sequence[bytes], **columns: Any) -> pa.RecordBatch:
    """Return rows as capture makes them; further columns by name."""
    count = len(stamps)
    made = []
    for field in CAPTURED:
        if field.name == CAPTURED.names[0]:
            made.append(pa.array(list(stamps), pa.int64()))
        elif field.name == 'payload':
            made.append(pa.array(list(payloads), pa.large_binary()))
        elif field.name in columns:
            made.append(pa.array(columns[field.name], field.type))
        else:
            made.append(pa.nulls(count, field.type))
    return pa.RecordBatch.from_arrays(made, schema=CAPTURED)


def _made(definition: Definition, msgtype: str, values: dict[str, Any]) -> Any:
    store = definition.messages
    _, fields = store.fielddefs[msgtype]
    unknown = set(values) - {name for name, _ in fields}
    assert not unknown, f'{msgtype} has no {unknown}'
    made = {name: _value(definition, desc, values.get(name)) for name, desc in fields}
    return store.types[msgtype](**made)


def _value(definition: Definition, desc: Any, value: Any) -> Any:
    kind, detail = desc
    if kind.name == 'NAME':
        return _made(definition, detail, value or {})
    if kind.name == 'BASE':
        empty = {'string': '', 'wstring': '', 'bool': False}.get(detail[0], 0)
        return empty if value is None else value
    if isinstance(value, np.ndarray):
        return value
    (inner, inner_detail), count = detail
    items = value if value is not None else [None] * count if kind.name == 'ARRAY' else []
    made = [_value(definition, (inner, inner_detail), item) for item in items]
    if inner.name == 'BASE' and inner_detail[0] not in ('string', 'wstring'):
        kind_name = {'octet': 'uint8', 'byte': 'uint8', 'char': 'uint8'}.get(
            inner_detail[0], inner_detail[0]
        )
        return np.array(made, kind_name)
    return made
