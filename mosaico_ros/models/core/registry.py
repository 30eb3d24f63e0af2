"""Which class stands for which ontology tag in this process."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mosaico_ros import models
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.models.core.serializable import Serializable

_classes: dict[str, type[Serializable]] = {}


def register(key: str, cls: type[Serializable]) -> None:
    """Enter a class under a key, normally its ontology tag.

    A class defined again at the same place, as when a notebook cell runs twice, replaces the
    earlier one.

    Raises
    ------
    InvalidArgumentError
        The key belongs to another class.
    """
    # A built-in type keeps its tag even when its module is not loaded yet.
    built_in = cls.__module__.startswith(f'{models.__name__}.')
    holder = _classes.get(key) if built_in else lookup(key)
    if holder is not None and _place(holder) != _place(cls):
        raise InvalidArgumentError(
            f'The ontology tag {key!r} of class {".".join(_place(cls))} belongs to '
            f'{".".join(_place(holder))}',
            remedy='Rename the class or set its __ontology_tag__.',
        )
    _classes[key] = cls


def lookup(key: str) -> type[Serializable] | None:
    """Return the class under a key, loading the module of a built-in type where needed."""
    package = models.EXPORTS.get(key)
    if key not in _classes and package is not None:
        importlib.import_module(package)
    return _classes.get(key)


def registered_tags() -> list[str]:
    """Return all keys in use, those of built-in types included, sorted."""
    for package in set(models.EXPORTS.values()):
        importlib.import_module(package)
    return sorted(_classes)


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
