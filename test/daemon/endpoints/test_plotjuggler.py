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


def test_the_rest_of_its_client(remote):
    """What its own interface does not call but its library offers."""
    batch = pa.record_batch([pa.array([1_000, 2_000]), pa.array([0.0, 7.0])], schema=SCHEMA)
    for path in ('arm/imu', 'base'):
        remote.put(path, [batch])
    version = remote.act('version')
    assert set(version['semver']) >= {'major', 'minor', 'patch', 'pre'}
    assert version['version'].startswith(f'{version["semver"]["major"]}.')

    both = [f'{remote.sequence}/{path}' for path in ('arm/imu', 'base')]
    since, until = {'$geq': 1}, {'$leq': 2**62}
    for sections, expected in (
        ({'sequence': {'locator': {'$eq': remote.sequence}}}, both),
        ({'sequence': {'locator': {'$match': remote.sequence[:8]}}}, both),
        ({'topic': {'locator': {'$match': f'{remote.sequence}/arm'}}}, both[:1]),
        ({'topic': {'locator': {'$eq': both[1]}}}, both[1:]),
        ({'topic': {'locator': {'$match': remote.sequence}, 'created_at_ns': since}}, both),
        (
            {
                'sequence': {'locator': {'$eq': remote.sequence}, 'created_at_ns': until},
                'topic': {'ontology_tag': {'$eq': 'Custom'}},
            },
            both,
        ),
        (
            {
                'sequence': {'locator': {'$eq': remote.sequence}},
                'ontology': {'Custom.x': {'$geq': 5}, 'include_timestamp_range': True},
            },
            both,
        ),
    ):
        (item,) = remote.act('query', **sections)['items']
        assert item['sequence'] == remote.sequence
        assert [topic['locator'] for topic in item['topics']] == expected
        if 'ontology' in sections:
            assert [topic['timestamp_range'] for topic in item['topics']] == [[2_000, 2_000]] * 2

    created = remote.act('api_key_create', permissions='read', description='plots')
    fingerprint = created['api_key_token'].rpartition('_')[2]
    status = remote.act('api_key_status', api_key_fingerprint=fingerprint)
    assert status['description'] == 'plots'
    remote.act('api_key_revoke', api_key_fingerprint=fingerprint)
