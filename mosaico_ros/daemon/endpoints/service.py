"""The :class:`mosaico_ros.daemon.calls.Calls` of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.calls import Descriptor, Flight, Put
from mosaico_ros.daemon.endpoints.actions import Actions
from mosaico_ros.daemon.endpoints.flights import Flights
from mosaico_ros.daemon.endpoints.uploads import UploadPut, put_command
from mosaico_ros.protocol.api_keys import Permission
from mosaico_ros.protocol.server_info import ServerInfo


class Endpoints:
    """Everything the daemon answers.

    Parameters
    ----------
    archive
        What is served.
    info
        How the daemon introduces itself.
    legacy_clients
        Answer as clients up to 0.4 need it.

    """

    def __init__(self, archive: Archive, info: ServerInfo, legacy_clients: bool = False) -> None:
        self._archive = archive
        self._actions = Actions(archive, info, legacy_clients)
        self._flights = Flights(archive, legacy_clients)

    def check(self) -> None:
        """See :meth:`Archive.check`."""
        self._archive.check()

    def action_types(self) -> list[tuple[str, str]]:
        """Name and description of each action."""
        return self._actions.types()

    def permission(self, action: str) -> Permission:
        """What performing an action needs."""
        return self._actions.permission(action)

    def do_action(self, name: str, body: bytes, alive: Callable[[], bool]) -> Iterator[bytes]:
        """Perform an action; see :meth:`Actions.perform`."""
        return self._actions.perform(name, body, alive)

    def list_flights(self, criteria: bytes) -> Iterator[Flight]:
        """List the sequences; see :meth:`Flights.list_flights`."""
        return self._flights.list_flights(criteria)

    def get_flight_info(self, descriptor: Descriptor) -> Flight:
        """Describe a sequence or topic; see :meth:`Flights.get_flight_info`."""
        return self._flights.get_flight_info(descriptor)

    def get_schema(self, descriptor: Descriptor) -> pa.Schema:
        """Return a topic's schema; see :meth:`Flights.get_schema`."""
        return self._flights.get_schema(descriptor)

    def do_get(self, ticket: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Read a topic; see :meth:`Flights.do_get`."""
        return self._flights.do_get(ticket)

    def begin_put(
        self, descriptor: Descriptor, schema: pa.Schema, send: Callable[[bytes], None]
    ) -> Put:
        """Begin an upload; see :class:`UploadPut`."""
        return UploadPut(self._archive, put_command(descriptor), schema, send)
