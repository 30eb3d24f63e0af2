"""The launch files, evaluated against stand-ins and the real launch where it is."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros.nodes.daemon_parameters import DAEMON
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.managed_parameters import MANAGED
from mosaico_ros.nodes.parameters import resolve
from mosaico_ros.nodes.player_parameters import PLAYER
from mosaico_ros.nodes.recorder_parameters import RECORDER

ROOT = Path(__file__).parents[2]
TABLES = {
    'recorder': RECORDER,
    'daemon': DAEMON,
    'fault_snapshot': FAULT_SNAPSHOT,
    'player': PLAYER,
}
NAMES = sorted(TABLES)
ALL = sorted(path.name.removesuffix('.launch.py') for path in (ROOT / 'launch').iterdir())


def load(name: str) -> Any:
    path = ROOT / 'launch' / f'{name}.launch.py'
    spec = importlib.util.spec_from_file_location(f'{name}_launch', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_launch_file_for_each_task() -> None:
    assert ALL == ['daemon', 'fault_snapshot', 'ingest', 'mosaico', 'player', 'recorder']


@pytest.mark.parametrize('name', ALL)
def test_every_argument_is_described(stand_ins: None, name: str) -> None:
    for argument in load(name).generate_launch_description().arguments().values():
        assert len(argument.description) > 15, argument.name


@pytest.mark.parametrize('name', [name for name in ALL if name != 'ingest'])
def test_the_nodes_are_executables_of_the_package(stand_ins: None, name: str) -> None:
    nodes = load(name).generate_launch_description().nodes()
    assert nodes
    for node in nodes:
        assert node.arguments['package'] == 'mosaico_ros'
        script = ROOT / 'scripts' / node.arguments['executable']
        assert os.access(script, os.X_OK)
        assert script.read_text(encoding='utf-8').startswith('#!/usr/bin/env python3\n')
        compile(script.read_text(encoding='utf-8'), str(script), 'exec')


def test_ingest_is_a_process_of_the_package(stand_ins: None) -> None:
    (process,) = load('ingest').generate_launch_description().nodes(bags='run.mcap')
    script, *arguments = process.arguments['cmd']
    prefix, *path = script.parts
    assert (prefix.package, path) == ('mosaico_ros', ['lib', 'mosaico_ros', 'ingest'])
    assert arguments[0] == 'run.mcap'


@pytest.mark.parametrize('name', NAMES)
def test_the_default_params_file_is_in_the_package(stand_ins: None, name: str) -> None:
    default = load(name).generate_launch_description().arguments()['params_file'].default_value
    package, *path = default.parts
    assert package.package == 'mosaico_ros'
    assert ROOT.joinpath(*path).is_file()


@pytest.mark.parametrize('name', NAMES)
def test_an_argument_left_alone_does_not_hide_the_params_file(stand_ins: None, name: str) -> None:
    (node,) = load(name).generate_launch_description().nodes()
    assert len(node.arguments['parameters']) == 1


@pytest.mark.parametrize('name', NAMES)
def test_every_override_is_a_parameter_of_the_node(stand_ins: None, name: str) -> None:
    known = {spec.name for spec in TABLES[name]} | {'use_sim_time'}
    arguments = set(load(name).generate_launch_description().arguments())
    general = {'params_file', 'namespace', 'node_name', 'respawn'}
    assert general <= arguments
    assert {'host', 'port'} <= arguments - general <= known


def test_given_arguments_become_parameters_of_the_right_type(stand_ins: None) -> None:
    (node,) = (
        load('recorder')
        .generate_launch_description()
        .nodes(port='7000', topics='[/imu, "/camera/*"]', sequence_name='run_{date}', host='box')
    )
    _, values = node.arguments['parameters']
    settings = resolve(RECORDER, values)
    assert settings['port'] == 7000
    assert settings['topics'] == ('/imu', '/camera/*')
    assert settings['sequence_name'] == 'run_{date}'
    assert settings['host'] == 'box'


def test_a_player_is_given_what_it_understands(stand_ins: None) -> None:
    (node,) = (
        load('player')
        .generate_launch_description()
        .nodes(sequences='[a, b]', rate='2.0', loop='true', where='IMU.acceleration.y > 8')
    )
    _, values = node.arguments['parameters']
    settings = resolve(PLAYER, values)
    assert settings['sequences'] == ('a', 'b')
    assert (settings['rate'], settings['loop']) == (2.0, True)
    assert settings['where'] == 'IMU.acceleration.y > 8'
    assert not node.arguments['respawn']


def test_a_fleet_is_one_launch_of_what_the_nodes_understand(stand_ins: None) -> None:
    nodes = load('mosaico').generate_launch_description().nodes(robots='[r1, r2]')
    for node in nodes:
        executable = node.arguments['executable']
        _, values = node.arguments['parameters']
        known = {spec.name for spec in (*TABLES[executable], *MANAGED)} | {'use_sim_time'}
        assert set(values) <= known, executable
        resolve(TABLES[executable], values)
    starts = [(n.arguments['executable'], n.arguments['namespace']) for n in nodes]
    assert len(set(starts)) == len(starts) == 5
    assert all(node.arguments['respawn'] for node in nodes)


@pytest.mark.skipif(
    importlib.util.find_spec('launch_ros') is None, reason='needs a ROS installation'
)
@pytest.mark.parametrize('name', ALL)
def test_real_launch_accepts_the_file(name: str) -> None:
    from launch import LaunchContext

    description = load(name).generate_launch_description()
    declared = {argument.name for argument in description.get_launch_arguments()}
    assert {'host', 'port'} <= declared
    context = LaunchContext()
    for argument in description.get_launch_arguments():
        if not argument.name.endswith('params_file'):
            argument.execute(context)
