"""Rows of an ontology type to serialized messages of one topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.models.core import columns
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar
from mosaico_ros.ros_bridge.adapters.draft import Draft
from mosaico_ros.ros_bridge.cdr.columns import Column, column_of, values_of
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.provenance import SOURCE_NS
from mosaico_ros.ros_bridge.residual import RESIDUAL, restored
from mosaico_ros.ros_bridge.ros_versions import VersionTranslator
from mosaico_ros.ros_bridge.stored_names import stored_names

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.adapter_base import ROSAdapterBase
    from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
    from mosaico_ros.ros_bridge.definitions import Definition


class TopicEncoder:
    """Encodes the rows of one topic, a batch at a time.

    Parameters
    ----------
    definition : Definition
        The message type, as the rows were recorded under it.
    column_map : ColumnMap, optional
        The map that made the rows; None for a type derived from the definition.
    adapter : type, optional
        The per-message adapter that made the rows, which has a way back.
    target : Definition, optional
        The same type in the other ROS version, into which the messages are translated.

    Attributes
    ----------
    lost : list of str
        Members that the other version lacks, and that had values in what was encoded so far.
    """

    def __init__(
        self,
        definition: Definition,
        column_map: ColumnMap | None,
        *,
        adapter: type[ROSAdapterBase[Any]] | None = None,
        target: Definition | None = None,
    ) -> None:
        self._definition = definition
        self._map = column_map
        self._adapter = adapter
        self._payloads = PayloadEncoder(definition.tree, definition.wire)
        self._translator = None if target is None else VersionTranslator(definition, target)

    @property
    def lost(self) -> list[str]:
        return [] if self._translator is None else self._translator.lost

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
        names = stored_names([name for name, _ in self._definition.tree.members])
        members = {stored: name for name, stored in names.items()}
        fields = [field.with_name(members.get(field.name, field.name)) for field in fields]
        values = pa.StructArray.from_arrays(arrays, fields=fields)
        return column_of(self._definition.tree, values, rows.num_rows)

    def lengths(self, members: Column) -> np.ndarray:
        """Bytes of each payload, shape (n,), int64, if it is encoded from these columns."""
        return self._payloads.lengths(members)

    def encode(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, Payloads]:
        """Times and payloads of the rows, in their order.

        Parameters
        ----------
        rows
            ``timestamp_ns`` and the columns of the topic; with the residuals, if it has them, the
            payloads are the recorded ones bit for bit.

        Returns
        -------
        tuple
            Record times and times of publication (which are the record times where nothing else
            is known), both of shape (n,), int64, in ns; payloads, encapsulation header included.

        Raises
        ------
        InvalidArgumentError
            If the values do not fit the definition; the text names the member.
        DataLossError
            If the residuals belong to other payloads.
        """
        if self._adapter is not None:
            payloads = self._translated(rows, self._adapter)
        else:
            payloads = self._payloads.encode(self.columns(rows))
        if RESIDUAL.name in rows.schema.names:
            payloads = restored(payloads, rows.column(RESIDUAL.name))
        if self._translator is not None:
            payloads = self._translator.translate(payloads)
        times = rows.column(TIMESTAMP_COLUMN)
        published = times
        if SOURCE_NS.name in rows.schema.names:
            published = pc.coalesce(rows.column(SOURCE_NS.name), times)
        numbers = [values_of(column) for column in (times, published)]
        return numbers[0], numbers[1], payloads

    def _translated(self, rows: pa.RecordBatch, adapter: type[ROSAdapterBase[Any]]) -> Payloads:
        """The per-message path: objects of the ontology become messages, and these bytes."""
        store, name = self._definition.messages, self._definition.msgtype
        serialize = store.serialize_ros1 if self._definition.ros1 else store.serialize_cdr
        kept = [field.name for field in rows.schema if not is_sidecar(field.metadata)]
        messages = columns.decode(adapter.ontology_data_type(), rows.select(kept))
        return Payloads.join(
            [
                bytes(serialize(adapter.to_ros(message.data, store, name), name))
                for message in messages
            ]
        )
