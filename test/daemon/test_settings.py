"""Settings: where values come from, and how wrong ones are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaico_ros.daemon import settings
from mosaico_ros.protocol.errors import InvalidArgumentError


def test_defaults_need_nothing():
    loaded = settings.load({})
    assert (loaded.host, loaded.port) == ('127.0.0.1', 6726)
    assert loaded.database_url == f'sqlite:///{loaded.data_dir}/catalog.db'
    assert loaded.store_dir == loaded.data_dir / 'store'
    assert not loaded.tls


def test_options_win_over_environment_over_file(tmp_path):
    config = tmp_path / 'config.toml'
    config.write_text('port = 1\nhost = "a"\nlog_level = "debug"\nlegacy_clients = true\n')
    environment = {'MOSAICOD_PORT': '2', 'MOSAICOD_HOST': 'b', 'MOSAICOD_CONFIG': str(config)}
    loaded = settings.load(environment, {'port': 3, 'host': None})
    assert (loaded.port, loaded.host, loaded.log_level) == (3, 'b', 'debug')
    assert loaded.legacy_clients is True


def test_store_follows_endpoint_and_bucket():
    loaded = settings.load(
        {'MOSAICOD_STORE_ENDPOINT': 'file:///srv/my%20data', 'MOSAICOD_STORE_BUCKET': 'lab'}
    )
    assert loaded.store_dir == Path('/srv/my data/lab')


def test_everything_wrong_is_listed_at_once(tmp_path):
    config = tmp_path / 'config.toml'
    config.write_text('prot = 1\n')
    with pytest.raises(InvalidArgumentError) as caught:
        settings.load(
            {
                'MOSAICOD_PORT': 'x',
                'MOSAICOD_LOG_LEVEL': 'loud',
                'MOSAICOD_LEASE_SECONDS': '0',
                'MOSAICOD_LEGACY_CLIENTS': 'maybe',
                'MOSAICOD_MAX_GRPC_MESSAGE_SIZE': '99999999999',
            },
            config=config,
        )
    text = str(caught.value)
    for part in (
        "MOSAICOD_PORT: 'x' is not a number",
        "MOSAICOD_LOG_LEVEL: 'loud' is none of error, warning",
        'MOSAICOD_LEASE_SECONDS: 0 is below 1',
        'MOSAICOD_LEGACY_CLIENTS',
        'MOSAICOD_MAX_GRPC_MESSAGE_SIZE: 99999999999 is above',
        'prot is no setting; did you mean port?',
    ):
        assert part in text


@pytest.mark.parametrize(
    ('environment', 'named'),
    [
        ({'MOSAICOD_STORE_ENDPOINT': 's3://bucket'}, 's3://, and the bucket in'),
        ({'MOSAICOD_STORE_ENDPOINT': 'http://k:s@minio:9000'}, 'http://host:port'),
        ({'MOSAICOD_STORE_ENDPOINT': 'http://minio:9000/lab'}, 'http://host:port'),
        ({'MOSAICOD_STORE_ENDPOINT': 'http://minio:port'}, 'cannot be read'),
        ({'MOSAICOD_STORE_ENDPOINT': 'gs://lab'}, 'http(s)://host:port'),
        ({'MOSAICOD_STORE_ACCESS_KEY': 'k'}, 'MOSAICOD_STORE_SECRET_KEY are needed together'),
        ({'MOSAICOD_MAX_DB_CONNECTIONS': '1'}, 'MOSAICOD_MAX_DB_CONNECTIONS: 1 is below 2'),
        ({'MOSAICOD_STORE_ENDPOINT': 'file://relative/x'}, 'file:///absolute/path'),
        ({'MOSAICOD_STORE_BUCKET': '../x'}, 'MOSAICOD_STORE_BUCKET'),
        ({'MOSAICOD_TLS_CERT_FILE': 'a.pem'}, 'needed together'),
        ({'MOSAICOD_LEASE_SECONDS': 'nan'}, 'below'),
        (
            {
                'MOSAICOD_TARGET_MESSAGE_SIZE': '6000000',
                'MOSAICOD_MAX_GRPC_MESSAGE_SIZE': '5000000',
            },
            'MOSAICOD_TARGET_MESSAGE_SIZE is above',
        ),
        ({'MOSAICOD_CONFIG': '/nonexistent/config.toml'}, '/nonexistent/config.toml'),
    ],
)
def test_contradictions_are_named(environment, named):
    with pytest.raises(InvalidArgumentError) as caught:
        settings.load(environment)
    assert named in str(caught.value)


def test_unknown_variables_are_reported_with_the_closest():
    lines = settings.unknown_variables(
        {'MOSAICOD_PROT': '1', 'MOSAICOD_PORT': '1', 'MOSAICOD_ZZZZZZZ': '', 'MOSAICO_HOST': ''}
    )
    assert lines == [
        'MOSAICOD_PROT has no effect; did you mean MOSAICOD_PORT?',
        'MOSAICOD_ZZZZZZZ has no effect',
    ]


def test_location_names_both_halves_without_secrets():
    loaded = settings.load(
        {
            'MOSAICOD_DB_URL': 'postgresql://me:hidden@db:5432/lab?sslpassword=hidden',
            'MOSAICOD_STORE_ENDPOINT': 'http://minio:9000/',
            'MOSAICOD_STORE_BUCKET': 'robots',
            'MOSAICOD_STORE_ACCESS_KEY': 'k',
            'MOSAICOD_STORE_SECRET_KEY': 'hidden',
        }
    )
    assert loaded.location == 'postgresql://me:***@db:5432/lab, http://minio:9000/robots'
    assert not loaded.store_is_folder
    assert 'hidden' not in repr(loaded)
