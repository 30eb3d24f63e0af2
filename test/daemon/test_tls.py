"""TLS files: what is wrong with them is said at start, once, by name."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow.flight as flight
import pytest


def start_failing(tmp_path: Path, environment: dict[str, str], *options: str) -> tuple[int, str]:
    """Return exit code and error text of a daemon that must not start."""
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', '0'),
            *('--data-dir', str(tmp_path / 'data'), *(options or ('--tls',))),
        ],
        env={'PYTHONPATH': ':'.join(sys.path), 'PATH': '/usr/bin:/bin'} | environment,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == ''
    return done.returncode, done.stderr


def one_error(tmp_path: Path, environment: dict[str, str]) -> str:
    code, text = start_failing(tmp_path, environment)
    assert code == 1
    assert len(text.splitlines()) == 1, text
    assert not (tmp_path / 'data').exists()
    return text


def test_missing_files(tls_files, tmp_path):
    for name in ('cert_file', 'private_key_file', 'client_ca_file'):
        text = one_error(tmp_path, tls_files.settings(**{name: tmp_path / 'none.pem'}))
        assert f'{tmp_path}/none.pem cannot be read: No such file' in text
        assert f'MOSAICOD_TLS_{name.upper()}' in text


def test_a_folder_is_no_file(tls_files, tmp_path):
    assert 'Is a directory' in one_error(tmp_path, tls_files.settings(cert_file=tmp_path))


def test_files_that_are_not_pem(tls_files, tmp_path):
    der = tmp_path / 'cert.der'
    der.write_bytes(b'\x30\x82\x01\x02')
    for name, kind in (
        ('cert_file', 'certificate'),
        ('private_key_file', 'private key'),
        ('client_ca_file', 'certificate'),
    ):
        text = one_error(tmp_path, tls_files.settings(**{name: der}))
        assert f'{der} holds no {kind} in PEM form' in text


def test_exchanged_files(tls_files, tmp_path):
    exchanged = tls_files.settings(cert_file=tls_files.key, private_key_file=tls_files.cert)
    assert 'it holds a private key' in one_error(tmp_path, exchanged)


def test_damaged_files(tls_files, tmp_path):
    damaged = tmp_path / 'damaged.pem'
    damaged.write_text(
        '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----\n'
    )
    assert 'unusable' in one_error(tmp_path, tls_files.settings(cert_file=damaged))
    text = one_error(tmp_path, tls_files.settings(client_ca_file=damaged))
    assert f'client authorities {damaged} are damaged' in text


def test_a_key_of_another_certificate(tls_files, tmp_path):
    _, other = tls_files.issue('other')
    text = one_error(tmp_path, tls_files.settings(private_key_file=other))
    assert f'{other} does not belong to the certificate {tls_files.cert}' in text


def test_a_key_with_a_passphrase_is_not_asked_for(tls_files, tmp_path):
    locked = tmp_path / 'locked.pem'
    subprocess.run(
        [
            *('openssl', 'pkey', '-in', str(tls_files.key), '-aes256', '-passout', 'pass:secret'),
            *('-out', str(locked)),
        ],
        check=True,
    )
    text = one_error(tmp_path, tls_files.settings(private_key_file=locked))
    assert 'protected by a passphrase' in text


def test_an_expired_certificate(tls_files, tmp_path):
    cert, key = tls_files.issue('expired', days=-1)
    text = one_error(tmp_path, tls_files.settings(cert_file=cert, private_key_file=key))
    assert f'{cert} has expired' in text


def test_the_flag_needs_its_files(tls_files, tmp_path):
    code, text = start_failing(tmp_path, {})
    assert code == 2
    assert 'MOSAICOD_TLS_CERT_FILE and MOSAICOD_TLS_PRIVATE_KEY_FILE' in text
    code, text = start_failing(
        tmp_path, {'MOSAICOD_TLS_CLIENT_CA_FILE': str(tls_files.ca)}, '--host', '127.0.0.1'
    )
    assert code == 2
    assert '--tls' in text


def connect(port: int, scheme: str = 'grpc+tls', **options: object) -> list[object]:
    with flight.FlightClient(f'{scheme}://localhost:{port}', **options) as client:
        return list(client.list_flights(options=flight.FlightCallOptions(timeout=5)))


def test_files_alone_turn_nothing_on(tls_files, make_daemon):
    daemon = make_daemon(**tls_files.settings())
    assert connect(daemon.port, 'grpc') == []
    assert 'TLS files are named, but TLS is off' in daemon.log.read_text()


def test_it_encrypts_and_only_that(tls_files, make_daemon):
    daemon = make_daemon(MOSAICOD_TLS='true', **tls_files.settings())
    assert connect(daemon.port, tls_root_certs=tls_files.ca.read_bytes()) == []
    with pytest.raises(flight.FlightUnavailableError):
        connect(daemon.port, 'grpc')
    # These certificates are made for two days.
    assert 'expires in' in daemon.log.read_text()


def test_mutual_tls(tls_files, make_daemon):
    daemon = make_daemon('--tls', **tls_files.settings(client_ca_file=tls_files.ca))
    cert, key = tls_files.issue('client', usage='clientAuth')
    roots = {'tls_root_certs': tls_files.ca.read_bytes()}
    shown = {'cert_chain': cert.read_bytes(), 'private_key': key.read_bytes()}
    assert connect(daemon.port, **roots, **shown) == []
    with pytest.raises(flight.FlightUnavailableError):
        connect(daemon.port, **roots)


def test_a_certificate_of_the_future(tls_files, tmp_path):
    cert, key = tls_files.issue('future')
    database, config = tmp_path / 'index.txt', tmp_path / 'ca.cnf'
    database.touch()
    config.write_text(
        '[ca]\ndefault_ca = tests\n[names]\ncommonName = supplied\n[tests]\npolicy = names\n'
        f'database = {database}\nnew_certs_dir = {tmp_path}\nrand_serial = yes\n'
    )
    begin = datetime.now(timezone.utc) + timedelta(days=2)
    end = begin + timedelta(days=2)
    subprocess.run(
        [
            *('openssl', 'ca', '-batch', '-config', config, '-md', 'sha256'),
            *('-cert', tls_files.ca, '-keyfile', tls_files.ca_key),
            *('-in', cert.with_suffix('.csr'), '-out', cert, '-notext'),
            *('-startdate', f'{begin:%Y%m%d%H%M%SZ}', '-enddate', f'{end:%Y%m%d%H%M%SZ}'),
        ],
        check=True,
        capture_output=True,
    )
    text = one_error(tmp_path, tls_files.settings(cert_file=cert, private_key_file=key))
    assert f'{cert} is not valid yet' in text
    assert 'clock' in text


def test_a_private_key_that_everybody_can_read_is_warned_of(tls_files, make_daemon):
    _, key = cert_and_key = tls_files.issue('open')
    settings = tls_files.settings(cert_file=cert_and_key[0], private_key_file=key)
    key.chmod(0o640)
    assert 'open to every user' not in make_daemon('--tls', **settings).log.read_text()
    key.chmod(0o644)
    log = make_daemon('--tls', **settings).log.read_text()
    assert f'{key} is open to every user of this host (mode 644)' in log


def test_mutual_tls_wants_its_own_authority(tls_files, make_daemon, tmp_path):
    daemon = make_daemon('--tls', **tls_files.settings(client_ca_file=tls_files.ca))
    stranger = type(tls_files)(tmp_path)
    cert, key = stranger.issue('client', usage='clientAuth')
    with pytest.raises(flight.FlightUnavailableError):
        connect(
            daemon.port,
            tls_root_certs=tls_files.ca.read_bytes(),
            cert_chain=cert.read_bytes(),
            private_key=key.read_bytes(),
        )
