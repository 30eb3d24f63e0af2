"""What was heard before, and what never arrived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.publications import Publications, Runs


def after(*arrivals: tuple[int, bytes | None], several: bool = False) -> int | None:
    publications = Publications()
    if several:
        publications.several_publishers()
    for number, publisher in arrivals:
        heard(publications, [number], publisher)
    return publications.lost


def heard(publications: Publications, numbers: list[int], publisher: bytes | None) -> list[bool]:
    new = publications.news(
        [publisher] * len(numbers),
        np.array(numbers, np.int64),
        np.array(numbers, np.int64),
        [b''] * len(numbers),
        repeated=False,
    )
    return [True] * len(numbers) if new is None else new.tolist()


@pytest.mark.parametrize(
    ('numbers', 'lost'),
    [
        ((1, 2, 3), 0),
        ((7, 8, 9), 0),  # what was published before the first one is no loss
        ((1, 2, 5), 2),
        ((1, 4, 8), 5),
        ((1, 2, 3, 1, 2, 3, 4), 0),  # latched messages repeated to a second subscription
        ((1, 4, 3, 2, 5), 0),  # late is not lost
    ],
)
def test_gaps_of_one_publisher(numbers: tuple[int, ...], lost: int) -> None:
    assert after(*((number, b'a') for number in numbers)) == lost


def test_publishers_are_counted_each_by_its_own_numbers() -> None:
    assert after((1, b'a'), (10, b'b'), (2, b'a'), (11, b'b')) == 0
    assert after((1, b'a'), (10, b'b'), (3, b'a'), (13, b'b')) == 3


def test_loss_is_unknown_without_numbers_never_zero() -> None:
    assert after((-1, None), (-1, None)) is None


def test_unnamed_publishers_count_only_while_there_is_one() -> None:
    assert after((1, None), (3, None)) == 1
    assert after((1, None), (3, None), several=True) is None
    assert after((1, b'a'), (3, b'a'), several=True) == 1


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12), max_size=12))
def test_every_number_is_news_once_and_the_rest_is_missing(batches: list[list[int]]) -> None:
    publications = Publications()
    seen: set[int] = set()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in seen)
            seen.add(number)
        assert heard(publications, batch, b'p') == expected
    if seen:
        assert publications.lost == max(seen) - min(seen) + 1 - len(seen)


def test_gaps_beyond_counting_stay_counted() -> None:
    runs = Runs()
    for number in range(0, 10_000, 2):
        runs.add(number, number)
    assert runs.missing == 4999
    assert runs.add(1, 1) == []  # too old to be told from one heard before
    assert runs.add(9_997, 9_997) == [(9_997, 9_997)]
