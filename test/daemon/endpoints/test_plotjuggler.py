"""The calls of PlotJuggler's Mosaico plugin (3.17), and what it reads of the answers."""

from __future__ import annotations

import json

import pyarrow as pa

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), False), pa.field('x', pa.float64())])


def test_browsing_and_downloading(remote):
    stamps = [1_000, 2_000, 3_000, 4_000]
    remote.act(
        'sequence_create', locator=remote.sequence, user_metadata={'robot_id': 'r1', 'n': 2}
    )
    rows = pa.record_batch([pa.array(stamps), pa.array([0.0, 1.0, 2.0, 3.0])], schema=SCHEMA)
    for path in ('arm/imu', 'base'):
        remote.put(path, [rows])

    # 1. All sequences; every path component would be taken for one.
    listed = [info.descriptor.path for info in remote.client.list_flights()]
    assert [remote.sequence.encode()] in listed

    # 2. Each sequence: sizes and times of the endpoints, metadata of the schema.
    info = remote.info()
    for endpoint in info.endpoints:
        old = json.loads(endpoint.app_metadata)['info']
        assert old['total_bytes'] > 0
        assert old['timestamp'] == {'start_ns': 1_000, 'end_ns': 4_000}
    metadata = json.loads(info.schema.metadata[b'mosaico:user_metadata'])
    assert metadata == {'robot_id': 'r1', 'n': 2}
    body = json.loads(info.app_metadata)
    assert {'created_at_ns', 'resource_locator', 'sessions'} <= set(body)

    # 3. Topic names out of the tickets: tag byte, varint length, printable text.
    names = []
    for endpoint in info.endpoints:
        ticket = endpoint.ticket.ticket
        assert ticket[1] < 0x80
        names.append(ticket[2 : 2 + ticket[1]].decode())
    assert names == [f'{remote.sequence}/arm/imu', f'{remote.sequence}/base']

    # 4. One topic.
    properties = json.loads(remote.info('arm/imu').schema.metadata[b'mosaico:properties'])
    assert properties['ontology_tag'] == 'Custom'

    # 5. A range of it: the first endpoint's ticket; the end is exclusive.
    window = {'timestamp_ns_start': 2_000, 'timestamp_ns_end': 4_000}
    info = remote.info('arm/imu', **window)
    table = remote.client.do_get(info.endpoints[0].ticket).read_all()
    assert table.schema.equals(info.schema, check_metadata=True)
    assert table.column('timestamp_ns').to_pylist() == [2_000, 3_000]
