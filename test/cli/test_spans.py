"""Times and spans of time as a person types them."""

from __future__ import annotations

import click
import pytest

from mosaico_ros.cli.spans import Seconds, exclusive


def test_the_end_of_a_window_is_after_its_last_time():
    assert exclusive(7) == 8
    assert exclusive(-1) == 0
    assert exclusive(None) is None
    assert exclusive(2**63 - 1) is None


@pytest.mark.parametrize('text', ['-1', 'inf', 'nan', '1e300', '5e9', 'long'])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(click.BadParameter):
        Seconds().convert(text, None, None)


def test_a_span_fits_twice_into_64_bits():
    assert Seconds().convert('0.5', None, None) == 0.5
    assert 2 * Seconds().convert('3.2e9', None, None) * 10**9 < 2**63
