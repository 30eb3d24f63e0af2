"""ULIDs: 26 characters that sort by creation time."""

from __future__ import annotations

import os
import threading
import time

__all__ = ['new_ulid', 'ulid_time_ns']

_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
_lock = threading.Lock()
_last = 0


def new_ulid() -> str:
    """Return a new ULID, greater than every earlier one of this process."""
    global _last
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), 'big')
    with _lock:
        value = _last = max(value, _last + 1)
    return ''.join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def ulid_time_ns(text: str) -> int | None:
    """Return when a ULID was made; `None` if the text is none."""
    if len(text) != 26 or any(character not in _ALPHABET for character in text):
        return None
    value = 0
    for character in text:
        value = value << 5 | _ALPHABET.index(character)
    return (value >> 80) * 1_000_000
