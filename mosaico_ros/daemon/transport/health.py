"""The health service: whether the daemon could serve a call, asked by probes of supervisors.

It asks for no API key, as probes have none, and tells nothing but yes or no.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from mosaico_ros.daemon.transport import messages
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.protocol.health import SERVICE, Health, check_request, check_response

__all__ = ['HealthService']

_log = logging.getLogger(__name__)

# However many probe, the archive is asked once in this time.
_FRESH_SECONDS = 1.0
# Kubernetes gives a probe one second unless told otherwise; later answers are lost.
_WAIT_SECONDS = 0.8
# How soon watchers hear of a change, and a call ends whose watcher has gone.
_WATCH_SECONDS = 2.0

# The server as a whole, and the one service that it offers.
_KNOWN = (check_request(), check_request(messages.SERVICE))


class HealthService:
    """Answers ``Check`` once, and ``Watch`` at every change. A watcher holds one of the calls.

    Parameters
    ----------
    check
        Raises what keeps the daemon from serving. It may hang as long as what it asks does.

    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._changed = threading.Condition()
        self._health = Health.UNKNOWN
        self._known_at = 0.0
        self._asking = False
        self._stopping = threading.Event()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                'Check': grpc.unary_unary_rpc_method_handler(self._answer),
                'Watch': grpc.unary_stream_rpc_method_handler(self._follow),
            },
        )

    def stop(self) -> None:
        """Tell watchers that nothing is served any more, and end their calls."""
        self._stopping.set()

    def _answer(self, request: bytes, context: Any) -> bytes:
        if request not in _KNOWN:
            context.abort(grpc.StatusCode.NOT_FOUND, 'There is no such service here')
        return check_response(self._current())

    def _follow(self, request: bytes, context: Any) -> Iterator[bytes]:
        told = None
        while context.is_active() and not self._stopping.is_set():
            health = self._current() if request in _KNOWN else Health.SERVICE_UNKNOWN
            if health is not told:
                yield check_response(health)
                told = health
            self._stopping.wait(_WATCH_SECONDS)
        yield check_response(Health.NOT_SERVING)

    def _current(self) -> Health:
        asked_at = time.monotonic()
        with self._changed:
            if not self._asking and asked_at - self._known_at > _FRESH_SECONDS:
                self._asking = True
                threading.Thread(target=self._ask, name='health', daemon=True).start()
            self._changed.wait_for(lambda: not self._asking, _WAIT_SECONDS)
            # What does not answer does not serve.
            return Health.NOT_SERVING if self._asking else self._health

    def _ask(self) -> None:
        health = Health.SERVING
        try:
            self._check()
        except MosaicoError as error:
            _log.warning('Not fit to serve: %s', error)
            health = Health.NOT_SERVING
        except Exception:
            _log.exception('Not fit to serve')
            health = Health.NOT_SERVING
        with self._changed:
            self._health, self._known_at, self._asking = health, time.monotonic(), False
            self._changed.notify_all()
