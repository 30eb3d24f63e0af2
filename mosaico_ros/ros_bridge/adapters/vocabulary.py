"""Words of which column maps are made: how a column of a message becomes one of the ontology.

A map says only what differs. Members of a target structure that it does not name are taken from
the source member of the same name, or are null if there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.columns import (
    Bytes,
    Column,
    Group,
    Leaf,
    List,
    bytes_array,
    fixed_list_array,
    list_array,
    null_array,
    number_array,
    struct_array,
)

#: Rows for which a value exists, as a boolean array of shape (n,).
Condition = Callable[[Group], np.ndarray]


class Word:
    """One way to fill a target field from the columns of a message."""

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        """Arrow array of type ``kind``, one value per row of ``scope``."""
        raise NotImplementedError


def lookup(scope: Group, path: str) -> Column:
    """Column at a dotted path.

    Raises
    ------
    InvalidArgumentError
        If the message has no such member (another version of the type).
    """
    column: Column = scope
    for name in path.split('.') if path else ():
        if not isinstance(column, Group) or name not in column.members:
            raise InvalidArgumentError(f'the message definition has no member {path!r}')
        column = column.members[name]
    return column


def group(scope: Group, path: str) -> Group:
    """Structure at a dotted path; the empty path is the scope itself."""
    column = lookup(scope, path)
    if not isinstance(column, Group):
        raise InvalidArgumentError(f'member {path!r} of the message is not a structure')
    return column


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
        path = next((p for p in (self.path, *self.others) if has(scope, p)), self.path)
        return convert(lookup(scope, path), kind, self.when(scope) if self.when else None)


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


@dataclass(frozen=True)
class Covariance(Word):
    """Covariance matrix, row-major; null unless an entry is positive (ROS: all zero = unknown)."""

    path: str

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return convert(lookup(scope, self.path), kind, positive(self.path)(scope))


@dataclass(frozen=True)
class NotNan(Word):
    """Number at ``path``; null where it is NaN (ROS: not measured)."""

    path: str

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        column = _leaf(scope, self.path)
        return number_array(column, kind, ~np.isnan(column))


@dataclass(frozen=True)
class Pack(Word):
    """Fixed-size list of the numbers at ``paths``."""

    paths: tuple[str, ...]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        values = np.stack([_leaf(scope, path) for path in self.paths], axis=1)
        return convert(Leaf(values), kind)


@dataclass(frozen=True)
class Compute(Word):
    """Numbers computed from the number at ``path``."""

    path: str
    function: Callable[[np.ndarray], np.ndarray]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        values = _leaf(scope, self.path).astype(np.dtype(kind.to_pandas_dtype()))
        return number_array(self.function(values), kind)


@dataclass(frozen=True)
class Relabel(Word):
    """Text at ``path`` passed through ``function``, which sees each distinct text once."""

    path: str
    function: Callable[[str], str]

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        texts = convert(lookup(scope, self.path), pa.string()).dictionary_encode()
        labels = [self.function(text) for text in texts.dictionary.to_pylist()]
        return pa.array(labels, kind).take(texts.indices)


@dataclass(frozen=True)
class Nothing(Word):
    """Null, although the message has a member of that name."""

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return null_array(len(scope), kind)


@dataclass(frozen=True)
class Constant(Word):
    """The same value in every row."""

    value: str | int | float | bool

    def emit(self, scope: Group, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(self.value, kind), len(scope))


# --- conditions ---------------------------------------------------------------------------------


def has(scope: Group, path: str) -> bool:
    """Whether the definition has this member."""
    column: Column = scope
    for name in path.split('.'):
        if not isinstance(column, Group) or name not in column.members:
            return False
        column = column.members[name]
    return True


def positive(path: str) -> Condition:
    """Number, or any entry of a fixed array, above zero."""

    def condition(scope: Group) -> np.ndarray:
        values: np.ndarray = _leaf(scope, path) > 0
        return np.asarray(values.any(axis=1) if values.ndim == 2 else values)

    return condition


def filled(path: str) -> Condition:
    """Text, blob or list that is not empty."""

    def condition(scope: Group) -> np.ndarray:
        column = lookup(scope, path)
        if not isinstance(column, (Bytes, List)):
            raise InvalidArgumentError(f'member {path!r} has no length')
        return np.diff(column.offsets) > 0

    return condition


def leads_with(path: str, value: float) -> Condition:
    """First entry of a fixed array equals ``value``."""

    def condition(scope: Group) -> np.ndarray:
        leading: np.ndarray = _leaf(scope, path)[:, 0]
        return np.asarray(leading == value)

    return condition


def unless(condition: Condition) -> Condition:
    return lambda scope: ~condition(scope)


def _leaf(scope: Group, path: str) -> np.ndarray:
    column = lookup(scope, path)
    if not isinstance(column, Leaf):
        raise InvalidArgumentError(f'member {path!r} of the message is not a number')
    return column.values


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
        words = {'timestamp': time('stamp'), 'sample_counter': Copy('seq', optional=True)}
        header = group(scope, self.path)
        stamped = (_leaf(header, 'stamp.sec') != 0) | (_leaf(header, 'stamp.nanosec') != 0)
        return members(header, kind, words, stamped | filled('frame_id')(header))
