"""Percentiles of delays in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.lateness import Lateness


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_percentiles_are_within_some_percent(delays: list[int]) -> None:
    lateness = Lateness()
    for delay in delays:
        lateness.add(delay)
    figures = lateness.figures()
    assert figures.count == len(delays)
    assert figures.max == max(delays) / 1e9
    for told, share in ((figures.p50, 50), (figures.p99, 99)):
        exact = np.percentile(delays, share, method='inverted_cdf') / 1e9
        assert told == pytest.approx(exact, rel=0.06, abs=2e-6)


def test_without_messages_nothing_is_claimed() -> None:
    assert str(Lateness().figures()) == 'not measured'
