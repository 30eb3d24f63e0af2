"""What a process does that serves a daemon: until it is told to stop, and no longer."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from mosaico_ros.daemon.settings import Settings

__all__ = ['end', 'serve', 'stop_on_signals']

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; a second one ends the process at once.

    Only the main thread may call it, before anything that must end in order.
    """
    wanted = threading.Event()
    # A handler in Python runs only once the main thread does, which may sleep on: the system may
    # have given the signal to another thread, or just before the sleep. What the interpreter
    # writes when a signal comes, whichever thread that hits, wakes a thread of its own.
    received, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def await_signal() -> int:
        while (number := os.read(received, 1)[0]) not in _SIGNALS:
            pass
        return number

    def obey() -> None:
        await_signal()
        wanted.set()
        os._exit(128 + await_signal())

    threading.Thread(target=obey, name='signals', daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    return wanted


def serve(
    settings: Settings,
    stop: threading.Event,
    announce: Callable[[Settings], None],
    *,
    shares_port: bool = False,
) -> None:
    """Serve until told to stop.

    Parameters
    ----------
    settings
        What to serve.
    stop
        Ends it.
    announce
        Called once clients are served, with the port as it was chosen.
    shares_port
        See :class:`mosaico_ros.daemon.app.Daemon`.

    Raises
    ------
    MosaicoError
        The daemon cannot start.

    """
    # gRPC's own lines about a port in use say less than our error.
    os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
    from mosaico_ros.daemon.app import Daemon

    daemon = Daemon(settings, shares_port=shares_port)
    announce(daemon.settings)
    while not stop.wait(3600):
        pass
    daemon.stop()


def end(code: int) -> NoReturn:
    """End the process, whatever its threads do.

    The interpreter would wait for some, which may be stuck in the store, and take the ground from
    under others, in the middle of native code.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
