"""API keys that end while they are in use."""
# ruff: noqa: PT012 - whole blocks are what fails here

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mosaico_ros import SessionStatus, String
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.keys import Keys
from mosaico_ros.protocol.api_keys import ApiKeyToken, Permission
from mosaico_ros.protocol.errors import PermissionDeniedError

ROWS = 60_000


@pytest.fixture
def keyed(make_daemon):
    """A daemon that demands keys, and its keys."""
    daemon = make_daemon('--api-key')
    database = Database(f'sqlite:///{daemon.data_dir}/catalog.db')
    yield daemon, Keys(database)
    database.close()


def ending_key(keys: Keys, end: str) -> tuple[ApiKeyToken, callable]:
    """Return a key, and what ends it (or waits until it has ended)."""
    if end == 'revoked':
        key = keys.create(Permission.DELETE)
        return key, lambda: (keys.revoke(key.fingerprint), time.sleep(1.5))
    expiry = time.time_ns() + 8_000_000_000
    key = keys.create(Permission.DELETE, '', expiry)
    return key, lambda: time.sleep(max(0, expiry - time.time_ns()) / 1e9 + 0.5)


@pytest.mark.parametrize('end', ['revoked', 'expired'])
def test_a_key_that_ends_while_reading(keyed, connect_to, write, name, end):
    daemon, keys = keyed
    write(
        connect_to(daemon, api_key=keys.create(Permission.WRITE).reveal()), name, a=np.arange(ROWS)
    )
    key, await_end = ending_key(keys, end)
    client = connect_to(daemon, api_key=key.reveal())
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    next(streamer)
    await_end()
    begin = time.monotonic()
    with pytest.raises(PermissionDeniedError, match=f'Reading {name}/a: .*API key'):
        streamer.to_arrow()
    assert time.monotonic() - begin < 10  # it is not tried again


@pytest.mark.parametrize('end', ['revoked', 'expired'])
def test_a_key_that_ends_while_writing(keyed, connect_to, rows_of, name, end):
    daemon, keys = keyed
    key, await_end = ending_key(keys, end)
    session = connect_to(daemon, api_key=key.reveal()).sequence_create(name)
    begin = 0.0
    with pytest.raises(PermissionDeniedError, match=rf'{name}/a broke off \(1000 of '), session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(1000)))
        writer.commit(wait=True, timeout=60)
        await_end()
        begin = time.monotonic()
        while time.monotonic() < begin + 60:
            writer.push_batch(rows_of(np.arange(1000)))
            time.sleep(0.01)
    assert time.monotonic() - begin < 10
    assert session.status is SessionStatus.Error
    reader = connect_to(daemon, api_key=keys.create(Permission.READ).reveal())
    assert reader.topic_handler(name, 'a').message_count == 1000


def test_a_key_that_was_revoked_while_the_daemon_was_away(keyed, connect_to, write, name):
    daemon, keys = keyed
    key = keys.create(Permission.WRITE)
    client = connect_to(daemon, api_key=key.reveal())
    write(client, name, a=np.arange(ROWS))
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    next(streamer)
    daemon.kill()
    keys.revoke(key.fingerprint)
    restarting = threading.Thread(target=daemon.start)
    restarting.start()
    with pytest.raises(PermissionDeniedError, match=f'Reading {name}/a: .*API key'):
        list(streamer)
    restarting.join()


def test_a_wrong_key_costs_no_time(keyed, connect_to):
    daemon, _ = keyed
    begin = time.monotonic()
    with pytest.raises(PermissionDeniedError, match='refused the API key'):
        connect_to(daemon, api_key=ApiKeyToken('0a' * 16).reveal())
    assert time.monotonic() - begin < 5
