"""Calls by bare gRPC, for their exact statuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros.daemon.settings import variable
from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.frames import write_frame

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


class Wire:
    """A daemon, asked by bare gRPC; `sequence` is a name of this test's own.

    Every call returns the name of its status and the details, ``('OK', '')`` after success.
    """

    def __init__(self, remote: Any) -> None:
        self.remote = remote
        self.sequence: str = remote.sequence

    def act(self, name: str, /, **body: Any) -> tuple[str, str]:
        """Perform an action."""
        return self.act_raw(name, json.dumps(body).encode())

    def act_raw(self, name: str, body: bytes) -> tuple[str, str]:
        """Perform an action with any bytes as its body."""
        request = messages.Action(type=name, body=body).SerializeToString()
        return _status(lambda: self.remote.stream('DoAction', request))

    def describe(self, method: str, /, **command: Any) -> tuple[str, str]:
        """GetFlightInfo or GetSchema of a command."""
        return self.describe_raw(method, json.dumps(command).encode())

    def describe_raw(self, method: str, command: bytes) -> tuple[str, str]:
        """GetFlightInfo or GetSchema of any bytes as command."""
        request = messages.FlightDescriptor(type=messages.DESCRIPTOR_CMD, cmd=command)
        return _status(lambda: self.remote.unary(method, request.SerializeToString()))

    def get(self, ticket: bytes) -> tuple[str, str]:
        """DoGet of a ticket."""
        request = messages.Ticket(ticket=ticket).SerializeToString()
        return _status(lambda: self.remote.stream('DoGet', request))

    def put(
        self, command: dict[str, Any] | bytes, *stamps: Sequence[int], schema: pa.Schema = SCHEMA
    ) -> tuple[str, str]:
        """DoPut of one batch per list of stamps; further columns are null."""
        batches = [
            pa.record_batch(
                [
                    pa.array(given, f.type)
                    if f.name == 'timestamp_ns'
                    else pa.nulls(len(given), f.type)
                    for f in schema
                ],
                schema=schema,
            )
            for given in stamps
        ]
        return self.put_raw(self.frames(command, batches, schema))

    def put_raw(self, frames: Sequence[bytes]) -> tuple[str, str]:
        """DoPut of serialized messages."""
        return _status(lambda: self.remote.raw_put(frames))

    @staticmethod
    def frames(
        command: dict[str, Any] | bytes, batches: Sequence[pa.RecordBatch], schema: pa.Schema
    ) -> list[bytes]:
        """Return the serialized messages of an upload."""
        if not isinstance(command, bytes):
            command = json.dumps(command).encode()
        named = flight.FlightDescriptor.for_command(command).serialize()
        length, prefix = len(named), b'\x0a'
        while length > 127:
            prefix += bytes([length & 127 | 128])
            length >>= 7
        first, *rest = (_frame(item.serialize()) for item in (schema, *batches))
        return [prefix + bytes([length]) + named + first, *rest]

    def topic(self, path: str, session: dict[str, str] | None = None) -> dict[str, str]:
        """Create a topic; return the command to upload it with."""
        return json.loads(self.remote.topic(path, session).command)


def _frame(message: pa.Buffer) -> bytes:
    """Return FlightData of an encapsulated Arrow message: marker, length, header, body."""
    data = message.to_pybytes()
    end = 8 + int.from_bytes(data[4:8], 'little')
    return write_frame(data[8:end], [data[end:]])


def _status(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return 'OK', ''


@pytest.fixture(scope='session', params=['sqlite+folder', 'postgres+s3'])
def shared_daemon(request: pytest.FixtureRequest, start_shared: Callable[..., Any]) -> Any:
    """One daemon on each kind of storage: every test here runs on both."""
    if request.param == 'sqlite+folder':
        return start_shared()
    storage = request.getfixturevalue('new_storage')()
    return start_shared(**{variable(name): value for name, value in storage.items()})


@pytest.fixture
def wire(remote: Any) -> Iterator[Wire]:
    """The shared daemon, which must survive what a test does to it."""
    return Wire(remote)
