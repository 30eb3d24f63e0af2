"""Every durable step of every operation as the last one of its process, one after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thoroughness import THOROUGH

SERVER = Path(__file__).with_name('server.py')
OPERATIONS = [
    'first_start',
    'creation',
    'upload',
    'two_uploads_at_once',
    'upload_with_merging',
    'aborted_upload',
    'finalization',
    'deletion_of_a_topic',
    'deletion_of_a_session',
    'deletion_of_a_sequence',
    'deletion_during_an_upload',
    'deletion_without_retention',
    'notifications',
    'recovery',
    'cleanup',
    'optimizer',
    'rebuild',
]
#: On PostgreSQL and S3, where a copied database and bucket per point take their time: what differs
#: there, which are uploads, what is made durable at once, removals and replaced chunks. The others
#: do the same steps through the same interface; they take their turn in a thorough test.
REMOTE = ['upload', 'finalization', 'deletion_of_a_sequence', 'optimizer']
if THOROUGH:
    REMOTE = [*OPERATIONS, 'upload_in_parts']


@pytest.fixture(scope='session')
def stop_everywhere() -> Iterator[Callable[..., dict[str, Any]]]:
    """``stop_everywhere(operation, remote)`` asks a process that forks to stop an operation."""
    # In memory if possible: what is durable is modelled, nothing has to reach a disk.
    memory = Path('/dev/shm')
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    process = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(
        operation: str,
        remote: dict[str, Any] | None = None,
        defect: str | None = None,
        fault: str | None = None,
    ) -> dict[str, Any]:
        job: dict[str, Any] = {'operation': operation, 'remote': remote}
        job |= {'defect': defect, 'fault': fault, 'folder': str(folder / operation)}
        (folder / operation).mkdir()
        process.stdin.write(json.dumps(job) + '\n')
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait(timeout=20)
    process.stdout.close()
    shutil.rmtree(folder)


@pytest.fixture
def remote(postgres: Callable[[], str], s3_server: Any) -> dict[str, Any]:
    """A database of its own, to be copied for each point, and a bucket."""
    import psycopg
    from sqlalchemy.engine import make_url

    name = f'base_{uuid.uuid4().hex}'
    url = make_url(postgres()).difference_update_query(['options'])
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as server:
        server.execute(f'CREATE DATABASE {name}')
    return {
        'db_url': url.set(database=name).render_as_string(hide_password=False),
        'store_endpoint': s3_server.endpoint,
        'store_bucket': s3_server.new_bucket(),
        'store_access_key': s3_server.access_key,
        'store_secret_key': s3_server.secret_key,
        'objects': str(s3_server.root),
    }


def assert_whole_everywhere(answer: dict[str, Any]) -> None:
    assert not answer['wrong'], f'{len(answer["wrong"])} faults:\n' + '\n'.join(answer['wrong'])
    assert answer['points'] > 1
    assert answer['checked'] > 1


@pytest.mark.parametrize('operation', OPERATIONS)
def test_folder_and_sqlite(stop_everywhere, operation):
    assert_whole_everywhere(stop_everywhere(operation))


@pytest.mark.parametrize('operation', REMOTE)
def test_s3_and_postgresql(stop_everywhere, remote, operation):
    assert_whole_everywhere(stop_everywhere(operation, remote))


@pytest.mark.parametrize(
    ('defect', 'operation', 'fault'),
    [
        ('names_are_not_synced', 'creation', 'power lost'),
        ('contents_are_not_synced', 'creation', 'power lost'),
        ('deletions_are_not_synced', 'notifications', 'was purged and is stored'),
        ('rows_are_recorded_before_their_chunk_is_stored', 'upload', 'is not in the store'),
        ('topics_are_sealed_without_their_manifest', 'upload', "manifest['state']"),
    ],
)
def test_a_planted_defect_is_found(stop_everywhere, defect, operation, fault):
    wrong = stop_everywhere(operation, defect=defect, fault=fault)['wrong']
    assert any(fault in text for text in wrong), wrong
