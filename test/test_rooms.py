"""The rooms of the package know only what stands below them; see the README's architecture."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import mosaico_ros

ROOT = Path(mosaico_ros.__file__).parent
FACADE = '__init__'
#: What each room may import of the others.
KNOWS = {
    'durable': set(),
    'protocol': set(),
    'daemon': {'protocol', 'durable'},
    'models': {'protocol', '_lazy'},
    'client': {'protocol', 'models', '_lazy'},
    FACADE: {'protocol', 'models', 'client', '_aliases', '_lazy'},
    '_aliases': set(),
    '_lazy': set(),
    'ros_bridge': {'protocol', 'models', 'client', '_lazy'},
    'nodes': {'protocol', 'client', 'ros_bridge', 'durable'},
    'demo': {'protocol', 'models', 'client', 'ros_bridge'},
    'examples': {FACADE, 'models'},
    'cli': {'protocol', 'client', 'daemon', 'ros_bridge', 'nodes', 'demo'},
}
#: The node that is a daemon.
HOSTS = {'nodes/daemon.py', 'nodes/daemon_health.py', 'nodes/daemon_parameters.py'}
#: Rooms in which a package of others may be used.
USED_IN = {
    'alembic': {'daemon'},
    'boto3': {'daemon'},
    'botocore': {'daemon'},
    'click': {'cli'},
    'grpc': {'client', 'daemon'},
    'launch': {'nodes'},
    'mcap': {'ros_bridge', 'examples'},
    'psycopg': {'daemon'},
    'rclpy': {'nodes', 'demo'},
    'rosbags': {'ros_bridge'},
    'sqlalchemy': {'daemon'},
}


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a path below the package, without its ending; a name is of the facade."""
    named = parts[0] if parts else FACADE
    return named if (ROOT / named).is_dir() or (ROOT / f'{named}.py').exists() else FACADE


@functools.cache
def imports() -> list[tuple[str, int, str, str]]:
    """Return file, line, importing room, and module of every import, wherever it stands."""
    found = []
    for file in sorted(ROOT.rglob('*.py')):
        name = file.relative_to(ROOT)
        room = room_of(name.with_suffix('').parts)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [f'{node.module}.{alias.name}' for alias in node.names]
            else:
                continue
            found += [(name.as_posix(), node.lineno, room, module) for module in modules]
    return found


def test_arrows_point_down():
    wrong = []
    for file, line, room, module in imports():
        package, *rest = module.split('.')
        if package != ROOT.name:
            continue
        asked = room_of(tuple(rest))
        allowed = KNOWS[room] | {room} | ({'daemon'} if file in HOSTS else set())
        if asked not in allowed:
            wrong.append(f'{file}:{line} {module}')
    assert wrong == []


@pytest.mark.parametrize('package', USED_IN)
def test_a_package_of_others_stays_in_its_rooms(package):
    wrong = [
        f'{file}:{line} {module}'
        for file, line, room, module in imports()
        if module.split('.')[0] == package and room not in USED_IN[package]
    ]
    assert wrong == []


def test_the_rooms_stand_one_above_the_other():
    """What a room knows never knows it in turn, by whatever way."""

    def below(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, ' -> '.join((*way, room))
        for known in KNOWS[room]:
            below(known, (*way, room))

    for room in KNOWS:
        below(room, ())
