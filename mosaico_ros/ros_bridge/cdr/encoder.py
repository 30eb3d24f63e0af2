"""Columns of one message type back to payloads: the decoder's programs, run the other way.

Two passes over the same program. The first only adds up positions, which gives the length of each
payload; the second writes into one buffer of exactly that size, a few copies per field and none
per message. Padding is zero, as canonical CDR has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.columns import Bytes, Column, Group, Leaf, List
from mosaico_ros.ros_bridge.cdr.cursor import (
    Cursor,
    Strided,
    aligned,
    collapse,
    first_item,
    offsets_of,
    running,
)
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.cdr.layout import (
    CDR_LE,
    ENCAPSULATIONS,
    Block,
    ItemsStep,
    Program,
    Shape,
    Struct,
    TextStep,
    Wire,
    compile_program,
)

#: Longer pieces are copied one by one (memory speed), shorter ones by an index per byte.
_PIECEWISE_BYTES = 128
_KINDS = {wire: kind for kind, wire in ENCAPSULATIONS.items()}


class PayloadEncoder:
    """Encodes one message type.

    Parameters
    ----------
    tree : Struct
        The definition, from `build_tree`.
    wire : Wire
        How values are laid out; little-endian CDR by default.
    """

    def __init__(self, tree: Struct, wire: Wire = CDR_LE) -> None:
        self._program = compile_program(tree, wire)

    def encode(self, column: Column) -> Payloads:
        """Encode every row, encapsulation header included, in order and end to end.

        Parameters
        ----------
        column
            In the form that the decoder gives for the same definition.

        Raises
        ------
        InvalidArgumentError
            If a text or a list has more than 2**32 - 1 bytes or items.
        """
        wire = self._program.wire
        n = len(column)
        if n == 0:
            return Payloads.join([])
        slots = _spread(self._program, column)
        lengths = self._lengths(slots, n)
        offsets = running(lengths)
        target = _Target(np.zeros(int(offsets[-1]), np.uint8), offsets[:-1] + wire.header)
        if wire.header:
            target.put(-wire.header + 1, np.full((n, 1), _KINDS[wire], np.uint8))
        _run(self._program, slots, n, 0, target)
        return Payloads(target.buffer, offsets[:-1], lengths)

    def lengths(self, column: Column) -> np.ndarray:
        """Bytes that each row takes, encapsulation header included, shape (n,), int64."""
        return self._lengths(_spread(self._program, column), len(column))

    def _lengths(self, slots: list[Column], n: int) -> np.ndarray:
        end = _run(self._program, slots, n, 0, None)
        return np.array(np.broadcast_to(end + self._program.wire.header, n), np.int64)


@dataclass(frozen=True)
class _Target:
    """Where each row's bytes go: ``base``, shape (n,), int64, is the origin of its positions."""

    buffer: np.ndarray
    base: np.ndarray

    def put(self, rel: Cursor, matrix: np.ndarray) -> None:
        """Write ``matrix``, shape (n, size), uint8, at ``rel`` of every row."""
        n, size = matrix.shape
        if n == 0 or size == 0:
            return
        # A view that overlaps itself byte by byte: one item of it is `size` bytes anywhere.
        sliding: np.ndarray = np.ndarray(
            (len(self.buffer) - size + 1,), f'V{size}', self.buffer, 0, (1,)
        )
        sliding[self.base + rel] = np.ascontiguousarray(matrix).view(f'V{size}')[:, 0]

    def put_pieces(self, rel: Cursor, offsets: np.ndarray, data: np.ndarray) -> None:
        """Write ``data[offsets[i]:offsets[i + 1]]`` at ``rel`` of row i."""
        sizes = collapse(np.diff(offsets))
        if isinstance(sizes, int):
            self.put(rel, data.reshape(len(self.base), sizes))
            return
        start = self.base + rel
        total = int(offsets[-1])
        if total > _PIECEWISE_BYTES * len(start):
            for at, first, last in zip(
                start.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True
            ):
                self.buffer[at : at + last - first] = data[first:last]
        else:
            index = np.arange(total)
            index += np.repeat(start - offsets[:-1], sizes)
            self.buffer[index] = data

    def repeat(self, counts: Cursor) -> _Target:
        """The target of items: every row as often as it has items."""
        return _Target(self.buffer, np.repeat(self.base, counts))


def _spread(program: Program, column: Column) -> list[Column]:
    """Columns by slot, the inverse of assembling them."""
    slots: list[Column | None] = [None] * program.slots
    _fill(slots, program.shape, column)
    for step in program.steps:
        if isinstance(step, TextStep) and step.wide:
            slots[step.slot] = _wide(slots[step.slot])
    return [column for column in slots if column is not None]


# No function inside the other: one that calls itself keeps the columns until the garbage
# collector runs, and few objects of many megabytes do not make it run.
def _fill(slots: list[Column | None], shape: Shape, column: Column) -> None:
    if isinstance(shape, int):
        slots[shape] = column
        return
    assert isinstance(column, Group)
    for name, inner in shape:
        _fill(slots, inner, column.members[name])


def _run(
    program: Program, slots: list[Column], n: int, rel: Cursor, target: _Target | None
) -> Cursor:
    """Advance over one structure per row, writing it if there is a target."""
    steps = program.steps
    for number, step in enumerate(steps):
        if isinstance(step, Block):
            rel = aligned(rel, step.align)
            if target is not None:
                following = steps[number + 1] if step.measures else None
                target.put(rel, _block(program.wire, step, slots, n, following))
            rel = rel + step.size
        elif isinstance(step, TextStep):
            rel = _text(program.wire, step, slots[step.slot], rel, target)
        else:
            rel = _items(program.wire, step, slots[step.slot], n, rel, target)
    return rel


def _block(wire: Wire, block: Block, slots: list[Column], n: int, following: object) -> np.ndarray:
    """Bytes of a block, shape (n, size)."""
    order = '>' if wire.big_endian else '<'
    matrix = np.zeros((n, block.size), np.uint8)
    for leaf in block.leaves:
        column = slots[leaf.slot]
        assert isinstance(column, Leaf)
        size = int(leaf.code[1:]) * (1 if leaf.count is None else leaf.count)
        matrix[:, leaf.offset : leaf.offset + size] = _raw(column.values, order + leaf.code, n)
    if isinstance(following, (TextStep, ItemsStep)):
        words = np.asarray(_length_word(wire, following, slots[following.slot]))
        if words.size and words.max() > np.iinfo(np.uint32).max:
            raise InvalidArgumentError(
                f'a text or list of {words.max()} bytes or items does not fit one message'
            )
        matrix[:, -4:] = _raw(np.broadcast_to(words, n), order + 'u4', n)
    return matrix


def _raw(values: np.ndarray, code: str, n: int) -> np.ndarray:
    """Bytes of numbers in wire order, shape (n, bytes of a row)."""
    return np.ascontiguousarray(values, code).view(np.uint8).reshape(n, -1)


def _length_word(wire: Wire, step: TextStep | ItemsStep, column: Column) -> Cursor:
    counts = _counts(column)
    if isinstance(step, ItemsStep):
        return counts
    return counts // 4 if step.wide else counts + wire.terminated


def _counts(column: Column) -> Cursor:
    assert isinstance(column, (Bytes, List))
    return collapse(np.diff(column.offsets))


def _text(
    wire: Wire, step: TextStep, column: Column, rel: Cursor, target: _Target | None
) -> Cursor:
    assert isinstance(column, Bytes)
    if target is not None:
        data = column.data
        if step.wide and wire.big_endian:
            data = data.view('<u4').byteswap().view(np.uint8)
        target.put_pieces(rel, column.offsets, data)
    return rel + _counts(column) + (wire.terminated and not step.wide)


def _items(
    wire: Wire, step: ItemsStep, column: Column, n: int, rel: Cursor, target: _Target | None
) -> Cursor:
    if step.program is None:
        return _primitives(wire, step, column, rel, target)
    assert isinstance(column, List)
    counts = _counts(column) if step.count is None else step.count
    slots = _spread(step.program, column.items)
    at: np.ndarray
    stop: Cursor
    if step.program.block is not None:
        strided = Strided(step.program.block, rel, counts)
        at, stop = strided.starts(n), strided.stop
    else:
        at, stop = _locate(step.program, slots, offsets_of(counts, n), rel)
    if target is not None:
        if len(column.items):
            _run(step.program, slots, len(column.items), at, target.repeat(counts))
        if wire.delimited:
            # The size of all that follows it, length word included, stands before that word.
            inside = rel - (4 if step.count is None else 0)
            size = np.broadcast_to(np.asarray(stop - inside), n)
            target.put(inside - 4, _raw(size, '>u4' if wire.big_endian else '<u4', n))
    return stop


def _primitives(
    wire: Wire, step: ItemsStep, column: Column, rel: Cursor, target: _Target | None
) -> Cursor:
    assert step.code is not None
    counts = _counts(column)
    start = first_item(rel, counts, min(step.min_size, wire.max_align))
    if target is not None:
        if isinstance(column, Bytes):
            target.put_pieces(start, column.offsets, column.data)
        else:
            assert isinstance(column, List)
            assert isinstance(column.items, Leaf)
            order = '>' if wire.big_endian else '<'
            raw = np.ascontiguousarray(column.items.values, order + step.code).view(np.uint8)
            target.put_pieces(start, column.offsets * step.min_size, raw)
    return start + counts * step.min_size


def _locate(
    program: Program, slots: list[Column], offsets: np.ndarray, rel: Cursor
) -> tuple[np.ndarray, np.ndarray]:
    """Start of every item, and the position after the last of each row.

    How long an item is depends on where it starts, but only on its phase: the start modulo the
    largest alignment inside. So all items are measured once per phase that can occur, and what
    remains to be found is each item's phase. An item maps the phase that it starts with to that
    of the next one; composing these maps along each row takes log2(items) steps.
    """
    n, m = len(offsets) - 1, int(offsets[-1])
    counts = np.diff(offsets)
    unit, span = _entry_align(program), _largest_align(program)
    phases = np.arange(0, span, unit)
    sizes = np.empty((m, len(phases)), np.int64)
    for i, phase in enumerate(phases.tolist()):
        sizes[:, i] = _run(program, slots, m, phase, None) - phase
    pitches = aligned(sizes + phases, unit) - phases
    start = np.broadcast_to(np.asarray(first_item(rel, counts, unit), np.int64), n)
    phase_of = np.repeat(start % span // unit, counts)
    place = np.arange(m) - np.repeat(offsets[:-1], counts)
    if len(phases) > 1 and m:
        follow = (phases + pitches) % span // unit
        reach = 1
        while reach < counts.max():
            later = np.flatnonzero(place >= reach)
            follow[later] = np.take_along_axis(follow[later], follow[later - reach], axis=1)
            reach *= 2
        later = np.flatnonzero(place)
        phase_of[later] = follow[later - 1, phase_of[later]]
    chosen = np.arange(m), phase_of
    before = running(pitches[chosen])
    at = np.repeat(start - before[offsets[:-1]], counts) + before[:-1]
    stop = start.copy()
    filled = np.flatnonzero(counts)
    last = offsets[filled + 1] - 1
    stop[filled] = at[last] + sizes[chosen][last]
    return at, stop


def _entry_align(program: Program) -> int:
    """Alignment of a structure's first byte."""
    if not program.steps:
        return 1
    first = program.steps[0]
    if isinstance(first, Block):
        return first.align
    assert isinstance(first, ItemsStep)
    if first.program is not None and first.count:
        return _entry_align(first.program)
    return 1


def _largest_align(program: Program) -> int:
    largest = 1
    for step in program.steps:
        if isinstance(step, Block):
            largest = max(largest, step.align)
        elif isinstance(step, ItemsStep):
            if step.program is not None:
                largest = max(largest, _largest_align(step.program))
            else:
                largest = max(largest, min(step.min_size, program.wire.max_align))
    return largest


def _wide(column: Column | None) -> Bytes:
    """UTF-8 text as UTF-16 units, each in a little-endian word of 32 bits."""
    assert isinstance(column, Bytes)
    raw, cuts = column.data.tobytes(), column.offsets.tolist()
    texts = [raw[first:last].decode().encode('utf-16-le') for first, last in pairwise(cuts)]
    sizes = np.fromiter((2 * len(text) for text in texts), np.int64, len(texts))
    units = np.frombuffer(b''.join(texts), '<u2').astype('<u4')
    return Bytes(running(sizes), units.view(np.uint8))
