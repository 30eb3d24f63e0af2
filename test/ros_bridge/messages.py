"""ROS messages with something in every member, by rosbags."""

from __future__ import annotations

from typing import Any

import numpy as np

from mosaico_ros.ros_bridge.definitions import typestore

CLOUD = 'sensor_msgs/msg/PointCloud2'
_CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


def message(store: Any, msgtype: str, **members: Any) -> Any:
    """A message whose other members are zero or empty."""
    _, fields = store.fielddefs[msgtype]
    return store.types[msgtype](
        **{
            name: members[name] if name in members else _zero(store, description)
            for name, description in fields
        }
    )


def _zero(store: Any, description: Any) -> Any:
    kind, content = int(description[0]), description[1]
    if kind == 1:
        return '' if content[0] == 'string' else 0
    if kind == 2:
        return message(store, content)
    item, count = content
    if int(item[0]) != 1 or item[1][0] == 'string':
        return [_zero(store, item) for _ in range(count if kind == 3 else 0)]
    dtype = {'float64': 'f8', 'float32': 'f4', 'byte': 'u1'}.get(item[1][0], item[1][0])
    return np.zeros(count if kind == 3 else 0, dtype)


def header(store: Any, frame: str = 'base', sec: int = 12, nanosec: int = 34) -> Any:
    stamp = store.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
    return message(store, 'std_msgs/msg/Header', stamp=stamp, frame_id=frame)


def cloud(
    points: np.ndarray,
    *,
    big: bool = False,
    grid: tuple[int, int] | None = None,
    row_padding: int = 0,
    tail: bytes = b'',
    counts: dict[str, int] | None = None,
) -> bytes:
    """A serialized cloud of structured points; ``grid`` is (height, width)."""
    store = typestore('jazzy')
    height, width = grid or (1, len(points))
    step = points.dtype.itemsize
    fields = [
        store.types['sensor_msgs/msg/PointField'](
            name=name,
            offset=points.dtype.fields[name][1],
            datatype=_CODES[points.dtype.fields[name][0].base.str[1:]],
            count=(counts or {}).get(name, 1),
        )
        for name in points.dtype.names
    ]
    rows = np.frombuffer(points.tobytes(), np.uint8).reshape(height, width * step)
    rows = np.pad(rows, ((0, 0), (0, row_padding)), constant_values=7)
    built = message(
        store,
        CLOUD,
        header=header(store, 'lidar'),
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big,
        point_step=step,
        row_step=width * step + row_padding,
        data=np.frombuffer(rows.tobytes() + tail, np.uint8),
        is_dense=not np.isnan(points['x']).any(),
    )
    return bytes(store.serialize_cdr(built, CLOUD))
