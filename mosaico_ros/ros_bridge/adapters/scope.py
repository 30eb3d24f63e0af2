"""The members of messages: finding them, and asking about their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.columns import Bytes, Column, Group, Leaf, List

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.adapters.draft import Draft

#: Rows for which a value exists, as a boolean array of shape (n,).
Condition = Callable[[Group], np.ndarray]


def lookup(scope: Group, path: str) -> Column:
    """Column at a dotted path.

    Raises
    ------
    InvalidArgumentError
        If the message has no such member (another version of the type).
    """
    column: Column = scope
    for name in path.split('.') if path else ():
        if not isinstance(column, Group) or name not in column.members:
            raise InvalidArgumentError(f'the message definition has no member {path!r}')
        column = column.members[name]
    return column


def group(scope: Group, path: str) -> Group:
    """Structure at a dotted path; the empty path is the scope itself."""
    column = lookup(scope, path)
    if not isinstance(column, Group):
        raise InvalidArgumentError(f'member {path!r} of the message is not a structure')
    return column


def leaf(scope: Group, path: str) -> np.ndarray:
    """Numbers at a dotted path."""
    column = lookup(scope, path)
    if not isinstance(column, Leaf):
        raise InvalidArgumentError(f'member {path!r} of the message is not a number')
    return column.values


def has(scope: Group, path: str) -> bool:
    """Whether the definition has this member."""
    column: Column = scope
    for name in path.split('.'):
        if not isinstance(column, Group) or name not in column.members:
            return False
        column = column.members[name]
    return True


def positive(path: str) -> Condition:
    """Number, or any entry of a fixed array, above zero."""

    def condition(scope: Group) -> np.ndarray:
        values: np.ndarray = leaf(scope, path) > 0
        return np.asarray(values.any(axis=1) if values.ndim == 2 else values)

    return condition


def filled(path: str) -> Condition:
    """Text, blob or list that is not empty."""

    def condition(scope: Group) -> np.ndarray:
        column = lookup(scope, path)
        if not isinstance(column, (Bytes, List)):
            raise InvalidArgumentError(f'member {path!r} has no length')
        return np.diff(column.offsets) > 0

    return condition


@dataclass(frozen=True)
class Marked:
    """Values are there unless a number (or the first entry of a fixed array) says otherwise.

    Parameters
    ----------
    path
        Where the number is.
    known
        Which numbers say that there is a value.
    marker
        The number that says that there is none.
    """

    path: str
    known: Callable[[np.ndarray], np.ndarray]
    marker: float

    def __call__(self, scope: Group) -> np.ndarray:
        return self.known(_leading(leaf(scope, self.path)))

    def mark(self, draft: Draft, absent: np.ndarray) -> None:
        """Say in a message under construction which rows have no value."""
        _leading(draft.numbers(self.path))[absent] = self.marker


def _leading(values: np.ndarray) -> np.ndarray:
    return values[:, 0] if values.ndim == 2 else values
