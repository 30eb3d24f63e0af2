"""Every operator of the published query language, asked of the daemon and of Python alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Optional

from mosaicolabs import (
    Message,
    MosaicoClient,
    MosaicoType,
    Point3d,
    Query,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    Serializable,
)
from mosaicolabs.query.topic_cluster import TimestampRange

START = 1_700_000_000_000_000_000


class Probe(Serializable):
    """A field of each kind that conditions compare."""

    number: MosaicoType.float64
    half: MosaicoType.float16
    small: MosaicoType.int8
    big: MosaicoType.uint64
    name: MosaicoType.string
    on: MosaicoType.bool
    readings: MosaicoType.list_(MosaicoType.float64)
    words: MosaicoType.list_(MosaicoType.string)
    points: MosaicoType.list_(Point3d)
    # The published client refuses PEP 604 unions.
    note: Optional[MosaicoType.string] = None  # noqa: UP045
    maybe: Optional[MosaicoType.float32] = None  # noqa: UP045


class Other(Serializable):
    value: MosaicoType.int32


ROWS = [
    Probe(
        number=i / 4 - 1,
        half=i / 2,
        small=i - 6,
        big=2**63 + i,
        name=f'{"abc"[i % 3]}_{i:02}{"ü" if i == 5 else ""}',
        on=i % 4 == 0,
        readings=[float(n) for n in range(i % 5)],
        words=['red', 'green', 'blue'][i % 3 :],
        points=[Point3d(x=float(n * i), y=1.0, z=0.0) for n in range(i % 3)],
        note=None if i % 2 else f'note {i}',
        maybe=None if i % 3 else i / 8,
    )
    for i in range(12)
]

Case = tuple[str, Any, Callable[[Probe], bool]]


def any_of(values: list[Any], holds: Callable[[Any], bool]) -> bool:
    return any(map(holds, values))


def all_of(values: list[Any], holds: Callable[[Any], bool]) -> bool:
    return bool(values) and all(map(holds, values))


def number_cases() -> Iterator[Case]:
    for field, one, low, high in (
        ('number', 0.5, -0.5, 1.0),
        ('half', 2.5, 1.0, 4.5),
        ('small', 2, -3, 3),
        ('big', 2**63 + 4, 2**63 + 2, 2**63 + 8),
        ('maybe', 0.375, 0.3, 1.0),
    ):
        asked = getattr(Probe.Q, field)

        def test(holds: Callable[[Any], bool], field: str = field) -> Callable[[Probe], bool]:
            return lambda row: getattr(row, field) is not None and holds(getattr(row, field))

        yield f'{field} eq', asked.eq(one), test(lambda v, one=one: v == one)
        yield f'{field} neq', asked.neq(one), test(lambda v, one=one: v != one)
        yield f'{field} lt', asked.lt(one), test(lambda v, one=one: v < one)
        yield f'{field} leq', asked.leq(one), test(lambda v, one=one: v <= one)
        yield f'{field} gt', asked.gt(one), test(lambda v, one=one: v > one)
        yield f'{field} geq', asked.geq(one), test(lambda v, one=one: v >= one)
        yield f'{field} in', asked.in_(one, high), test(lambda v, s=(one, high): v in s)
        span = (low, high)
        yield f'{field} between', asked.between(*span), test(lambda v, s=span: s[0] <= v <= s[1])
        yield (
            f'{field} outside',
            asked.outside(*span),
            test(lambda v, s=span: v < s[0] or v > s[1]),
        )


def text_cases() -> Iterator[Case]:
    asked = Probe.Q.name
    yield 'name eq', asked.eq('b_01'), lambda r: r.name == 'b_01'
    yield 'name eq ü', asked.eq('c_05ü'), lambda r: r.name == 'c_05ü'
    yield 'name lt', asked.lt('b'), lambda r: r.name < 'b'
    yield 'name leq', asked.leq('b_01'), lambda r: r.name <= 'b_01'
    yield 'name gt', asked.gt('b_04'), lambda r: r.name > 'b_04'
    yield 'name geq', asked.geq('b_04'), lambda r: r.name >= 'b_04'
    yield 'name in', asked.in_('a_00', 'c_02', 'x'), lambda r: r.name in ('a_00', 'c_02')
    yield 'name between', asked.between('a_05', 'b_05'), lambda r: 'a_05' <= r.name <= 'b_05'
    yield (
        'name outside',
        asked.outside('a_05', 'b_05'),
        lambda r: r.name < 'a_05' or r.name > 'b_05',
    )
    yield 'name match *', asked.match('b_*'), lambda r: r.name.startswith('b_')
    yield 'name match ?', asked.match('?_0?'), lambda r: len(r.name) == 4 and r.name[2] == '0'
    yield 'name match #', asked.match('?_1#'), lambda r: r.name[2] == '1'
    yield 'name match []', asked.match('[ac]_0[0-2]'), lambda r: r.name in ('a_00', 'c_02')
    yield 'name match plain', asked.match('b_0'), lambda r: False
    yield 'note eq', Probe.Q.note.eq('note 4'), lambda r: r.note == 'note 4'
    yield 'note match', Probe.Q.note.match('note *'), lambda r: r.note is not None
    for value in (True, False):
        yield f'on eq {value}', Probe.Q.on.eq(value), lambda r, value=value: r.on is value


def list_cases() -> Iterator[Case]:
    asked = Probe.Q.readings
    yield 'readings[2] eq', asked[2].eq(2.0), lambda r: len(r.readings) > 2
    yield 'readings[0] neq', asked[0].neq(0.0), lambda r: False
    yield 'readings any geq', asked.any().geq(3.0), lambda r: any_of(r.readings, lambda v: v >= 3)
    yield 'readings all lt', asked.all().lt(2.0), lambda r: all_of(r.readings, lambda v: v < 2)
    yield 'readings any between', asked.any().between(1.5, 2.5), lambda r: 2.0 in r.readings
    yield (
        'readings all in',
        asked.all().in_(0.0, 1.0),
        lambda r: all_of(r.readings, lambda v: v in (0, 1)),
    )
    yield (
        'readings any outside',
        asked.any().outside(0.5, 2.5),
        lambda r: any_of(r.readings, lambda v: v < 0.5 or v > 2.5),
    )
    yield 'words any eq', Probe.Q.words.any().eq('red'), lambda r: 'red' in r.words
    yield (
        'words all match',
        Probe.Q.words.all().match('*e*'),
        lambda r: all_of(r.words, lambda v: 'e' in v),
    )
    yield 'words[0] lt', Probe.Q.words[0].lt('c'), lambda r: r.words[0] < 'c'
    yield (
        'points any x gt',
        Probe.Q.points.any().x.gt(4.0),
        lambda r: any_of(r.points, lambda p: p.x > 4),
    )
    yield (
        'points[1] x leq',
        Probe.Q.points[1].x.leq(5.0),
        lambda r: len(r.points) > 1 and r.points[1].x <= 5,
    )
    yield 'points all y eq', Probe.Q.points.all().y.eq(1.0), lambda r: bool(r.points)


def stamp(number: int) -> int:
    return START + 10 * number


def write(client: MosaicoClient, name: str) -> None:
    metadata = {'site': {'hall': 'B', 'floor': 3}, 'tags': ['a', 'b'], 'ratio': 0.5, 'on': True}
    with client.sequence_create(name, metadata) as sequence:
        probe = sequence.topic_create('lab/probe', {'unit': 'left', 'serial': 17}, Probe)
        other = sequence.topic_create('other', {}, Other)
        for i, data in enumerate(ROWS):
            probe.push(Message(timestamp_ns=stamp(i), data=data))
        for i in range(0, 20, 2):
            other.push(Message(timestamp_ns=stamp(i), data=Other(value=i)))
    with client.sequence_create(f'{name}_plain', {}) as sequence:
        sequence.topic_create('other', {}, Other).push(
            Message(timestamp_ns=START, data=Other(value=100))
        )


def rows_by_daemon(client: MosaicoClient, name: str, *expressions: Any) -> list[int]:
    """Numbers of the rows that satisfy conditions: one cluster each, as rows are 10 ns apart."""
    answer = client.query(
        query=Query(QuerySequence().with_name(name), QueryOntologyCatalog(*expressions))
    )
    topics = [topic for item in answer for topic in item.topics]
    if not topics:
        return []
    (topic,) = topics
    clusters = topic.clusterize(clustering_dt_ns=1)
    assert all(c.timerange.start == c.timerange.end for c in clusters)
    return [(c.timerange.start - START) // 10 for c in clusters]


def found(answer: Any) -> list[list[Any]]:
    return [[item.sequence.name, [topic.name for topic in item.topics]] for item in answer]


def catalog(client: MosaicoClient, name: str) -> dict[str, list[str]]:
    """Which of both sequences (``probe``, ``plain``) each condition on metadata finds."""
    asked: dict[str, Any] = {}
    for key, operator, value in (
        ('site.hall', 'eq', 'B'),
        ('site.hall', 'neq', 'C'),
        ('site.hall', 'match', '[AB]'),
        ('site.floor', 'eq', 3),
        ('site.floor', 'lt', 4),
        ('site.floor', 'leq', 3),
        ('site.floor', 'gt', 2),
        ('site.floor', 'geq', 3),
        ('site.floor', 'between', [2, 3]),
        ('site.floor', 'outside', [4, 5]),
        ('ratio', 'eq', 0.5),
        ('ratio', 'in_', [0.25, 0.5]),
        ('tags', 'eq', 'b'),
        ('on', 'eq', True),
        ('site', 'ex', True),
        ('site.hall', 'eq', 'b'),
        ('site.floor', 'eq', '3'),
        ('on', 'eq', 1),
        ('site.floor', 'outside', [3, 5]),
        ('site.room', 'ex', True),
        ('site.room', 'ex', False),
    ):
        condition = QuerySequence().with_user_metadata(key, **{operator: value})
        asked[f'{key} {operator} {value!r}'] = condition
    asked['topic serial'] = QueryTopic().with_user_metadata('serial', geq=17)
    asked['tag'] = QueryTopic().with_ontology_tag('Other')
    asked['name'] = QuerySequence().with_name(name)
    asked['name match'] = QuerySequence().with_name_match(f'{name}*')
    asked['topic name'] = QueryTopic().with_name('/lab/probe')
    asked['topic name match'] = QueryTopic().with_name_match('*oth*')
    asked['created after'] = QuerySequence().with_created_timestamp(time_start=START)
    asked['created before'] = QuerySequence().with_created_timestamp(time_end=START)
    asked['created between'] = QueryTopic().with_created_timestamp(
        time_start=START, time_end=4 * 10**18
    )
    return {label: [n for n, _ in found(client.query(query))] for label, query in asked.items()}


def query(client: MosaicoClient, name: str) -> dict[str, Any]:
    write(client, name)
    wrong = {}
    cases = [*number_cases(), *text_cases(), *list_cases()]
    for label, expression, holds in cases:
        expected = [i for i, row in enumerate(ROWS) if holds(row)]
        got = rows_by_daemon(client, name, expression)
        if got != expected:
            wrong[label] = [got, expected]
    # One row has to satisfy all conditions on a tag.
    both = rows_by_daemon(client, name, Probe.Q.on.eq(True), Probe.Q.small.gt(0))
    never = rows_by_daemon(client, name, Probe.Q.name.eq('a_00'), Probe.Q.small.gt(0))
    window = rows_by_daemon(client, name, Probe.Q.timestamp_ns.between(stamp(3), stamp(5)))

    # Two tags, clusters and their intersection.
    answer = client.query(QueryOntologyCatalog(Probe.Q.small.between(-2, 2), Other.Q.value.geq(6)))
    (item,) = answer
    spans = {
        topic: [[c.timerange.start - START, c.timerange.end - START] for c in clusters]
        for topic, clusters in item.clusterize_all(override_clustering_dt_ns=15).items()
    }
    common = [
        [c.timerange.start - START, c.timerange.end - START]
        for c in item.intersect(override_clustering_dt_ns=20)
    ]
    first = item.topics[0].clusterize(0, TimestampRange(stamp(5), stamp(7)))
    return {
        'cases': len(cases),
        'wrong': wrong,
        'both': both,
        'never': never,
        'window': window,
        'two_tags': found(answer),
        'chained': found(client.query(answer.to_query_topic())),
        'chained_sequences': found(client.query(answer.to_query_sequence())),
        'spans': spans,
        'common': common,
        'limited': [[c.timerange.start - START, c.timerange.end - START] for c in first],
        'catalog': catalog(client, name),
    }
