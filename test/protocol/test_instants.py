"""Instants and durations as people write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.instants import add_duration, parse_instant


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 10**9


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('2026-03-27T12:20:00Z', ns('2026-03-27T12:20:00')),
        ('2026-03-27t12:20:00z', ns('2026-03-27T12:20:00')),
        ('2026-03-27T12:20:00+02:00', ns('2026-03-27T10:20:00')),
        ('2026-03-27T12:20:00.5-00:30', ns('2026-03-27T12:50:00') + 500_000_000),
        ('2026-03-27 12:20:00.000000001Z', ns('2026-03-27T12:20:00') + 1),
    ],
)
def test_instants(text, expected):
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    'text',
    ['', '2026-03-27', '2026-03-27T12:20:00', '2026-02-30T00:00:00Z', '2026-03-27T12:20Z',
     '9999-01-01T00:00:00Z', '0001-01-01T00:00:00+14:00', 'P1Y'],
)  # fmt: skip
def test_what_is_no_instant(text):
    with pytest.raises(InvalidArgumentError, match='2026-03-27T12:20:00Z'):
        parse_instant(text)


@pytest.mark.parametrize(
    ('start', 'duration', 'end'),
    [
        ('2026-01-01T00:00:00', 'P1Y2M3D', '2027-03-04T00:00:00'),
        ('2024-02-29T06:00:00', 'P1Y', '2025-02-28T06:00:00'),
        ('2026-01-31T00:00:00', 'P1M', '2026-02-28T00:00:00'),
        ('2026-11-30T00:00:00', 'P14M', '2028-01-30T00:00:00'),
        ('2026-01-01T00:00:00', 'P2W', '2026-01-15T00:00:00'),
        ('2026-01-01T00:00:00', 'P1DT12H30M5S', '2026-01-02T12:30:05'),
        ('2026-01-01T00:00:00', 'PT90M', '2026-01-01T01:30:00'),
    ],
)
def test_durations(start, duration, end):
    assert add_duration(ns(start) + 7, duration) == ns(end) + 7


@pytest.mark.parametrize(
    'text', ['', 'P', 'PT', 'P1', '1Y', 'P1H', 'P1Y2', 'P-1D', 'P1DT', 'PT1S1M', 'p1y', 'P1.5Y']
)
def test_what_is_no_duration(text):
    with pytest.raises(InvalidArgumentError, match='P1Y2M3D'):
        add_duration(0, text)


@pytest.mark.parametrize('text', ['P300Y', 'P99999Y', 'P999999999999D', 'PT' + '9' * 30 + 'S'])
def test_durations_that_reach_too_far(text):
    with pytest.raises(InvalidArgumentError, match='2262'):
        add_duration(0, text)
