"""Marks: few values, told apart for ever."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.daemon.columns import Leaf
from mosaico_ros.daemon.marks import MOST_VALUES, mark, marks_of
from mosaico_ros.daemon.statistics import from_array
from mosaico_ros.protocol.query.kinds import Kind


@given(
    st.one_of(
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=MOST_VALUES),
        st.lists(st.none() | st.text(), max_size=MOST_VALUES),
    ),
    st.integers(1, 50),
)
def test_every_value_has_its_bit(values, repeated):
    kind = pa.string() if any(isinstance(value, str) for value in values) else pa.int64()
    found = marks_of(pa.chunked_array([values * repeated, values], kind))
    assert found is not None
    assert 0 <= found < 1 << 63
    for value in values:
        assert value is None or found & mark(value)


def test_bits_are_those_that_catalogs_hold():
    assert (mark('base_link'), mark(-7), mark(2**64 - 1)) == (1 << 41, 1 << 50, 1 << 6)


@pytest.mark.parametrize('at', [0, 5000, 200_000])
def test_many_values_have_no_marks(at):
    values = [0] * 300_000
    values[at : at + MOST_VALUES] = range(1, MOST_VALUES + 1)
    assert marks_of(pa.chunked_array([values])) is None


def test_bounds_that_say_it_all_need_no_marks():
    leaf = Leaf('x', pa.int64(), Kind.NUMBER, 0)
    assert from_array(leaf, pa.array([4, 5, 5])).marks is None
    assert from_array(leaf, pa.array([4, 6])).marks == mark(4) | mark(6)
    real = Leaf('x', pa.float64(), Kind.NUMBER, 0)
    assert from_array(real, pa.array([4.5, float('nan'), None])).nulls == 2
