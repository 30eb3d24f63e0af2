"""The parameter table, what is made of it, and the files in config/."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from mosaico_ros.daemon.settings import Settings
from mosaico_ros.nodes.daemon_parameters import DAEMON, given_settings
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.parameters import ParameterSpec, resolve, to_yaml
from mosaico_ros.nodes.player_parameters import PLAYER
from mosaico_ros.nodes.recorder_parameters import RECORDER
from mosaico_ros.protocol.errors import InvalidArgumentError

CONFIG = Path(__file__).parents[2] / 'config'


TABLES = {
    'recorder': RECORDER,
    'daemon': DAEMON,
    'player': PLAYER,
    'fault_snapshot': FAULT_SNAPSHOT,
}


@pytest.mark.parametrize('node', TABLES)
def test_the_params_file_is_what_the_table_says(node: str) -> None:
    table = TABLES[node]
    text = (CONFIG / f'{node}.yaml').read_text(encoding='utf-8')
    assert text == to_yaml(node, table)
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert resolve(table, values) == {spec.name: spec.default for spec in table}


def test_the_daemon_has_the_settings_and_defaults_of_mosaicod() -> None:
    settings = Settings()
    parameters = {spec.name: spec.default for spec in DAEMON}
    for field in dataclasses.fields(Settings):
        # Everybody in the graph can read parameters; one process has no workers.
        secret = not field.repr or field.name == 'store_access_key'
        assert (field.name in parameters) == (not secret and field.name != 'workers'), field.name
        if field.name in parameters and field.name != 'data_dir':
            assert parameters[field.name] == getattr(settings, field.name), field.name


def test_daemon_parameters_left_alone_leave_the_environment_its_say() -> None:
    given = given_settings(
        resolve(DAEMON, {'data_dir': '/data', 'port': 6726, 'linger_sec': 1.0, 'robot_id': 'r1'})
    )
    assert given == {'data_dir': '/data'}


@pytest.mark.parametrize('node', TABLES)
def test_every_parameter_is_explained_and_bounded(node: str) -> None:
    for spec in TABLES[node]:
        assert len(spec.description) > 20, spec.name
        if isinstance(spec.default, (int, float)) and not isinstance(spec.default, bool):
            assert spec.low is not None, spec.name


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('port', 0, 'at least 1'),
        ('port', 70000, 'at most 65535'),
        ('port', '6726', 'of type int'),
        ('port', True, 'of type int'),
        ('commit_period_sec', 0.0, 'at least 0.1'),
        ('commit_period_sec', float('nan'), 'a number'),
        ('topics', '/imu', 'a list of texts'),
        ('topics', [1, 2], 'a list of texts'),
        ('report', 'loud', "one of 'plain'"),
        ('include_hidden_topics', 'yes', 'of type bool'),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(name: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f'parameter {name} must be .*{reason}'):
        resolve(RECORDER, {name: value})


def test_what_rcl_makes_of_an_empty_list_is_an_empty_list() -> None:
    assert resolve(RECORDER, {'topics': None})['topics'] == ()
    assert resolve(RECORDER, {'topics': ['']})['topics'] == ()


def test_an_integer_serves_as_a_float() -> None:
    value = resolve((ParameterSpec('x', 1.0, 'a number'),), {'x': 2})['x']
    assert value == 2.0
    assert isinstance(value, float)
