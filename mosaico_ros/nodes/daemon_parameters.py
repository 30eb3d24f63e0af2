"""The daemon node's parameters: the daemon's settings under their own names.

They are made of the table of settings, which also explains them. Settings that may hold secrets
stay in the environment: everybody in the graph can read parameters.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from mosaico_ros.daemon import settings as daemon_settings
from mosaico_ros.daemon.settings import Settings, variable
from mosaico_ros.nodes.managed_parameters import MANAGED
from mosaico_ros.nodes.parameters import ParameterSpec, ParameterValue

# One process has no workers, and the key's other half is secret.
_NOT_HERE = ('workers', 'store_access_key')
_LEFT_ALONE = (
    ' As every parameter here, one left at its default leaves the choice to the environment '
    f'({variable("host")}, {variable("port")}, ...) and to the file that MOSAICOD_CONFIG names.'
)


def _explanations() -> dict[str, str]:
    """Comments above the settings, by setting; one comment may head several settings."""
    source = inspect.getsource(daemon_settings)
    lines = source.splitlines()
    (body,) = (
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == Settings.__name__
    )
    found: dict[str, str] = {}
    text = ''
    for statement in body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        above = []
        number = statement.lineno - 2
        while lines[number].lstrip().startswith('#:'):
            above.append(lines[number].strip()[2:].strip())
            number -= 1
        text = ' '.join(reversed(above)).replace('``', '"') or text
        found[statement.target.id] = text
    return found


def _table() -> tuple[ParameterSpec, ...]:
    explained = _explanations()
    settings = Settings()
    specs = []
    for field in dataclasses.fields(Settings):
        if not field.repr or field.name in _NOT_HERE:
            continue
        default: ParameterValue = getattr(settings, field.name)
        text = explained[field.name]
        if field.name == 'host':
            text += _LEFT_ALONE
        if field.name == 'data_dir':
            # Another one on every machine.
            default, text = '', f'{text} Empty: ~/.local/share/mosaico.'
        low, high = field.metadata['low'], field.metadata['high']
        specs.append(
            ParameterSpec(
                field.name, default, text, low, high, choices=field.metadata['choices'] or ()
            )
        )
    return tuple(specs)


_LINGER = ParameterSpec(
    'linger_sec',
    3.0,
    'When told to stop while sessions are open, serve on for so long, seconds, so that they can '
    'be finalized: a launch stops recorders at the same time as this node. Without open sessions '
    'it ends at once. With shutdown_grace and 3 s more it has to fit into the patience of what '
    'stops it: 10 s in a launch file that says nothing else.',
    low=0.0,
    high=600.0,
)
DAEMON = (*_table(), _LINGER, *MANAGED)
_DEFAULTS = {spec.name: spec.default for spec in _table()}


def given_settings(settings: Mapping[str, ParameterValue]) -> dict[str, Any]:
    """Return the parameters that were changed from their defaults, as options of the daemon."""
    return {
        name: value
        for name, value in settings.items()
        if name in _DEFAULTS and value != _DEFAULTS[name]
    }
