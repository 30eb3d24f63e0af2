"""Messages of one ROS version as those of the other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.protocol.errors import DataLossError
from mosaico_ros.ros_bridge.cdr.columns import column_of, derived_array, derived_type
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder, Payloads
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.cdr.layout import Node, Primitive, Struct, Text
from mosaico_ros.ros_bridge.definitions import Definition

#: Headers of ROS 1 count messages, those of ROS 2 do not; everybody knows.
_COUNTER = 'seq'


class VersionTranslator:
    """Translates the messages of one type.

    Members are found by their names, in whatever letters: the ``d`` of a ``CameraInfo`` in ROS 2
    is its ``D`` in ROS 1. What the other version has besides is zero or empty.

    Parameters
    ----------
    source, target : Definition
        The type in both versions, see `Definition.for_ros`.

    Attributes
    ----------
    lost : list of str
        Paths of members that the other version lacks, and that had values so far.
    """

    def __init__(self, source: Definition, target: Definition) -> None:
        self._target = target.tree
        self._source = source.tree
        self._kind = derived_type(source.tree)
        self._decoder = PayloadDecoder(source.tree, ros1=source.ros1)
        self._encoder = PayloadEncoder(target.tree, target.wire)
        self.lost: list[str] = []

    def translate(self, payloads: Payloads) -> Payloads:
        """The same messages in the other version, in their order.

        Raises
        ------
        DataLossError
            If a payload is none of its type.
        InvalidArgumentError
            If a number does not fit the other version's type.
        """
        rows, pieces = [], []
        for part in self._decoder.decode(payloads):
            array = derived_array(part.column, self._kind)
            self._note_lost(self._source, self._target, array, '')
            made = self._encoder.encode(column_of(self._target, array, len(array)))
            if part.rows is None:
                return made
            rows += part.rows.tolist()
            pieces += [made[i] for i in range(len(made))]
        if len(rows) < len(payloads):
            raise DataLossError(f'{len(payloads) - len(rows)} stored messages cannot be read')
        return Payloads.join([pieces[i] for i in np.argsort(rows).tolist()])

    def _note_lost(self, source: Node, target: Node, array: pa.Array, path: str) -> None:
        if isinstance(source, (Primitive, Text)):
            return
        if not isinstance(source, Struct):
            if not isinstance(target, (Primitive, Text, Struct)) and not _is_flat(source.item):
                self._note_lost(source.item, target.item, array.flatten(), f'{path}[]')
            return
        assert isinstance(target, Struct)
        known = {name.lower(): node for name, node in target.members}
        for (name, node), values in zip(source.members, array.flatten(), strict=True):
            inner = f'{path}.{name}'.lstrip('.')
            if name.lower() in known:
                self._note_lost(node, known[name.lower()], values, inner)
            elif name != _COUNTER and inner not in self.lost and _tells(values):
                self.lost.append(inner)


def _is_flat(node: Node) -> bool:
    return isinstance(node, (Primitive, Text))


def _tells(array: pa.Array) -> bool:
    """Whether there is a value that is neither zero nor empty."""
    kind = array.type
    if pa.types.is_struct(kind):
        return any(map(_tells, array.flatten()))
    if pa.types.is_fixed_size_list(kind):
        return _tells(array.flatten())
    if pa.types.is_list(kind):
        return len(array.flatten()) > 0
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pc.any(pc.greater(pc.binary_length(array), 0)).as_py() is True
    if pa.types.is_boolean(kind):
        return pc.any(array).as_py() is True
    return pc.any(pc.not_equal(array, 0)).as_py() is True
