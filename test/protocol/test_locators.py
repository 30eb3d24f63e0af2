"""Locators: what is cleaned, what is refused, and how refusals read."""

from __future__ import annotations

import pytest

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import (
    SequenceLocator,
    SessionLocator,
    TopicLocator,
    parse_resource,
)

ULID = '01JB2M4T9QX7WZ3N5V8K6R1C0D'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('dock_07', SequenceLocator('dock_07')),
        ('/dock_07/', SequenceLocator('dock_07')),
        ('dock//arm///imu/', TopicLocator('dock', 'arm/imu')),
        ('/a/b', TopicLocator('a', 'b')),
        ('fib/fibonacci/_action/feedback', TopicLocator('fib', 'fibonacci/_action/feedback')),
        (f'dock:{ULID}', SessionLocator('dock', ULID)),
    ],
)
def test_every_form_is_read(text, expected):
    assert parse_resource(text) == expected
    assert parse_resource(str(expected)) == expected


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('a b/c', "' '"),
        ('a.b', "'.'"),
        ('seq/to$pic', "'$'"),
        ('seq/grün', "'\\xfc'"),
        ('a\x00b', "'\\x00'"),
        ('_seq', "'_'"),
        ('-seq/x', "'-'"),
        ('', 'empty'),
        ('///', 'empty'),
        ('seq:not-a-ulid', 'ULID'),
        (f'seq:{ULID.lower()}', 'ULID'),
        (f'seq/x:{ULID}', "'/'"),
    ],
)
def test_refusals_name_the_fault(text, named):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_resource(text)
    assert named in str(caught.value)


def test_kinds_are_not_mixed_up():
    for parse, text in [
        (SequenceLocator.parse, 'a/b'),
        (SequenceLocator.parse, f'a:{ULID}'),
        (TopicLocator.parse, 'a'),
        (SessionLocator.parse, 'a'),
    ]:
        with pytest.raises(InvalidArgumentError):
            parse(text)


def test_lengths_are_bounded():
    assert len(str(TopicLocator('s' * 255, '/'.join(['t' * 255] * 3)))) == 1023
    with pytest.raises(InvalidArgumentError, match='256 characters'):
        TopicLocator('s', 't' * 256)
    with pytest.raises(InvalidArgumentError, match='1025 characters'):
        TopicLocator('s' * 255, '/'.join(['t' * 255, 't' * 255, 't' * 250, 't' * 6]))
    with pytest.raises(InvalidArgumentError):
        parse_resource('/' * 10_000_000)


def test_join_takes_what_users_write():
    locator = TopicLocator.join('/dock_07', 'arm//imu/')
    assert str(locator) == 'dock_07/arm/imu'
    assert locator.topic_name == '/arm/imu'
