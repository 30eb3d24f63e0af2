"""The version of this package."""

from __future__ import annotations

import importlib.metadata

__all__ = ['package_version']


def package_version() -> str:
    """Return the version of this package; sources that were never installed have none."""
    try:
        return importlib.metadata.version('mosaico_ros')
    except importlib.metadata.PackageNotFoundError:
        return '0+source'
