"""Payloads of one message type to columns; broken payloads are left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mosaico_ros.ros_bridge.cdr.columns import Column
from mosaico_ros.ros_bridge.cdr.cursor import running
from mosaico_ros.ros_bridge.cdr.layout import (
    ENCAPSULATIONS,
    ROS1,
    Program,
    Struct,
    Wire,
    compile_program,
)
from mosaico_ros.ros_bridge.cdr.rows import Lifted, MalformedRows, Rows
from mosaico_ros.ros_bridge.cdr.vector import VectorDecoder
from mosaico_ros.ros_bridge.cdr.walk import Walker, WalkError

#: A serialized message.
Buffer = bytes | memoryview
#: From this mean size on, blobs are lifted out of separate payloads instead of being laid together
#: with the rest first, which would copy them twice. Finding them costs some 10 us per payload.
_LIFT_BYTES = 32 << 10
#: After this many restarts, each payload is checked by itself.
_RESTARTS = 3


@dataclass(frozen=True)
class Payloads:
    """Serialized messages: ``buffer[offsets[i]:offsets[i] + lengths[i]]`` for each i.

    ``buffer`` is uint8; ``offsets`` and ``lengths`` have shape (n,), int64. Payloads may lie
    anywhere in the buffer, in any order, so a chunk of a bag file can be used as it is.
    """

    buffer: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, i: int) -> memoryview:
        at = int(self.offsets[i])
        return self.buffer[at : at + int(self.lengths[i])].data

    def __iter__(self) -> Iterator[memoryview]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def join(cls, payloads: Sequence[Buffer]) -> Payloads:
        """Lay separate payloads end to end (copies them once, a single one not at all)."""
        lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
        whole = payloads[0] if len(payloads) == 1 else b''.join(payloads)
        buffer = np.frombuffer(whole, np.uint8)
        return cls(buffer, running(lengths)[:-1], lengths)


@dataclass(frozen=True)
class Part:
    """Decoded rows; ``rows`` index the payloads given, None if all of them are here in order."""

    rows: np.ndarray | None
    column: Column
    wire: Wire


class PayloadDecoder:
    """Decodes one message type.

    Parameters
    ----------
    tree : Struct
        The definition, from `build_tree`.
    ros1 : bool
        Payloads are in ROS 1 serialization instead of CDR.

    Attributes
    ----------
    problems : collections.Counter
        Number of payloads left out, by reason.
    invalid_text : int
        Strings that were not UTF-8; kept, with U+FFFD for what could not be read.
    """

    def __init__(self, tree: Struct, *, ros1: bool = False) -> None:
        self._tree = tree
        self._ros1 = ros1
        self._decoders: dict[Wire, VectorDecoder] = {}
        self.problems: Counter[str] = Counter()

    @property
    def invalid_text(self) -> int:
        return sum(decoder.invalid_text for decoder in self._decoders.values())

    def decode(self, payloads: Payloads | Sequence[Buffer]) -> list[Part]:
        """Decode a batch: one part per encapsulation found, usually one in all."""
        if not isinstance(payloads, Payloads):
            lifted = self._lift(payloads)
            if lifted is not None:
                return self._decode(*lifted, None)
            payloads = Payloads.join(payloads)
        if self._ros1:
            rows = Rows(payloads.buffer, payloads.offsets, payloads.lengths)
            return self._decode(ROS1, rows, None)
        header = 4
        whole = payloads.lengths >= header
        kinds = np.full(len(payloads), -1, np.int64)
        at = payloads.offsets[whole]
        kinds[whole] = payloads.buffer[at].astype(np.int64) << 8 | payloads.buffer[at + 1]
        rows = Rows(payloads.buffer, payloads.offsets + header, payloads.lengths - header)
        present = np.unique(kinds).tolist()
        parts = []
        for kind in present:
            wire = ENCAPSULATIONS.get(kind)
            chosen = None if len(present) == 1 else np.flatnonzero(kinds == kind)
            if wire is None:
                count = len(rows) if chosen is None else len(chosen)
                self.problems[_encapsulation_problem(kind)] += count
                continue
            parts += self._decode(wire, rows if chosen is None else rows.keep(chosen), chosen)
        return parts

    def _lift(self, payloads: Sequence[Buffer]) -> tuple[Wire, Rows] | None:
        """Lay separate payloads end to end without their blobs, where those are most of them.

        None if it does not pay or cannot be done: payloads that differ in encapsulation or are
        broken go the common way, which sorts them out.
        """
        if not payloads or sum(map(len, payloads)) < _LIFT_BYTES * len(payloads):
            return None
        heads = {bytes(payload[:2]) for payload in payloads}
        kind = int.from_bytes(heads.pop(), 'big')
        wire = ROS1 if self._ros1 else ENCAPSULATIONS.get(kind)
        if wire is None or (heads and not self._ros1):
            return None
        program = self._decoder(wire).program
        pieces: list[memoryview] = []
        lengths = []
        blobs: dict[int, list[memoryview]] = {}
        removed: dict[int, list[int]] = {}
        try:
            for payload in payloads:
                view = memoryview(payload)
                at = kept = 0
                for slot, (rel, size) in Walker.blobs(program, view, wire.header).items():
                    start, gone = wire.header + rel, size & -8
                    blobs.setdefault(slot, []).append(view[start : start + size])
                    removed.setdefault(slot, []).append(gone)
                    pieces.append(view[at:start])
                    kept += start - at
                    at = start + gone
                pieces.append(view[at:])
                lengths.append(kept + len(view) - at - wire.header)
        except WalkError:
            return None
        if not blobs:
            return None
        length = np.array(lengths, np.int64)
        base = running(length + wire.header)[:-1] + wire.header
        rows = Rows(np.frombuffer(b''.join(pieces), np.uint8), base, length)
        rows.lifted = {
            slot: Lifted(found, np.array(removed[slot], np.int64)) for slot, found in blobs.items()
        }
        return wire, rows

    def _decoder(self, wire: Wire) -> VectorDecoder:
        decoder = self._decoders.get(wire)
        if decoder is None:
            decoder = VectorDecoder(compile_program(self._tree, wire))
            self._decoders[wire] = decoder
        return decoder

    def empty(self) -> Column:
        """Columns of no message at all, in the shape that `decode` yields."""
        nothing = np.empty(0, np.int64)
        program = compile_program(self._tree, ROS1)
        return VectorDecoder(program).decode(Rows(np.empty(0, np.uint8), nothing, nothing))

    def _decode(self, wire: Wire, rows: Rows, chosen: np.ndarray | None) -> list[Part]:
        decoder = self._decoder(wire)
        restarts = 0
        while len(rows):
            try:
                return [Part(chosen, decoder.decode(rows), wire)]
            except MalformedRows as error:
                bad, reason = np.unique(error.rows), error.reason
            if restarts == _RESTARTS:
                bad = np.union1d(bad, _broken(decoder.program, rows))
            restarts += 1
            self.problems[reason] += len(bad)
            good = np.delete(np.arange(len(rows)), bad)
            chosen = good if chosen is None else chosen[good]
            rows = rows.keep(good)
        return []


def _broken(program: Program, rows: Rows) -> np.ndarray:
    """Rows that end too early, each checked by itself."""
    broken = []
    for row, (base, length) in enumerate(
        zip(rows.base.tolist(), rows.length.tolist(), strict=True)
    ):
        try:
            Walker(rows.view, base, length).walk(program, 0)
        except WalkError:
            broken.append(row)
    return np.array(broken, np.int64)


def _encapsulation_problem(kind: int) -> str:
    if kind < 0:
        return 'payload shorter than its encapsulation header'
    return f'unsupported encapsulation 0x{kind:04x}'
