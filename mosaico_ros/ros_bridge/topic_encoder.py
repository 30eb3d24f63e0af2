"""Rows of an ontology type to serialized messages of one topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar
from mosaico_ros.ros_bridge.adapters.draft import Draft
from mosaico_ros.ros_bridge.cdr.columns import Column, column_of
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE, ROS1
from mosaico_ros.ros_bridge.residual import RESIDUAL, restored

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
    from mosaico_ros.ros_bridge.definitions import Definition


class TopicEncoder:
    """Encodes the rows of one topic, a batch at a time.

    Parameters
    ----------
    definition : Definition
        The message type.
    column_map : ColumnMap, optional
        The map that made the rows; None for a type derived from the definition.
    recorded : bool
        The definition is the one under which the rows were recorded, so that residuals apply.
    """

    def __init__(
        self, definition: Definition, column_map: ColumnMap | None, *, recorded: bool = True
    ) -> None:
        self._definition = definition
        self._map = column_map
        self._recorded = recorded
        self._payloads = PayloadEncoder(definition.tree, ROS1 if definition.ros1 else CDR_LE)

    def columns(self, rows: pa.RecordBatch) -> Column:
        """The members of the messages, as the decoder gives them.

        Parameters
        ----------
        rows
            Columns of the topic; sidecars are not looked at.

        Raises
        ------
        InvalidArgumentError
            If the values do not fit the definition; the text names the member.
        """
        fields = [
            field
            for field in rows.schema
            if field.name != TIMESTAMP_COLUMN and not is_sidecar(field.metadata)
        ]
        arrays = [rows.column(field.name) for field in fields]
        if self._map is not None:
            values = pa.StructArray.from_arrays(arrays, fields=fields)
            draft = Draft(self._definition.tree, rows.num_rows)
            self._map.word.restore(values, draft)
            return draft.finish()
        names = [name for name, _ in self._definition.tree.members]
        # The envelope owns one name; a member that claims it is stored under another.
        fields = [
            field.with_name(TIMESTAMP_COLUMN)
            if field.name == f'{TIMESTAMP_COLUMN}_' and field.name not in names
            else field
            for field in fields
        ]
        values = pa.StructArray.from_arrays(arrays, fields=fields)
        return column_of(self._definition.tree, values, rows.num_rows)

    def lengths(self, columns: Column) -> np.ndarray:
        """Bytes of each payload, shape (n,), int64, if it is encoded from these columns."""
        return self._payloads.lengths(columns)

    def encode(self, rows: pa.RecordBatch) -> tuple[np.ndarray, Payloads]:
        """Times and payloads of the rows, in their order.

        Parameters
        ----------
        rows
            ``timestamp_ns`` and the columns of the topic; with the residuals, if it has them, the
            payloads are the recorded ones bit for bit.

        Returns
        -------
        tuple
            Record times, shape (n,), int64, in ns; payloads, encapsulation header included.

        Raises
        ------
        InvalidArgumentError
            If the values do not fit the definition; the text names the member.
        DataLossError
            If the residuals belong to other payloads.
        """
        payloads = self._payloads.encode(self.columns(rows))
        if self._recorded and RESIDUAL.name in rows.schema.names:
            payloads = restored(payloads, rows.column(RESIDUAL.name))
        times = rows.column(TIMESTAMP_COLUMN).to_numpy(zero_copy_only=False)
        return times, payloads
