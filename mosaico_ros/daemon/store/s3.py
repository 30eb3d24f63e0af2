"""A store in a bucket of an S3 server.

S3 makes a put visible as a whole or not at all, so an object needs no temporary name. Puts,
gets and deletes are repeated on faults that pass, with growing pauses; each has time limits.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
import pyarrow as pa
from botocore import exceptions
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from mosaico_ros.daemon.store.base import checked_key, describe_store, store_id_of
from mosaico_ros.daemon.store.ranges import RangedSource, ReadPlan
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InternalError,
    MosaicoError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)

__all__ = ['S3Store']

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_READERS = 16
#: Objects beyond this are put in parts of this size; S3 admits 10,000 of them.
_PART_BYTES = 32 << 20
#: Age at which an upload in parts is nobody's any more.
_ABANDONED = timedelta(days=1)
_DELETED_AT_ONCE = 1000

_MISSING = {'NoSuchKey', '404', 'NotFound'}
_DENIED = {
    '403',
    'AccessDenied',
    'AllAccessDisabled',
    'ExpiredToken',
    'InvalidAccessKeyId',
    'InvalidToken',
    'SignatureDoesNotMatch',
}
_FULL = {'QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'EntityTooLarge'}
_PASSING = {
    'InternalError',
    'RequestTimeout',
    'ServiceUnavailable',
    'SlowDown',
    'Throttling',
    '500',
    '502',
    '503',
    '504',
}


def _session() -> boto3.Session:
    """Return a session with the configuration as it is now."""
    session = botocore.session.Session()
    descriptions = _descriptions(session.get_config_variable('data_path'))
    session.register_component('data_loader', descriptions)
    return boto3.Session(botocore_session=session)


@cache
def _descriptions(path: str | None) -> Loader:
    """Descriptions of services: most of the time of a first client, so they are read once."""
    return create_loader(path)


class S3Store:
    """Objects in one bucket.

    Parameters
    ----------
    bucket
        Its name; it must exist.
    endpoint
        ``http(s)://host:port``, addressed by path; empty for AWS.
    region
        Region of the bucket; empty for that of the standard AWS configuration.
    access_key, secret_key
        Credentials; empty for the standard chain: ``AWS_*`` variables, shared files, the role
        of the machine.

    """

    waits = True

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str = '',
        region: str = '',
        access_key: str = '',
        secret_key: str = '',
    ) -> None:
        self.bucket = bucket
        self._where = f'{endpoint.rstrip("/") or "S3"}'
        with self.translated('opened'):
            session = _session()
            self.client: Any = session.client(
                's3',
                endpoint_url=endpoint or None,
                region_name=region or session.region_name or ('us-east-1' if endpoint else None),
                aws_access_key_id=access_key or None,
                aws_secret_access_key=secret_key or None,
                config=Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={'mode': 'standard', 'total_max_attempts': _ATTEMPTS},
                    max_pool_connections=2 * _READERS,
                    tcp_keepalive=True,
                    s3={'addressing_style': 'path' if endpoint else 'auto'},
                    # Many servers refuse the checksums that botocore adds on its own.
                    request_checksum_calculation='when_required',
                    response_checksum_validation='when_required',
                ),
            )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix='s3-read')

    @cached_property
    def id(self) -> str:
        """Identity of the store, equal to the catalog's; a new one gets it when first asked."""
        try:
            found = self._get('store.json')
        except NotFoundError:
            self.put('store.json', describe_store(str(uuid.uuid4())))
            found = self._get('store.json')
        return store_id_of(found, f'The bucket {self.bucket} at {self._where}')

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Store an object; when this returns it is complete and survives a crash."""
        with self.create(key) as file:
            file.write(data)

    @contextmanager
    def create(self, key: str) -> Iterator[pa.NativeFile]:
        """Store an object as it is written; as :meth:`put` when the block ends without error.

        After an error nothing is stored.
        """
        target = _Target(self, checked_key(key))
        try:
            with pa.PythonFile(target, mode='w') as file:
                yield file
            target.finish()
        except BaseException:
            target.abandon()
            raise

    def open(
        self, key: str, plan: ReadPlan | None = None, *, partly: bool = False
    ) -> pa.NativeFile:
        """Open an object for random reads, each a request unless it was planned."""
        source = RangedSource(_Parts(self, checked_key(key)), self._readers, plan)
        return pa.PythonFile(source, mode='r')

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys directly inside a folder, read in pages; nothing if there is none."""
        for page in self._pages(f'{checked_key(folder)}/', Delimiter='/'):
            yield from (item['Key'] for item in page.get('Contents', ()))

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield key and bytes of each object directly inside a folder, read in pages."""
        for page in self._pages(f'{checked_key(folder)}/', Delimiter='/'):
            yield from ((item['Key'], item['Size']) for item in page.get('Contents', ()))

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders directly inside a folder, read in pages; nothing if there is none."""
        for page in self._pages(f'{checked_key(folder)}/', Delimiter='/'):
            yield from (item['Prefix'].rstrip('/') for item in page.get('CommonPrefixes', ()))

    def delete(self, *keys: str) -> None:
        """Remove objects, if they exist, a thousand a request."""
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            objects = [{'Key': checked_key(key)} for key in keys[at : at + _DELETED_AT_ONCE]]
            with self.translated(keys[at]):
                done = self.client.delete_objects(
                    Bucket=self.bucket, Delete={'Objects': objects, 'Quiet': True}
                )
            for fault in done.get('Errors', ()):
                if fault.get('Code') not in _MISSING:
                    raise self._refused(fault, fault.get('Key', keys[at]))

    def delete_folder(self, folder: str) -> None:
        """Remove everything below a folder."""
        for page in self._pages(f'{checked_key(folder)}/', MaxKeys=_DELETED_AT_ONCE):
            self.delete(*(item['Key'] for item in page.get('Contents', ())))

    def remove_leftovers(self) -> None:
        """Give up uploads in parts that nobody has continued for a day."""
        oldest = datetime.now(timezone.utc) - _ABANDONED
        try:
            pages = self.client.get_paginator('list_multipart_uploads')
            for page in pages.paginate(Bucket=self.bucket):
                for upload in page.get('Uploads', ()):
                    if upload['Initiated'] < oldest:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=upload['Key'], UploadId=upload['UploadId']
                        )
        except exceptions.ClientError as error:  # not every server can list them
            _log.info('Abandoned uploads of %s are not looked for: %s', self.bucket, error)

    def is_shared(self) -> bool:
        """Return `False`: a bucket does not tell."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    # -- inside ------------------------------------------------------------------------------

    def fetch(self, name: str, wanted: str | None) -> tuple[bytes, int]:
        """Return the bytes of an HTTP range (all without one) and the object's size."""
        pause = 0.1
        for attempt in range(_ATTEMPTS):
            try:
                with self.translated(name):
                    given = {} if wanted is None else {'Range': f'bytes={wanted}'}
                    got = self.client.get_object(Bucket=self.bucket, Key=name, **given)
                    data: bytes = got['Body'].read()
                # "bytes 0-99/1234"; servers leave it out when they send everything.
                content_range: str = got.get('ContentRange') or ''
                size = content_range.rpartition('/')[2]
                return data, int(size) if size.isdigit() else len(data)
            except UnavailableError as error:
                # botocore repeats requests, but not the reading of a body that breaks off.
                broke_off = isinstance(error.__cause__, _BROKEN_BODY)
                if not broke_off or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(pause)
                pause *= 2
        raise AssertionError('unreachable')

    def _get(self, key: str) -> bytes:
        return self.fetch(key, None)[0]

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
        with self.translated(prefix):
            yield from self.client.get_paginator('list_objects_v2').paginate(
                Bucket=self.bucket, Prefix=prefix, **options
            )

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except exceptions.ClientError as error:
            raise self._refused(error.response.get('Error', {}), what) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise FailedPreconditionError(
                f'There are no credentials for the store at {self._where}',
                remedy='Set MOSAICOD_STORE_ACCESS_KEY and MOSAICOD_STORE_SECRET_KEY, or '
                'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
            ) from error
        except exceptions.NoRegionError as error:
            raise FailedPreconditionError(
                'The region of the bucket is not known', remedy='Set MOSAICOD_STORE_REGION.'
            ) from error
        except (*_UNREACHABLE, *_BROKEN_BODY) as error:
            raise UnavailableError(
                f'The S3 server at {self._where} does not answer: {error}',
                remedy='Check that it runs, and MOSAICOD_STORE_ENDPOINT.',
            ) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            raise FailedPreconditionError(
                f'The store at {self._where} cannot be used: {error}',
                remedy='Check MOSAICOD_STORE_ENDPOINT, _BUCKET and _REGION.',
            ) from error

    def _refused(self, fault: dict[str, Any], what: str) -> MosaicoError:
        code, message = str(fault.get('Code', '')), str(fault.get('Message', ''))
        said = ': '.join(part for part in (code, message) if part and part != 'Unknown')
        if code == 'NoSuchBucket':
            return FailedPreconditionError(
                f'The bucket {self.bucket} does not exist at {self._where}',
                remedy='Create it, or name another one in MOSAICOD_STORE_BUCKET.',
            )
        if code in _MISSING:
            return NotFoundError(f'{what} is not in the store (any more)')
        if code in _DENIED:
            return FailedPreconditionError(
                f'{self._where} denies access to the bucket {self.bucket} ({said})',
                remedy='Check MOSAICOD_STORE_ACCESS_KEY and MOSAICOD_STORE_SECRET_KEY; the key '
                'needs to list the bucket and to get, put and delete its objects.',
            )
        if code in _FULL:
            return ResourceExhaustedError(
                f'No space left to store {what} in the bucket {self.bucket} ({said})'
            )
        if code in _PASSING:
            return UnavailableError(
                f'The S3 server at {self._where} is overloaded or out of order ({said})',
                remedy='Try again later.',
            )
        return InternalError(f'{self._where} refused {what} ({said})')


_UNREACHABLE = (exceptions.ConnectionError, exceptions.HTTPClientError)
_BROKEN_BODY = (
    exceptions.IncompleteReadError,
    exceptions.ReadTimeoutError,
    exceptions.ResponseStreamingError,
)


class _Target:
    """An object that is being written: small ones with one request, others in parts."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store = store
        self._named = {'Bucket': store.bucket, 'Key': key}
        self._waiting: list[bytes] = []
        self._size = 0
        self._upload = ''
        self._parts: list[dict[str, Any]] = []
        self.closed = False

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= _PART_BYTES:
            self._put_part()
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written counts when all is."""

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    def finish(self) -> None:
        """Make the object appear."""
        with self._store.translated(self._named['Key']):
            if not self._upload:
                self._store.client.put_object(**self._named, Body=b''.join(self._waiting))
                return
            if self._waiting:
                self._put_part()
            self._store.client.complete_multipart_upload(
                **self._named, UploadId=self._upload, MultipartUpload={'Parts': self._parts}
            )

    def abandon(self) -> None:
        """Leave nothing behind; if that fails, the next start looks for it."""
        if self._upload:
            try:
                self._store.client.abort_multipart_upload(**self._named, UploadId=self._upload)
            except (exceptions.ClientError, exceptions.BotoCoreError) as error:
                _log.warning('Parts of %s are left in the bucket: %s', self._named['Key'], error)

    def _put_part(self) -> None:
        number = len(self._parts) + 1
        body = b''.join(self._waiting)
        self._waiting, self._size = [], 0
        with self._store.translated(self._named['Key']):
            client = self._store.client
            if not self._upload:
                self._upload = client.create_multipart_upload(**self._named)['UploadId']
            done = client.upload_part(
                **self._named, UploadId=self._upload, PartNumber=number, Body=body
            )
        self._parts.append({'PartNumber': number, 'ETag': done['ETag']})


class _Parts:
    """Parts of one object."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store = store
        self._key = key

    def part(self, start: int, stop: int) -> tuple[bytes, int]:
        """Return the bytes in [start, stop), cut at the object's end, and the object's size."""
        return self._store.fetch(self._key, f'{start}-{stop - 1}')

    def tail(self, count: int) -> tuple[bytes, int]:
        """Return the last bytes, all if there are fewer, and the object's size."""
        try:
            return self._store.fetch(self._key, f'-{count}')
        except InternalError as error:
            fault = getattr(error.__cause__, 'response', {}).get('Error', {})
            if fault.get('Code') not in ('InvalidRange', '416'):
                raise
            # Smaller than that; some servers refuse where S3 sends the whole.
            return self._store.fetch(self._key, None)
