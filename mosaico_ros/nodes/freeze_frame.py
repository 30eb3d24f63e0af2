"""The last value of every topic before a fault, as JSON that a person reads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa

from mosaico_ros.nodes.message_columns import MessageColumns
from mosaico_ros.protocol.errors import MosaicoError

# Of longer lists and texts only the beginning is shown: an image tells nobody anything as JSON.
_SHOWN_ITEMS = 64
_SHOWN_CHARACTERS = 2000


def freeze_frame(stamp: int, last: Mapping[str, tuple[str, pa.RecordBatch]]) -> bytes:
    """Write the JSON document.

    Parameters
    ----------
    stamp
        Of the fault, ns.
    last
        By topic: its type and one captured row.
    """
    topics: dict[str, Any] = {}
    columns_of = cache(MessageColumns)
    for name in sorted(last):
        msgtype, row = last[name]
        stamp_ns = row.column(0)[0].as_py()
        topics[name] = {
            'type': msgtype,
            'stamp_ns': stamp_ns,
            'age_sec': (stamp - stamp_ns) / 1e9,
            'message': _message(columns_of, msgtype, row),
        }
    return json.dumps({'stamp_ns': stamp, 'topics': topics}, allow_nan=False).encode()


def _message(
    columns_of: Callable[[str], MessageColumns], msgtype: str, row: pa.RecordBatch
) -> Any:
    try:
        for _, columns in columns_of(msgtype).decode(row):
            return {name: _plain(columns.column(name)[0]) for name in columns.schema.names}
    except MosaicoError as error:
        return {'unreadable': str(error)}
    return {'unreadable': 'its bytes do not fit its type'}


def _plain(value: pa.Scalar) -> Any:
    """JSON value of an Arrow scalar; what is too long is cut before it becomes Python objects."""
    if isinstance(value, pa.StructScalar):
        return {name: _plain(value[name]) for name in value}
    if isinstance(value, (pa.ListScalar, pa.FixedSizeListScalar)):
        items = value.values
        shown = [_plain(item) for item in items[:_SHOWN_ITEMS]]
        return shown if len(items) <= _SHOWN_ITEMS else {'length': len(items), 'first': shown}
    if isinstance(value, pa.BinaryScalar) and not isinstance(value, pa.StringScalar):
        return {'bytes': len(value.as_buffer())}
    plain = value.as_py()
    if isinstance(plain, float) and not math.isfinite(plain):
        return str(plain)
    if isinstance(plain, str) and len(plain) > _SHOWN_CHARACTERS:
        return {'length': len(plain), 'first': plain[:_SHOWN_CHARACTERS]}
    return plain
