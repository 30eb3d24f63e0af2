"""API keys: what a token looks like, and what a key may do.

A token is ``msco_<payload>_<fingerprint>``. The payload is the secret; the fingerprint, its
CRC-32, names the key wherever people talk about it, and catches tokens cut while copying.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from enum import Enum

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = [
    'API_KEY_HEADER',
    'PAYLOAD_ALPHABET',
    'PAYLOAD_LENGTH',
    'ApiKeyToken',
    'Permission',
    'masked',
    'parse_fingerprint',
]

#: Request metadata that carries the token, as it is, with every call.
API_KEY_HEADER = 'mosaico-api-key-token'

PAYLOAD_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
PAYLOAD_LENGTH = 32
_TOKEN = re.compile(r'msco_([a-z0-9]{32})_([0-9a-f]{8})', re.ASCII)
# Cut and upper-case tokens too: they give away as much.
_SECRET = re.compile(r'(msco_)[a-z0-9]{12,}', re.ASCII | re.IGNORECASE)
_FINGERPRINT = re.compile(r'[0-9a-f]{8}', re.ASCII)


class Permission(str, Enum):
    """What a key may do; each permission includes those before it."""

    READ = 'read'
    WRITE = 'write'
    DELETE = 'delete'
    MANAGE = 'manage'

    def includes(self, needed: Permission) -> bool:
        """Whether a key with this permission may do what needs `needed`."""
        ladder = list(Permission)
        return ladder.index(self) >= ladder.index(needed)


@dataclass(frozen=True)
class ApiKeyToken:
    """A well-formed token. Neither ``repr`` nor ``str`` show its payload.

    Parameters
    ----------
    payload
        32 characters ``a-z0-9``, a letter and a digit at least: clients of release 0.3 refuse
        anything else.

    Raises
    ------
    InvalidArgumentError
        The payload is of another form; the text does not quote it.

    """

    payload: str = field(repr=False)

    def __post_init__(self) -> None:
        text = self.payload
        if (
            len(text) != PAYLOAD_LENGTH
            or not set(text) <= set(PAYLOAD_ALPHABET)
            or text.isalpha()
            or text.isdigit()
        ):
            raise InvalidArgumentError(
                'The payload of an API key is malformed',
                remedy='It has 32 characters a-z and 0-9, with both letters and digits.',
            )

    @property
    def fingerprint(self) -> str:
        """CRC-32 of the payload as 8 hexadecimal digits; no secret."""
        return f'{zlib.crc32(self.payload.encode("ascii")):08x}'

    @classmethod
    def parse(cls, text: str) -> ApiKeyToken:
        """Read a token.

        Raises
        ------
        InvalidArgumentError
            It is none, or its fingerprint is not that of its payload. The text does not quote
            it: what was pasted in its place may be another secret.

        """
        match = _TOKEN.fullmatch(text)
        if match is not None:
            token = cls(match[1])
            if token.fingerprint == match[2]:
                return token
        raise InvalidArgumentError(
            'The API key is malformed',
            remedy='A key reads msco_<32 characters>_<8 hexadecimal digits>; was it cut?',
        )

    def reveal(self) -> str:
        """Return the token as clients send it, secret included."""
        return f'msco_{self.payload}_{self.fingerprint}'


def masked(text: str) -> str:
    """Return a text without the secrets of the tokens in it, wherever somebody put them."""
    return _SECRET.sub(r'\1***', text)


def parse_fingerprint(text: str) -> str:
    """Return a key's fingerprint.

    Raises
    ------
    InvalidArgumentError
        It is none. The text does not quote it: it may be a whole token.

    """
    if not _FINGERPRINT.fullmatch(text):
        raise InvalidArgumentError(
            'This is not the fingerprint of an API key',
            remedy='Give the last 8 digits of the key; never the key itself.',
        )
    return text
