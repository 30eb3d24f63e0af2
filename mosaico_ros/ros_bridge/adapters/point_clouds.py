"""``PointCloud2`` as columns of points, for topics of which one knows what sensor they are from.

These maps are used where they are asked for (`adapter_overrides`): a cloud does not say whether a
lidar or a radar made it. Fields of the cloud are matched with members of the ontology by name;
what has no member, and how the points were laid out, is kept beside the columns with all else that
the ontology has no place for, so that an export gives the recorded cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import as_strided

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.adapters.draft import Draft
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.adapters.scope import leaf, lookup
from mosaico_ros.ros_bridge.adapters.vocabulary import Header, Word
from mosaico_ros.ros_bridge.cdr.columns import (
    Bytes,
    Column,
    Group,
    Leaf,
    List,
    list_array,
    list_offsets,
    null_array,
    number_array,
    struct_array,
    values_of,
)
from mosaico_ros.ros_bridge.cdr.cursor import running

#: `PointField.datatype` to numpy type codes.
_CODES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
_DATATYPES = {code: number for number, code in _CODES.items()}
_HEADER = 'header'
#: Members that have to be there with just these types, for the way back too.
_MEMBERS = {
    'height': 'u4',
    'width': 'u4',
    'is_bigendian': 'b1',
    'point_step': 'u4',
    'row_step': 'u4',
    'is_dense': 'b1',
}
_FIELD_MEMBERS = {'offset': 'u4', 'datatype': 'u1', 'count': 'u4'}


@dataclass(frozen=True)
class CloudMap(ColumnMap):
    """The map of a cloud to an ontology class that has a list per field."""

    @property
    def word(self) -> Word:
        return _Cloud()

    def refused(self, scope: Group) -> dict[str, np.ndarray]:
        """Clouds whose bytes are fewer than their points, or that lack coordinates."""
        broken = _broken(scope)
        flat = np.zeros(len(scope), bool)
        wanted = {f.name for f in self.ontology_type.arrow_struct() if not f.nullable}
        for layout, start, stop in _runs(scope):
            if not wanted <= layout.fields.keys():
                flat[start:stop] = True
        flat &= ~broken & (_points(scope) > 0)
        named = ', '.join(sorted(wanted))
        found = {'it has fewer bytes than points': broken, f'it lacks one of {named}': flat}
        return {reason: rows for reason, rows in found.items() if rows.any()}


@dataclass(frozen=True)
class _Layout:
    """How the points of a message lie: numpy type and offset of each field that is one number."""

    fields: dict[str, tuple[str, int]]
    point_step: int


class _Cloud(Word):
    """The whole message: all lists come from one blob, and go back into one."""

    def emit(self, scope: Group, kind: pa.StructType) -> pa.Array:
        _check(scope)
        empty = _broken(scope) | (_points(scope) == 0)
        heights = np.where(empty, 0, leaf(scope, 'height')).astype(np.int64)
        pieces = [_Piece(scope, heights, layout, *rows) for layout, *rows in _runs(scope)]
        counts = np.concatenate([np.zeros(0, np.int64), *(piece.counts for piece in pieces)])
        offsets = running(counts)
        children = []
        for target in kind:
            if target.name == _HEADER:
                children.append(Header().emit(scope, target.type))
                continue
            present = [target.name in piece.layout.fields for piece in pieces]
            if not any(present) and target.nullable:
                children.append(null_array(len(scope), target.type))
                continue
            dtype = np.dtype(target.type.value_type.to_pandas_dtype())
            parts = [piece.values(target.name, dtype) for piece in pieces]
            values = np.concatenate([np.zeros(0, dtype), *parts])
            items = number_array(values, target.type.value_type)
            lengths = [len(piece.counts) for piece in pieces]
            whole = all(present) or not target.nullable
            valid = None if whole else np.repeat(present, lengths)
            children.append(list_array(offsets, items, target.type, valid))
        return struct_array(len(scope), children, kind)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        """Points without gaps between their fields, in one row each."""
        members = dict(zip((f.name for f in array.type), array.flatten(), strict=True))
        Header().restore(members.pop(_HEADER), draft)
        counts = np.diff(list_offsets(members['x']))
        there = {name: values_of(values.is_valid()) for name, values in members.items()}
        # Rows that have the same lists are laid out together.
        pattern = np.stack(list(there.values()), axis=1)
        edges = np.flatnonzero((pattern[1:] != pattern[:-1]).any(axis=1)) + 1
        bounds = [0, *edges.tolist(), len(array)] if len(array) else []
        blobs, described, steps = [], [], np.zeros(len(array), np.int64)
        for start, stop in pairwise(bounds):
            names = [name for name in members if there[name][start]]
            lists = {name: members[name].slice(start, stop - start) for name in names}
            layout = _packed({name: lists[name].type for name in names})
            points = np.zeros((int(counts[start:stop].sum()), layout.point_step), np.uint8)
            for name, (code, at) in layout.fields.items():
                values = lists[name].flatten().to_numpy(zero_copy_only=False)
                if len(values) != len(points):
                    raise InvalidArgumentError(f'{name} has {len(values)} of {len(points)} points')
                size = np.dtype(code).itemsize
                points[:, at : at + size] = values.astype(code).view(np.uint8).reshape(-1, size)
            blobs.append(points.reshape(-1))
            described.append((layout, stop - start))
            steps[start:stop] = layout.point_step
        sizes = counts * steps
        draft.put('fields', _described(described))
        draft.numbers('width')[:] = counts
        draft.numbers('height')[:] = 1
        draft.numbers('point_step')[:] = steps
        draft.numbers('row_step')[:] = sizes
        draft.numbers('is_dense')[:] = _without_nan(members['x'], counts)
        draft.put('data', Bytes(running(sizes), np.concatenate([np.zeros(0, np.uint8), *blobs])))


class _Piece:
    """Successive messages whose points lie alike; ``heights`` are 0 for those without points."""

    def __init__(
        self, scope: Group, heights: np.ndarray, layout: _Layout, start: int, stop: int
    ) -> None:
        self.layout = layout
        rows = slice(start, stop)
        heights = heights[rows]
        widths = leaf(scope, 'width')[rows].astype(np.int64)
        row_steps = leaf(scope, 'row_step')[rows].astype(np.int64)
        data = lookup(scope, 'data')
        assert isinstance(data, Bytes)
        starts, lengths = data.offsets[start:stop], np.diff(data.offsets[start : stop + 1])
        self.counts = heights * widths
        used = widths * layout.point_step
        row_steps = np.where(heights > 1, row_steps, used)
        first, last = int(data.offsets[start]), int(data.offsets[stop])
        if (lengths == self.counts * layout.point_step).all():
            points = data.data[first:last]
        else:  # space behind rows or messages
            shapes = zip(
                starts.tolist(), heights.tolist(), row_steps.tolist(), used.tolist(), strict=True
            )
            # No row ends behind the message: `_broken` has looked at that.
            cuts = [
                as_strided(data.data[at:], (height, size), (step, 1)).reshape(-1)
                for at, height, step, size in shapes
                if height
            ]
            points = np.concatenate([np.zeros(0, np.uint8), *cuts])
        self._points = points.reshape(int(self.counts.sum()), layout.point_step)

    def values(self, name: str, dtype: np.dtype) -> np.ndarray:
        """Values of a field over all points, as ``dtype``; zeros where there is no such field."""
        if name not in self.layout.fields:
            return np.zeros(len(self._points), dtype)
        code, at = self.layout.fields[name]
        raw = np.ascontiguousarray(self._points[:, at : at + np.dtype(code).itemsize])
        with np.errstate(invalid='ignore', over='ignore'):  # what does not fit is kept beside
            return raw.view(code).reshape(-1).astype(dtype)


def _check(scope: Group) -> None:
    """Refuse definitions that are not those of clouds."""
    fields, data = lookup(scope, 'fields'), lookup(scope, 'data')
    if isinstance(fields, List) and isinstance(fields.items, Group) and isinstance(data, Bytes):
        items = fields.items
        numbers = [leaf(scope, name).dtype == code for name, code in _MEMBERS.items()]
        numbers += [leaf(items, name).dtype == code for name, code in _FIELD_MEMBERS.items()]
        named = isinstance(lookup(items, 'name'), Bytes)
        if named and all(numbers) and len(items.members) == 1 + len(_FIELD_MEMBERS):
            return
    raise InvalidArgumentError('the message definition is not that of a cloud of points')


def _points(scope: Group) -> np.ndarray:
    """Number of points that each message claims, as float64: it may be any."""
    return np.asarray(leaf(scope, 'height').astype(float) * leaf(scope, 'width'))


def _broken(scope: Group) -> np.ndarray:
    """Messages that have fewer bytes than points."""
    data = lookup(scope, 'data')
    assert isinstance(data, Bytes)
    rows, steps = leaf(scope, 'height').astype(float), leaf(scope, 'point_step').astype(float)
    used = leaf(scope, 'width') * steps
    row_steps = np.where(rows > 1, leaf(scope, 'row_step'), used)
    needed = (rows - 1) * row_steps + used
    lacking = (needed > np.diff(data.offsets)) | (row_steps < used) | (steps == 0)
    return np.asarray(lacking & (_points(scope) > 0))


def _runs(scope: Group) -> Iterator[tuple[_Layout, int, int]]:
    """Successive messages with one layout: it, the first one and the one behind the last."""
    fields = lookup(scope, 'fields')
    if not isinstance(fields, List) or not isinstance(fields.items, Group):
        raise InvalidArgumentError('the message is not a cloud of points')
    names = lookup(fields.items, 'name')
    assert isinstance(names, Bytes)
    numbers = [leaf(fields.items, name) for name in ('offset', 'datatype', 'count')]
    steps, big = leaf(scope, 'point_step').tolist(), leaf(scope, 'is_bigendian').tolist()
    known: object = None
    start = 0
    for row in range(len(scope)):
        first, last = int(fields.offsets[row]), int(fields.offsets[row + 1])
        letters = names.data[names.offsets[first] : names.offsets[last]].tobytes()
        ends = names.offsets[first : last + 1] - names.offsets[first]
        told = [values[first:last].tobytes() for values in numbers]
        key = (letters, ends.tobytes(), *told, steps[row], big[row])
        if key != known:
            if row > start:
                yield _layout(scope, start), start, row
            known, start = key, row
    if len(scope):
        yield _layout(scope, start), start, len(scope)


def _layout(scope: Group, row: int) -> _Layout:
    fields = lookup(scope, 'fields')
    assert isinstance(fields, List)
    items = fields.items
    assert isinstance(items, Group)
    names = lookup(items, 'name')
    assert isinstance(names, Bytes)
    step = int(leaf(scope, 'point_step')[row])
    order = '>' if leaf(scope, 'is_bigendian')[row] else '<'
    found: dict[str, tuple[str, int]] = {}
    for i in range(int(fields.offsets[row]), int(fields.offsets[row + 1])):
        name = names.data[names.offsets[i] : names.offsets[i + 1]].tobytes().decode()
        code = _CODES.get(int(leaf(items, 'datatype')[i]))
        at = int(leaf(items, 'offset')[i])
        # Fields of several numbers have no list to go to.
        if code and int(leaf(items, 'count')[i]) == 1 and at + np.dtype(code).itemsize <= step:
            found[name] = order + code, at
    return _Layout(found, step)


def _packed(lists: dict[str, pa.DataType]) -> _Layout:
    fields: dict[str, tuple[str, int]] = {}
    at = 0
    for name, kind in lists.items():
        code = np.dtype(kind.value_type.to_pandas_dtype()).str.lstrip('<|')
        fields[name] = code, at
        at += np.dtype(code).itemsize
    return _Layout(fields, at)


def _described(layouts: list[tuple[_Layout, int]]) -> List:
    """The member ``fields`` of so many messages of each layout, one after the other."""
    names: list[bytes] = []
    numbers: list[tuple[int, int]] = []
    counts: list[int] = []
    for layout, rows in layouts:
        counts += [len(layout.fields)] * rows
        names += [name.encode() for name in layout.fields] * rows
        numbers += [(at, _DATATYPES[code]) for code, at in layout.fields.values()] * rows
    table = np.array(numbers, np.int64).reshape(-1, 2)
    text = Bytes(
        running(np.array([len(name) for name in names], np.int64)),
        np.frombuffer(b''.join(names), np.uint8),
    )
    members: dict[str, Column] = {
        'name': text,
        'offset': Leaf(table[:, 0].astype(np.uint32)),
        'datatype': Leaf(table[:, 1].astype(np.uint8)),
        'count': Leaf(np.ones(len(table), np.uint32)),
    }
    return List(running(np.array(counts, np.int64)), Group(members, len(table)))


def _without_nan(lists: pa.Array, counts: np.ndarray) -> np.ndarray:
    """Rows all of whose values are numbers; drivers mark missing points of a grid by NaN."""
    nan = np.isnan(lists.flatten().to_numpy(zero_copy_only=False))
    per_row = np.bincount(np.repeat(np.arange(len(counts)), counts), nan, minlength=len(counts))
    return np.asarray(per_row == 0)


MAPS = [
    CloudMap('sensor_msgs/msg/PointCloud2', name)
    for name in ('Lidar', 'Radar', 'RGBDCamera', 'ToFCamera', 'StereoCamera')
]
