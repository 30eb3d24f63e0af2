"""One of several processes that serve a port together; started by their supervisor alone.

Its settings are in the environment. It says ``ready`` on standard output, and stops when it is
told to or when standard input ends: its supervisor is gone then.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn

from mosaico_ros.daemon.process import logs
from mosaico_ros.daemon.process.serving import end, serve, stop_on_signals
from mosaico_ros.daemon.settings import Settings, load
from mosaico_ros.protocol.errors import MosaicoError


def main() -> NoReturn:
    """Serve, then end the process: with 0, or with 1 if the daemon cannot start."""
    settings = load(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    stop = stop_on_signals()

    def follow_supervisor() -> None:
        os.read(sys.stdin.fileno(), 1)
        if stop.is_set():  # it was told to end at once
            os._exit(1)
        stop.set()

    threading.Thread(target=follow_supervisor, name='supervisor', daemon=True).start()
    try:
        serve(settings, stop, _announce, shares_port=True)
    except MosaicoError as error:
        print(f'mosaicod: {error}', file=sys.stderr)
        end(1)
    end(0)


def _announce(settings: Settings) -> None:
    print('ready', flush=True)


if __name__ == '__main__':
    main()
