"""``mosaicod config``: effective values, their sources, no secrets."""

from __future__ import annotations

import json
import os

import pytest

from mosaico_ros.cli.mosaicod import main


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith('MOSAICOD_')]:
        monkeypatch.delenv(name)


def shown(capsys, *options: str) -> dict[str, dict]:
    assert main(['config', '--json', *options]) == 0
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {line['name']: line for line in lines}


def test_values_come_with_their_sources(capsys, monkeypatch, tmp_path):
    file = tmp_path / 'config.toml'
    file.write_text('workers = 2\nhost = "a"\nport = 1\nmax_chunk_age_seconds = "1m30s"\n')
    monkeypatch.setenv('MOSAICOD_CONFIG', str(file))
    monkeypatch.setenv('MOSAICOD_HOST', 'b')
    monkeypatch.setenv('MOSAICOD_PORT', '2')
    settings = shown(capsys, '--port', '3', '--api-key')
    got = {
        name: (settings[name]['value'], settings[name]['source'])
        for name in (
            *('port', 'host', 'workers', 'max_chunk_age_seconds', 'require_api_keys'),
            *('log_level', 'data_dir'),
        )
    }
    assert got == {
        'port': (3, '--port'),
        'host': ('b', 'MOSAICOD_HOST'),
        'workers': (2, f'{file}: workers'),
        'max_chunk_age_seconds': (90.0, f'{file}: max_chunk_age_seconds'),
        'require_api_keys': (True, '--api-key'),
        'log_level': ('warning', 'default'),
        'data_dir': (settings['data_dir']['value'], 'default'),
    }
    assert settings['data_dir']['value'].endswith('/mosaico')
    assert settings['host']['variable'] == 'MOSAICOD_HOST'


def test_text_is_toml_that_gives_the_same_values(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv('MOSAICOD_TARGET_MESSAGE_SIZE', '100000')
    assert main(['config']) == 0
    text = capsys.readouterr().out
    assert 'target_message_size = 100000  # MOSAICOD_TARGET_MESSAGE_SIZE\n' in text
    monkeypatch.delenv('MOSAICOD_TARGET_MESSAGE_SIZE')
    file = tmp_path / 'config.toml'
    file.write_text(text)
    again = shown(capsys, '--config', str(file))
    assert again['target_message_size']['value'] == 100_000
    assert {line['source'] for line in again.values()} == {f'{file}: {name}' for name in again}


def test_secrets_are_masked(capsys, monkeypatch):
    secret = 'hush'
    for name, value in {
        'DB_URL': f'postgresql://me:{secret}@db:5432/lab?sslpassword={secret}',
        'STORE_ACCESS_KEY': 'public',
        'STORE_SECRET_KEY': secret,
        'WEBHOOK_URL': f'https://u:{secret}@hooks.example.com/{secret}?token={secret}',
    }.items():
        monkeypatch.setenv(f'MOSAICOD_{name}', value)
    for options in ([], ['--json']):
        assert main(['config', *options]) == 0
        text = capsys.readouterr().out
        assert secret not in text
        assert 'postgresql://me:***@db:5432/lab?***' in text
        assert 'hooks.example.com' in text
    assert shown(capsys)['store_secret_key']['value'] == '***'


def test_problems_are_reported_as_run_does(capsys, monkeypatch):
    monkeypatch.setenv('MOSAICOD_PORT', '99999')
    monkeypatch.setenv('MOSAICOD_TLS', 'maybe')
    said = []
    for verb in ('config', 'run'):
        assert main([verb]) == 2
        said.append(capsys.readouterr().err.splitlines()[-1])
    assert said[0] == said[1]
    assert 'MOSAICOD_PORT: 99999 is above 65535; MOSAICOD_TLS' in said[0]
    monkeypatch.setenv('MOSAICOD_PORT', '1')
    monkeypatch.delenv('MOSAICOD_TLS')
    monkeypatch.setenv('MOSAICOD_PROT', '1')
    assert main(['config']) == 0
    assert 'MOSAICOD_PROT has no effect; did you mean MOSAICOD_PORT?' in capsys.readouterr().err
