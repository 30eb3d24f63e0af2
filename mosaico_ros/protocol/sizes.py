"""Numbers of bytes as people read them."""

from __future__ import annotations

__all__ = ['size_text']


def size_text(count: float) -> str:
    """Return ``512 B``, ``1.5 MB``: powers of 1000, as disks are sold."""
    for unit in ('B', 'kB', 'MB', 'GB'):
        if abs(count) < 999.5:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1000
    return f'{count:.1f} TB'
