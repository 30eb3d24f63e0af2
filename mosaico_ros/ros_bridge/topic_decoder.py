"""Serialized messages of one topic to rows of its ontology type."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mosaico_ros.models.core.columns import encode, writer_schema
from mosaico_ros.models.core.unmodeled import resolve_ontology_class
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.ros_bridge.adapter_base import ROSAdapterBase, registered_adapter
from mosaico_ros.ros_bridge.adapters.column_adapter import ColumnAdapter, rows_of
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap, column_map
from mosaico_ros.ros_bridge.adapters.vocabulary import convert
from mosaico_ros.ros_bridge.cdr.columns import (
    Column,
    Group,
    derived_type,
    number_array,
    pieces_array,
)
from mosaico_ros.ros_bridge.cdr.decoder import Buffer, Part, PayloadDecoder, Payloads
from mosaico_ros.ros_bridge.definitions import Definition, Types, find_definition, full_name
from mosaico_ros.ros_bridge.residual import RESIDUAL, Fidelity, differing, endings, residuals
from mosaico_ros.ros_bridge.ros_message import ROSMessage
from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata
from mosaico_ros.ros_bridge.stored_names import stored_names
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.models import Serializable

_log = logging.getLogger(__name__)


class TopicDecoder:
    """Decodes the payloads of one topic, a batch at a time.

    The ontology type is, in this order: that of a registered (or given) per-message adapter, that
    of the built-in column map, or one derived from the definition, which keeps every field; its
    tag is the last part of the type name.

    Parameters
    ----------
    msgtype : str
        ROS type, such as ``sensor_msgs/msg/Imu``.
    definition : str, optional
        Its ``.msg`` or IDL text; without it, see `find_definition`.
    distro : str or rosbags.typesys.Stores, optional
        Distribution whose type set is the last resort.
    ros1 : bool
        Payloads are in ROS 1 serialization.
    adapter : type, optional
        Per-message adapter to use whatever is registered.
    extra : dict, optional
        Definitions registered by the user, in rosbags' form.
    serialization_format : SerializationFormat, optional
        Storage hint for a derived type.
    topic : str
        Name that adapters see in `ROSMessage`.
    fidelity : Fidelity
        What of a payload can be had back; beyond ``COLUMNS`` rows carry the sidecar column
        `residual.RESIDUAL`.
    sidecars : sequence of pyarrow.Field
        Columns that `decode` is given beside the payloads, such as those of `provenance`.

    Attributes
    ----------
    ontology_type : type
        The `Serializable` subclass.
    schema : pyarrow.Schema
        What `decode` returns: ``timestamp_ns`` first, sidecars last.
    malformed : int
        Payloads left out so far; `problems` counts them by reason.

    Raises
    ------
    NotFoundError
        If there is no definition of the type.
    InvalidArgumentError
        If the definition cannot be parsed.
    """

    def __init__(
        self,
        msgtype: str,
        definition: str | None = None,
        *,
        distro: str | Stores | None = None,
        ros1: bool = False,
        adapter: type[ROSAdapterBase[Any]] | None = None,
        extra: Types | None = None,
        serialization_format: SerializationFormat | None = None,
        topic: str = '',
        fidelity: Fidelity = Fidelity.COLUMNS,
        sidecars: Sequence[pa.Field] = (),
    ) -> None:
        self.definition = find_definition(
            msgtype, definition, distro=distro, ros1=ros1, extra=extra
        )
        self.topic = topic
        self._payloads = PayloadDecoder(self.definition.tree, ros1=ros1)
        self._untranslated: Counter[str] = Counter()
        self._adapter = adapter or registered_adapter(self.definition.msgtype)
        found = column_map(self.definition.msgtype)
        if self._adapter is not None and issubclass(self._adapter, ColumnAdapter):
            found = self._adapter.column_map(self.definition.msgtype)
            self._adapter = None if found else self._adapter
        self._map = None if self._adapter else self._bound(found)
        self.ontology_type = self._choose_type(serialization_format)
        self._fidelity = fidelity
        self._sidecars = tuple(sidecars)
        self._encoder = TopicEncoder(self.definition, self._map)
        self.schema: pa.Schema = writer_schema(self.ontology_type)
        if fidelity is not Fidelity.COLUMNS:
            self.schema = self.schema.append(RESIDUAL)
        for sidecar in self._sidecars:
            self.schema = self.schema.append(sidecar)

    @property
    def msgtype(self) -> str:
        """Full name of the ROS type."""
        return self.definition.msgtype

    @property
    def sees_topic(self) -> bool:
        """Whether messages are translated by an adapter that is told their topic's name."""
        return self._adapter is not None

    @property
    def problems(self) -> Counter[str]:
        """Number of payloads left out, by reason."""
        return self._payloads.problems + self._untranslated

    @property
    def malformed(self) -> int:
        """Number of payloads left out."""
        return sum(self.problems.values())

    @property
    def invalid_text(self) -> int:
        """Number of strings that were not UTF-8 (kept, with U+FFFD in place of what was not)."""
        return self._payloads.invalid_text

    def metadata(self) -> dict[str, Any]:
        """Topic metadata: how the rows came from ROS, under the reserved key ``_ros_``."""
        described: dict[str, Any] = {
            'msgtype': self.msgtype,
            'enums': self.definition.constants,
            'msgdef': self.definition.text,
            'serialization': 'ros1' if self.definition.ros1 else 'cdr',
        }
        if self.definition.type_hash is not None:
            described['type_hash'] = self.definition.type_hash
        return RosSchemaMetadata(**described).to_dict()

    def decode(
        self,
        timestamps_ns: np.ndarray,
        payloads: Sequence[Buffer] | Payloads,
        beside: Sequence[pa.Array] = (),
    ) -> pa.RecordBatch:
        """Rows of the payloads that could be decoded, in the order given.

        Parameters
        ----------
        timestamps_ns : numpy.ndarray
            Record or receive times, shape (n,), int64.
        payloads : sequence of bytes, or Payloads
            The messages as serialized, encapsulation header included.
        beside : sequence of pyarrow.Array
            The sidecar columns, each of length n.

        Returns
        -------
        pyarrow.RecordBatch
            With `schema`; malformed payloads are left out and counted.

        Raises
        ------
        InvalidArgumentError
            If there are not as many times as payloads.
        ResourceExhaustedError
            If a column would exceed 2 GiB: decode fewer messages per call.
        """
        if len(timestamps_ns) != len(payloads):
            raise InvalidArgumentError(
                f'{len(timestamps_ns)} timestamps for {len(payloads)} payloads'
            )
        times = np.ascontiguousarray(timestamps_ns, np.int64)
        told = self.invalid_text
        parts = self._payloads.decode(payloads)
        replaced = self.invalid_text > told
        batches, indexes = [], []
        for part in parts:
            batch, index = self._batch(times, part, payloads, beside, replaced=replaced)
            batches.append(batch)
            indexes.append(index)
        if len(batches) == 1:
            return batches[0]
        if not batches:
            return pa.RecordBatch.from_pylist([], self.schema)
        # Encapsulations were mixed: put the rows back in the order in which they came.
        order = np.argsort(np.concatenate(indexes), kind='stable')
        return _concatenated(batches).take(number_array(order, pa.int64()))

    def _batch(
        self,
        times: np.ndarray,
        part: Part,
        payloads: Sequence[Buffer] | Payloads,
        beside: Sequence[pa.Array],
        *,
        replaced: bool,
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Rows of a part, and which payload each of them was.

        ``replaced`` tells that some text among the payloads was not UTF-8.
        """
        index = np.arange(len(times)) if part.rows is None else part.rows
        refused = None
        if self._adapter is not None:
            batch, index = self._translated(times, part.column, index)
        else:
            members = _whole(part.column)
            batch = rows_of(times[index], members, self._map, self.ontology_type)
            refused = self._refused(members)
        if self._fidelity is not Fidelity.COLUMNS:
            kept = self._residuals(batch, part, index, payloads, replaced=replaced)
            batch = batch.append_column(RESIDUAL, kept)
        some = number_array(index, pa.int64()) if len(index) < len(times) else None
        for sidecar, column in zip(self._sidecars, beside, strict=True):
            batch = batch.append_column(sidecar, column if some is None else column.take(some))
        if refused is None:
            return batch, index
        return batch.filter(number_array(~refused, pa.bool_())), index[~refused]

    def _refused(self, members: Group) -> np.ndarray | None:
        """Rows that the map cannot make anything of, counted; None if there are none."""
        refused = None
        for reason, rows in self._map.refused(members).items() if self._map else ():
            self._untranslated[reason] += int(rows.sum())
            refused = rows if refused is None else refused | rows
        return refused

    def _residuals(
        self,
        batch: pa.RecordBatch,
        part: Part,
        index: np.ndarray,
        payloads: Sequence[Buffer] | Payloads,
        *,
        replaced: bool,
    ) -> pa.Array:
        """The sidecar column; ``index`` says which payload each row was."""
        kept: list[bytes | None] = [None] * len(index)
        if self._adapter is not None:  # its way back may come later, or never
            if self._fidelity is Fidelity.BYTES:
                recorded = [payloads[i] for i in index.tolist()]
                kept = residuals(Payloads.join([b''] * len(recorded)), recorded)
            return pieces_array(kept, RESIDUAL.type)
        # What is not laid out as the encoder does it comes back as bytes or not at all.
        foreign = part.wire != self.definition.wire
        if self._fidelity is Fidelity.BYTES or foreign or replaced:
            rows = np.arange(batch.num_rows)
        else:
            kept, rows = endings(self._encoder.lengths(part.column), index, payloads)
            if self._map is not None:
                unequal = differing(part.column, self._encoder.columns(batch))
                rows = np.union1d(rows, np.flatnonzero(unequal))
        if len(rows):
            some = batch if len(rows) == len(kept) else batch.take(number_array(rows, pa.int64()))
            _, _, encoded = self._encoder.encode(some)
            found = residuals(encoded, [payloads[i] for i in index[rows].tolist()])
            for row, residual in zip(rows.tolist(), found, strict=True):
                kept[row] = residual
        return pieces_array(kept, RESIDUAL.type)

    def _translated(
        self, times: np.ndarray, column: Column, index: np.ndarray
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """The per-message path: rows become dicts, and the adapter makes objects of them.

        Returns the rows, and which payload each of them was.
        """
        assert self._adapter is not None
        messages, translated = [], []
        for i, row in self._dicts(column, index):
            try:
                messages.append(self._adapter.translate(self._message(int(times[i]), row)))
                translated.append(i)
            except Exception as error:
                self._untranslated[str(error)] += 1
        return encode(self.ontology_type, messages), np.array(translated, np.int64)

    def messages(
        self, timestamps_ns: np.ndarray, payloads: Sequence[Buffer] | Payloads
    ) -> Iterator[tuple[int, ROSMessage]]:
        """Yield the messages of payloads, and the place of each in them.

        Parameters are those of `decode`; payloads that cannot be decoded are counted.
        """
        for part in self._payloads.decode(payloads):
            index = np.arange(len(timestamps_ns)) if part.rows is None else part.rows
            for i, row in self._dicts(part.column, index):
                yield i, self._message(int(timestamps_ns[i]), row)

    def _dicts(self, column: Column, index: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        kind = _listed(derived_type(self.definition.tree))
        return zip(index.tolist(), convert(column, kind).to_pylist(), strict=True)

    def _message(self, time: int, row: dict[str, Any]) -> ROSMessage:
        return ROSMessage(time, self.topic, self.msgtype, row, self.definition.constants)

    def _choose_type(self, serialization_format: SerializationFormat | None) -> type[Serializable]:
        if self._adapter is not None:
            return self._adapter.ontology_data_type()
        if self._map is not None:
            return self._map.ontology_type
        return _derived_class(self.definition, serialization_format)

    def _bound(self, found: ColumnMap | None) -> ColumnMap | None:
        """The map, if it fits the definition at hand (types change between releases)."""
        if found is None:
            return None
        probe = PayloadDecoder(self.definition.tree).empty()
        try:
            found.word.emit(_whole(probe), found.ontology_type.arrow_struct())
        except (InvalidArgumentError, pa.ArrowException) as error:
            _log.warning(
                '%s: the recorded definition does not fit the built-in map to %s (%s); '
                'storing its fields as they are',
                self.definition.msgtype,
                found.ontology,
                error,
            )
            return None
        return found


def _concatenated(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    columns = [
        pa.concat_arrays([batch.column(i) for batch in batches])
        for i in range(batches[0].num_columns)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batches[0].schema)


def _derived_class(
    definition: Definition, serialization_format: SerializationFormat | None
) -> type[Serializable]:
    struct = derived_type(definition.tree)
    names = stored_names([field.name for field in struct])
    struct = pa.struct([field.with_name(names[field.name]) for field in struct])
    return resolve_ontology_class(
        full_name(definition.msgtype).rsplit('/', 1)[1],
        struct,
        serialization_format=serialization_format,
    )


def _listed(kind: pa.DataType) -> pa.DataType:
    """The type with blobs as lists of integers, which is what per-message adapters expect."""
    if pa.types.is_binary(kind):
        return pa.list_(pa.uint8())
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_listed(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_listed(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_listed(kind.value_type))
    return kind


def _whole(column: Column) -> Group:
    assert isinstance(column, Group)
    return column
