"""What people read on the terminal."""

from __future__ import annotations

import pytest

from mosaico_ros.cli import rendering


@pytest.mark.parametrize(
    ('stamp', 'text'),
    [
        (None, '-'),
        (1_772_000_000_123_456_789, '2026-02-25 06:13:20.123'),
        (12_500_000_000, '12.500 s'),
        (2**63 - 1, '2262-04-11 23:47:16.854'),
    ],
)
def test_moment(stamp: int | None, text: str) -> None:
    assert rendering.moment(stamp) == text


@pytest.mark.parametrize(
    ('span', 'text'),
    [
        (None, '-'),
        (0, '0 ms'),
        (850_000_000, '850 ms'),
        (9_980_000_000, '9.98 s'),
        (125 * 10**9, '2 min 05 s'),
        (7_500 * 10**9, '2 h 05 min'),
    ],
)
def test_duration(span: int | None, text: str) -> None:
    assert rendering.duration(span) == text


def test_rate_is_intervals_over_time() -> None:
    assert rendering.rate(201, 0, 10**9) == '200.0 Hz'
    assert rendering.rate(1, 0, 0) == '-'
    assert rendering.rate(20, 0, 19) == '-'  # pieces of an attachment


def test_span_counts_from_the_origin() -> None:
    assert rendering.span(1_500_000_000, 2_000_000_000, 10**9) == '0.50 – 1.00 s'
    assert rendering.span(None, None, 0) == '-'
