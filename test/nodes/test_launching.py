"""What launch arguments mean."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from click.testing import CliRunner

from mosaico_ros.cli.ingest import command
from mosaico_ros.nodes.launching import (
    INGEST,
    RECORDER,
    ROBOT_SIDE,
    NodeStart,
    given_parameters,
    ingest_arguments,
    robot_side,
    texts,
)
from mosaico_ros.protocol.errors import InvalidArgumentError


def defaults(arguments: dict[str, tuple[str, str]], **given: str) -> dict[str, str]:
    return {**{name: default for name, (default, _) in arguments.items()}, **given}


def side(**given: str) -> list[NodeStart]:
    return robot_side(defaults(ROBOT_SIDE, **given))


def test_a_robot_alone_has_three_nodes_without_namespace() -> None:
    starts = side()
    assert [(each.executable, each.namespace) for each in starts] == [
        ('daemon', ''), ('recorder', ''), ('fault_snapshot', '')
    ]  # fmt: skip
    assert all(each.respawn for each in starts)
    for each in starts:
        assert (each.parameters['host'], each.parameters['port']) == ('127.0.0.1', 6726)
        assert 'topics' not in each.parameters


def test_several_robots_share_a_daemon_and_take_their_own_topics() -> None:
    starts = side(robots='[rover_1, rover_2]', host='base', port='7000', use_sim_time='true')
    assert [(each.executable, each.namespace) for each in starts] == [
        ('daemon', ''),
        ('recorder', 'rover_1'), ('fault_snapshot', 'rover_1'),
        ('recorder', 'rover_2'), ('fault_snapshot', 'rover_2'),
    ]  # fmt: skip
    for each in starts[1:]:
        assert each.parameters['robot_id'] == each.namespace
        assert each.parameters['topics'] == [f'/{each.namespace}/*', '/tf', '/tf_static']
        assert each.parameters['host'] == 'base'
        assert each.parameters['use_sim_time'] is True
    assert starts[1].parameters['sequence_name'] == 'rover_1_{date}_{time}'
    assert 'sequence_name' not in starts[2].parameters


def test_each_part_can_be_left_away() -> None:
    (recorder,) = side(daemon='false', fault_snapshot='false', respawn='False')
    assert recorder.executable == 'recorder'
    assert not recorder.respawn
    (daemon,) = side(recorder='false', fault_snapshot='false', data_dir='/data')
    assert daemon.parameters['data_dir'] == '/data'


def test_a_node_keeps_its_params_file_where_nothing_is_given() -> None:
    given = defaults(RECORDER.arguments(), namespace='r1', port='7000')
    start = RECORDER.start(given)
    assert start == NodeStart(
        'recorder', 'params_file', 'mosaico_recorder', 'r1', {'port': 7000}, False
    )


@pytest.mark.parametrize(
    ('text', 'value'),
    [('2.5', 2.5), ('[a, "/b/*"]', ['a', '/b/*']), ('run_{date}', 'run_{date}'), ('true', True)],
)
def test_arguments_are_yaml(text: str, value: Any) -> None:
    assert given_parameters({'x': text, 'left_alone': ''}) == {'x': value}


def test_ingest_gets_the_command_line_that_it_understands() -> None:
    given = defaults(
        INGEST,
        bags='[/no/such/a.mcap, b.mcap]',
        topics='[/imu, "!/x"]',
        metadata='{"site": "lab"}',
    )
    arguments = ingest_arguments(given)
    assert arguments[:2] == ['/no/such/a.mcap', 'b.mcap']
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    # It gets as far as looking for the bags.
    assert '/no/such/a.mcap' in result.output + str(result.exception), shlex.join(arguments)


@pytest.mark.parametrize(
    'wrong',
    [
        lambda: side(daemon='maybe'),
        lambda: side(robots='[1, 2]'),
        lambda: ingest_arguments(defaults(INGEST)),
        lambda: texts('bags', '[unclosed'),
    ],
    ids=['choice', 'numbers', 'no bag', 'no yaml'],
)
def test_wrong_arguments_are_named(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match='launch argument'):
        wrong()


def test_one_path_needs_no_list() -> None:
    assert texts('bags', '/data/my bag.mcap') == ['/data/my bag.mcap']
    assert texts('bags', '') == []
