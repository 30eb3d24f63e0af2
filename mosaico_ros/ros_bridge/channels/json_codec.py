"""JSON messages: the columns are those of the JSON Schema.

What a schema leaves open - objects without properties, alternatives, recursion - is kept as JSON
text. Every member is nullable, because messages leave members out, whatever the schema requires.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.channels.codec import Budget, ChannelCodec, Parsed

#: The one column of messages without schema.
TEXT_COLUMN = 'json'
_SCALARS = {
    'number': pa.float64(),
    'integer': pa.int64(),
    'boolean': pa.bool_(),
    'string': pa.string(),
}
_PYTHON_TYPES = {bool: 'boolean', int: 'integer', float: 'number', str: 'string'}
_EXACT = 2**53


@dataclass(frozen=True)
class _Scalar:
    arrow: pa.DataType


@dataclass(frozen=True)
class _Text:
    """Anything, as JSON text."""

    @property
    def arrow(self) -> pa.DataType:
        return pa.string()


@dataclass(frozen=True)
class _List:
    item: _Node

    @property
    def arrow(self) -> pa.DataType:
        return pa.list_(self.item.arrow)


@dataclass(frozen=True)
class _Object:
    members: Mapping[str, _Node]

    @property
    def arrow(self) -> pa.StructType:
        return pa.struct([pa.field(name, node.arrow) for name, node in self.members.items()])


_Node = _Scalar | _Text | _List | _Object


class JsonCodec(ChannelCodec):
    """Messages of one JSON Schema.

    Parameters
    ----------
    schema
        Its text; empty if there is none. Without properties messages become one column of text.

    Raises
    ------
    InvalidArgumentError
        If it is not JSON.
    """

    def __init__(self, schema: bytes) -> None:
        root: Any = {}
        if schema.strip():
            try:
                root = json.loads(schema)
            except (ValueError, RecursionError) as error:
                raise InvalidArgumentError(f'the JSON Schema cannot be read ({error})') from error
        try:
            node = _Reader(root).node(root, ())
        except RecursionError as error:
            raise InvalidArgumentError('the JSON Schema is nested too deeply') from error
        self._whole = not isinstance(node, _Object)
        self._root = node if isinstance(node, _Object) else _Object({TEXT_COLUMN: _Text()})
        self._bulk = not self._whole and not _has_text(self._root)
        try:
            self.struct = self._root.arrow
        except UnicodeError as error:
            raise InvalidArgumentError(
                f'a name in the JSON Schema is no text ({error})'
            ) from error

    def parse(self, payloads: Sequence[bytes]) -> Parsed:
        if self._bulk:
            values = self._parsed_in_bulk(payloads)
            if values is not None:
                return Parsed(values, np.arange(len(payloads)), Counter())
        found, rows, problems = [], [], Counter[str]()
        for i, payload in enumerate(payloads):
            try:
                text = bytes(payload).decode()
                value = json.loads(text)
            except (ValueError, RecursionError):
                problems['not JSON'] += 1
                continue
            if self._whole:
                found.append({TEXT_COLUMN: text})
            elif isinstance(value, dict):
                found.append(_fitted(self._root, value))
            else:
                problems['not a JSON object'] += 1
                continue
            rows.append(i)
        return Parsed(pa.array(found, self.struct), np.array(rows, np.int64), problems)

    def serialize(self, values: pa.StructArray) -> list[bytes]:
        rows = values.to_pylist()
        if self._whole:
            return [(row[TEXT_COLUMN] or '').encode() for row in rows]
        return [_dumped(_plain(self._root, row)).encode() for row in rows]

    def native(self, payload: bytes) -> Any:
        return json.loads(payload)

    def canonical(self, payload: bytes) -> bytes:
        try:
            value = json.loads(bytes(payload).decode(), parse_float=_number)
            return json.dumps(value, sort_keys=True).encode()
        except (ValueError, RecursionError):
            return bytes(payload)

    def _parsed_in_bulk(self, payloads: Sequence[bytes]) -> pa.StructArray | None:
        """All messages at once; None if one of them is not as the schema says."""
        import pyarrow.json as arrow_json

        # Line ends stand only between tokens: inside of strings JSON escapes them.
        lines = [bytes(p).replace(b'\n', b' ').replace(b'\r', b' ') for p in payloads]
        if not lines or not all(line.lstrip().startswith(b'{') for line in lines):
            return None
        text = b'\n'.join(lines)
        # Arrow takes text as it is: broken UTF-8, and halves of escaped surrogate pairs.
        if b'\\u' in text or not _is_utf8(text):
            return None
        options = arrow_json.ParseOptions(
            explicit_schema=pa.schema(list(self.struct)), unexpected_field_behavior='ignore'
        )
        reading = arrow_json.ReadOptions(block_size=len(text) + 1)
        try:
            table = arrow_json.read_json(io.BytesIO(text), reading, options)
        except (pa.ArrowException, OSError):
            return None
        if table.num_rows != len(payloads):
            return None
        arrays = [table.column(f.name).combine_chunks() for f in self.struct]
        return pa.StructArray.from_arrays(arrays, fields=list(self.struct))


class _Reader:
    """What a schema says of values."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._budget = Budget()

    def node(self, schema: Any, above: tuple[str, ...]) -> _Node:
        """What a part of it says; ``above`` are the references that lead there."""
        self._budget.take()
        if not isinstance(schema, dict):
            return _Text()
        if '$ref' in schema:
            reference = schema['$ref']
            if reference in above:
                return _Text()
            return self.node(_referred(self._root, reference), (*above, reference))
        for word in ('anyOf', 'oneOf', 'allOf'):
            choices = schema.get(word)
            if isinstance(choices, list):
                choices = [choice for choice in choices if choice != {'type': 'null'}]
                return self.node(choices[0], above) if len(choices) == 1 else _Text()
        kind = _kind(schema)
        properties, items = schema.get('properties'), schema.get('items')
        if kind == 'object' and isinstance(properties, dict) and properties:
            if isinstance(schema.get('additionalProperties'), dict):
                return _Text()
            return _Object({name: self.node(one, above) for name, one in properties.items()})
        if kind == 'array' and isinstance(items, dict):
            return _List(self.node(items, above))
        return _Scalar(_SCALARS[kind]) if kind in _SCALARS else _Text()


def _kind(schema: dict[str, Any]) -> str:
    """Type of a value, null aside; empty if there are several or it is not said."""
    kind = schema.get('type')
    if kind is None and 'properties' in schema:
        return 'object'
    if kind is None:
        choices = schema.get('enum', [schema['const']] if 'const' in schema else [])
        values = [v for v in choices if v is not None] if isinstance(choices, list) else []
        kinds = {_PYTHON_TYPES.get(type(value), '') for value in values}
    else:
        named = kind if isinstance(kind, list) else [kind]
        kinds = {one for one in named if isinstance(one, str) and one != 'null'}
    return kinds.pop() if len(kinds) == 1 else ''


def _referred(root: Any, reference: Any) -> Any:
    """The part of a schema that ``#/definitions/Name`` points to; None if it points elsewhere."""
    if not isinstance(reference, str) or not reference.startswith('#'):
        return None
    found = root
    for step in reference[1:].split('/')[1:]:
        step = step.replace('~1', '/').replace('~0', '~')
        if not isinstance(found, dict) or step not in found:
            return None
        found = found[step]
    return found


def _has_text(node: _Node) -> bool:
    if isinstance(node, _Object):
        return any(map(_has_text, node.members.values()))
    return isinstance(node, _Text) or (isinstance(node, _List) and _has_text(node.item))


def _fitted(node: _Node, value: Any) -> Any:
    """A value as its column takes it; null if it is something else than the schema says."""
    if isinstance(node, _Text):
        return None if value is None else _dumped(value)
    if isinstance(node, _Object):
        if not isinstance(value, dict):
            return None
        return {name: _fitted(inner, value.get(name)) for name, inner in node.members.items()}
    if isinstance(node, _List):
        return [_fitted(node.item, one) for one in value] if isinstance(value, list) else None
    kind = _PYTHON_TYPES.get(type(value))
    if node.arrow == pa.float64():
        return float(value) if kind == 'number' or _is_exact(value, _EXACT) else None
    if node.arrow == pa.int64():
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if _is_exact(value, 2**63 - 1) else None
    if node.arrow == pa.string() and isinstance(value, str):
        return value if value.isascii() or _is_text(value) else None
    return value if kind == 'boolean' and node.arrow == pa.bool_() else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_exact(value: Any, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value <= limit


def _is_text(value: str) -> bool:
    """Whether it is without lone surrogates, which JSON can escape and UTF-8 cannot hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(node: _Node, value: Any) -> Any:
    """The value that a column's value came of; members that are null are left out."""
    if value is None:
        return None
    if isinstance(node, _Text):
        return json.loads(value)
    if isinstance(node, _List):
        return [_plain(node.item, one) for one in value]
    if isinstance(node, _Object):
        members = node.members.items()
        return {
            name: _plain(inner, value[name]) for name, inner in members if value[name] is not None
        }
    return value


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def _number(text: str) -> float | int | str:
    """A number, whole ones as integers: 1.0 means 1; as text where no float is as large."""
    value = float(text)
    if math.isinf(value):
        return text
    return int(value) if abs(value) < _EXACT and value.is_integer() and value else value
