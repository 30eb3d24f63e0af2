"""The package as installers see it: pip in a plain environment, colcon in a ROS workspace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ['mosaico_ros', 'launch', 'config', 'resource', 'scripts']
FILES = ['package.xml', 'setup.py', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE']
EXECUTABLES = {'recorder', 'daemon', 'ingest'}


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's sources: building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp('workspace') / 'src' / 'mosaico_ros'
    copy.mkdir(parents=True)
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in FILES:
        shutil.copy2(ROOT / name, copy)
    return copy


@pytest.fixture(scope='module')
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-q', '-w', str(out), str(source)],
        check=True,
    )
    return zipfile.ZipFile(next(out.glob('*.whl')))


def test_wheel_carries_what_ros_looks_for(wheel: zipfile.ZipFile) -> None:
    share = {name.split('.data/data/', 1)[1] for name in wheel.namelist() if '.data/data/' in name}
    assert 'share/ament_index/resource_index/packages/mosaico_ros' in share
    assert 'share/mosaico_ros/package.xml' in share
    assert {f'lib/mosaico_ros/{name}' for name in EXECUTABLES} <= share
    for folder in ('launch', 'config'):
        for file in (ROOT / folder).glob('*.*'):
            assert f'share/mosaico_ros/{folder}/{file.name}' in share


def test_wheel_carries_data_inside_the_package(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert 'mosaico_ros/py.typed' in names
    for migration in (ROOT / 'mosaico_ros').rglob('migrations/**/*.py'):
        assert str(migration.relative_to(ROOT)) in names


def test_wheel_puts_no_common_word_in_the_path(wheel: zipfile.ZipFile) -> None:
    entry_points = next(n for n in wheel.namelist() if n.endswith('entry_points.txt'))
    scripts = re.findall(r'^(\S+) =', wheel.read(entry_points).decode(), re.M)
    assert sorted(scripts) == ['mosaico', 'mosaicod']


def test_one_version_everywhere(wheel: zipfile.ZipFile) -> None:
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert f'mosaico_ros-{manifest.findtext("version")}-' in Path(wheel.filename or '').name
    assert manifest.get('format') == '3'
    assert manifest.findtext('license') == 'Apache-2.0'


def test_colcon_builds_an_ament_package(source: Path, tmp_path: Path) -> None:
    """`colcon build`, then the executables that `ros2 run mosaico_ros NAME` would start."""
    colcon = Path(sys.executable).parent / 'colcon'
    if not colcon.exists():
        pytest.fail('colcon is part of the test extra: pip install ".[test]"')
    workspace = source.parent.parent
    environment = {**os.environ, 'PATH': f'{colcon.parent}:{os.environ["PATH"]}'}
    built = subprocess.run(
        [
            colcon,
            '--log-base',
            str(tmp_path / 'log'),
            'build',
            '--base-paths',
            str(source),
            '--build-base',
            str(tmp_path / 'build'),
            '--install-base',
            str(tmp_path / 'install'),
            '--merge-install',
        ],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    install = tmp_path / 'install'
    executables = {path.name for path in (install / 'lib' / 'mosaico_ros').iterdir()}
    assert executables >= EXECUTABLES | {'mosaico', 'mosaicod'}
    assert (install / 'share/ament_index/resource_index/packages/mosaico_ros').exists()

    def run(name: str, *arguments: str) -> str:
        python = f'{sys.prefix}/bin'
        script = f'. "{install}/setup.sh" && exec "{install}/lib/mosaico_ros/{name}" "$@"'
        return subprocess.run(
            ['bash', '-c', script, name, *arguments],
            env={**environment, 'PATH': f'{python}:{os.environ["PATH"]}'},
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    assert 'mosaico' in run('mosaicod', '--version')
    assert '--topics' in run('ingest', '--help')
