"""Opening the store that the settings name."""

from __future__ import annotations

from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.folder import FolderStore
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)

__all__ = ['open_existing_store', 'open_store']


def open_store(settings: Settings) -> Store:
    """Return the store; boto3 is imported only for S3.

    Raises
    ------
    InvalidArgumentError
        If the store is on S3 and boto3 is not installed.
    UnavailableError
        If it cannot be reached, read or written.
    FailedPreconditionError
        If it is not usable as it is: no such bucket, access denied, a newer layout.

    """
    if settings.store_is_folder:
        return FolderStore(settings.store_dir)
    try:
        from mosaico_ros.daemon.store.s3 import S3Store
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] != 'boto3':
            raise
        raise InvalidArgumentError(
            'A store on S3 needs the package boto3',
            remedy="Install it with: pip install 'mosaico_ros[s3]'",
        ) from error
    return S3Store(
        settings.store_bucket,
        endpoint='' if settings.store_endpoint == 's3://' else settings.store_endpoint,
        region=settings.store_region,
        access_key=settings.store_access_key,
        secret_key=settings.store_secret_key,
    )


def open_existing_store(settings: Settings) -> Store:
    """Return a store that a daemon has used before; nothing is created.

    Raises
    ------
    MosaicoError
        As :func:`open_store`; also a FailedPreconditionError if there is no ``store.json``.

    """
    if settings.store_is_folder and not (settings.store_dir / 'store.json').exists():
        raise _no_store(settings)
    store = open_store(settings)
    try:
        store.open('store.json').close()
    except NotFoundError as error:
        store.close()
        raise _no_store(settings) from error
    return store


def _no_store(settings: Settings) -> FailedPreconditionError:
    return FailedPreconditionError(
        f'There is no Mosaico store in {settings.location}: store.json is missing',
        remedy='Check MOSAICOD_DATA_DIR, or MOSAICOD_STORE_ENDPOINT and MOSAICOD_STORE_BUCKET.',
    )
