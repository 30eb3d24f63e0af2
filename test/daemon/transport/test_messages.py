"""Flight's control messages against pyarrow's own reader and writer."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as flight

from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.ipc import encode_schema


def test_pyarrow_reads_our_flight_info():
    schema = pa.schema([pa.field('timestamp_ns', pa.int64(), False)], {b'k': b'v'})
    info = messages.FlightInfo(
        schema=encode_schema(schema),
        flight_descriptor=messages.FlightDescriptor(type=messages.DESCRIPTOR_PATH, path=['a']),
        endpoint=[
            messages.FlightEndpoint(
                ticket=messages.Ticket(ticket=b'\x00t'),
                location=[messages.Location(uri='mosaico:a/b')],
                app_metadata=b'{}',
            )
        ],
        total_records=7,
        total_bytes=8,
        app_metadata=b'app',
    )
    read = flight.FlightInfo.deserialize(info.SerializeToString())
    assert read.schema.equals(schema, check_metadata=True)
    assert read.descriptor.path == [b'a']
    assert read.endpoints[0].ticket.ticket == b'\x00t'
    assert read.endpoints[0].app_metadata == b'{}'
    assert [location.uri for location in read.endpoints[0].locations] == [b'mosaico:a/b']
    assert (read.total_records, read.total_bytes, read.app_metadata) == (7, 8, b'app')


def test_we_read_what_pyarrow_writes():
    descriptor = flight.FlightDescriptor.for_command(b'cmd').serialize()
    assert messages.FlightDescriptor.FromString(descriptor).cmd == b'cmd'
    assert messages.Ticket.FromString(flight.Ticket(b'x').serialize()).ticket == b'x'
    action = messages.Action.FromString(flight.Action('a', b'b').serialize())
    assert (action.type, action.body) == ('a', b'b')
