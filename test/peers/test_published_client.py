"""The published client, unmodified and in its own process, against our daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.peer
START = 1_700_000_000_000_000_000


def test_it_works_over_tls_with_a_key(
    make_daemon: Callable[..., Any], tls_files: Any, peer: Callable[..., Any]
) -> None:
    daemon = make_daemon('--tls', '--api-key', **tls_files.settings())
    keys = daemon.make_keys()
    secure = {'MOSAICO_API_KEY': keys['delete'], 'MOSAICO_CERT_PATH': tls_files.ca}
    seen = peer('write', daemon.port, 'peer_run', **secure)
    assert seen['equal_imu']
    assert seen['equal_drive']
    assert seen['gone']


def test_it_writes_reads_queries_and_deletes(any_daemon: Any, peer: Callable[..., Any]) -> None:
    seen = peer('write', any_daemon.port, 'peer_run')

    assert seen['equal_imu']
    assert seen['equal_drive']
    assert seen['stamps_imu'] == [START + i * 5_000_000 for i in range(300)]
    assert seen['window'] == [START + i * 5_000_000 for i in range(100, 110)]
    assert seen['by_value'] == [['peer_run', ['/imu', '/base/drive']]]
    assert seen['clusters'] == [
        ['IMU', START + 250 * 5_000_000, START + 299 * 5_000_000],
        ['DriveState', START + 10 * 20_000_000, START + 12 * 20_000_000],
    ]
    assert seen['nothing'] == 0
    assert seen['by_name'] == [['peer_run', ['/imu']]]
    assert seen['left'] == []
    assert seen['gone']

    described = seen['described']
    assert described['user_metadata'] == {'site': {'hall': 'B'}, 'trial': 4}
    assert described['timestamp_ns_min'] == START
    assert described['timestamp_ns_max'] == START + 299 * 5_000_000
    assert [session['locked'] for session in described['sessions']] == [True]
    assert described['sessions'][0]['topics'] == ['/imu', '/base/drive']
    assert described['updated_timestamps'][0] >= described['created_timestamp'] > START
    imu, drive = described['topics']['/imu'], described['topics']['/base/drive']
    assert imu['user_metadata'] == {'mount': 'wrist'}
    assert (imu['ontology_tag'], drive['ontology_tag']) == ('IMU', 'DriveState')
    assert imu['locked']
    assert imu['chunks_number'] == 1
    assert imu['total_size_bytes'] > 0
    assert described['total_size_bytes'] == imu['total_size_bytes'] + drive['total_size_bytes']
