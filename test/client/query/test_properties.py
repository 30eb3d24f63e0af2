"""Random conditions over random small archives, asked of the daemon and of Python alike."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Optional

from hypothesis import HealthCheck, given, settings, strategies as st
from thoroughness import examples

from mosaico_ros import (
    Message,
    MosaicoType,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    Serializable,
)


class DrawnSample(Serializable):
    number: MosaicoType.float64
    count: MosaicoType.int32
    word: MosaicoType.string
    on: MosaicoType.bool
    maybe: Optional[MosaicoType.float32] = None  # noqa: UP045
    readings: list[int] = []


class DrawnOther(Serializable):
    number: MosaicoType.float64
    count: MosaicoType.int32
    word: MosaicoType.string
    on: MosaicoType.bool
    maybe: Optional[MosaicoType.float32] = None  # noqa: UP045
    readings: list[int] = []


numbers = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
words = st.sampled_from(['', 'a', 'ab', 'b', 'ü'])
rows = st.fixed_dictionaries(
    {
        'number': numbers | st.just(math.nan),
        'count': st.integers(-2, 2),
        'word': words,
        'on': st.booleans(),
        'maybe': st.none() | numbers,
        'readings': st.lists(st.integers(0, 2), max_size=3),
    }
)
#: Rows of each topic, by sequence and topic.
archives = st.fixed_dictionaries(
    dict.fromkeys(
        [('one', 'a'), ('one', 'b'), ('one', 'o'), ('two', 'a'), ('two', 'o')],
        st.lists(rows, min_size=1, max_size=5),
    )
)

SIGNS = [operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne]


@dataclass(frozen=True)
class Values:
    """A condition on values: as it is asked, and whether a row satisfies it."""

    asked: Any
    holds: Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Tree:
    """A combination, in which `leaf` are `Values` or names of sequences or topics."""

    kind: str
    parts: tuple[Any, ...]


@st.composite
def values(draw: Any, model: type[Serializable]) -> Values:
    name = draw(st.sampled_from(['number', 'count', 'word', 'on', 'maybe', 'readings']))
    field: Any = getattr(model.Q, name)
    if name == 'readings':
        return draw(on_lists(field))
    if name == 'on':
        sign, value = draw(st.sampled_from([operator.eq, operator.ne])), draw(st.booleans())
        return Values(sign(field, value), lambda row: sign(row[name], value))
    operands = words if name == 'word' else numbers
    kind = draw(st.sampled_from(['sign', 'in', 'between', 'outside']))
    if kind == 'sign':
        sign, value = draw(st.sampled_from(SIGNS)), draw(operands)
        return Values(sign(field, value), lambda row: compares(sign, row[name], value))
    if kind == 'in':
        given_ = draw(st.lists(operands, min_size=1, max_size=3))
        return Values(field.in_(given_), lambda row: row[name] in given_)
    low, high = sorted([draw(operands), draw(operands)])
    if kind == 'between':
        return Values(field.between(low, high), lambda row: inside(row[name], low, high))
    return Values(
        field.outside(low, high),
        lambda row: comparable(row[name]) and not inside(row[name], low, high),
    )


@st.composite
def on_lists(draw: Any, field: Any) -> Values:
    sign, value = draw(st.sampled_from(SIGNS)), draw(st.integers(0, 2))
    kind = draw(st.sampled_from(['any', 'all', 'index', 'whole']))
    if kind == 'any':
        return Values(
            sign(field.any(), value), lambda row: any(sign(v, value) for v in row['readings'])
        )
    if kind == 'all':
        return Values(
            sign(field.all(), value),
            lambda row: bool(row['readings']) and all(sign(v, value) for v in row['readings']),
        )
    if kind == 'index':
        return Values(
            sign(field[value], 1),
            lambda row: len(row['readings']) > value and sign(row['readings'][value], 1),
        )
    whole = draw(st.lists(st.integers(0, 2), max_size=2))
    return Values(field == whole, lambda row: row['readings'] == whole)


def comparable(value: Any) -> bool:
    return value is not None and value == value


def compares(sign: Any, value: Any, operand: Any) -> bool:
    return value is not None and bool(sign(value, operand))


def inside(value: Any, low: Any, high: Any) -> bool:
    return comparable(value) and low <= value <= high


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda a: Tree('not', (a,)), inner),
            st.builds(lambda a, b: Tree('and', (a, b)), inner, inner),
            st.builds(lambda a, b: Tree('or', (a, b)), inner, inner),
        ),
        max_leaves=5,
    )


def asked(node: Any) -> Any:
    """The condition as a user writes it."""
    if not isinstance(node, Tree):
        return node.asked
    parts = [asked(part) for part in node.parts]
    if node.kind == 'not':
        return ~parts[0]
    return parts[0] & parts[1] if node.kind == 'and' else parts[0] | parts[1]


def holds(node: Any, row: dict[str, Any]) -> bool:
    if not isinstance(node, Tree):
        return node.holds(row)
    if node.kind == 'not':
        return not holds(node.parts[0], row)
    return {'and': all, 'or': any}[node.kind](holds(part, row) for part in node.parts)


def write(client: Any, prefix: str, archive: dict[Any, list[dict[str, Any]]]) -> None:
    for name, group in itertools.groupby(sorted(archive), key=lambda key: key[0]):
        with client.sequence_create(f'{prefix}-{name}') as sequence:
            for _, path in group:
                model = DrawnOther if path == 'o' else DrawnSample
                topic = sequence.topic_create(path, {}, model)
                for number, row in enumerate(archive[name, path]):
                    topic.push(Message(timestamp_ns=number * 10, data=model(**row)))


UNHURRIED = settings(
    deadline=None,
    max_examples=examples(10),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


@contextmanager
def stored(client: Any, prefix: str, archive: dict[Any, Any]) -> Iterator[None]:
    write(client, prefix, archive)
    try:
        yield
    finally:
        for name in ('one', 'two'):
            client.sequence_delete(f'{prefix}-{name}')


def windows(found: Any, prefix: str) -> dict[Any, list[int]]:
    """Times of the rows that made each topic be found."""
    return {
        (item.sequence.name.removeprefix(f'{prefix}-'), topic.name[1:]): [
            cluster.timerange.start
            for cluster in (topic.clusterize(1) if topic.has_conditions else ())
        ]
        for item in found
        for topic in item.topics
    }


@UNHURRIED
@given(archive=archives, asked_for=st.lists(trees(values(DrawnSample)), min_size=4, max_size=6))
def test_conditions_on_one_type_are_evaluated_row_by_row(client, name, archive, asked_for):
    with stored(client, name, archive):
        for tree in asked_for:
            found = client.query(
                QuerySequence().with_name_match(f'{name}-'),
                QueryOntologyCatalog(asked(tree), include_timestamp_range=True),
            )
            expected = {
                key: [number * 10 for number, row in enumerate(rows_) if holds(tree, row)]
                for key, rows_ in archive.items()
                if key[1] != 'o'
            }
            assert windows(found, name) == {key: times for key, times in expected.items() if times}
            for item in found:
                for topic in item.topics:
                    (whole,) = topic.clusterize()
                    assert whole.timerange == topic.timestamp_range


@dataclass(frozen=True)
class Leaf:
    """A builder with one condition: on values of a type, or on a name."""

    asked: Any
    type: type[Serializable] | None = None
    holds: Callable[..., bool] = bool


def leaves_of(prefix: str) -> st.SearchStrategy[Leaf]:
    def sequence(name: str) -> Leaf:
        return Leaf(QuerySequence().with_name(f'{prefix}-{name}'), None, lambda s, t: s == name)

    def topic(name: str) -> Leaf:
        return Leaf(QueryTopic().with_name(name), None, lambda s, t: t == name)

    return st.one_of(
        st.builds(sequence, st.sampled_from(['one', 'two'])),
        st.builds(topic, st.sampled_from(['a', 'b', 'o'])),
        *(
            st.builds(lambda v, m=m: Leaf(QueryOntologyCatalog(v.asked), m, v.holds), values(m))
            for m in (DrawnSample, DrawnOther)
        ),
    )


def ways(node: Any, negated: bool = False) -> list[list[tuple[Leaf, bool]]]:
    """Alternatives of leaves, each with whether it is negated, as docs/query.md says."""
    if not isinstance(node, Tree):
        return [[(node, negated)]]
    if node.kind == 'not':
        return ways(node.parts[0], not negated)
    left, right = (ways(part, negated) for part in node.parts)
    if (node.kind == 'or') is not negated:
        return left + right
    return [a + b for a in left for b in right]


def answer(way: list[tuple[Leaf, bool]], archive: dict[Any, Any]) -> dict[Any, set[int]]:
    """The rows of each topic found by one alternative; none if names alone find it."""
    passing = [
        key
        for key in archive
        if all(leaf.holds(*key) is not no for leaf, no in way if leaf.type is None)
    ]
    types = {leaf.type for leaf, _ in way} - {None}
    if not types:
        return {key: set() for key in passing}
    groups = []
    for model in types:
        mine = [(leaf, no) for leaf, no in way if leaf.type is model]
        matching = {
            key: {
                number * 10
                for number, row in enumerate(archive[key])
                if all(leaf.holds(row) is not no for leaf, no in mine)
            }
            for key in passing
            if (key[1] == 'o') is (model is DrawnOther)
        }
        groups.append({key: times for key, times in matching.items() if times})
    sequences = set.intersection(*({key[0] for key in group} for group in groups))
    return {key: times for group in groups for key, times in group.items() if key[0] in sequences}


@UNHURRIED
@given(archive=archives, data=st.data())
def test_combined_builders_find_what_one_of_their_alternatives_finds(client, name, archive, data):
    asked_for = data.draw(st.lists(trees(leaves_of(name)), min_size=4, max_size=6))
    with stored(client, name, archive):
        for tree in asked_for:
            found = client.query(QuerySequence().with_name_match(f'{name}-') & asked(tree))
            expected: dict[Any, set[int]] = {}
            for way in ways(tree):
                for key, times in answer(way, archive).items():
                    expected[key] = expected.get(key, set()) | times
            assert windows(found, name) == {k: sorted(times) for k, times in expected.items()}
