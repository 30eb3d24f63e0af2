"""Opening the store that the settings name."""

from __future__ import annotations

from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.folder import FolderStore
from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['open_store']


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
        if (error.name or '').partition('.')[0] not in ('boto3', 'botocore', 's3transfer'):
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
