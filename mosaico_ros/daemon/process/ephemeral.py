"""Archives that live as long as their daemon."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mosaico_ros.daemon.settings import sources
from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['ephemeral_options', 'temporary_folder']

_PREFIX = 'mosaicod-ephemeral-'
_PLACES = ('data_dir', 'db_url', 'store_endpoint')


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder and remove it at the end; first those whose daemons were killed."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with open(folder / 'lock', 'wb') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ephemeral_options(
    folder: Path, environment: Mapping[str, str], options: Mapping[str, Any], config: Path | None
) -> dict[str, Any]:
    """Return the options of a daemon whose archive is a folder of its own.

    Its port is chosen by the system unless one is given: it must not be in the way of a daemon
    that is there to stay.

    Raises
    ------
    InvalidArgumentError
        Some setting says where the archive is.

    """
    given = sources(environment, options, config)
    places = [given[name] for name in _PLACES if given[name] != 'default']
    if places:
        raise InvalidArgumentError(
            f'--ephemeral makes an archive of its own, which contradicts {", ".join(places)}',
            remedy='Leave one or the other out.',
        )
    chosen = {'data_dir': folder / 'data'}
    if given['port'] == 'default':
        chosen['port'] = 0  # type: ignore[assignment]
    return {**options, **chosen}


def _remove_abandoned() -> None:
    """Remove the folders of daemons that could not do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f'{_PREFIX}*'):
        try:
            with open(folder / 'lock', 'rb') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, somebody else's, or just being made
            continue
