"""The published SDK's module paths, served by the modules of this package.

A script written for the published SDK imports ``<package>.comm``, ``<package>.models.query`` and
the like. One table maps those paths to where the code lives; one import hook resolves them to the
very same module objects, so that a class is the same class whichever path it came by.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ['ALIASES', 'install']

_ROOT = 'mosaico_ros'

#: Published path -> real path, both below the root; a path covers everything below it. The longest
#: published path wins. An empty real path is a package that only holds other aliases.
ALIASES: dict[str, str] = {
    'comm': 'client.comm',
    'enum': 'client.enums',
    'handlers': 'client.handlers',
    'logging_config': 'client.logging_config',
    'query': 'client.query',
    'platform': '',
    'platform.server_config': 'protocol.server_info',
    'models.query': 'client.query',
    'bridges': '',
    'bridges.ros': 'ros_bridge',
    'bridges.ros.data_ontology': 'models.ros',
    'bridges.mcap': 'ros_bridge.channels',
    'bridges.topic_status': 'ros_bridge.loading',
    'bridges.base_schema_metadata': 'ros_bridge.schema_metadata',
}


class _Loader(importlib.abc.Loader):
    def __init__(self, target: str) -> None:
        self._target = target
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just labelled the module with the alias; relative imports inside it
        # and reloading need its own name.
        module.__spec__ = self._own_spec
        module.__loader__ = self._own_spec.loader if self._own_spec else None
        module.__package__ = self._own_spec.parent if self._own_spec else None


class _Package(importlib.abc.Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f'{_ROOT}.'):
            return None
        real = _resolve(fullname[len(_ROOT) + 1 :])
        if real is None:
            return None
        if not real:
            return ModuleSpec(fullname, _Package(), is_package=True)
        name = f'{_ROOT}.{real}'
        try:
            if importlib.util.find_spec(name) is None:
                return None
        except ModuleNotFoundError:
            return None
        return ModuleSpec(fullname, _Loader(name), origin=name)


def _resolve(path: str) -> str | None:
    head, tail = path, ''
    while head:
        if head in ALIASES:
            real = ALIASES[head]
            return f'{real}{tail}' if real else (real if not tail else None)
        head, dot, last = head.rpartition('.')
        tail = f'{dot}{last}{tail}'
    return None


def install() -> None:
    """Make the aliases importable; calling it again does nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # Ahead of the finder of files: below an aliased package that one would find the real files
        # and load them a second time, under the alias.
        sys.meta_path.insert(0, _Finder())
