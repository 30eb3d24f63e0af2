"""Programs run over all rows of a batch at once: one cursor per message, a few copies per field.

Where sequences hold items of varying size (strings inside structs), the items' positions are
found first, most cheaply for the commonest data: the layout of one message is tried on all others
(`_match`), rows that differ are stepped through item by item, all rows abreast (`_abreast`), and
a handful of leftovers is walked one by one. Once positions are known, items are just more rows.
"""

from __future__ import annotations

import numpy as np

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
from mosaico_ros.ros_bridge.cdr.layout import (
    MOST_EMPTY_ITEMS,
    Block,
    ItemsStep,
    Leaf as BlockLeaf,
    Program,
    Shape,
    TextStep,
)
from mosaico_ros.ros_bridge.cdr.rows import MalformedRows, Rows
from mosaico_ros.ros_bridge.cdr.walk import TooManyWords, Walker, WalkError

#: A template of more length words than this costs more than it saves.
_TEMPLATE_WORDS = 2000
#: Templates tried per sequence; each is worth it only while it settles this many rows.
_TEMPLATES = 6
_TEMPLATE_ROWS = 16
#: Fewer rows than this are walked one by one.
_ABREAST_ROWS = 24


class VectorDecoder:
    """Runs one program; counts strings that were not UTF-8 (kept with U+FFFD in their place)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.invalid_text = 0

    def decode(self, rows: Rows) -> Column:
        """Decode every row.

        Raises
        ------
        MalformedRows
            If payloads end before the definition does; nothing is decoded then.
        """
        return self._decode(self.program, rows, 0)[0]

    def _decode(self, program: Program, rows: Rows, rel: Cursor) -> tuple[Column, Cursor]:
        slots: list[Column | None] = [None] * program.slots
        rel = self._run(program, rows, rel, slots)
        return _assemble(program.shape, slots, len(rows)), rel

    def _run(
        self, program: Program, rows: Rows, rel: Cursor, slots: list[Column | None] | None
    ) -> Cursor:
        """Advance over one structure per row; fill ``slots``, or only skip if that is None."""
        wire = program.wire
        order = '>' if wire.big_endian else '<'
        words: Cursor = 0
        for step in program.steps:
            if isinstance(step, Block):
                rel = aligned(rel, step.align)
                rows.require(rel + step.size)
                if slots is not None:
                    matrix = rows.matrix(rel, step.size)
                    for leaf in step.leaves:
                        slots[leaf.slot] = _values(matrix, leaf, order)
                rel = rel + step.size
                if step.measures:
                    raw = np.ascontiguousarray(rows.matrix(rel - 4, 4)).view(order + 'u4')
                    words = collapse(raw.reshape(-1).astype(np.int64))
            elif isinstance(step, TextStep):
                rel = self._text(step, rows, rel, words, slots, order)
            else:
                count = words if step.count is None else step.count
                rel = self._items(step, rows, rel, count, slots, order)
        return rel

    # --- strings --------------------------------------------------------------------------------

    def _text(
        self,
        step: TextStep,
        rows: Rows,
        rel: Cursor,
        sizes: Cursor,
        slots: list[Column | None] | None,
        order: str,
    ) -> Cursor:
        unit = 4 if step.wide else 1
        stop = rel + sizes * unit
        rows.require(stop)
        if slots is None:
            return stop
        if step.wide:
            offsets, data = rows.cut(rel, sizes * 4)
            units = data.view(order + 'u4').astype('<u2')
            slots[step.slot] = _wide_text(offsets // 4, units)
            return stop
        if self.program.wire.terminated:
            sizes = self._unterminated(rows, rel, sizes)
        offsets, data = rows.cut(rel, sizes)
        slots[step.slot] = self._checked(Bytes(offsets, data))
        return stop

    def _unterminated(self, rows: Rows, rel: Cursor, sizes: Cursor) -> Cursor:
        """Sizes without the closing NUL, which lax writers leave away."""
        if len(rows) == 0 or (isinstance(sizes, int) and sizes == 0):
            return sizes
        # Where the size is 0 this looks at a byte of the length word: in bounds, and masked out.
        last = rows.buffer[rows.base + (rel + sizes - 1)]
        return collapse(sizes - ((last == 0) & (np.asarray(sizes) > 0)))

    def _checked(self, text: Bytes) -> Bytes:
        """The text itself if it is UTF-8, else a copy with the offending bytes replaced."""
        if not (text.data & 0x80).any():
            return text
        starts = text.offsets[:-1][np.diff(text.offsets) > 0]
        if ((text.data[starts] & 0xC0) != 0x80).all():
            try:
                text.data.tobytes().decode()
                return text
            except UnicodeDecodeError:
                pass
        pieces = []
        for start, stop in zip(text.offsets[:-1].tolist(), text.offsets[1:].tolist(), strict=True):
            raw = text.data[start:stop].tobytes()
            try:
                raw.decode()
            except UnicodeDecodeError:
                self.invalid_text += 1
                raw = raw.decode(errors='replace').encode()
            pieces.append(raw)
        return _joined(pieces)

    # --- arrays and sequences -------------------------------------------------------------------

    def _items(
        self,
        step: ItemsStep,
        rows: Rows,
        rel: Cursor,
        counts: Cursor,
        slots: list[Column | None] | None,
        order: str,
    ) -> Cursor:
        stop: Cursor
        if step.slot in rows.lifted:
            lifted = rows.lifted[step.slot]
            stop = rel + counts - lifted.removed
            rows.require(stop)
            if slots is not None:
                slots[step.slot] = Bytes(*lifted.joined())
            return stop
        # Counts are untrusted: before anything is allocated, the bytes must be there.
        rows.require(rel + counts * step.min_size)
        if step.min_size == 0:
            endless = np.broadcast_to(np.asarray(counts) > MOST_EMPTY_ITEMS, len(rows))
            if endless.any():
                raise rows.reject(endless, 'too many items that take no byte')
        if step.program is None:
            return self._primitives(step, rows, rel, counts, slots, order)
        at: np.ndarray
        if step.program.block is not None:
            strided = Strided(step.program.block, rel, counts)
            stop = strided.stop
            rows.require(stop)
            at = strided.starts(len(rows))
        else:
            at, stop = self._locate(step.program, rows, rel, counts)
        if slots is not None:
            items, _ = self._decode(step.program, rows.repeat(counts), at)
            slots[step.slot] = List(offsets_of(counts, len(rows)), items)
        return stop

    def _primitives(
        self,
        step: ItemsStep,
        rows: Rows,
        rel: Cursor,
        counts: Cursor,
        slots: list[Column | None] | None,
        order: str,
    ) -> Cursor:
        assert step.code is not None
        start = first_item(rel, counts, min(step.min_size, self.program.wire.max_align))
        stop = start + counts * step.min_size
        rows.require(stop)
        if slots is not None:
            offsets, data = rows.cut(start, counts * step.min_size)
            if step.is_blob:
                slots[step.slot] = Bytes(offsets, data)
            else:
                code = step.code if step.min_size == 1 else order + step.code
                values = Leaf(_native(data.view(code)))
                slots[step.slot] = List(offsets // step.min_size, values)
        return stop

    def _locate(
        self, program: Program, rows: Rows, rel: Cursor, counts: Cursor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Start of every item, shape (sum of counts,), and the position after the last, (n,)."""
        n = len(rows)
        counts = np.broadcast_to(np.asarray(counts, np.int64), n)
        stop = np.broadcast_to(np.asarray(rel, np.int64), n).copy()
        offsets = running(counts)
        at = np.empty(int(offsets[-1]), np.int64)
        pending = np.flatnonzero(counts)
        for _ in range(_TEMPLATES):
            if len(pending) == 0:
                return at, stop
            before = len(pending)
            pending = _match(program, rows, counts, offsets, at, stop, pending)
            if before - len(pending) < _TEMPLATE_ROWS:
                break
        if len(pending) >= _ABREAST_ROWS:
            self._abreast(program, rows, counts, offsets, at, stop, pending)
            return at, stop
        for row in pending.tolist():
            _walk_row(program, rows, row, int(counts[row]), int(offsets[row]), at, stop)
        return at, stop

    def _abreast(
        self,
        program: Program,
        rows: Rows,
        counts: np.ndarray,
        offsets: np.ndarray,
        at: np.ndarray,
        stop: np.ndarray,
        pending: np.ndarray,
    ) -> None:
        """Step through the items of all pending rows side by side."""
        done = 0
        while len(pending) >= _ABREAST_ROWS:
            at[offsets[pending] + done] = stop[pending]
            stop[pending] = self._run(program, rows.take(pending), stop[pending], None)
            done += 1
            pending = pending[counts[pending] > done]
        for row in pending.tolist():
            left = int(counts[row]) - done
            _walk_row(program, rows, row, left, int(offsets[row]) + done, at, stop)


def _match(
    program: Program,
    rows: Rows,
    counts: np.ndarray,
    offsets: np.ndarray,
    at: np.ndarray,
    stop: np.ndarray,
    pending: np.ndarray,
) -> np.ndarray:
    """Settle the rows that are laid out like the first pending one; return the others."""
    first = int(pending[0])
    start, count = int(stop[first]), int(counts[first])
    words: list[tuple[int, int]] = []
    walker = Walker(
        rows.view, int(rows.base[first]), int(rows.length[first]), words, _TEMPLATE_WORDS
    )
    starts = np.empty(count, np.int64)
    end = start
    try:
        for i in range(count):
            starts[i] = end
            end = walker.walk(program, end)
    except TooManyWords:
        return pending
    except WalkError:
        raise _reject_row(rows, first) from None
    span = end - start
    phase = program.wire.max_align - 1
    fits = (
        (counts[pending] == count)
        & (((stop[pending] - start) & phase) == 0)
        & (stop[pending] + span <= rows.length[pending])
    )
    alike = pending[fits]
    if words:
        where = np.array([word[0] for word in words], np.int64) - start
        code = '>u4' if program.wire.big_endian else '<u4'
        expected = np.array([word[1] for word in words], code).view(np.uint8)
        columns = (where[:, None] + np.arange(4)).reshape(-1)
        found = rows.take(alike).matrix(stop[alike], span)[:, columns]
        same = (found == expected).all(axis=1)
        fits[np.flatnonzero(fits)[~same]] = False
        alike = alike[same]
    shift = stop[alike] - start
    at[(offsets[alike][:, None] + np.arange(count)).reshape(-1)] = (
        shift[:, None] + starts
    ).reshape(-1)
    stop[alike] += span
    return pending[~fits]


def _walk_row(
    program: Program,
    rows: Rows,
    row: int,
    count: int,
    slot: int,
    at: np.ndarray,
    stop: np.ndarray,
) -> None:
    walker = Walker(rows.view, int(rows.base[row]), int(rows.length[row]))
    rel = int(stop[row])
    try:
        for i in range(count):
            at[slot + i] = rel
            rel = walker.walk(program, rel)
    except WalkError:
        raise _reject_row(rows, row) from None
    stop[row] = rel


def _reject_row(rows: Rows, row: int) -> MalformedRows:
    bad = np.zeros(len(rows), bool)
    bad[row] = True
    return rows.reject(bad, 'payload ends before its last field')


def _native(values: np.ndarray) -> np.ndarray:
    """Contiguous copy in native byte order; booleans become 0 or 1 whatever was written."""
    if values.dtype == np.bool_:
        return values.view(np.uint8) != 0
    return np.ascontiguousarray(values, values.dtype.newbyteorder('='))


def _values(matrix: np.ndarray, leaf: BlockLeaf, order: str) -> Leaf:
    """Column of one leaf out of the gathered bytes of its block, shape (n, size)."""
    code = leaf.code if leaf.code[1] == '1' else order + leaf.code
    stop = leaf.offset + int(leaf.code[1:]) * (1 if leaf.count is None else leaf.count)
    values = matrix[:, leaf.offset : stop].view(code)
    return Leaf(_native(values[:, 0] if leaf.count is None else values))


def _joined(pieces: list[bytes]) -> Bytes:
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return Bytes(running(sizes), np.frombuffer(b''.join(pieces), np.uint8))


def _wide_text(offsets: np.ndarray, units: np.ndarray) -> Bytes:
    pieces = [
        units[start:stop].tobytes().decode('utf-16-le', 'replace').encode()
        for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return _joined(pieces)


def _assemble(shape: Shape, slots: list[Column | None], length: int) -> Column:
    if isinstance(shape, int):
        column = slots[shape]
        # No step fills the only slot of a structure that takes no byte.
        return Leaf(np.zeros(length, np.uint8)) if column is None else column
    members = {name: _assemble(inner, slots, length) for name, inner in shape}
    return Group(members, length)
