"""The published client as a peer: unmodified, in an environment and a process of its own.

Five releases of it, the newest unless a test says otherwise.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros.daemon.settings import variable

RELEASE = '0.7.0'
HERE = Path(__file__).parent


@pytest.fixture(scope='session')
def peer_python(pytestconfig: pytest.Config) -> Path:
    """Interpreter that has the published client; ``MOSAICO_PEER_PYTHON`` names a ready one."""
    if ready := os.environ.get('MOSAICO_PEER_PYTHON'):
        return Path(ready)
    home = pytestconfig.cache.mkdir(f'mosaicolabs-{RELEASE}')
    return _with_client(home, RELEASE, None)


@pytest.fixture(scope='session')
def release_python(pytestconfig: pytest.Config, peer_python: Path) -> Callable[[str], Path]:
    """``release_python('0.5.0')`` returns an interpreter that has another release.

    Its environment borrows from that of the newest release what both depend on.
    """

    def made(release: str) -> Path:
        if release == RELEASE:
            return peer_python
        home = pytestconfig.cache.mkdir(f'mosaicolabs-{release}')
        return _with_client(home, release, peer_python)

    return made


def _with_client(home: Path, release: str, lender: Path | None) -> Path:
    """Make an environment with a release of the client; return its interpreter."""
    python = home / 'bin' / 'python'
    with open(home / 'lock', 'w') as lock:  # several test workers share one environment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / 'ready').exists():
            venv.create(home, with_pip=lender is None)
            if lender is not None:
                packages = f'lib/python{sys.version_info.major}.{sys.version_info.minor}'
                borrowed = lender.parent.parent / packages / 'site-packages'
                (home / packages / 'site-packages' / 'borrowed.pth').write_text(f'{borrowed}\n')
            subprocess.run(
                [
                    *(lender or python, '-m', 'pip', '--python', python, 'install', '-q'),
                    f'mosaicolabs=={release}',
                ],
                check=True,
                env=peer_environment(),
                timeout=600,
            )
            (home / 'ready').touch()
    return python


def peer_environment() -> dict[str, str]:
    """This process's environment without what the ROS wheels added for this interpreter."""
    drop = {'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'PYTHONPATH'}
    return {name: value for name, value in os.environ.items() if name not in drop}


@pytest.fixture(params=['sqlite+folder', 'postgres+s3'])
def any_daemon(request: pytest.FixtureRequest, make_daemon: Callable[..., Any]) -> Any:
    """A daemon on each kind of storage."""
    if request.param == 'sqlite+folder':
        return make_daemon()
    storage = request.getfixturevalue('remote_storage')
    return make_daemon(**{variable(name): value for name, value in storage.items()})


@pytest.fixture(scope='session')
def peer(peer_python: Path) -> Callable[..., Any]:
    """``peer('verb', ...)`` runs a verb of published_client.py and returns the JSON it prints.

    With `MOSAICO_API_KEY` it sends a key, with `MOSAICO_CERT_PATH` it speaks TLS, with
    `MOSAICO_COMPRESSION` (``Gzip``, ``_Deflate``) it compresses what it sends.
    """

    def run(*arguments: object, timeout: float = 120, **variables: object) -> Any:
        done = subprocess.run(
            [peer_python, HERE / 'published_client.py', *map(str, arguments)],
            env=peer_environment() | {name: str(value) for name, value in variables.items()},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        sys.stderr.write(done.stderr)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
