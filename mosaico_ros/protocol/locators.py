"""Names of sequences, sessions and topics.

========  ======================  ==================================
resource  wire form               example
========  ======================  ==================================
sequence  ``name``                ``dock_07``
session   ``name:ULID``           ``dock_07:01JB2M4T9QX7WZ3N5V8K6R1C0D``
topic     ``name/topic/path``     ``dock_07/arm/imu``
========  ======================  ==================================

Names hold ASCII letters, digits, ``-`` and ``_``; a sequence begins with a letter or digit.
A component of a topic path may begin with an underscore, as ROS 2 spells hidden names
(``/fibonacci/_action/feedback``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_COMPONENT_LENGTH, MAX_LOCATOR_LENGTH

__all__ = ['Locator', 'SequenceLocator', 'SessionLocator', 'TopicLocator', 'parse_resource']

_FOREIGN = re.compile(r'[^A-Za-z0-9_-]')
# Crockford base 32; 128 bits leave at most a 7 in the first of 26 places.
_ULID = re.compile(r'[0-7][0-9A-HJKMNP-TV-Z]{25}')
_ALLOWED = 'Use ASCII letters, digits, "-" and "_".'


def _check_component(component: str, what: str) -> None:
    if not component:
        raise InvalidArgumentError(f'The {what} is empty', remedy=_ALLOWED)
    if len(component) > MAX_COMPONENT_LENGTH:
        raise InvalidArgumentError(
            f'The {what} {component[:40]!r}... has {len(component)} characters',
            remedy=f'Each part of a locator may have at most {MAX_COMPONENT_LENGTH}.',
        )
    foreign = sorted(set(_FOREIGN.findall(component)))
    if foreign:
        listed = ', '.join(map(ascii, foreign[:8]))
        raise InvalidArgumentError(
            f'The {what} {component!a} contains forbidden characters: {listed}', remedy=_ALLOWED
        )


def _check_sequence(name: str) -> None:
    _check_component(name, 'sequence name')
    if name[0] in '-_':
        raise InvalidArgumentError(
            f'The sequence name {name!r} begins with {name[0]!r}',
            remedy='Begin it with an ASCII letter or digit.',
        )


def _check_length(text: str) -> None:
    if len(text) > MAX_LOCATOR_LENGTH:
        raise InvalidArgumentError(
            f'The locator {text[:40]!r}... has {len(text)} characters',
            remedy=f'A locator may have at most {MAX_LOCATOR_LENGTH}.',
        )


def _cleaned(text: str, what: str) -> str:
    """Strip outer slashes and collapse repeated ones, as published clients do."""
    if not isinstance(text, str):
        raise InvalidArgumentError(f'The {what} must be text, not {type(text).__name__}')
    if len(text) > 4 * MAX_LOCATOR_LENGTH:  # bounds the work on hostile text
        _check_length(text)
    return '/'.join(part for part in text.split('/') if part)


@dataclass(frozen=True, order=True)
class SequenceLocator:
    """A sequence, by its name.

    Raises
    ------
    InvalidArgumentError
        If the name breaks the rules of this module; the text names the characters.

    """

    name: str

    def __post_init__(self) -> None:
        _check_sequence(self.name)

    @classmethod
    def parse(cls, text: str) -> SequenceLocator:
        """Read the wire form; slashes around the name are ignored."""
        return cls(_cleaned(text, 'sequence name'))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class SessionLocator:
    """A session: the sequence it writes to, and its ULID (26 characters, upper case)."""

    sequence: str
    ulid: str

    def __post_init__(self) -> None:
        _check_sequence(self.sequence)
        if not _ULID.fullmatch(self.ulid):
            raise InvalidArgumentError(
                f'The session id {self.ulid[:40]!a} is not a ULID',
                remedy='Session locators read <sequence>:<26 characters of Crockford base 32>.',
            )

    @classmethod
    def parse(cls, text: str) -> SessionLocator:
        """Read ``<sequence>:<ULID>``."""
        sequence, colon, ulid = _cleaned(text, 'session locator').partition(':')
        if not colon:
            raise InvalidArgumentError(
                f'{text[:80]!a} is not a session locator', remedy='Write <sequence>:<ULID>.'
            )
        return cls(sequence, ulid)

    def __str__(self) -> str:
        return f'{self.sequence}:{self.ulid}'


@dataclass(frozen=True, order=True)
class TopicLocator:
    """A topic: its sequence, and its path without a leading slash."""

    sequence: str
    path: str

    def __post_init__(self) -> None:
        _check_sequence(self.sequence)
        for component in self.path.split('/'):
            _check_component(component, 'topic name part')
        _check_length(str(self))

    @classmethod
    def parse(cls, text: str) -> TopicLocator:
        """Read ``<sequence>/<topic path>``; repeated and outer slashes are ignored."""
        sequence, slash, path = _cleaned(text, 'topic locator').partition('/')
        if not slash:
            raise InvalidArgumentError(
                f'{text[:80]!a} names no topic', remedy='Write <sequence>/<topic path>.'
            )
        return cls(sequence, path)

    @classmethod
    def join(cls, sequence: str, topic: str) -> TopicLocator:
        """Make a locator of a sequence name and a topic name such as ``/arm/imu``."""
        return cls(_cleaned(sequence, 'sequence name'), _cleaned(topic, 'topic name'))

    @property
    def topic_name(self) -> str:
        """The path as users write it, with a leading slash."""
        return f'/{self.path}'

    def __str__(self) -> str:
        return f'{self.sequence}/{self.path}'


Locator = SequenceLocator | SessionLocator | TopicLocator


def parse_resource(text: str) -> Locator:
    """Read any locator: ``a:ULID`` is a session, ``a/b`` a topic, ``a`` a sequence."""
    cleaned = _cleaned(text, 'locator')
    if ':' in cleaned:
        return SessionLocator.parse(cleaned)
    if '/' in cleaned:
        return TopicLocator.parse(cleaned)
    return SequenceLocator.parse(cleaned)
