"""The published client as a peer: unmodified, in an environment and a process of its own."""

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

RELEASE = '0.7.0'
HERE = Path(__file__).parent


@pytest.fixture(scope='session')
def peer_python(pytestconfig: pytest.Config) -> Path:
    """Interpreter that has the published client; ``MOSAICO_PEER_PYTHON`` names a ready one."""
    if ready := os.environ.get('MOSAICO_PEER_PYTHON'):
        return Path(ready)
    home = pytestconfig.cache.mkdir(f'mosaicolabs-{RELEASE}')
    python = home / 'bin' / 'python'
    with open(home / 'lock', 'w') as lock:  # several test workers share one environment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / 'ready').exists():
            venv.create(home, with_pip=True)
            subprocess.run(
                [python, '-m', 'pip', 'install', '-q', f'mosaicolabs=={RELEASE}'],
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


@pytest.fixture
def peer(peer_python: Path) -> Callable[..., Any]:
    """``peer('verb', ...)`` runs a verb of published_client.py and returns the JSON it prints.

    With `MOSAICO_API_KEY` it sends a key, with `MOSAICO_CERT_PATH` it speaks TLS.
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
