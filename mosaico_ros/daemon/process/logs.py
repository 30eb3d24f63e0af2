"""Log output of the daemon: one line per record on standard error, API keys masked."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TextIO

from mosaico_ros.protocol.api_keys import masked

__all__ = ['configure']

_COLOURS = {'DEBUG': '\x1b[2m', 'WARNING': '\x1b[33m', 'ERROR': '\x1b[31m', 'CRITICAL': '\x1b[31m'}
_RESET = '\x1b[0m'


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Clients' texts must not pass for lines of ours, nor command a terminal.
        line = super().formatMessage(record)
        if line.isprintable():
            return line
        return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        entry = {
            'time': moment.isoformat(timespec='milliseconds'),
            'level': record.levelname.lower(),
            'logger': record.name,
            'message': record.getMessage(),
        }
        if record.exc_info:
            entry['exception'] = self.formatException(record.exc_info)
        return masked(json.dumps(entry))


class _ColourFormatter(_PlainFormatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelname)
        return f'{colour}{text}{_RESET}' if colour else text


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send the package's log records to a stream.

    Parameters
    ----------
    level
        ``error``, ``warning``, ``info`` or ``debug``.
    style
        ``plain`` text, ``pretty`` (the same with colours on a terminal) or ``json``.
    stream
        Standard error by default.

    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if style == 'json':
        handler.setFormatter(_JsonFormatter())
    else:
        kind = _ColourFormatter if style == 'pretty' and stream.isatty() else _PlainFormatter
        handler.setFormatter(kind('%(asctime)s %(levelname)-7s %(name)s: %(message)s'))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger('mosaico_ros').setLevel(level.upper())
