"""API keys: kept as hashes, verified cheaply, revoked within a second everywhere."""

from __future__ import annotations

import hashlib
import sqlite3
import time

import pytest

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.keys import KeyGate, Keys
from mosaico_ros.protocol.api_keys import ApiKeyToken, Permission
from mosaico_ros.protocol.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path):
    opened = Database(f'sqlite:///{tmp_path}/catalog.db')
    yield opened
    opened.close()


@pytest.fixture
def keys(database):
    return Keys(database)


@pytest.fixture
def hashes(monkeypatch):
    """Counts the slow hashes, which stay real."""
    count = []
    real = hashlib.scrypt
    monkeypatch.setattr(hashlib, 'scrypt', lambda *a, **k: (count.append(1), real(*a, **k))[1])
    return count


def refused(gate: KeyGate, token: str | None, needed: Permission = Permission.READ) -> bool:
    try:
        gate.admit(token, needed, 'DoGet')
    except PermissionDeniedError:
        return True
    return False


def test_a_new_key_is_well_formed_and_found(keys):
    token = keys.create(Permission.WRITE, 'lab ingest', time.time_ns() + 10**12)
    assert ApiKeyToken.parse(token.reveal()) == token
    key = keys.get(token.fingerprint)
    assert (key.permission, key.description) == (Permission.WRITE, 'lab ingest')
    assert abs(key.created_at_ns - time.time_ns()) < 60e9
    assert [found.fingerprint for found in keys.find_all()] == [token.fingerprint]


def test_the_catalog_holds_no_secret(keys, tmp_path):
    token = keys.create(Permission.READ)
    payload = token.payload.encode()
    stored = b''.join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.fingerprint.encode() in stored
    assert payload not in stored
    for fast in ('md5', 'sha1', 'sha256', 'sha512', 'blake2b'):
        assert hashlib.new(fast, payload).digest() not in stored
        assert hashlib.new(fast, token.reveal().encode()).digest() not in stored
    assert token.payload not in repr(keys.find_all())


def test_equal_secrets_would_have_unequal_hashes(keys):
    salts = {keys.get(keys.create(Permission.READ).fingerprint).salt for _ in range(3)}
    assert len(salts) == 3


def test_creation_refuses_what_makes_no_sense(keys):
    with pytest.raises(InvalidArgumentError, match='expired'):
        keys.create(Permission.READ, '', time.time_ns() - 1)
    with pytest.raises(InvalidArgumentError, match='1000'):
        keys.create(Permission.READ, 'x' * 1001)
    for text in ('two\nlines', '\x1b[31mred', 'nul\0'):
        with pytest.raises(InvalidArgumentError, match='one line'):
            keys.create(Permission.READ, text)
    assert keys.find_all() == []


def test_unknown_keys_cannot_be_described_or_revoked(keys):
    for call in (keys.get, keys.revoke):
        with pytest.raises(NotFoundError, match='0a1b2c3d'):
            call('0a1b2c3d')


def test_purging(keys):
    soon = time.time_ns() + 1_000_000_000
    old, kept = keys.create(Permission.READ, '', soon), keys.create(Permission.READ)
    time.sleep(1)
    assert keys.purge() == 1
    assert [key.fingerprint for key in keys.find_all()] == [kept.fingerprint] != [old.fingerprint]
    assert keys.purge(everything=True) == 1
    assert keys.find_all() == []


def test_a_known_fingerprint_with_another_secret_is_refused(keys, tmp_path):
    """A checksum is no proof: payloads of equal CRC-32 are easily made."""
    keys.create(Permission.MANAGE)
    other = ApiKeyToken('0a' * 16)
    with sqlite3.connect(tmp_path / 'catalog.db') as connection:
        connection.execute('update api_keys set fingerprint = ?', [other.fingerprint])
    assert keys.get(other.fingerprint)
    assert refused(KeyGate(keys), other.reveal())


def test_calls_pay_for_one_slow_hash_only(keys, hashes):
    token = keys.create(Permission.READ).reveal()
    hashes.clear()
    gate = KeyGate(keys)
    begin = time.perf_counter()
    for _ in range(2000):
        gate.admit(token, Permission.READ, 'DoGet')
    assert len(hashes) == 1
    assert (time.perf_counter() - begin) / 2000 < 1e-3


def test_made_up_keys_cost_no_slow_hash(keys, hashes):
    gate = KeyGate(keys)
    for i in range(200):
        assert refused(gate, ApiKeyToken(f'{i:031d}a').reveal())
    assert hashes == []


def test_revocation_reaches_every_daemon_within_a_second(keys, database, hashes):
    token = keys.create(Permission.MANAGE)
    clock = Clock()
    gates = [KeyGate(Keys(database), clock) for _ in range(2)]
    for gate in gates:
        gate.admit(token.reveal(), Permission.MANAGE, 'query')
    clock.now += 1.1
    for gate in gates:  # still there: its row is read again, nothing is hashed
        gate.admit(token.reveal(), Permission.MANAGE, 'query')
    assert len(hashes) == 1 + len(gates)
    keys.revoke(token.fingerprint)
    clock.now += 1.1
    assert all(refused(gate, token.reveal()) for gate in gates)


def test_a_remembered_key_expires_on_time(keys):
    token = keys.create(Permission.READ, '', time.time_ns() + 1_500_000_000).reveal()
    gate = KeyGate(keys, Clock())
    gate.admit(token, Permission.READ, 'query')
    time.sleep(1.5)
    assert refused(gate, token)


def test_a_remembered_key_gets_no_stronger(keys):
    token = keys.create(Permission.WRITE).reveal()
    gate = KeyGate(keys)
    gate.admit(token, Permission.WRITE, 'DoPut')
    assert refused(gate, token, Permission.DELETE)
    gate.admit(token, Permission.READ, 'DoGet')


def test_memory_of_keys_is_bounded(keys, monkeypatch):
    monkeypatch.setattr('mosaico_ros.daemon.keys._REMEMBERED_KEYS', 2)
    gate = KeyGate(keys)
    tokens = [keys.create(Permission.READ).reveal() for _ in range(4)]
    for token in tokens * 2:
        gate.admit(token, Permission.READ, 'query')
    assert len(gate._remembered) == 2


def test_every_refusal_reads_alike_and_is_told_apart_in_the_log(keys, caplog):
    caplog.set_level('INFO', 'mosaico_ros')
    gate = KeyGate(keys)
    weak = keys.create(Permission.READ)
    expiring = keys.create(Permission.MANAGE, '', time.time_ns() + 500_000_000)
    gate.admit(weak.reveal(), Permission.READ, 'query')
    time.sleep(0.5)
    unknown = ApiKeyToken('0a' * 16)
    texts = set()
    for token in (None, '', 'junk', weak.reveal()[:-1], unknown.reveal(), weak.reveal(),
                  expiring.reveal()):  # fmt: skip
        with pytest.raises(PermissionDeniedError) as caught:
            gate.admit(token, Permission.WRITE, 'DoPut')
        texts.add(str(caught.value))
    (text,) = texts
    assert "'write'" in text
    assert 'mosaico-api-key-token' in text
    for said in (
        'no API key',
        'malformed',
        f'unknown API key {unknown.fingerprint}',
        f'{weak.fingerprint} permits read only',
        f'{expiring.fingerprint} has expired',
    ):
        assert said in caplog.text
    for token in (weak, expiring, unknown):
        assert token.payload not in caplog.text + text
