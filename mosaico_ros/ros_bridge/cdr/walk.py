"""One payload at a time, in plain Python: finds where items lie, and which payload is broken.

The vector decoder asks for a walk where looking at one message saves looking at all: to learn the
layout that most messages share, and to name the culprits in a batch of hostile ones.
"""

from __future__ import annotations

import struct

from mosaico_ros.ros_bridge.cdr.layout import MOST_EMPTY_ITEMS, Block, Program, TextStep

_WORDS = {False: struct.Struct('<I').unpack_from, True: struct.Struct('>I').unpack_from}


class WalkError(Exception):
    """The payload ends before the structure does."""


class TooManyWords(Exception):
    """The structure has more length words than a template is worth."""


class Walker:
    """Cursor over one payload.

    ``words`` collects ``(position, value)`` of every length word, positions relative to the first
    byte after the encapsulation; None collects nothing.
    """

    @staticmethod
    def blobs(program: Program, view: memoryview, base: int) -> dict[int, tuple[int, int]]:
        """Position and size of the blobs that are members of the structure itself, by slot.

        Raises
        ------
        WalkError
            If the payload ends early.
        """
        walker = Walker(view, base, len(view) - base)
        found: dict[int, tuple[int, int]] = {}
        walker.walk(program, 0, found)
        return found

    def __init__(
        self,
        view: memoryview,
        base: int,
        length: int,
        words: list[tuple[int, int]] | None = None,
        limit: int = 0,
    ) -> None:
        self.view = view
        self.base = base
        self.length = length
        self.words = words
        self.limit = limit

    def walk(
        self, program: Program, rel: int, blobs: dict[int, tuple[int, int]] | None = None
    ) -> int:
        """Return the position after one structure that starts at ``rel``.

        ``blobs`` takes position and size of the structure's own blobs.
        """
        wire = program.wire
        value = 0
        for step in program.steps:
            if isinstance(step, Block):
                rel = (rel + step.align - 1) & -step.align
                rel += step.size
                self._require(rel)
                if step.measures:
                    value = _WORDS[wire.big_endian](self.view, self.base + rel - 4)[0]
                    self._note(rel - 4, value)
            elif isinstance(step, TextStep):
                rel += value * (4 if step.wide else 1)
                self._require(rel)
            else:
                count = value if step.count is None else step.count
                self._require(rel + count * step.min_size)
                if step.min_size == 0 and count > MOST_EMPTY_ITEMS:
                    raise WalkError
                if step.program is None:
                    if blobs is not None and step.is_blob:
                        blobs[step.slot] = rel, count
                    if count:
                        align = min(step.min_size, wire.max_align)
                        rel = ((rel + align - 1) & -align) + count * step.min_size
                elif (block := step.program.block) is not None:
                    if count:
                        stride = -(-block.size // block.align) * block.align
                        rel = (rel + block.align - 1) & -block.align
                        rel += (count - 1) * stride + block.size
                else:
                    for _ in range(count):
                        rel = self.walk(step.program, rel)
                self._require(rel)
        return rel

    def _note(self, at: int, value: int) -> None:
        if self.words is not None:
            if len(self.words) >= self.limit:
                raise TooManyWords
            self.words.append((at, value))

    def _require(self, stop: int) -> None:
        if stop > self.length:
            raise WalkError
