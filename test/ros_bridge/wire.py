"""Random message types, and a plain serializer to hold the decoder against."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st

from mosaico_ros.ros_bridge.cdr.layout import (
    EMPTY_STRUCT_MEMBER,
    PRIMITIVES,
    Array,
    Primitive,
    Sequence,
    Struct,
    Text,
    Wire,
)

_PACK = {
    'b1': '?',
    'u1': 'B',
    'i1': 'b',
    'i2': 'h',
    'u2': 'H',
    'i4': 'i',
    'u4': 'I',
    'i8': 'q',
    'u8': 'Q',
    'f4': 'f',
    'f8': 'd',
}
BASES = sorted(set(PRIMITIVES) - {'octet'})


def serialize(node, value, wire: Wire) -> bytes:
    """Serialize a value as the wire layout prescribes, encapsulation header included."""
    out = bytearray()
    order = '>' if wire.big_endian else '<'

    def put(code, item):
        size = min(int(code[1:]), wire.max_align)
        out.extend(b'\0' * (-len(out) % size))
        out.extend(struct.pack(order + _PACK[code], item))

    def write(node, value):
        if isinstance(node, Primitive):
            put(node.code, value)
        elif isinstance(node, Text) and node.wide:
            units = np.frombuffer(value.encode('utf-16-le'), '<u2').tolist()
            for unit in (len(units), *units):
                put('u4', unit)
        elif isinstance(node, Text):
            raw = value.encode() + (b'\0' if wire.terminated else b'')
            put('u4', len(raw))
            out.extend(raw)
        elif isinstance(node, Struct):
            for name, member in node.members:
                if name != EMPTY_STRUCT_MEMBER or wire.header:
                    write(member, value[name])
        else:
            items = Array(node.item, 0) if isinstance(node, Array) else node
            at = None
            if wire.delimited and not isinstance(node.item, Primitive):
                put('u4', 0)
                at = len(out)
            if isinstance(node, Sequence):
                put('u4', len(value))
            for item in value:
                write(items.item, item)
            if at is not None:
                out[at - 4 : at] = struct.pack(order + 'I', len(out) - at)

    write(node, value)
    kind = 0 if wire.header == 0 else (6 if wire.delimited else 0) + (not wire.big_endian)
    return (bytes([0, kind, 0, 0]) if wire.header else b'') + bytes(out)


def definitions(draw) -> dict:
    """rosbags' field definitions of a random type ``t/msg/Top`` and up to two nested ones."""
    types: dict = {}
    names = ['t/msg/Low', 't/msg/Mid', 't/msg/Top']
    for level, name in enumerate(names):
        fields = []
        for i in range(draw(st.integers(0 if level < 2 else 1, 5))):
            nested = names[:level]
            base = draw(st.sampled_from([*BASES, 'string', *nested]))
            desc = (2, base) if base in nested else (1, (base, 0))
            form = draw(st.sampled_from(['scalar', 'array', 'sequence']))
            if form == 'array':
                desc = (3, (desc, draw(st.integers(1, 3))))
            elif form == 'sequence':
                desc = (4, (desc, 0))
            fields.append((f'f{i}', desc))
        types[name] = ([], fields)
    return types


def values(draw, node):
    """Random value of a node, in the form that Arrow's ``to_pylist`` gives back."""
    if isinstance(node, Struct):
        return {
            name: 0 if name == EMPTY_STRUCT_MEMBER else values(draw, member)
            for name, member in node.members
        }
    if isinstance(node, Text):
        return draw(st.text(st.characters(exclude_characters='\0', codec='utf-8'), max_size=6))
    if isinstance(node, Primitive):
        return draw(_number(node.code))
    if isinstance(node, Array):
        return [values(draw, node.item) for _ in range(node.count)]
    count = draw(st.integers(0, 4))
    if node.item == Primitive('u1'):
        return draw(st.binary(min_size=count, max_size=count))
    return [values(draw, node.item) for _ in range(count)]


def _number(code):
    if code == 'b1':
        return st.booleans()
    if code[0] == 'f':
        width = 8 * int(code[1:])
        return st.floats(allow_nan=False, width=width)
    info = np.iinfo(np.dtype(code))
    return st.integers(int(info.min), int(info.max))
