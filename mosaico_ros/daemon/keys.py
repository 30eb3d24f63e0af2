"""API keys: making, listing and revoking them, and telling whom a call comes from.

Of a key's payload only a salted scrypt hash is kept. The payload is random (165 bits, 133 for
who knows the fingerprint), so that no hash of it can be searched through; scrypt's cost is set
low (8 MiB, some 20 ms) to keep strangers from burning a daemon's memory with made-up tokens.

A call pays for none of that: a token that was verified is remembered, by a keyed hash that
lives in this process alone, and only its row is read again, once a second. Revocation and
expiry therefore take effect within a second on every daemon of the catalog, in the middle of
long uploads and reads too.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from mosaico_ros.daemon.catalog import api_keys
from mosaico_ros.daemon.catalog.api_keys import StoredKey
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.protocol.api_keys import (
    API_KEY_HEADER,
    PAYLOAD_ALPHABET,
    PAYLOAD_LENGTH,
    ApiKeyToken,
    Permission,
)
from mosaico_ros.protocol.errors import (
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)

__all__ = ['KeyGate', 'Keys']

_log = logging.getLogger(__name__)

_MAX_DESCRIPTION = 1000
_REMEMBERED_KEYS = 1024
_FRESH_SECONDS = 1.0


class Keys:
    """The API keys of a catalog.

    Parameters
    ----------
    database
        The catalog.

    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, permission: Permission, description: str = '', expires_at_ns: int | None = None
    ) -> ApiKeyToken:
        """Make a key; nothing but the returned token can ever tell its secret.

        Raises
        ------
        InvalidArgumentError
            The description is too long or not one line of text, or the expiry has passed.

        """
        now = time.time_ns()
        if len(description) > _MAX_DESCRIPTION:
            raise InvalidArgumentError(
                f'The description has {len(description)} characters',
                remedy=f'At most {_MAX_DESCRIPTION} are kept.',
            )
        if not description.isprintable():  # a terminal will show it
            raise InvalidArgumentError(
                'The description holds line breaks or control characters',
                remedy='Write one line of text.',
            )
        if expires_at_ns is not None and expires_at_ns <= now:
            raise InvalidArgumentError('The key would have expired already')
        for _ in range(8):
            token = _new_token()
            salt = secrets.token_bytes(16)
            key = StoredKey(
                token.fingerprint,
                permission,
                description,
                now,
                expires_at_ns,
                salt,
                _digest(token, salt),
            )
            try:
                with self._database.write() as connection:
                    api_keys.insert_key(connection, key)
            except IntegrityError:
                continue  # one fingerprint in 2^32: another key has it
            _log.info('API key %s with permission %s created', key.fingerprint, permission.value)
            return token
        raise InternalError('No free fingerprint was found for a new API key')

    def find(self, fingerprint: str) -> StoredKey | None:
        """Return the key of a fingerprint, if there is one."""
        with self._database.read() as connection:
            return api_keys.find_key(connection, fingerprint)

    def get(self, fingerprint: str) -> StoredKey:
        """Return the key of a fingerprint; NotFoundError if there is none."""
        key = self.find(fingerprint)
        if key is None:
            raise _unknown(fingerprint)
        return key

    def find_all(self) -> list[StoredKey]:
        """Return all keys, expired ones included, oldest first."""
        with self._database.read() as connection:
            return api_keys.list_keys(connection)

    def revoke(self, fingerprint: str) -> None:
        """Delete a key; NotFoundError if there is none."""
        with self._database.write() as connection:
            if not api_keys.delete_keys(connection, [fingerprint]):
                raise _unknown(fingerprint)
        _log.info('API key %s revoked', fingerprint)

    def purge(self, *, everything: bool = False) -> int:
        """Delete the expired keys, or all of them; return how many."""
        now = time.time_ns()
        with self._database.write() as connection:
            return api_keys.delete_keys(
                connection,
                [
                    key.fingerprint
                    for key in api_keys.list_keys(connection)
                    if everything or key.expired(now)
                ],
            )


@dataclass
class _Remembered:
    key: StoredKey
    read_at: float


class KeyGate:
    """The :class:`mosaico_ros.daemon.calls.Gate` of a daemon that demands API keys.

    Parameters
    ----------
    keys
        Whom to let in.
    clock
        Seconds, monotonic.

    """

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lock = threading.Lock()
        # One hash at a time: made-up tokens cost one core and 8 MiB at most, however many come.
        self._hashing = threading.Lock()

    def admit(self, token: str | None, needed: Permission, call: str) -> None:
        """Let a call pass, or raise.

        Raises
        ------
        PermissionDeniedError
            The token is missing, malformed, unknown, expired, revoked or too weak. The text is
            the same for all of these: it tells a stranger nothing.

        """
        reason = self._reason_against(token, needed)
        if reason is None:
            return
        _log.info('%s refused: %s', call, reason)
        raise PermissionDeniedError(
            f'{call} needs a valid API key with the permission {needed.value!r} at least',
            remedy=f'Send one as {API_KEY_HEADER}; keys that are missing, malformed, unknown, '
            'expired, revoked or weaker are refused alike.',
        )

    def _reason_against(self, token: str | None, needed: Permission) -> str | None:
        if token is None:
            return 'no API key'
        name = hmac.digest(self._secret, token.encode('utf-8', 'surrogateescape'), 'sha256')
        key = self._recall(name)
        if key is None:
            try:
                parsed = ApiKeyToken.parse(token)
            except InvalidArgumentError:
                return 'malformed API key'
            key = self._verify(parsed)
            if key is None:
                return f'unknown API key {parsed.fingerprint}'
            self._remember(name, key)
        if key.expired(time.time_ns()):
            return f'API key {key.fingerprint} has expired'
        if not key.permission.includes(needed):
            return f'API key {key.fingerprint} permits {key.permission.value} only'
        return None

    def _verify(self, token: ApiKeyToken) -> StoredKey | None:
        key = self._keys.find(token.fingerprint)
        if key is None:
            return None
        with self._hashing:
            digest = _digest(token, key.salt)
        return key if hmac.compare_digest(digest, key.digest) else None

    def _recall(self, name: bytes) -> StoredKey | None:
        """Return the key of a token that was verified before, if it still exists."""
        with self._lock:
            found = self._remembered.get(name)
            if found is None:
                return None
            self._remembered.move_to_end(name)
        now = self._clock()
        if now - found.read_at > _FRESH_SECONDS:
            current = self._keys.find(found.key.fingerprint)
            # Another key may have taken over the fingerprint since.
            if current is None or current.digest != found.key.digest:
                with self._lock:
                    self._remembered.pop(name, None)
                return None
            found.key, found.read_at = current, now
        return found.key

    def _remember(self, name: bytes, key: StoredKey) -> None:
        with self._lock:
            self._remembered[name] = _Remembered(key, self._clock())
            if len(self._remembered) > _REMEMBERED_KEYS:
                self._remembered.popitem(last=False)


def _new_token() -> ApiKeyToken:
    while True:
        text = ''.join(secrets.choice(PAYLOAD_ALPHABET) for _ in range(PAYLOAD_LENGTH))
        try:
            return ApiKeyToken(text)
        except InvalidArgumentError:
            continue  # no digit (or no letter) among 32 characters


def _digest(token: ApiKeyToken, salt: bytes) -> bytes:
    return hashlib.scrypt(token.payload.encode('ascii'), salt=salt, n=2**13, r=8, p=1, dklen=32)


def _unknown(fingerprint: str) -> NotFoundError:
    return NotFoundError(
        f'There is no API key {fingerprint}', remedy='"mosaicod api-key list" shows all of them.'
    )
