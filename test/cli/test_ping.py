"""``mosaicod ping`` and the health service behind it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from mosaico_ros.cli.mosaicod import main
from mosaico_ros.daemon.settings import variable
from mosaico_ros.protocol.health import CHECK, WATCH, Health, check_request, health_of


def ping(daemon: Any, *options: str) -> int:
    return main(['ping', '--port', str(daemon.port), *options])


def await_code(expected: int, daemon: Any) -> None:
    deadline = time.monotonic() + 15
    while ping(daemon) != expected:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_daemon_that_serves(shared_daemon, capsys):
    assert ping(shared_daemon, '--json') == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer['serving'] is True
    assert answer['address'] == f'127.0.0.1:{shared_daemon.port}'
    assert 0 < answer['milliseconds'] < 10_000
    assert ping(shared_daemon) == 0
    assert 'serves' in capsys.readouterr().out


def test_nobody_there(free_port, capsys):
    begun = time.monotonic()
    assert main(['ping', '--port', str(free_port), '--timeout', '0.5']) == 1
    assert time.monotonic() - begun < 5
    assert f'No daemon answered at 127.0.0.1:{free_port}' in capsys.readouterr().err
    assert main(['ping', '--port', str(free_port), '--timeout', '0.2', '--json']) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer['serving'] is False
    assert 'No daemon answered' in answer['reason']


def test_keys_are_respected(keyed_daemon, capsys):
    daemon, keys = keyed_daemon
    assert ping(daemon) == 1
    assert 'demands an API key' in capsys.readouterr().err
    assert ping(daemon, '--api-key', keys['revoked']) == 1
    assert ping(daemon, '--api-key', keys['read']) == 0


def test_tls(make_daemon, tls_files):
    daemon = make_daemon('--tls', **tls_files.settings())
    assert ping(daemon, '--tls-cert', str(tls_files.ca)) == 0
    assert ping(daemon, '--timeout', '0.5') == 1


@pytest.mark.parametrize('lost', ['catalog', 'store'])
def test_a_daemon_without_its_files_does_not_serve(make_daemon, capsys, lost):
    daemon = make_daemon()
    assert ping(daemon) == 0
    if lost == 'catalog':
        (daemon.data_dir / 'catalog.db').unlink()
    else:
        shutil.rmtree(daemon.data_dir / 'store')
    await_code(1, daemon)
    assert 'its catalog or its store does not answer' in capsys.readouterr().err
    assert 'Not fit to serve' in daemon.log.read_text()


def test_a_daemon_without_its_bucket_does_not_serve(
    make_daemon: Callable[..., Any], remote_storage: dict[str, Any], s3_server: Any
) -> None:
    daemon = make_daemon(**{variable(name): value for name, value in remote_storage.items()})
    assert ping(daemon) == 0
    bucket = s3_server.root / remote_storage['store_bucket']
    bucket.rename(bucket.with_suffix('.away'))
    await_code(1, daemon)
    bucket.with_suffix('.away').rename(bucket)
    await_code(0, daemon)


def test_probes_need_no_key_and_know_the_services(keyed_daemon):
    with grpc.insecure_channel(f'127.0.0.1:{keyed_daemon[0].port}') as channel:
        check = channel.unary_unary(CHECK)
        for service in ('', 'arrow.flight.protocol.FlightService'):
            assert health_of(check(check_request(service), timeout=5)) is Health.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            check(check_request('other'), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_watchers_hear_of_every_change(make_daemon):
    daemon = make_daemon()
    with grpc.insecure_channel(f'127.0.0.1:{daemon.port}') as channel:
        watch = channel.unary_stream(WATCH)
        healths = map(health_of, watch(check_request(), timeout=30))
        unknown = map(health_of, watch(check_request('other'), timeout=30))
        assert next(healths) is Health.SERVING
        assert next(unknown) is Health.SERVICE_UNKNOWN
        store, away = daemon.data_dir / 'store', daemon.data_dir / 'away'
        store.rename(away)
        assert next(healths) is Health.NOT_SERVING
        away.rename(store)
        assert next(healths) is Health.SERVING
        daemon.stop()
        assert list(healths) == list(unknown) == [Health.NOT_SERVING]
