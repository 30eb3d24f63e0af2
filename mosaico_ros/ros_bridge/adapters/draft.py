"""Messages under construction: the members that words restore, the others zero."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.columns import Column, Group, Leaf, column_of
from mosaico_ros.ros_bridge.cdr.layout import Node, Struct


class Draft:
    """Rows of one structure, filled member by member.

    Parameters
    ----------
    tree : Struct
        The definition.
    length : int
        Number of rows.
    """

    def __init__(self, tree: Struct, length: int) -> None:
        self.length = length
        self._nodes = dict(tree.members)
        self._members: dict[str, Column | Draft] = {}

    def has(self, path: str) -> bool:
        """Whether the definition has this member."""
        head, _, rest = path.partition('.')
        node = self._nodes.get(head)
        if not rest:
            return node is not None
        return isinstance(node, Struct) and self.at(head).has(rest)

    def at(self, path: str) -> Draft:
        """The structure at a dotted path; the empty path is the draft itself.

        Raises
        ------
        InvalidArgumentError
            If the definition has no structure there.
        """
        if not path:
            return self
        head, _, rest = path.partition('.')
        inner = self._members.get(head)
        if inner is None:
            node = self.node(head)
            if not isinstance(node, Struct):
                raise InvalidArgumentError(f'member {head!r} of the message is not a structure')
            inner = self._members[head] = Draft(node, self.length)
        assert isinstance(inner, Draft)
        return inner.at(rest)

    def node(self, path: str) -> Node:
        """What the definition says of a member."""
        *outer, name = path.split('.')
        draft = self.at('.'.join(outer))
        if name not in draft._nodes:
            raise InvalidArgumentError(f'the message definition has no member {path!r}')
        return draft._nodes[name]

    def put(self, path: str, column: Column) -> None:
        """Set a member."""
        *outer, name = path.split('.')
        self.at('.'.join(outer))._members[name] = column

    def fill(self, path: str, array: pa.Array) -> None:
        """Set a member from Arrow values, as `column_of` reads them."""
        try:
            self.put(path, column_of(self.node(path), array, self.length))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f'{path}: {error}') from error

    def numbers(self, path: str) -> np.ndarray:
        """Numbers of a member, to write into."""
        *outer, name = path.split('.')
        draft = self.at('.'.join(outer))
        column = draft._members.get(name) or column_of(self.node(path), None, self.length)
        assert isinstance(column, Leaf)
        column = draft._members[name] = Leaf(column.values.copy())
        return column.values

    def finish(self) -> Group:
        """All members, in the order of the definition."""
        members: dict[str, Column] = {}
        for name, node in self._nodes.items():
            made = self._members.get(name)
            if isinstance(made, Draft):
                made = made.finish()
            members[name] = column_of(node, None, self.length) if made is None else made
        return Group(members, self.length)
