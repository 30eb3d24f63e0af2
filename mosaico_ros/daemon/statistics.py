"""Bounds of leaf columns, as the catalog stores them for pruning.

Numbers are kept as doubles rounded outwards, text as a bounded prefix whose upper bound is
rounded up: a value can lie on a bound, never beyond it. NaN and null never count.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from mosaico_ros.daemon.columns import Leaf
from mosaico_ros.daemon.marks import marks_of
from mosaico_ros.protocol.query.kinds import Kind

__all__ = [
    'LeafStatistics',
    'from_array',
    'from_footer',
    'number_bounds',
    'rounded_up',
    'text_bounds',
    'with_values',
]

TEXT_PREFIX = 64
_HIGHEST = 0x10FFFF


@dataclass(frozen=True)
class LeafStatistics:
    """Bounds of one leaf column in one chunk.

    Parameters
    ----------
    path
        As :attr:`Leaf.path`.
    min_num, max_num
        Bounds of numbers, booleans and times; infinite where nothing is known, `None` where
        every value is null or NaN, and for text.
    min_text, max_text
        Bounds of text; without the upper one alone, nothing is known above.
    exact
        Whether both bounds are values that occur.
    nulls
        Values that are absent, for whatever reason, and those that are NaN.
    marks
        As :func:`marks_of` gives them; `None` where nothing is known beyond the bounds.

    """

    path: str
    min_num: float | None
    max_num: float | None
    min_text: str | None
    max_text: str | None
    exact: bool
    nulls: int
    marks: int | None = None


def number_bounds(low: Any, high: Any) -> tuple[float, float, bool]:
    """Round a pair of numbers outwards to doubles; say whether nothing was lost."""
    down, up = float(low), float(high)
    exact = down == low and up == high
    if down > low:
        down = math.nextafter(down, -math.inf)
    if up < high:
        up = math.nextafter(up, math.inf)
    return down, up, exact


def text_bounds(low: str, high: str) -> tuple[str, str | None, bool]:
    """Cut a pair of texts to a bounded prefix, the upper one rounded up if it can be.

    The result holds no NUL, which PostgreSQL cannot store.
    """
    down, up = _prefix(low), _prefix(high)
    exact = down == low and up == high
    return down, up if up == high else rounded_up(up), exact


def _prefix(text: str) -> str:
    return text[:TEXT_PREFIX].partition('\0')[0]


def rounded_up(prefix: str) -> str | None:
    """Return a text above everything that begins with `prefix`; there may be none."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code == 0xD800:
            code = 0xE000  # surrogates are no text
        if code <= _HIGHEST:
            return prefix[:at] + chr(code)
    return None


def _unknown(leaf: Leaf, nulls: int) -> LeafStatistics:
    if leaf.kind is Kind.TEXT:
        return LeafStatistics(leaf.path, None, None, '', None, False, nulls)
    return LeafStatistics(leaf.path, -math.inf, math.inf, None, None, False, nulls)


def _known(leaf: Leaf, low: Any, high: Any, nulls: int) -> LeafStatistics:
    if leaf.kind is Kind.TEXT:
        down, up, exact = text_bounds(low, high)
        return LeafStatistics(leaf.path, None, None, down, up, exact, nulls)
    least, most, exact = number_bounds(low, high)
    return LeafStatistics(leaf.path, least, most, None, None, exact, nulls)


def _absent(leaf: Leaf, nulls: int) -> LeafStatistics:
    return LeafStatistics(leaf.path, None, None, None, None, True, nulls)


def from_footer(leaf: Leaf, columns: list[Any]) -> LeafStatistics:
    """Combine the statistics of one leaf over all row groups of a Parquet footer.

    A footer knows nothing of NaN: :func:`with_values` adds what only the values tell.
    """
    nulls = 0
    lows, highs = [], []
    for column in columns:
        found = column.statistics
        if found is None or not found.has_null_count:
            return _unknown(leaf, nulls)
        nulls += found.null_count
        if found.has_min_max:
            try:
                lows.append(_stored(leaf, found, 'min'))
                highs.append(_stored(leaf, found, 'max'))
            except (ValueError, OverflowError):  # text that is no UTF-8
                return _unknown(leaf, nulls)
        elif found.null_count < column.num_values and not _is_float(leaf):
            return _unknown(leaf, nulls)  # too long to be kept
    if not lows:
        return _absent(leaf, nulls)
    return _known(leaf, min(lows), max(highs), nulls)


def _stored(leaf: Leaf, found: Any, side: str) -> Any:
    if leaf.kind is Kind.TIME or pt.is_duration(leaf.type):
        return getattr(found, f'{side}_raw')
    if pt.is_float16(leaf.type):
        raw = getattr(found, f'{side}_raw')
        return struct.unpack('<e', raw)[0] if isinstance(raw, bytes) else float(raw)
    return getattr(found, side)


def _is_float(leaf: Leaf) -> bool:
    return pt.is_floating(leaf.type)


def with_values(
    leaf: Leaf, found: LeafStatistics, values: pa.Array | pa.ChunkedArray
) -> LeafStatistics:
    """Add to the statistics of a leaf what no footer tells: count NaN, mark few values.

    Parameters
    ----------
    leaf
        The leaf column.
    found
        What :func:`from_footer` has found.
    values
        All values of the leaf in the chunk.

    """
    if pt.is_floating(leaf.type):
        # A sum shows NaN at the speed of memory; only then are they counted.
        total = None if pt.is_float16(leaf.type) else pc.sum(values).as_py()
        if total is not None and not math.isnan(total):
            return found
        nans = pc.sum(pc.is_nan(_widened(values))).as_py() or 0
        return replace(found, nulls=found.nulls + nans)
    if not _takes_marks(leaf) or _tells_all(found):
        return found
    try:
        if isinstance(values, pa.Array):
            values = pa.chunked_array([values])
        if pt.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        return replace(found, marks=marks_of(values))
    except (pa.ArrowException, ValueError):  # text that is no UTF-8
        return found


def _takes_marks(leaf: Leaf) -> bool:
    return leaf.kind is Kind.TEXT or (leaf.kind is Kind.NUMBER and pt.is_integer(leaf.type))


def _tells_all(found: LeafStatistics) -> bool:
    """Whether the bounds leave no room for a value that does not occur."""
    if not found.exact:
        return False
    if found.min_num is not None and found.max_num is not None:
        return found.max_num - found.min_num <= 1
    return found.min_text == found.max_text


def _widened(values: Any) -> Any:
    return values.cast(pa.float32()) if pt.is_float16(values.type) else values


def from_array(leaf: Leaf, values: pa.Array) -> LeafStatistics:
    """Compute the statistics of one leaf from its values."""
    return with_values(leaf, _bounds_of(leaf, values), values)


def _bounds_of(leaf: Leaf, values: pa.Array) -> LeafStatistics:
    if pt.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    nulls = values.null_count
    try:
        values = _widened(values)
        if pt.is_floating(values.type):
            values = values.filter(pc.invert(pc.is_nan(values)))
        if leaf.kind is Kind.TIME or pt.is_duration(leaf.type):
            width = pa.int32() if leaf.type.bit_width == 32 else pa.int64()
            values = values.view(width)
        bounds = pc.min_max(values)
        low, high = bounds['min'].as_py(), bounds['max'].as_py()
        if low is None:
            return _absent(leaf, nulls)
        return _known(leaf, low, high, nulls)
    except (pa.ArrowException, ValueError, OverflowError):
        return _unknown(leaf, nulls)
