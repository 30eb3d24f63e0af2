"""Words of which column maps are made: how columns of a message become those of the ontology.

A map says only what differs. Members of a target structure that it does not name are taken from
the source member of the same name, or are null if there is none. Every word also knows the way
back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.adapters.draft import Draft
from mosaico_ros.ros_bridge.adapters.scope import (
    Condition,
    Marked,
    filled,
    group,
    has,
    leaf,
    lookup,
    positive,
)
from mosaico_ros.ros_bridge.cdr.columns import (
    Bytes,
    Column,
    Group,
    Leaf,
    List,
    bytes_array,
    column_of,
    fixed_list_array,
    list_array,
    list_offsets,
    null_array,
    number_array,
    pieces_array,
    struct_array,
    values_of,
)
from mosaico_ros.ros_bridge.cdr.layout import Array, Sequence, Struct


class Word:
    """One way to fill a target field from the columns of a message, and the message from it."""

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        """Arrow array of type ``kind``, one value per row of ``scope``."""
        raise NotImplementedError

    def restore(self, array: pa.Array, draft: Draft) -> None:
        """Set the members that `emit` reads from what it has made of them."""
        raise NotImplementedError


def convert(column: Column, kind: pa.DataType, valid: np.ndarray | None = None) -> pa.Array:
    """Arrow array of a column whose form already agrees with ``kind``; numbers are cast."""
    if isinstance(column, Group):
        return members(column, kind, {}, valid)
    if isinstance(column, Bytes):
        if pa.types.is_list(kind):
            items = number_array(column.data, kind.value_type)
            return list_array(column.offsets, items, kind, valid)
        return bytes_array(column, kind, valid)
    if isinstance(column, Leaf):
        if column.values.ndim == 1:
            return number_array(column.values, kind, valid)
        items = number_array(column.values.reshape(-1), kind.value_type)
        if pa.types.is_fixed_size_list(kind):
            return fixed_list_array(items, kind, valid)
        n, k = column.values.shape
        return list_array(np.arange(n + 1, dtype=np.int64) * k, items, kind, valid)
    items = convert(column.items, kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return fixed_list_array(items, kind, valid)
    return list_array(column.offsets, items, kind, valid)


def members(
    source: Group,
    kind: pa.StructType,
    words: Mapping[str, Word],
    valid: np.ndarray | None = None,
) -> pa.Array:
    """Struct array whose members come from ``words``, else by name, else are null."""
    children = []
    for i in range(kind.num_fields):
        target = kind.field(i)
        if target.name in words:
            children.append(words[target.name].emit(source, target.type))
        elif target.name in source.members:
            children.append(convert(source.members[target.name], target.type))
        else:
            children.append(null_array(len(source), target.type))
    return struct_array(len(source), children, kind, valid)


# --- words --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copy(Word):
    """The column at ``path``, or at the first of ``others`` that the message has.

    ``optional``: null if older versions of the message type lack it.
    """

    path: str
    others: tuple[str, ...] = ()
    when: Condition | None = None
    optional: bool = False

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        if self.optional and not has(scope, self.path):
            return null_array(len(scope), kind)
        column = lookup(scope, self._present(lambda path: has(scope, path)))
        return convert(column, kind, self.when(scope) if self.when else None)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        path = self._present(draft.has)
        if draft.has(path) or not self.optional:
            draft.fill(path, array)

    def _present(self, there: Callable[[str], bool]) -> str:
        return next((path for path in (self.path, *self.others) if there(path)), self.path)


@dataclass(frozen=True)
class Nest(Word):
    """Structure whose members are taken from ``path``; ``words`` are relative to it.

    ``outer`` holds words for members that come from the enclosing scope instead, ``when`` is a
    condition on that scope.
    """

    path: str = ''
    words: Mapping[str, Word] = field(default_factory=dict)
    outer: Mapping[str, Word] = field(default_factory=dict)
    when: Condition | None = None

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        words = dict(self.words)
        words.update({name: _In(scope, word) for name, word in self.outer.items()})
        valid = self.when(scope) if self.when else None
        return members(group(scope, self.path), kind, words, valid)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        inner = draft.at(self.path)
        for target, values in zip(array.type, array.flatten(), strict=True):
            if target.name in self.words:
                self.words[target.name].restore(values, inner)
            elif target.name in self.outer:
                self.outer[target.name].restore(values, draft)
            elif inner.has(target.name):
                inner.fill(target.name, values)
        if isinstance(self.when, Marked) and array.null_count:
            self.when.mark(draft, values_of(array.is_null()))


@dataclass(frozen=True)
class _In(Word):
    """Another word, bound to a scope."""

    scope: Group
    word: Word

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return self.word.emit(self.scope, kind)


@dataclass(frozen=True)
class Each(Word):
    """List of structures (or, with `Copy`, of values) made from each item at ``path``."""

    path: str
    word: Word
    when: Condition | None = None

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        column = lookup(scope, self.path)
        if not isinstance(column, List) or not isinstance(column.items, Group):
            raise InvalidArgumentError(f'member {self.path!r} is not a list of structures')
        items = self.word.emit(column.items, kind.value_type)
        return list_array(column.offsets, items, kind, self.when(scope) if self.when else None)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        node = draft.node(self.path)
        if not isinstance(node, (Array, Sequence)) or not isinstance(node.item, Struct):
            raise InvalidArgumentError(f'member {self.path!r} is not a list of structures')
        offsets = list_offsets(array)
        items = Draft(node.item, int(offsets[-1]))
        self.word.restore(array.flatten(), items)
        draft.put(self.path, List(offsets, items.finish()))


@dataclass(frozen=True)
class Covariance(Word):
    """Covariance matrix, row-major; null unless an entry is positive (ROS: all zero = unknown)."""

    path: str

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return convert(lookup(scope, self.path), kind, positive(self.path)(scope))

    def restore(self, array: pa.Array, draft: Draft) -> None:
        draft.fill(self.path, array)


@dataclass(frozen=True)
class NotNan(Word):
    """Number at ``path``; null where it is NaN (ROS: not measured)."""

    path: str

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        column = leaf(scope, self.path)
        return number_array(column, kind, ~np.isnan(column))

    def restore(self, array: pa.Array, draft: Draft) -> None:
        nothing = number_array(np.full(len(array), np.nan), array.type)
        draft.fill(self.path, pc.coalesce(array, nothing))


@dataclass(frozen=True)
class Pack(Word):
    """Fixed-size list of the numbers at ``paths``."""

    paths: tuple[str, ...]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        values = np.stack([leaf(scope, path) for path in self.paths], axis=1)
        return convert(Leaf(values), kind)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        node = draft.node(self.paths[0])
        packed = column_of(Array(node, len(self.paths)), array, draft.length)
        assert isinstance(packed, Leaf)
        for i, path in enumerate(self.paths):
            draft.put(path, Leaf(packed.values[:, i]))


@dataclass(frozen=True)
class Compute(Word):
    """Numbers computed from the number at ``path``."""

    path: str
    function: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        values = leaf(scope, self.path).astype(np.dtype(kind.to_pandas_dtype()))
        return number_array(self.function(values), kind)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        draft.fill(self.path, array)
        values = draft.numbers(self.path)
        values[:] = self.inverse(values)


@dataclass(frozen=True)
class Relabel(Word):
    """Text at ``path`` passed through ``function``, which sees each distinct text once.

    The way back is the label itself.
    """

    path: str
    function: Callable[[str], str]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        texts = convert(lookup(scope, self.path), pa.string()).dictionary_encode()
        labels = [self.function(text).encode() for text in texts.dictionary.to_pylist()]
        return pieces_array(labels, kind).take(texts.indices)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        draft.fill(self.path, array)


@dataclass(frozen=True)
class Nothing(Word):
    """Null, although the message has a member of that name."""

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return null_array(len(scope), kind)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        pass


@dataclass(frozen=True)
class Constant(Word):
    """The same text in every row."""

    text: str

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return pieces_array([self.text.encode()] * len(scope), kind)

    def restore(self, array: pa.Array, draft: Draft) -> None:
        pass


# --- phrases that most types share --------------------------------------------------------------


def time(path: str) -> Word:
    """``builtin_interfaces`` time or duration."""
    return Nest(path, {'seconds': Copy('sec'), 'nanoseconds': Copy('nanosec')})


@dataclass(frozen=True)
class Header(Word):
    """Header at ``path``; null if it says nothing (no frame, stamp zero) or is not there."""

    path: str = 'header'

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        if not has(scope, self.path):
            return null_array(len(scope), kind)
        header = group(scope, self.path)
        stamped = (leaf(header, 'stamp.sec') != 0) | (leaf(header, 'stamp.nanosec') != 0)
        return members(header, kind, _HEADER, stamped | filled('frame_id')(header))

    def restore(self, array: pa.Array, draft: Draft) -> None:
        if draft.has(self.path):
            Nest(self.path, _HEADER).restore(array, draft)


_HEADER = {'timestamp': time('stamp'), 'sample_counter': Copy('seq', optional=True)}
