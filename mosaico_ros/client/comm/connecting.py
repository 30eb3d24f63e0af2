"""Finding a daemon that may still be starting, and knowing when waiting is no use."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from mosaico_ros.client.comm.connection import Connection, Endpoint
from mosaico_ros.protocol import shapes
from mosaico_ros.protocol.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    MosaicoError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from mosaico_ros.protocol.server_info import ServerConfig, ServerInfo

__all__ = ['connect', 'probe', 'read_certificate']

_POLL_S = 0.025
_LEGACY_SIZES = ServerConfig(*[16 * 1024 * 1024] * 3)
# What TLS libraries say when the other end is there, but not as expected; waiting is no use.
_TLS_FAULT = re.compile(r'handshake failed|CERTIFICATE_VERIFY|SSL_ERROR|WRONG_VERSION', re.I)


def connect(endpoint: Endpoint, timeout: float) -> Connection:
    """Open a connection and learn what the daemon offers.

    Parameters
    ----------
    endpoint
        The daemon.
    timeout
        Seconds to wait for it.

    Raises
    ------
    UnavailableError
        Nobody answers in time, or TLS fails (at once).
    PermissionDeniedError, UnauthenticatedError
        The daemon refuses the key (at once).

    """
    deadline = time.monotonic() + timeout
    while True:
        connection = Connection(endpoint)
        try:
            left = max(deadline - time.monotonic(), 0.1)
            connection.server = probe(connection, left)
            return connection
        except (UnavailableError, DeadlineExceededError) as error:
            connection.close()
            if _TLS_FAULT.search(str(error)):
                raise _tls_error(endpoint, error) from error
            if time.monotonic() + _POLL_S >= deadline:
                raise _absent_error(endpoint, timeout, error) from error
        except BaseException:
            connection.close()
            raise
        time.sleep(_POLL_S)


def probe(connection: Connection, timeout: float | None = None) -> ServerInfo:
    """Ask the daemon what it is; errors as in :func:`connect`."""
    try:
        answer = connection.action('info', {}, timeout=timeout)
    except (
        UnavailableError,
        DeadlineExceededError,
        PermissionDeniedError,
        UnauthenticatedError,
    ) as error:
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            raise _key_error(connection.endpoint, error) from error
        raise
    except MosaicoError:
        # Daemons before 0.7 have no such action, and their `version` tells no message sizes.
        answer = connection.action('version', {}, timeout=timeout) or {}
        answer['config'] = shapes.to_json(_LEGACY_SIZES)
    return shapes.from_json(ServerInfo, answer or {}, "the daemon's info")


def _key_error(endpoint: Endpoint, error: MosaicoError) -> MosaicoError:
    given = 'refused the API key' if endpoint.api_key is not None else 'demands an API key'
    return type(error)(
        f'The daemon at {endpoint} {given}: {error}',
        remedy='Check api_key (MOSAICO_API_KEY); "mosaicod api-key list" shows the valid ones.',
    )


def _tls_error(endpoint: Endpoint, error: MosaicoError) -> UnavailableError:
    return UnavailableError(
        f'No encrypted connection to {endpoint}: {error}',
        remedy='Check that the daemon runs with --tls, that its certificate names this host, and '
        'that tls_cert_path is the authority that signed it.',
    )


def _absent_error(endpoint: Endpoint, timeout: float, error: MosaicoError) -> UnavailableError:
    hint = '' if endpoint.tls else ' If it runs with --tls, give enable_tls or tls_cert_path.'
    return UnavailableError(
        f'No daemon answered at {endpoint} within {timeout:g} s ({error})',
        remedy=f'Start one with "mosaicod run", or check host and port.{hint}',
    )


def read_certificate(path: str | os.PathLike[str] | None) -> bytes | None:
    """Return what a PEM file of certificate authorities holds; `None` without a file.

    Raises
    ------
    InvalidArgumentError
        It cannot be read, or is none.

    """
    if path is None:
        return None
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(
            f'The certificate file {str(path)!r} cannot be read: {error.strerror}',
            remedy="Give the PEM file of the authority that signed the daemon's certificate.",
        ) from error
    if b'-----BEGIN CERTIFICATE-----' not in data:
        raise InvalidArgumentError(
            f'The file {str(path)!r} holds no PEM certificate',
            remedy="Give the PEM file of the authority that signed the daemon's certificate.",
        )
    return data
