"""What queries can do beyond published clients: trees, order, pages, plans."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from thoroughness import examples

from mosaico_ros.daemon.query.windows import ClusterRequest
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.protocol.query import AllOf, AnyOf, Not, alternatives, parse
from mosaico_ros.protocol.tags import same_tag

sys.path.insert(0, str(Path(__file__).parent))
from test_query import (
    SCHEMA,
    TIME,
    UNHURRIED,
    as_stored,
    conditions,
    found,
    row_matches,
    row_values,
)

NARROW = pa.schema([TIME, ('d', pa.float64()), ('t', pa.string())])
TOPICS = [('one/a', 'IMU'), ('one/b', 'imu'), ('one/g', 'GPS'), ('two/a', 'IMU'), ('two/g', 'GPS')]


@st.composite
def trees(draw: Any, tags: tuple[str, ...], depth: int = 3) -> dict[str, Any]:
    kind = draw(st.sampled_from(['leaf', '$and', '$or', '$not'])) if depth else 'leaf'
    if kind == '$not':
        return {'$not': draw(trees(tags, depth - 1))}
    if kind != 'leaf':
        return {kind: draw(st.lists(trees(tags, depth - 1), min_size=1, max_size=2))}
    kind = draw(st.sampled_from(['sequence', 'topic', 'ontology', 'ontology', 'ontology']))
    if kind == 'sequence':
        return {'sequence': {'name': {draw(st.sampled_from(['$eq', '$neq'])): 'one'}}}
    if kind == 'topic':
        return {'topic': {'name': {'$match': draw(st.sampled_from(['a', '?', 'b', '[ag]']))}}}
    path, condition = draw(conditions())
    return {'ontology': {f'{draw(st.sampled_from(tags))}.{path}': condition}}


def row_holds(row: dict[str, Any], condition: Any, names: list[str]) -> bool:
    """Evaluate a condition that may be negated on a row, of a schema with these columns."""
    if condition.path[0].name in names or condition.path[0].name in ('nope',):
        holds = row_matches(row, condition)
    else:
        holds = condition.condition.operator.value == '$nex'
    return holds is not condition.negated


def tree_holds(node: Any, name: str, row: dict[str, Any]) -> bool:
    """Evaluate a tree on one row, as it stands."""
    if isinstance(node, Not):
        return not tree_holds(node.part, name, row)
    if isinstance(node, (AllOf, AnyOf)):
        parts = [tree_holds(part, name, row) for part in node.parts]
        return all(parts) if isinstance(node, AllOf) else any(parts)
    return sections_pass(node, name) and all(row_matches(row, c) for c in node.ontology)


def sections_pass(node: Any, name: str) -> bool:
    sequence, path = name.split('/')
    return all(
        item.matches_sequence_name(sequence) is not item.negated for item in node.sequence.fields
    ) and all(
        item.matches_topic_name(sequence, path) is not item.negated for item in node.topic.fields
    )


def tables(chunks: Any, schema: pa.Schema) -> list[pa.Table]:
    narrow = [[{n: row[n] for n in schema.names} for row in rows] for rows in chunks]
    return [pa.Table.from_pylist(rows, schema=schema) for rows in narrow]


chunk_lists = st.lists(st.lists(row_values, min_size=1, max_size=4), min_size=1, max_size=2)


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
@settings(UNHURRIED, max_examples=examples(30))
@given(
    data=st.fixed_dictionaries(dict.fromkeys(('one/a', 'one/b', 'two/a'), chunk_lists)),
    where=trees(('IMU', 'imu')),
)
def test_on_one_tag_a_tree_is_evaluated_row_by_row(filled, data, where):
    try:
        parsed = parse({'where': where, 'ontology': {'include_timestamp_range': True}})
    except InvalidArgumentError:
        return
    try:
        for name, chunks in data.items():
            filled.write(tables(chunks, SCHEMA), name, 'IMU')
        expected = {}
        rows_matter = any(way.ontology for way in alternatives(parsed))
        for name, chunks in data.items():
            rows = [as_stored(row) for rows in chunks for row in rows]
            times = [r['timestamp_ns'] for r in rows if tree_holds(parsed.where, name, r)]
            if times:
                expected[name] = (min(times), max(times))
        got = {
            str(topic.locator): topic.timestamp_range
            for item in filled.archive.query(parsed)
            for topic in item.topics
        }
        assert set(got) == set(expected)
        if rows_matter and all(way.ontology for way in alternatives(parsed)):
            assert got == expected
        assert sorted(found(filled, {'where': where})) == sorted(expected)
    finally:
        delete(filled, data)


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
@settings(UNHURRIED, max_examples=examples(20))
@given(
    data=st.fixed_dictionaries({name: chunk_lists for name, _ in TOPICS}),
    where=trees(('IMU', 'GPS')),
    order=st.sampled_from(['created', '-created', 'name', '-name', 'start_time', '-start_time']),
)
def test_answers_are_those_of_each_alternative(filled, data, where, order):
    try:
        parsed = parse({'where': where, 'order': order})
    except InvalidArgumentError:
        return
    tags = dict(TOPICS)
    schemas = {name: NARROW if name.endswith('b') else SCHEMA for name in tags}
    try:
        for name, tag in TOPICS:
            filled.write(tables(data[name], schemas[name]), name, tag)
        expected = set()
        for way in alternatives(parsed):
            expected |= answer_of(way, data, tags, schemas)
        got = filled.archive.query(parsed)
        assert {str(topic.locator) for item in got for topic in item.topics} == expected
        first = {
            name: min(
                row['timestamp_ns']
                for topic, chunks in data.items()
                for rows in chunks
                for row in rows
                if topic.startswith(name)
            )
            for name in ('one', 'two')
        }
        keys = {'created': ['one', 'two'].index, 'name': str, 'start_time': first.get}
        wanted = sorted(
            {name.split('/')[0] for name in expected},
            key=lambda n: (keys[order.removeprefix('-')](n), n),
            reverse=order.startswith('-'),
        )
        assert [item.sequence.name for item in got] == wanted
        assert pages(filled, {'where': where, 'order': order}, 1) == [[name] for name in wanted]
    finally:
        delete(filled, data)


def answer_of(way: Any, data: Any, tags: Any, schemas: Any) -> set[str]:
    passing = [name for name in tags if sections_pass(way, name)]
    if not way.ontology:
        return set(passing)
    groups: list[set[str]] = []
    for tag in {c.tag for c in way.ontology}:
        mine = [c for c in way.ontology if c.tag == tag]
        groups.append(
            {
                name
                for name in passing
                if same_tag(tags[name], tag)
                and any(
                    all(row_holds(row, c, schemas[name].names) for c in mine)
                    for rows in data[name]
                    for row in map(as_stored, rows)
                )
            }
        )
    sequences = [{name.split('/')[0] for name in group} for group in groups]
    everywhere = set.intersection(*sequences)
    return {name for group in groups for name in group if name.split('/')[0] in everywhere}


def delete(filled: Any, names: Any) -> None:
    for sequence in {name.split('/')[0] for name in names}:
        filled.archive.delete_sequence(SequenceLocator(sequence))


def pages(filled: Any, body: dict[str, Any], limit: int) -> list[list[str]]:
    """Return the sequences of each page."""
    got: list[list[str]] = []
    cursor = None
    while True:
        page = filled.archive.query(parse(body | {'limit': limit, 'cursor': cursor}))
        if page:
            got.append([item.sequence.name for item in page])
        cursor = page.next_cursor
        if cursor is None:
            return got


# -- pages ---------------------------------------------------------------------------------------


def write(filled: Any, name: str, values: list[Any], times: Any = None, tag: str = 'IMU') -> Any:
    rows = {'timestamp_ns': times or list(range(len(values))), 'x': values}
    schema = pa.schema([TIME, ('x', pa.array(values).type)])
    return filled.write(pa.table(rows, schema=schema), name, tag)


EVERYTHING = {'topic': {'name': {'$match': '*'}}}


@pytest.mark.parametrize('order', ['created', '-created', 'name', '-name', '-start_time'])
def test_pages_survive_sequences_that_come_and_go(filled, order):
    for number, name in enumerate('dbfac'):
        write(filled, f'{name}/x', [1.0], [number * 10])
    body = EVERYTHING | {'order': order}
    whole = [item.sequence.name for item in filled.archive.query(parse(body))]
    first = filled.archive.query(parse(body | {'limit': 2}))
    assert [item.sequence.name for item in first] == whole[:2]
    filled.archive.delete_sequence(SequenceLocator(whole[1]))
    filled.archive.delete_sequence(SequenceLocator(whole[2]))
    write(filled, 'e/x', [1.0], [25])
    rest = filled.archive.query(parse(body | {'cursor': first.next_cursor}))
    assert [n.sequence.name for n in rest if n.sequence.name != 'e'] == whole[3:]
    assert rest.next_cursor is None


def test_a_cursor_of_another_query_is_refused(filled):
    write(filled, 'a/x', [1.0])
    write(filled, 'b/x', [1.0])
    cursor = filled.archive.query(parse(EVERYTHING | {'limit': 1})).next_cursor
    for body in (
        EVERYTHING | {'order': 'name', 'cursor': cursor},
        {'topic': {'name': {'$eq': 'x'}}, 'cursor': cursor},
        EVERYTHING | {'cursor': 'no'},
        EVERYTHING | {'cursor': cursor[:-2]},
    ):
        with pytest.raises(InvalidArgumentError, match='cursor'):
            filled.archive.query(parse(body))


# -- plans ---------------------------------------------------------------------------------------


def plan(filled: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of the only group."""
    found = filled.archive.query(parse(body | {'explain': True})).plan.to_json()
    ((group,),) = [way['groups'] for way in found['alternatives']]
    return group


def test_all_match_and_none_match_chunks_are_not_opened(filled):
    schema = pa.schema([TIME, ('x', pa.float64()), ('y', pa.int32())])
    parts = [(0, 1.0, 5), (10, 2.0, 6), (20, 3.0, 5), (30, 9.0, 5)]
    filled.write(
        [pa.table([[at, at + 1], [x, x + 0.5], [y, y]], schema=schema) for at, x, y in parts],
        'run/a',
    )
    both = {'IMU.x': {'$lt': 5}, 'IMU.y': {'$eq': 5}}
    group = plan(filled, {'ontology': both})
    assert (group['chunks'], group['chunks_pruned']) == (4, 2)
    assert (group['chunks_decided_by_bounds'], group['chunks_opened']) == (2, 0)
    timed = {'ontology': both | {'include_timestamp_range': True}}
    (item,) = filled.archive.query(parse(timed))
    assert item.topics[0].timestamp_range == (0, 21)
    assert plan(filled, timed)['chunks_opened'] == 0
    # 1.25 lies inside the first chunk, 3.25 inside the third: these two are the edges.
    edges = {'IMU.x': {'$between': [1.25, 3.25]}, 'include_timestamp_range': True}
    (item,) = filled.archive.query(parse({'ontology': edges}))
    assert item.topics[0].timestamp_range == (1, 20)
    assert plan(filled, {'ontology': edges})['chunks_opened'] == 2


def test_one_cluster_of_everything_opens_no_chunk_that_matches_as_a_whole(filled, stored):
    locator = write(filled, 'run/a', [1.0, 2.0, 3.0])
    filled.reopen()
    for path in stored.rglob('*.parquet'):
        path.unlink()
    request = ClusterRequest(locator, parse({'ontology': {'IMU.x': {'$gt': 0}}}).ontology)
    assert [(c.start_ns, c.end_ns) for c in filled.archive.clusterize(request)] == [(0, 2)]


@pytest.mark.parametrize('values', [[1.0, float('nan')], [1.0, None]])
def test_absent_values_keep_a_chunk_from_matching_as_a_whole(filled, values):
    write(filled, 'run/a', values)
    query = {'ontology': {'IMU.x': {'$gt': 0}, 'include_timestamp_range': True}}
    (item,) = filled.archive.query(parse(query))
    assert item.topics[0].timestamp_range == (0, 0)
    negated = {'where': {'$not': {'ontology': {'IMU.x': {'$gt': 0}}}}}
    assert found(filled, negated) == ['run/a']
    assert found(filled, {'where': {'$not': {'ontology': {'IMU.x': {'$lt': 5}}}}}) == ['run/a']


def test_a_row_without_the_field_satisfies_not(filled):
    write(filled, 'run/a', [1.0])
    assert found(filled, {'where': {'$not': {'ontology': {'IMU.nope': {'$eq': 1}}}}}) == ['run/a']
    assert found(filled, {'where': {'$not': {'ontology': {'IMU.x': {'$ex': None}}}}}) == []
    assert found(filled, {'where': {'$not': {'ontology': {'IMU.x': {'$eq': 1}}}}}) == []


def test_the_plan_names_what_was_read(filled):
    write(filled, 'run/a', [1.0, 5.0, 9.0])
    group = plan(filled, {'ontology': {'IMU.x': {'$between': [4, 6]}}})
    assert (group['chunks_opened'], group['row_groups_read'], group['rows_evaluated']) == (1, 1, 3)
    assert group['bytes_read'] > 0
    assert group['conditions'] == [{'IMU.x': {'$between': [4, 6]}}]
    assert group['tags'] == ['IMU', 'imu']


@pytest.mark.parametrize('values', [['cam_a', 'cam_q'], [3, 200]])
def test_marks_rule_out_what_lies_between_the_bounds(filled, values):
    for number in range(10):
        write(filled, f'run/t{number}', values * 10)
    between = 'cam_k' if isinstance(values[0], str) else 77
    assert plan(filled, {'ontology': {'IMU.x': {'$eq': between}}})['chunks_pruned'] == 10
    assert plan(filled, {'ontology': {'IMU.x': {'$in': [between]}}})['chunks_pruned'] == 10
    assert len(found(filled, {'ontology': {'IMU.x': {'$eq': values[1]}}})) == 10
