"""``mosaicod api-key``: keys made, shown, revoked and purged, beside a running daemon."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros import MosaicoClient
from mosaico_ros.protocol.api_keys import ApiKeyToken
from mosaico_ros.protocol.errors import PermissionDeniedError


class Result:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(tmp_path: Path, run_command: Callable[..., Any]) -> Callable[..., Result]:
    """``run('verb', ...)`` runs a verb on the catalog of this test."""

    def verb(*arguments: str, data: str = 'archive1', answer: str = '') -> Result:
        return Result(
            run_command(
                *('mosaicod', 'api-key', *arguments, '--data-dir', tmp_path / data), answer=answer
            )
        )

    return verb


def create(run: Callable[..., Result], *arguments: str) -> ApiKeyToken:
    made = run('create', *arguments)
    assert made.code == 0, made.err
    return ApiKeyToken.parse(made.out.rstrip('\n'))


def shown(run: Callable[..., Result], token: ApiKeyToken) -> dict[str, object]:
    return json.loads(run('status', token.fingerprint, '--json').out)


def test_a_key_from_creation_to_revocation_beside_a_running_daemon(run, make_daemon):
    first = create(run, '--permissions', 'write', '-d', 'arm [left]', '--expires-in', 'P1Y')
    daemon = make_daemon('--api-key')
    with MosaicoClient.connect('127.0.0.1', daemon.port, api_key=first.reveal()) as client:
        assert client.list_sequences() == []

        second = create(run, '--permissions', 'read')
        with MosaicoClient.connect('127.0.0.1', daemon.port, api_key=second.reveal()) as reader:
            assert reader.list_sequences() == []

        listed = run('list')
        for text in (first.fingerprint, second.fingerprint, 'arm [left]', 'write', 'never'):
            assert text in listed.out
        for token in (first, second):
            assert token.payload not in listed.out + run('status', token.fingerprint).out

        assert run('revoke', first.fingerprint).code == 0
        deadline = time.monotonic() + 3
        with pytest.raises(PermissionDeniedError):  # noqa: PT012
            while time.monotonic() < deadline:
                client.list_sequences()
                time.sleep(0.05)
    gone = run('status', first.fingerprint)
    assert gone.code == 1
    assert f'no API key {first.fingerprint}' in gone.err
    assert run('revoke', first.fingerprint).code == 1


def test_a_daemon_without_keys_says_how_to_make_one(make_daemon):
    daemon = make_daemon('--api-key')
    assert 'mosaicod api-key create --permissions manage' in daemon.log.read_text()
    with pytest.raises(PermissionDeniedError, match='demands an API key'):
        MosaicoClient.connect('127.0.0.1', daemon.port)


def test_an_open_daemon_on_a_network_is_warned_of(make_daemon):
    daemon = make_daemon('--host', '0.0.0.0')
    assert 'Whoever reaches grpc://0.0.0.0' in daemon.log.read_text()
    assert 'Whoever' not in make_daemon().log.read_text()


def test_expiry_is_given_as_duration_or_instant(run):
    begin = time.time_ns()
    short = create(run, '--permissions', 'read', '--expires-in', 'PT1H')
    fixed = create(run, '--permissions', 'manage', '--expires-at', '2200-03-27T12:20:00Z')
    assert 3600e9 <= shown(run, short)['expires_at_ns'] - begin < 3660e9
    described = shown(run, fixed)
    assert described['expires_at_ns'] == 7265506800 * 10**9
    assert (described['permissions'], described['state']) == ('manage', 'valid')
    assert '2200-03-27 12:20:00' in run('status', fixed.fingerprint).out


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ((), '--permissions'),
        (('--permissions', 'admin'), "'read', 'write', 'delete', 'manage'"),
        (('--permissions', 'read', '--expires-in', '1 year'), 'P1Y2M3D'),
        (('--permissions', 'read', '--expires-at', '2026-03-27'), '2026-03-27T12:20:00Z'),
        (
            (
                '--permissions',
                'read',
                '--expires-in',
                'P1D',
                '--expires-at',
                '2200-01-01T00:00:00Z',
            ),
            'exclude',
        ),
    ],
)
def test_wrong_use(run, arguments, named):
    refused = run('create', *arguments)
    assert (refused.code, refused.out) == (2, '')
    assert named in refused.err


def test_an_expiry_in_the_past(run):
    refused = run('create', '--permissions', 'read', '--expires-at', '2020-03-27T12:20:00Z')
    assert (refused.code, refused.out) == (1, '')
    assert 'expired already' in refused.err


def test_a_token_in_place_of_its_fingerprint_is_not_repeated(run):
    token = create(run, '--permissions', 'read')
    for verb in ('status', 'revoke'):
        refused = run(verb, token.reveal())
        assert refused.code == 2
        assert token.payload not in refused.err + refused.out
        assert 'last 8 digits' in refused.err


def test_purging(run):
    create(run, '--permissions', 'read', '--expires-in', 'PT1S')
    kept = create(run, '--permissions', 'read')
    time.sleep(1.1)
    assert '1 keys removed' in run('purge').out
    assert json.loads(run('list', '--json').out)['fingerprint'] == kept.fingerprint

    refused = run('purge', '-A', answer='n\n')
    assert refused.code == 1
    assert 'revokes all 1 keys' in refused.err
    assert run('purge', '--all').code != 0  # nobody answers
    assert kept.fingerprint in run('list').out
    assert run('purge', '-A', answer='y\n').code == 0
    assert 'no API keys' in run('list').out
    create(run, '--permissions', 'read')
    assert run('purge', '-A', '--yes').code == 0


def test_a_mistyped_catalog_is_not_created(run, tmp_path):
    for verb in (('list',), ('purge',), ('status', '0a1b2c3d'), ('revoke', '0a1b2c3d')):
        missing = run(*verb, data='typo')
        assert missing.code == 1
        assert f'no catalog {tmp_path}/typo' in missing.err
    assert not (tmp_path / 'typo').exists()
