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


@pytest.mark.parametrize('algorithm', ['Gzip', '_Deflate', 'StreamGzip'])
def test_it_may_compress(daemon: Any, peer: Callable[..., Any], algorithm: str) -> None:
    seen = peer('write', daemon.port, 'peer_run', MOSAICO_COMPRESSION=algorithm)
    assert seen['equal_imu']
    assert seen['equal_drive']


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


def test_every_query_operator_means_what_python_means(
    any_daemon: Any, peer: Callable[..., Any]
) -> None:
    seen = peer('query', any_daemon.port, 'q')

    assert seen['wrong'] == {}
    assert seen['cases'] == 76
    assert (seen['both'], seen['never'], seen['window']) == ([8], [], [3, 4, 5])
    assert seen['two_tags'] == [['q', ['/lab/probe', '/other']]]
    assert seen['chained_sequences'] == seen['two_tags']
    assert seen['chained'] == [*seen['two_tags'], ['q_plain', ['/other']]]
    assert seen['spans'] == {
        '/lab/probe': [[40, 80]],
        '/other': [[at, at] for at in range(60, 200, 20)],
    }
    assert seen['common'] == [[60, 80]]
    assert seen['limited'] == [[50, 60]]
    found = seen['catalog']
    both, none = ['q', 'q_plain'], []
    others = {
        "site.hall eq 'b'": none,
        "site.floor eq '3'": none,
        'on eq 1': none,
        'site.floor outside [3, 5]': none,
        'site.room ex True': none,
        'created before': none,
        'site.room ex False': both,
        'tag': both,
        'name match': both,
        'topic name match': both,
        'created after': both,
        'created between': both,
    }
    assert {label: found[label] for label in others} == others
    assert {label for label, names in found.items() if names == ['q']} == set(found) - set(others)


def test_all_error_policies(any_daemon: Any, peer: Callable[..., Any]) -> None:
    left = peer('policies', any_daemon.port, 'p')

    fire = ['sensor on fire']
    for session_policy in ('Report', 'Delete'):
        # The topic's policy swallows the error: the session ends well under either policy.
        for topic_policy, rows in (('Finalize', 0), ('Ignore', 1)):
            assert left.pop(f'{session_policy} {topic_policy}') == {
                'raised': False,
                'state': {
                    'sessions': [True],
                    'topics': {
                        '/steady': {'locked': True, 'rows': 2, 'notes': []},
                        '/failing': {'locked': True, 'rows': rows, 'notes': fire},
                    },
                    'notes': [],
                },
            }
    assert left.pop('Delete Raise') == {'raised': True, 'state': None}
    reported = left.pop('Report Raise')
    assert left == {}
    assert reported['raised']
    assert reported['state']['sessions'] == [True]
    unflushed = {'locked': True, 'rows': 0, 'notes': fire}
    assert reported['state']['topics'] == {'/steady': unflushed, '/failing': unflushed}
    (note,) = reported['state']['notes']
    assert "p_Report_Raise'.\nInner err: 'sensor on fire'" in note


def test_updates_of_a_sequence(any_daemon: Any, peer: Callable[..., Any]) -> None:
    seen = peer('updates', any_daemon.port, 'u')

    state = seen['state']
    assert state['sessions'] == [True] * 3  # of the failing ones Delete has removed its own
    assert {name: topic['rows'] for name, topic in state['topics'].items()} == {
        '/first': 1,
        '/second': 1,
        '/failing_Report': 0,
    }
    assert len(state['notes']) == 1
    assert seen['purged'] == []
    assert (seen['exists'], seen['missing']) == ([True, True], [False, False])
    after = seen['after_session_delete']
    assert after['sessions'] == [True, True]
    assert set(after['topics']) == {'/second', '/failing_Report'}
