"""Captured messages as Arrow columns under the names of their own type, as ROS spells them.

The archive's types are for those who read; a rule on a live topic, or a look at the last message,
is written by somebody who has the message definition before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.parcel import payloads
from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.ros_bridge.cdr.columns import derived_array, derived_type
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder
from mosaico_ros.ros_bridge.definitions import Types, find_definition


class MessageColumns:
    """Decodes one message type.

    Parameters
    ----------
    msgtype
        Such as ``diagnostic_msgs/msg/DiagnosticArray``.
    fallback
        Definitions for where no installed package has the type, in rosbags' form.

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the columns, without stamps.

    Raises
    ------
    NotFoundError
        There is no definition of the type.
    """

    def __init__(self, msgtype: str, fallback: Types | None = None) -> None:
        try:
            tree = find_definition(msgtype).tree
        except NotFoundError:
            tree = find_definition(msgtype, extra=fallback).tree
        self._decoder = PayloadDecoder(tree)
        self._kind: Any = derived_type(tree)
        self.schema = pa.schema(list(self._kind))

    @property
    def malformed(self) -> int:
        """Messages left out so far, because their bytes do not fit the type."""
        return sum(self._decoder.problems.values())

    def decode(self, rows: pa.RecordBatch) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """Yield stamps, ns, shape (n,), and columns of the messages that can be decoded.

        There is one pair per encapsulation found, so nearly always one.
        """
        stamps = rows.column(0).to_numpy()
        for part in self._decoder.decode(payloads(rows)):
            array = derived_array(part.column, self._kind)
            columns = [array.field(i) for i in range(self._kind.num_fields)]
            chosen = stamps if part.rows is None else stamps[part.rows]
            yield chosen, pa.RecordBatch.from_arrays(columns, schema=self.schema)
