"""Sizes as people read them."""

from __future__ import annotations

import pytest

from mosaico_ros.protocol.sizes import size_text


@pytest.mark.parametrize(
    ('count', 'text'),
    [
        (0, '0 B'),
        (999, '999 B'),
        (1000, '1.0 kB'),
        (512_345, '512.3 kB'),
        (999_499, '999.5 kB'),
        (999_999, '1.0 MB'),
        (2_500_000_000, '2.5 GB'),
        (5 * 10**15, '5000.0 TB'),
        (-1500, '-1.5 kB'),
    ],
)
def test_sizes_never_need_a_fifth_digit_below_the_last_unit(count, text):
    assert size_text(count) == text
