"""What the archive knows about one topic, and the way to its rows."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.enums import SerializationFormat
from mosaico_ros.client.handlers.app_metadata import TopicEntry, read_topics
from mosaico_ros.client.handlers.stripes import read_stripes
from mosaico_ros.client.handlers.table_output import to_numpy, to_pandas
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ['TopicHandler']

# Connections for a large topic. Two fill the cores of a small machine; each is a stream that a
# loaded daemon has to serve.
_STRIPES = 2


class TopicHandler:
    """A snapshot of one topic's catalog entry; made by ``MosaicoClient.topic_handler``.

    Properties describe the moment of :meth:`reload`; streamers ask the daemon anew. `entry` is the
    snapshot to begin with, if somebody has it already.
    """

    def __init__(
        self, connection: Connection, locator: TopicLocator, entry: TopicEntry | None = None
    ) -> None:
        self._connection = connection
        self._locator = locator
        self._streamers: weakref.WeakSet[TopicDataStreamer] = weakref.WeakSet()
        self._schema: pa.Schema | None = None
        self._entry = entry or self._fetch()

    @property
    def entry(self) -> TopicEntry:
        """The snapshot of the catalog entry."""
        return self._entry

    @property
    def name(self) -> str:
        """Name of the topic, with a leading slash."""
        return self._entry.topic.name

    @property
    def sequence_name(self) -> str:
        """Name of the topic's sequence."""
        return self._locator.sequence

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What was given as `metadata` when the topic was created."""
        return self._entry.topic.user_metadata

    @property
    def created_timestamp(self) -> int:
        """When the topic was created, in nanoseconds since 1970."""
        return self._entry.topic.created_timestamp

    @property
    def created_datetime(self) -> datetime:
        """When the topic was created, in UTC."""
        return datetime.fromtimestamp(self.created_timestamp / 1e9, timezone.utc)

    @property
    def completed_timestamp(self) -> int | None:
        """When the upload ended, in nanoseconds since 1970; `None` while it runs."""
        return self._entry.completed_timestamp

    @property
    def locked(self) -> bool:
        """Whether the upload is complete."""
        return self._entry.topic.locked

    @property
    def chunks_number(self) -> int | None:
        """Stored chunks."""
        return self._entry.topic.chunks_number

    @property
    def message_count(self) -> int | None:
        """Stored messages; `None` if the daemon does not tell."""
        return self._entry.row_count

    @property
    def ontology_tag(self) -> str:
        """Ontology tag of the topic."""
        return self._entry.topic.ontology_tag

    @property
    def serialization_format(self) -> SerializationFormat:
        """Storage hint of the topic."""
        return self._entry.topic.serialization_format

    @property
    def total_size_bytes(self) -> int:
        """Stored size in bytes."""
        return self._entry.topic.total_size_bytes

    @property
    def timestamp_ns_min(self) -> int | None:
        """Time of the first message, `None` without messages."""
        return self._entry.timestamp_ns_min

    @property
    def timestamp_ns_max(self) -> int | None:
        """Time of the last message, `None` without messages."""
        return self._entry.timestamp_ns_max

    @property
    def ontology_schema(self) -> pa.StructType:
        """Arrow layout of the messages' data, without ``timestamp_ns``."""
        if self._schema is None:
            self._schema = self._connection.schema(self._locator)
        return pa.struct([field for field in self._schema if field.name != TIMESTAMP_COLUMN])

    def get_data_streamer(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: Sequence[str] | None = None,
        *,
        sidecars: bool = False,
    ) -> TopicDataStreamer:
        """Stream the topic's messages.

        Parameters
        ----------
        start_timestamp_ns
            First time to read, inclusive; the beginning by default.
        end_timestamp_ns
            Time to stop before (exclusive); the end by default.
        columns
            Columns, or paths into structs such as ``acceleration.x``, for a streamer that gives
            batches of those only, and no messages. They come in the order of the schema. Our
            daemon reads nothing else then.
        sidecars
            Have the batches carry the topic's sidecar columns too, if it has any.

        Raises
        ------
        InvalidArgumentError
            The start is not before the end. An unknown column is told when reading begins.
        FailedPreconditionError
            The upload is not complete yet.
        NotFoundError
            The topic was deleted meanwhile.

        """
        columns = [columns] if isinstance(columns, str) else columns
        (entry,) = self.entries(
            start_timestamp_ns, end_timestamp_ns, columns=columns, sidecars=sidecars
        )
        return self.stream([entry], self._meter(entry), columns)

    def to_arrow(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of [start, end) as one table; arguments as in `get_data_streamer`.

        A large topic is read over several connections at once, if the daemon offers that.
        """
        columns = [columns] if isinstance(columns, str) else columns
        entries = self.entries(
            start_timestamp_ns, end_timestamp_ns, stripes=_STRIPES, columns=columns
        )
        if len(entries) > 1:
            tickets = [entry.ticket for entry in entries]
            with closing(self._meter(entries[0])) as meter:
                return read_stripes(self._connection, self._locator, tickets, meter, columns)
        meter = self._meter(entries[0])
        with TopicDataStreamer(self._connection, entries, meter, columns) as streamer:
            return streamer.to_arrow()

    def to_pandas(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the rows of [start, end) as a flat data frame.

        Members of structs are columns such as ``acceleration.x``; missing numbers are NaN, lists
        numpy arrays. Arguments as in `get_data_streamer`; `push_batch` takes such a frame.
        """
        return to_pandas(self.to_arrow(start_timestamp_ns, end_timestamp_ns, columns))

    def to_numpy(
        self,
        start_timestamp_ns: int | None = None,
        end_timestamp_ns: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the rows of [start, end) as one array per column.

        Arguments as in `get_data_streamer`; `push_batch` takes such a dictionary.

        Returns
        -------
        dict
            Keyed by ``timestamp_ns``, ``acceleration.x`` and so on. Numbers and booleans have
            the dtype of the schema and shape (rows,); missing floats are NaN, other missing
            numbers make a masked array. Lists of a fixed length n have shape (rows, n). Lists of
            any length are an object array of arrays, views into one buffer; text and blobs one
            of `str` and `bytes`; missing ones are None. Arrays may be read-only: they are the
            bytes that came from the daemon, where possible.

        """
        return to_numpy(self.to_arrow(start_timestamp_ns, end_timestamp_ns, columns))

    def reload(self) -> bool:
        """Read the catalog entry again; `False` if the topic is gone."""
        try:
            self._entry = self._fetch()
        except NotFoundError:
            return False
        self._schema = None
        return True

    def close(self) -> None:
        """Close the streamers made by this handler."""
        for streamer in list(self._streamers):
            streamer.close()

    def _meter(self, entry: TopicEntry) -> Meter:
        return Meter(f'Reading {self._locator}', entry.row_count)

    def _fetch(self) -> TopicEntry:
        return self.entries(None, None)[0]

    def stream(
        self, entries: Sequence[TopicEntry], meter: Meter, columns: Sequence[str] | None
    ) -> TopicDataStreamer:
        """Stream what `entries` describe; ends with this handler."""
        streamer = TopicDataStreamer(self._connection, entries, meter, columns)
        self._streamers.add(streamer)
        return streamer

    def entries(
        self,
        start_ns: int | None,
        end_ns: int | None,
        *,
        stripes: int = 1,
        columns: Sequence[str] | None = None,
        sidecars: bool = False,
    ) -> list[TopicEntry]:
        """Ask the daemon for what streamers of [start, end) read."""
        info = self._connection.flight_info(
            self._locator, start_ns, end_ns, sidecars=sidecars, stripes=stripes, columns=columns
        )
        entries = read_topics(info)
        if not entries:
            raise NotFoundError(f'The daemon knows no topic {self._locator}')
        return entries
