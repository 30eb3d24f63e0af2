"""What verbs that run a node do with their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mosaico_ros.cli import play, record
from mosaico_ros.cli.ros_node import RosCommand, given_parameters


@click.command('verb', cls=RosCommand)
@click.argument('names', nargs=-1)
@click.option('--rate', type=float)
def verb(ros_arguments: list[str], **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Return what it was given."""
    return ros_arguments, options


def run(command: click.Command, *arguments: str) -> Any:
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value


def test_ros_arguments_are_left_to_ros(tmp_path: Path) -> None:
    file = tmp_path / 'params.yaml'
    file.touch()
    arguments, options = run(
        verb, 'a', '--rate', '2', '--params-file', str(file), '--remap', '/imu:=/old',
        '-r', '__ns:=/r1', '--ros-args', '-p', 'rate:=3.0', '--log-level', 'debug',
    )  # fmt: skip
    assert options == {'names': ('a',), 'rate': 2.0}
    assert arguments == [
        'mosaico', '--ros-args', '--params-file', str(file), '-r', '/imu:=/old', '-r', '__ns:=/r1',
        '--ros-args', '-p', 'rate:=3.0', '--log-level', 'debug',
    ]  # fmt: skip


def test_a_params_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(click.BadParameter, match=r'no_such\.yaml'):
        run(verb, '--params-file', 'no_such.yaml')


def test_only_what_was_given_becomes_a_parameter() -> None:
    given = {'rate': 0.0, 'port': 0, 'loop': False, 'topics': (), 'name': '', 'host': None}
    assert given_parameters(given) == {'rate': 0.0, 'port': 0}


def test_a_recorder_may_be_told_its_topics_by_a_file() -> None:
    names = [option.name for option in record.command.params if option.name != 'params_files']
    options: dict[str, Any] = dict.fromkeys(map(str, names))
    options |= {'topics': (), 'names': (), 'exclude': (), 'types': ()}
    with pytest.raises(click.UsageError, match='say which topics'):
        record.parameters(options, terminal=False)
    assert record.parameters(options, terminal=False, elsewhere=True) == {'report': 'plain'}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('1700000000000000000', 1_700_000_000 * 10**9),
        ('2023-11-14T22:13:20Z', 1_700_000_000 * 10**9),
    ],
)
def test_times_are_nanoseconds_or_instants(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    monkeypatch.setattr('mosaico_ros.nodes.player.main', lambda arguments, parameters: parameters)
    assert run(play.command, 'a', '--start', text) == {
        'sequences': ('a',),
        'start_ns': 1_700_000_000 * 10**9,
    }
    with pytest.raises(click.BadParameter, match='yesterday'):
        run(play.command, 'a', '--start', 'yesterday')
