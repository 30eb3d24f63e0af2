"""What goes with rows: descriptors of flights, and ``app_metadata`` of batches and flight infos.

``shapes.from_json`` and ``shapes.to_json`` translate between these and JSON objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_COLUMN_PATH_BYTES, MAX_STRIPES
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.windows import TimeRange, check_window

# --- Descriptors --------------------------------------------------------------------------


@dataclass(frozen=True)
class PutCommand:
    """Descriptor of DoPut; `acks` (an extension) asks for acknowledgements of durable rows."""

    resource_locator: TopicLocator
    topic_uuid: UUID
    acks: bool = False


@dataclass(frozen=True)
class InfoCommand:
    """Descriptor of GetFlightInfo and GetSchema; the window is [start, end).

    `sidecars` (an extension) asks for sidecar columns. `stripes` (an extension) allows a topic to
    come as up to so many endpoints, to be read in parallel: of about equal work, all rows of one
    before those of the next. Each carries the ``app_metadata`` of the whole: what is stored of
    the topic and counted in the window asked for, not in the stripe. Sequences are not striped.
    `columns` (an extension) narrows the rows of a topic to some columns, or paths into structs;
    of a sequence, topics are read whole.
    """

    resource_locator: SequenceLocator | TopicLocator
    timestamp_ns_start: int | None = None
    timestamp_ns_end: int | None = None
    sidecars: bool = False
    stripes: int = 1
    columns: list[str] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.stripes <= MAX_STRIPES:
            raise InvalidArgumentError(
                f"The field 'stripes' is {self.stripes}", remedy=f'Ask for 1 to {MAX_STRIPES}.'
            )
        for column in self.columns or ():
            if len(column.encode()) > MAX_COLUMN_PATH_BYTES:
                raise InvalidArgumentError(f'The column name {column[:80]!r}... is too long')
        if isinstance(self.resource_locator, SessionLocator):
            raise InvalidArgumentError(
                f'{self.resource_locator} is a session', remedy='Name a sequence or a topic.'
            )
        check_window(self.timestamp_ns_start, self.timestamp_ns_end)


# --- app_metadata in DoPut (extension "acks") ------------------------------------------------


@dataclass(frozen=True)
class PutMark:
    """Per-message app_metadata of our client.

    `commit`: make everything up to and including this batch durable now. `end` with `rows`:
    the upload is complete and has this many rows.
    """

    commit: bool = False
    end: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class PutAck:
    """PutResult.app_metadata: so many rows of this upload survive a crash from now on."""

    durable_rows: int


# --- app_metadata of GetFlightInfo -----------------------------------------------------------


@dataclass(frozen=True)
class DataInfo:
    """Statistics of a whole topic; the interval is inclusive, `None` without rows."""

    interval: TimeRange | None
    total_row_count: int
    total_bytes: int
    total_chunks_count: int


@dataclass(frozen=True)
class WindowInfo:
    """Statistics of the requested window; first and last row inside it, inclusive."""

    interval: TimeRange | None
    row_count: int


@dataclass(frozen=True)
class LegacyInfo:
    """Statistics as clients up to 0.6 and PlotJuggler read them."""

    chunks_number: int
    total_bytes: int
    timestamp: TimeRange | None


@dataclass(frozen=True)
class TopicInfo:
    """app_metadata of an endpoint."""

    resource_locator: TopicLocator
    session_locator: SessionLocator | None
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    ontology_tag: str
    serialization_format: SerializationFormat
    user_metadata: dict[str, Any]
    data_info: DataInfo
    info: LegacyInfo
    time_window_info: WindowInfo | None = None


@dataclass(frozen=True)
class SessionInfo:
    """One session in the app_metadata of a sequence; `uuid` only in legacy mode."""

    locator: SessionLocator
    created_at_ns: int
    completed_at_ns: int | None
    locked: bool
    topics: list[TopicLocator]
    uuid: UUID | None = None


@dataclass(frozen=True)
class SequenceInfo:
    """app_metadata of the FlightInfo of a sequence."""

    resource_locator: SequenceLocator
    created_at_ns: int
    user_metadata: dict[str, Any]
    sessions: list[SessionInfo]
