"""Handlers that a client has made, each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from mosaico_ros.protocol.errors import NotFoundError

__all__ = ['HandlerCache']


class _Closable(Protocol):
    def close(self) -> None: ...


_KeyT = TypeVar('_KeyT', bound=Hashable)
_HandlerT = TypeVar('_HandlerT', bound=_Closable)


class HandlerCache(Generic[_KeyT, _HandlerT]):
    """Handlers by what they handle, made when first asked for; safe to share between threads.

    Parameters
    ----------
    make
        Makes one, or raises :class:`NotFoundError`.

    """

    def __init__(self, make: Callable[[_KeyT], _HandlerT]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._handlers: dict[_KeyT, _HandlerT] = {}

    def find(self, key: _KeyT) -> _HandlerT | None:
        """Return the handler, `None` if there is nothing to handle."""
        with self._lock:
            known = self._handlers.get(key)
        if known is not None:
            return known
        try:
            made = self._make(key)
        except NotFoundError:
            return None
        with self._lock:
            return self._handlers.setdefault(key, made)

    def close(self, which: Callable[[_KeyT], bool] = lambda key: True) -> None:
        """Close and forget handlers: those of some keys, or all."""
        with self._lock:
            closed = [self._handlers.pop(key) for key in list(self._handlers) if which(key)]
        for handler in closed:
            handler.close()
