"""What a process does that serves a daemon: until it is told to stop, and no longer."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from mosaico_ros.daemon.settings import Settings

__all__ = ['end_in_time', 'serve', 'stop_on_signals']

# What a process may take to end after its daemon has stopped, before it is made to.
_EXIT_SECONDS = 0.3


def stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; a second one ends the process at once.

    Only the main thread may call it, before anything that must end in order.
    """
    wanted = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if wanted.is_set():
            os._exit(128 + number)
        wanted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
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


def end_in_time(code: int) -> None:
    """Let the process end with an exit code, whatever its threads do.

    The interpreter waits for them; one that is stuck in the store must not keep the process.
    """
    deadline = threading.Timer(_EXIT_SECONDS, os._exit, (code,))
    deadline.daemon = True
    deadline.start()
