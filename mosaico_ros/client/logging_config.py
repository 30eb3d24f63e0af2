"""Logging of the client: silent unless the application asks for it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from mosaico_ros.client.progress import show_meters

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ['get_logger', 'setup_sdk_logging']

_ROOT = 'mosaico_ros'


def setup_sdk_logging(
    level: str | int = 'INFO',
    pretty: bool = False,
    console: Console | None = None,
    propagate: bool = False,
) -> None:
    """Write the library's log to the terminal.

    Parameters
    ----------
    level
        Threshold, for example ``'DEBUG'``.
    pretty
        Coloured output through ``rich``, and a bar for each read or write that takes longer
        than a second, unless the console is no terminal.
    console
        The ``rich`` console for both; a new one on standard error by default.
    propagate
        Whether records also reach the handlers of the root logger.

    """
    logger = logging.getLogger(_ROOT)
    handler: logging.Handler
    if pretty:
        from rich.console import Console
        from rich.logging import RichHandler

        console = console or Console(stderr=True)
        handler = RichHandler(console=console, rich_tracebacks=True)
        handler.setFormatter(logging.Formatter('%(name)s: %(message)s', datefmt='[%X]'))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter('%(asctime)s [%(levelname)s] %(name)s: %(message)s')
        )
    show_meters(console if pretty else None)
    # A second call replaces the first one's handler instead of doubling every line.
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = propagate


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the library's logger, or the logger called `name`."""
    return logging.getLogger(_ROOT if name is None else name)
