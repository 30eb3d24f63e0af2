"""The daemon's TLS files, checked before it serves.

gRPC accepts much of what no client will: its handshakes then fail one by one, with texts that
name no file. Here the files are tried out in memory first, one handshake with themselves.
"""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path

from mosaico_ros.daemon.settings import Settings, variable
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['TlsIdentity', 'load_identity']

_log = logging.getLogger(__name__)

_CERTIFICATE = b'-----BEGIN CERTIFICATE-----'
_PRIVATE_KEY = b'PRIVATE KEY-----'
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WARN_DAYS = 14


@dataclass(frozen=True)
class TlsIdentity:
    """PEM texts that a server needs.

    Parameters
    ----------
    private_key
        The server's key.
    certificates
        Its certificate, followed by those between it and the authority.
    client_authorities
        Whose certificates clients must show; `None` asks for none.

    """

    private_key: bytes = field(repr=False)
    certificates: bytes
    client_authorities: bytes | None = None


def load_identity(settings: Settings) -> TlsIdentity:
    """Read the TLS files that the settings name.

    Raises
    ------
    FailedPreconditionError
        A file is missing, unreadable or not PEM, the key is not that of the certificate, or the
        certificate has expired or is not valid yet. Names the file and its variable.

    """
    certificates = _read(settings.tls_cert_file, 'tls_cert_file', _CERTIFICATE, 'certificate')
    private_key = _read(
        settings.tls_private_key_file, 'tls_private_key_file', _PRIVATE_KEY, 'private key'
    )
    _warn_exposed(settings.tls_private_key_file)
    server = _server_context(settings)
    authorities = None
    if settings.tls_client_ca_file:
        path = settings.tls_client_ca_file
        authorities = _read(path, 'tls_client_ca_file', _CERTIFICATE, 'certificate')
        try:
            server.load_verify_locations(path)
        except ssl.SSLError as error:
            raise _refused(
                f'The client authorities {path} are damaged: {_reason(error)}'
            ) from None
    _try_out(server, settings.tls_cert_file)
    return TlsIdentity(private_key, certificates, authorities)


def _read(path: str, setting: str, mark: bytes, kind: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _refused(
            f'The TLS {kind} {path} cannot be read: {error.strerror}',
            f'Check the path in {variable(setting)} and the rights of the file.',
        ) from None
    if mark not in data:
        other = next((name for m, name in _KINDS if m in data), 'no PEM text at all')
        raise _refused(
            f'The file {path} holds no {kind} in PEM form ({other})',
            f'Check {variable(setting)}: it begins with -----BEGIN.',
        )
    return data


_KINDS = (
    (_PRIVATE_KEY, 'it holds a private key'),
    (b'BEGIN CERTIFICATE REQUEST', 'it holds a request for a certificate'),
    (_CERTIFICATE, 'it holds a certificate'),
)


def _server_context(settings: Settings) -> ssl.SSLContext:
    certificate, key = settings.tls_cert_file, settings.tls_private_key_file

    def no_passphrase() -> str:
        raise _refused(
            f'The private key {key} is protected by a passphrase',
            'Store it without one (openssl pkey -in KEY -out NEW), readable by this user alone.',
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason in ('KEY_VALUES_MISMATCH', 'KEY_TYPE_MISMATCH'):
            raise _refused(
                f'The private key {key} does not belong to the certificate {certificate}',
                'Name the pair that was made together; the certificate of the server comes '
                'first in its file.',
            ) from None
        raise _refused(
            f'The certificate {certificate} with the key {key} is unusable: {_reason(error)}',
            'One of the files is damaged, or its algorithm is too weak for this system.',
        ) from None
    return context


def _try_out(server: ssl.SSLContext, path: str) -> None:
    """Let a client that trusts nothing but these certificates connect, in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(path)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        while ends:
            for end in list(ends):
                try:
                    end.do_handshake()
                    ends.remove(end)
                    if not end.server_side:
                        _warn_early(end, path)
                except ssl.SSLWantReadError:
                    pass
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise _refused(
                f'The certificate {path} has expired', 'Renew it; no client would connect.'
            ) from None
        if error.verify_code == _NOT_YET_VALID:
            raise _refused(
                f'The certificate {path} is not valid yet', 'Check the clock of this host.'
            ) from None
        _log.warning('Clients may refuse the certificate %s: %s', path, error.verify_message)
    except ssl.SSLError as error:
        raise _refused(
            f'The certificate {path} is of no use for a server: {_reason(error)}'
        ) from None


def _warn_exposed(path: str) -> None:
    mode = Path(path).stat().st_mode & 0o777
    if mode & 0o007:
        _log.warning(
            'The private key %s is open to every user of this host (mode %03o): chmod o= it',
            path,
            mode,
        )


def _warn_early(end: ssl.SSLObject, path: str) -> None:
    ends_at = (end.getpeercert() or {}).get('notAfter')
    if isinstance(ends_at, str):
        days = (ssl.cert_time_to_seconds(ends_at) - time.time()) / 86_400
        if days < _WARN_DAYS:
            _log.warning('The certificate %s expires in %.1f days', path, days)


def _reason(error: ssl.SSLError) -> str:
    return error.reason.lower().replace('_', ' ') if error.reason else 'not readable'


def _refused(message: str, remedy: str | None = None) -> FailedPreconditionError:
    return FailedPreconditionError(message, remedy=remedy)
