"""How the verbs of ``mosaico`` find their daemon and show who they are."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def ls(make_daemon, tls_files, run_command):
    """``ls(options, variables)`` lists a daemon that wants TLS and keys; also its keys."""
    daemon = make_daemon('--tls', '--api-key', **tls_files.settings())

    def run(*options: object, **variables: object) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICO_')}
        environment = inherited | {name: str(value) for name, value in variables.items()}
        return run_command('mosaico', 'ls', '--port', daemon.port, *options, env=environment)

    return run, daemon.make_keys()


def test_key_from_the_environment_certificate_from_an_option(ls, tls_files):
    run, keys = ls
    listed = run('--tls-cert', tls_files.ca, MOSAICO_API_KEY=keys['read'])
    assert listed.returncode == 0, listed.stderr
    assert 'The archive is empty' in listed.stdout

    listed = run('--api-key', keys['read'], MOSAICO_TLS_CERT_FILE=tls_files.ca)
    assert listed.returncode == 0, listed.stderr


def test_refusals_are_one_line_without_the_key(ls, tls_files):
    run, keys = ls
    without = run('--tls-cert', tls_files.ca)
    refused = run('--tls-cert', tls_files.ca, MOSAICO_API_KEY=keys['revoked'])
    untrusted = run('--tls', MOSAICO_API_KEY=keys['read'])
    plain = run(MOSAICO_API_KEY=keys['read'])
    for done, said in (
        (without, 'demands an API key'),
        (refused, 'refused the API key'),
        (untrusted, 'tls_cert_path'),
        (plain, '--tls'),
    ):
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        for key in keys.values():
            assert key.split('_')[1] not in done.stdout + done.stderr
