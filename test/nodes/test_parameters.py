"""The parameter table, what is made of it, and the files in config/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mosaico_ros.nodes.parameters import ParameterSpec, resolve, to_yaml
from mosaico_ros.nodes.recorder_parameters import RECORDER
from mosaico_ros.protocol.errors import InvalidArgumentError

CONFIG = Path(__file__).parents[2] / 'config'


def test_recorder_yaml_is_what_the_table_says() -> None:
    text = (CONFIG / 'recorder.yaml').read_text(encoding='utf-8')
    assert text == to_yaml('recorder', RECORDER)
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert resolve(RECORDER, values) == {spec.name: spec.default for spec in RECORDER}


def test_every_parameter_is_explained_and_bounded() -> None:
    for spec in RECORDER:
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
        ('flush_period_sec', 0.0, 'at least 0.05'),
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
