"""Functions of the C library that Python does not offer, where it has them."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def of_libc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None if this one, or this system, has none."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function
