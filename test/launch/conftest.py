"""Stand-ins for ``launch`` and ``launch_ros``.

A full ROS installation is needed for the real ones; no package index has them. These record what
a launch file asks for, so that names of executables, arguments, parameters and files can be
checked against the package. They say nothing about how the real launch runs the actions: the
tests marked so use the real one where it is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: Any = None
    description: str = ''
    choices: Any = None


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: dict[str, str]) -> str:
        return context[self.name]


@dataclass
class PathJoinSubstitution:
    parts: list[Any]


@dataclass
class FindPackageShare:
    package: str


@dataclass
class FindPackagePrefix:
    package: str


@dataclass
class ParameterFile:
    path: Any
    allow_substs: bool = False


@dataclass
class OpaqueFunction:
    function: Any


@dataclass
class LaunchDescription:
    entities: list[Any]

    def arguments(self) -> dict[str, DeclareLaunchArgument]:
        return {
            each.name: each for each in self.entities if isinstance(each, DeclareLaunchArgument)
        }

    def nodes(self, **given: str) -> list[Any]:
        """The actions that are taken when `given` arguments are set and the others left alone."""
        context = {
            name: each.default_value if isinstance(each.default_value, str) else ''
            for name, each in self.arguments().items()
        }
        context.update(given)
        return [
            node
            for each in self.entities
            if isinstance(each, OpaqueFunction)
            for node in each.function(context)
        ]


@dataclass(init=False)
class Node:
    arguments: dict[str, Any] = field(default_factory=dict)

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments


class ExecuteProcess(Node):
    pass


_MODULES = {
    'launch': {'LaunchDescription': LaunchDescription},
    'launch.actions': {
        'DeclareLaunchArgument': DeclareLaunchArgument,
        'ExecuteProcess': ExecuteProcess,
        'OpaqueFunction': OpaqueFunction,
    },
    'launch.substitutions': {
        'LaunchConfiguration': LaunchConfiguration,
        'PathJoinSubstitution': PathJoinSubstitution,
    },
    'launch_ros': {},
    'launch_ros.actions': {'Node': Node},
    'launch_ros.parameter_descriptions': {'ParameterFile': ParameterFile},
    'launch_ros.substitutions': {
        'FindPackagePrefix': FindPackagePrefix,
        'FindPackageShare': FindPackageShare,
    },
}


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the stand-ins in the place of the real packages."""
    for name, members in _MODULES.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return
