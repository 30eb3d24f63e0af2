"""The tools that keep the code readable find nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ('mosaico_ros', 'test', 'launch', 'scripts', 'setup.py')


@pytest.mark.parametrize('check', [('check',), ('format', '--check')])
def test_ruff(check: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'ruff', *check, '--no-cache', *CODE],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_mypy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'mypy', '--cache-dir', str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
