"""What must never be shown: tokens, uuids of sessions and topics, passwords of the storage."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.daemon.keys import Keys
from mosaico_ros.daemon.settings import variable
from mosaico_ros.protocol.api_keys import API_KEY_HEADER, ApiKeyToken, Permission

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])


def test_the_debug_log_of_a_whole_life_holds_none(make_daemon, remote_storage):
    from mosaico_ros.daemon.catalog.database import Database

    storage = dict(remote_storage)
    storage['db_url'] = storage['db_url'].replace('postgres:@', 'postgres:hunter-2-hunter@')
    assert 'hunter' in storage['db_url']
    database = Database(storage['db_url'])
    token = Keys(database).create(Permission.MANAGE)
    database.close()
    daemon = make_daemon('--api-key', **{variable(name): value for name, value in storage.items()})
    client = flight.connect(daemon.url)
    options = flight.FlightCallOptions(
        headers=[(API_KEY_HEADER.encode(), token.reveal().encode())], timeout=30
    )

    def act(name: str, **body: Any) -> Any:
        results = client.do_action(flight.Action(name, json.dumps(body).encode()), options)
        return json.loads(b''.join(r.body.to_pybytes() for r in results))['response']

    act('sequence_create', locator='run')
    session = act('session_create', locator='run')
    made = act('api_key_create', permissions='read', description='d')['api_key_token']
    uuids = [session['uuid']]
    for name in ('complete', 'broken'):
        topic = act(
            'topic_create',
            session_uuid=session['uuid'],
            locator=f'run/{name}',
            serialization_format='default',
            ontology_tag='T',
        )
        uuids.append(topic['uuid'])
        command = {'resource_locator': f'run/{name}', 'topic_uuid': topic['uuid']}
        command['acks'] = name == 'broken'  # and no end marker then
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
        writer, _ = client.do_put(descriptor, SCHEMA, options)
        writer.write_batch(pa.record_batch([pa.array([1])], schema=SCHEMA))
        try:
            writer.close()
        except flight.FlightInternalError:
            assert name == 'broken'
    act('session_finalize', session_uuid=session['uuid'])
    for again in ('session_finalize', 'session_delete'):
        with contextlib.suppress(pa.ArrowInvalid):
            act(again, session_uuid=session['uuid'])
    act('api_key_revoke', api_key_fingerprint=ApiKeyToken.parse(made).fingerprint)
    client.close()
    daemon.stop()

    log = daemon.log.read_text()
    assert 'already finalized' in log  # it does tell what happened
    secrets = [token.payload, ApiKeyToken.parse(made).payload, *uuids]
    secrets += ['hunter-2-hunter', storage['store_secret_key']]
    for secret in secrets:
        assert secret not in log
