"""Adapters that installed packages bring, announced as entry points.

A package says in its metadata, for example in ``pyproject.toml``::

    [project.entry-points."mosaico_ros.adapters"]
    wheels = "wheel_msgs_mosaico"

What the entry point names is imported when adapters are first asked for: a module whose adapters
register themselves, or an adapter class, which is registered.
"""

from __future__ import annotations

import threading
import warnings
from importlib.metadata import EntryPoint, entry_points

GROUP = 'mosaico_ros.adapters'
_lock = threading.RLock()
_loaded = False


def load_packaged_adapters() -> None:
    """Import what installed packages announce, once; a package that fails is told and left out."""
    global _loaded
    with _lock:
        if _loaded:
            return
        _loaded = True  # before the import: packages may ask for adapters themselves
        for point in entry_points(group=GROUP):
            try:
                _load(point)
            except Exception as error:
                name = point.dist.name if point.dist else point.value
                warnings.warn(
                    f'the adapters of the package {name} are not used '
                    f'({type(error).__name__}: {error})',
                    RuntimeWarning,
                    stacklevel=2,
                )


def _load(point: EntryPoint) -> None:
    from mosaico_ros.ros_bridge import adapter_base
    from mosaico_ros.ros_bridge.channels import adapter_base as channels

    found = point.load()
    if not isinstance(found, type):
        return
    if issubclass(found, adapter_base.ROSAdapterBase):
        adapter_base.register_default_adapter(found)
    elif issubclass(found, channels.MCAPAdapterBase):
        channels.register_default_adapter(found)
