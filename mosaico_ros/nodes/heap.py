"""Memory that was freed goes back to the system: nodes live for weeks beside others.

Left alone, glibc keeps blocks of megabytes that were freed, in as many heaps as there were
threads, each with something small behind them that holds them there: with cameras, several times
what is in use.
"""

from __future__ import annotations

import ctypes

import pyarrow as pa

from mosaico_ros.nodes.libc import of_libc

# Of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# From this size on a block is the system's own, and goes back when it is freed; that costs a few
# percent of the time that taking a picture takes.
_LARGE = 1 << 20
_HEAPS = 2


def bound_heap() -> None:
    """Have large blocks go back when they are freed, and threads share heaps, from now on.

    Without effect where the C library is not glibc.
    """
    mallopt = of_libc('mallopt')
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, _HEAPS)


def give_back() -> None:
    """Give back what Arrow and the C library keep for later; takes some milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = of_libc('malloc_trim')
    if trim is not None:
        trim(ctypes.c_size_t(0))
