"""Payloads of one message type to columns; broken payloads are left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .columns import Column
from .layout import ENCAPSULATIONS, ROS1, Program, Struct, Wire, compile_program
from .rows import MalformedRows, Rows, running
from .vector import VectorDecoder
from .walk import Walker, WalkError

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

    @classmethod
    def join(cls, payloads: Sequence[bytes]) -> Payloads:
        """Lay separate payloads end to end (copies them once)."""
        lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
        buffer = np.frombuffer(b''.join(payloads), np.uint8)
        return cls(buffer, running(lengths)[:-1], lengths)


@dataclass(frozen=True)
class Part:
    """Decoded rows; ``rows`` index the payloads given, None if all of them are here in order."""

    rows: np.ndarray | None
    column: Column


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

    def decode(self, payloads: Payloads) -> list[Part]:
        """Decode a batch: one part per encapsulation found, usually one in all."""
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
            some = rows if chosen is None else rows.take(chosen)
            some.origin = None
            parts += self._decode(wire, some, chosen)
        return parts

    def empty(self) -> Column:
        """Columns of no message at all, in the shape that `decode` yields."""
        nothing = np.empty(0, np.int64)
        program = compile_program(self._tree, ROS1)
        return VectorDecoder(program).decode(Rows(np.empty(0, np.uint8), nothing, nothing))

    def _decode(self, wire: Wire, rows: Rows, chosen: np.ndarray | None) -> list[Part]:
        decoder = self._decoders.get(wire)
        if decoder is None:
            decoder = VectorDecoder(compile_program(self._tree, wire))
            self._decoders[wire] = decoder
        restarts = 0
        while len(rows):
            try:
                return [Part(chosen, decoder.decode(rows))]
            except MalformedRows as error:
                bad, reason = np.unique(error.rows), error.reason
            if restarts == _RESTARTS:
                bad = np.union1d(bad, _broken(decoder.program, rows))
            restarts += 1
            self.problems[reason] += len(bad)
            good = np.delete(np.arange(len(rows)), bad)
            chosen = good if chosen is None else chosen[good]
            rows = Rows(rows.buffer, rows.base[good], rows.length[good])
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
