"""The third step of a query: evaluating rows, where bounds could not decide.

Row groups are read in units of bounded size, each accounted to the memory pool before it is
decoded. What comes out are times and which of them match: nothing else is held.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.daemon.chunk_files import (
    ChunkFiles,
    Footer,
    OpenChunk,
    Times,
)
from mosaico_ros.daemon.columns import KnownSchema
from mosaico_ros.daemon.encoding import ROW_GROUP_BYTES
from mosaico_ros.daemon.query.bounds import may_match, prunes
from mosaico_ros.daemon.query.budget import Alive, Budget
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.errors import CancelledError, ResourceExhaustedError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.query.predicates import ResolvedCondition

__all__ = ['ChunkRef', 'Evaluator', 'Tally']

# What is accounted to the pool at once; large enough that the accounting costs nothing.
_UNIT_BYTES = 8 << 20


@dataclass
class Tally:
    """What was read of chunks; several threads count."""

    opened: int = 0
    row_groups: int = 0
    rows: int = 0
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, opened: int, row_groups: int, rows: int, size: int) -> None:
        """Count one unit that was read."""
        with self._lock:
            self.opened += opened
            self.row_groups += row_groups
            self.rows += rows
            self.bytes += size


@dataclass(frozen=True)
class ChunkRef:
    """A chunk to look into, and what its rows have to satisfy."""

    key: str
    encoding: str
    rows: int
    t_min: int
    t_max: int
    schema: KnownSchema
    conditions: Sequence[ResolvedCondition]


@dataclass(frozen=True)
class _Unit:
    groups: list[int]
    memory: int
    stored: int


class Evaluator:
    """Reads chunks and tells which of their rows match.

    Parameters
    ----------
    files
        The chunks.
    memory
        Bytes that may be held, over all queries.

    """

    def __init__(self, files: ChunkFiles, memory: Budget) -> None:
        self._files = files
        self._memory = memory

    def any_match(self, chunk: ChunkRef, tally: Tally, alive: Alive) -> bool:
        """Whether some row of a chunk matches."""
        columns = _columns(chunk.conditions)
        with self._files.open(chunk.key, chunk.encoding, partly=True) as opened:
            footer = opened.footer
            groups = self._promising(chunk, footer, range(len(footer.rows)))
            for number, unit in enumerate(self._units(chunk, footer, groups, columns)):
                with self._read(chunk, footer, unit, tally, alive, first=not number):
                    for batch in _attended(opened.batches(unit.groups, columns), alive):
                        if _matching(chunk.conditions, batch).true_count:
                            return True
        return False

    def matching_times(
        self,
        chunk: ChunkRef,
        window: Window,
        tally: Tally,
        alive: Alive,
        *,
        backwards: bool = False,
    ) -> Iterator[Times]:
        """Yield times of matching rows in the window, never none of them.

        Ascending; with `backwards` the last ones come first, each array still ascending.
        """
        with self._files.open(chunk.key, chunk.encoding, partly=True) as opened:
            inside = opened.footer.groups_in(window.start_ns, window.end_ns)
            groups = self._promising(chunk, opened.footer, inside)
            units = self._units(chunk, opened.footer, groups, _timed(chunk.conditions))
            for number, unit in enumerate(units[::-1] if backwards else units):
                found = self._unit(chunk, opened, unit, tally, alive, first=not number)
                for times, match in found[::-1] if backwards else found:
                    cut = window.cut(times)
                    hits = times[cut][match[cut]]
                    if len(hits):
                        yield hits

    def matching_range(
        self, chunks: Sequence[ChunkRef], window: Window, tally: Tally, alive: Alive
    ) -> tuple[int, int] | None:
        """Return the first and last matching time in some chunks, reading from both ends only.

        A chunk without conditions left that lies in the window is not opened.
        """
        first: int | None = None
        for chunk in sorted(chunks, key=lambda chunk: chunk.t_min):
            if first is not None and chunk.t_min >= first:
                break
            if self._whole(chunk, window):
                first = chunk.t_min
                break
            for times in self.matching_times(chunk, window, tally, alive):
                first = int(times[0]) if first is None else min(first, int(times[0]))
                break
        if first is None:
            return None
        last = first
        for chunk in sorted(chunks, key=lambda chunk: chunk.t_max, reverse=True):
            if chunk.t_max <= last:
                break
            if self._whole(chunk, window):
                last = chunk.t_max
                break
            for times in self.matching_times(chunk, window, tally, alive, backwards=True):
                last = max(last, int(times[-1]))
                break
        return first, last

    @staticmethod
    def _whole(chunk: ChunkRef, window: Window) -> bool:
        return not chunk.conditions and window.covers(chunk.t_min, chunk.t_max)

    def judged(
        self,
        chunk: ChunkRef,
        opened: OpenChunk,
        groups: Sequence[int],
        tally: Tally,
        alive: Alive,
        places: Budget,
    ) -> Iterator[tuple[Times, npt.NDArray[np.bool_]]]:
        """Yield all times of some row groups, and which of the rows match.

        A place is held while a unit is read, not while the caller is at work.
        """
        units = self._units(chunk, opened.footer, groups, _timed(chunk.conditions))
        for number, unit in enumerate(units):
            with places.hold(1, alive):
                found = self._unit(chunk, opened, unit, tally, alive, first=not number)
            yield from found

    # -- inside ------------------------------------------------------------------------------

    def _unit(
        self,
        chunk: ChunkRef,
        opened: OpenChunk,
        unit: _Unit,
        tally: Tally,
        alive: Alive,
        first: bool,
    ) -> list[tuple[Times, npt.NDArray[np.bool_]]]:
        with self._read(chunk, opened.footer, unit, tally, alive, first):
            found = []
            batches = opened.batches(unit.groups, _timed(chunk.conditions))
            for batch in _attended(batches, alive):
                times = batch.column(TIMESTAMP_COLUMN).to_numpy()
                match = _matching(chunk.conditions, batch).to_numpy(zero_copy_only=False)
                # A copy: the times must not keep the whole batch in memory.
                found.append((times.copy(), match))
            return found

    def _read(
        self,
        chunk: ChunkRef,
        footer: Footer,
        unit: _Unit,
        tally: Tally,
        alive: Alive,
        first: bool,
    ) -> Any:
        """Return the block inside which a unit may be in memory."""
        if self._memory.limit and unit.memory > self._memory.limit:
            raise ResourceExhaustedError(
                f'Reading one row group of the chunk {chunk.key} takes {unit.memory} bytes, the '
                f'memory pool of queries has {self._memory.limit}',
                remedy='Raise MOSAICOD_QUERY_ENGINE_MEMORY_POOL_SIZE, or set it to 0.',
            )
        rows = sum(int(footer.rows[group]) for group in unit.groups)
        tally.add(int(first), len(unit.groups), rows, unit.stored)
        return self._memory.hold(unit.memory, alive)

    def _promising(self, chunk: ChunkRef, footer: Footer, groups: Sequence[int]) -> Sequence[int]:
        """Return the row groups whose bounds admit a match."""
        if footer.parquet is None or len(groups) < 2:
            return groups
        known = chunk.schema.leaves
        for condition in chunk.conditions:
            if not prunes(condition):
                continue
            index = next(at for at, leaf in enumerate(known) if leaf.path == condition.leaf_path)
            found = footer.statistics(index, known[index])
            groups = [group for group in groups if may_match(condition, found[group])]
        return groups

    def _units(
        self, chunk: ChunkRef, footer: Footer, groups: Sequence[int], columns: tuple[str, ...]
    ) -> list[_Unit]:
        """Cut row groups into what is read at once."""
        limit = min(_UNIT_BYTES, self._memory.limit or _UNIT_BYTES)
        units: list[_Unit] = []
        if footer.parquet is None:
            # Batches are cut by size, and decoded as a whole.
            sizes = [(2 * ROW_GROUP_BYTES, 0)] * len(groups)
        else:
            taken = chunk.schema.below(columns)
            types = [chunk.schema.leaves[leaf].type for leaf in taken]
            sizes = [_size(footer.parquet.row_group(group), taken, types) for group in groups]
        for group, (memory, stored) in zip(groups, sizes, strict=True):
            last = units[-1] if units else None
            if last is not None and last.memory + memory <= limit:
                units[-1] = _Unit(
                    [*last.groups, group], last.memory + memory, last.stored + stored
                )
            else:
                units.append(_Unit([group], memory, stored))
        return units


def _size(group: Any, taken: list[int], types: list[pa.DataType]) -> tuple[int, int]:
    """Return the memory that some columns of a row group take while they are read, and stored."""
    memory = stored = 0
    for leaf, arrow_type in zip(taken, types, strict=True):
        column = group.column(leaf)
        stored += column.total_compressed_size
        try:
            width = max(1, arrow_type.bit_width // 8)
        except ValueError:  # text and blobs: offsets and what they point at
            width = 8
        # Compressed pages, plain pages, values: they are there at the same time.
        memory += column.total_compressed_size + column.total_uncompressed_size
        memory += max(column.num_values * width, column.total_uncompressed_size)
    return memory, stored


def _columns(conditions: Sequence[ResolvedCondition]) -> tuple[str, ...]:
    return tuple(sorted({c.read_path for c in conditions if not c.any_row}))


def _timed(conditions: Sequence[ResolvedCondition]) -> tuple[str, ...]:
    return (TIMESTAMP_COLUMN, *(c for c in _columns(conditions) if c != TIMESTAMP_COLUMN))


def _attended(batches: Iterator[pa.RecordBatch], alive: Alive) -> Iterator[pa.RecordBatch]:
    """Yield batches for as long as somebody waits for what comes of them."""
    for batch in batches:
        if not alive():
            raise CancelledError('The caller went away')
        yield batch


def _matching(conditions: Sequence[ResolvedCondition], batch: pa.RecordBatch) -> pa.Array:
    if not conditions:
        return pa.repeat(pa.scalar(True), batch.num_rows)
    return reduce(pc.and_, (condition.mask(batch) for condition in conditions))
