"""The store on S3, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.s3 import S3Store
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.protocol.query import parse

RUN = SequenceLocator('run')

SCHEMA = pa.schema(
    [
        pa.field('timestamp_ns', pa.int64(), nullable=False),
        *((f'x{number}', pa.float64()) for number in range(20)),
    ]
)


@pytest.fixture
def bucket(s3_server: Any) -> str:
    return str(s3_server.new_bucket())


@pytest.fixture
def store(s3_server: Any, bucket: str) -> Any:
    opened = S3Store(bucket, **s3_server.credentials)
    yield opened
    opened.close()


def test_objects_come_back(store):
    for size in (0, 1, 1000, 200_000):
        content = os.urandom(size)
        store.put('a/b', content)
        if size:
            with store.open('a/b') as file:
                assert file.size() == size
                assert file.read() == content
    store.put('a/b', pa.py_buffer(b'other'))
    with store.open('a/b') as file:
        assert file.read() == b'other'


def test_large_object_goes_in_parts_and_appears_as_a_whole(store):
    content = os.urandom(70 << 20)
    with store.create('big') as file:
        for start in range(0, len(content), 5 << 20):
            file.write(content[start : start + (5 << 20)])
            with pytest.raises(NotFoundError, match='big'):
                store.open('big')
    with store.open('big') as file:
        assert file.read() == content


@pytest.mark.parametrize('size', [10, 40 << 20])
def test_failed_write_leaves_nothing(store, size):
    with pytest.raises(ZeroDivisionError), store.create('a/b') as file:  # noqa: PT012
        file.write(bytes(size))
        raise ZeroDivisionError
    assert list(store.keys('a')) == []


def test_listing_and_deleting_cover_every_page(store):
    names = [f'a/{number:05d}' for number in range(1203)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b'x'), names))
    store.put('a/deeper/x', b'x')
    store.put('ab/x', b'x')
    assert list(store.keys('a')) == names
    assert list(store.folders('a')) == ['a/deeper']
    assert list(store.folders('b')) == []
    store.delete('a/00000')
    store.delete('a/00000')
    assert len(list(store.keys('a'))) == 1202
    store.delete_folder('a')
    store.delete_folder('a')
    assert list(store.keys('a')) == list(store.keys('a/deeper')) == []
    assert list(store.keys('ab')) == ['ab/x']


def test_store_keeps_its_id(store, s3_server, bucket):
    assert re.fullmatch(r'[0-9a-f-]{36}', store.id)
    assert S3Store(bucket, **s3_server.credentials).id == store.id


def test_keys_stay_inside_the_bucket(store):
    for key in ('../x', 'a//b', '', 'a/./b'):
        with pytest.raises(InvalidArgumentError, match='not a key'):
            store.put(key, b'x')


def settings_of(s3_server: Any, tmp_path: Any, **changes: Any) -> Settings:
    given = {
        'data_dir': tmp_path,
        'db_url': f'sqlite:///{tmp_path}/catalog.db',
        'store_endpoint': s3_server.endpoint,
        'store_bucket': 'no-such-bucket',
        'store_access_key': s3_server.access_key,
        'store_secret_key': s3_server.secret_key,
    }
    return Settings(**(given | changes))


@pytest.mark.parametrize(
    ('changes', 'error', 'named'),
    [
        ({}, FailedPreconditionError, r'no-such-bucket does not exist.*MOSAICOD_STORE_BUCKET'),
        (
            {'store_secret_key': 'wrong'},
            FailedPreconditionError,
            r'denies access.*SignatureDoesNotMatch.*MOSAICOD_STORE_SECRET_KEY',
        ),
        ({'store_access_key': 'wrong'}, FailedPreconditionError, 'denies access'),
        (
            {'store_endpoint': 'http://127.0.0.1:9'},
            UnavailableError,
            r'127\.0\.0\.1:9 does not answer.*MOSAICOD_STORE_ENDPOINT',
        ),
        ({'store_bucket': 'Not A Bucket'}, FailedPreconditionError, 'Not A Bucket'),
    ],
)
def test_unusable_stores_are_explained(s3_server, tmp_path, changes, error, named):
    with pytest.raises(error, match=named) as caught:
        Archive(settings_of(s3_server, tmp_path, **changes))
    assert 'mosaico-test-secret' not in str(caught.value)


def test_credentials_come_from_the_standard_chain(s3_server, bucket, tmp_path, monkeypatch):
    bare = settings_of(
        s3_server, tmp_path, store_bucket=bucket, store_access_key='', store_secret_key=''
    )
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(tmp_path / 'none'))
    with pytest.raises(FailedPreconditionError, match='AWS_ACCESS_KEY_ID'):
        Archive(bare)
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', s3_server.access_key)
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', s3_server.secret_key)
    Archive(bare).close()


def test_boto3_is_imported_for_s3_only_and_named_when_missing(tmp_path):
    code = (
        'import sys; from pathlib import Path\n'
        'from mosaico_ros.daemon.settings import Settings\n'
        'from mosaico_ros.daemon.store.opening import open_store\n'
        f'open_store(Settings(data_dir=Path({str(tmp_path)!r}))).close()\n'
        'assert "boto3" not in sys.modules\n'
        'sys.modules["boto3"] = None\n'
        'try: open_store(Settings(store_endpoint="s3://"))\n'
        'except Exception as error: print(error)'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert "pip install 'mosaico_ros[s3]'" in run.stdout


@pytest.mark.parametrize('settings', ['postgres+s3'], indirect=True)
def test_a_window_costs_few_requests_and_few_bytes(filled, monkeypatch):
    rows = 200_000
    noise = np.random.default_rng(1).random((20, rows))
    locator = filled.write(pa.table([np.arange(rows), *noise], schema=SCHEMA))
    (size,) = (topic.bytes for topic in filled.archive.describe_sequence(RUN).topics)
    filled.reopen()
    fetched: list[int] = []
    fetch = S3Store.fetch

    def counting(self: S3Store, name: str, wanted: str | None) -> tuple[bytes, int]:
        data, whole = fetch(self, name, wanted)
        fetched.append(len(data))
        return data, whole

    monkeypatch.setattr(S3Store, 'fetch', counting)
    assert filled.read(locator, 100_000, 100_400).num_rows == 400
    assert len(fetched) <= 4  # footer, and one row group
    assert sum(fetched) < size / 8
    fetched.clear()
    assert filled.archive.query(parse({'ontology': {'IMU.x3': {'$gt': 2}}})) == []
    assert fetched == []
    # Everything: each byte once, in requests of megabytes.
    assert filled.read(locator).num_rows == rows
    assert sum(fetched) <= size
    assert len(fetched) <= 4 + size / (2 << 20)
