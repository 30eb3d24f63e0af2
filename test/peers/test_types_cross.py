"""All types of the ontology, between the published client and this one, in both directions."""

from __future__ import annotations

import json
import math
import statistics
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'models'))
from any_values import TYPES, sample  # noqa: E402

pytestmark = pytest.mark.peer
SAMPLES = 8
START, STEP = 1_700_000_000_000_000_000, 1000

Rows = dict[str, list[Any]]

#: What release 0.7.0 refuses, when it writes and when it reads, although its layouts allow it.
REFUSED: Rows = {
    # Components may be null in the layout, but not in its Python class.
    'Vector2d': [[START, {'x': 0.5, 'y': None}]],
    # No echo, an echo that is too close, nothing measured at all: what REP 117 asks sensors for.
    'Range': [
        [
            START + i,
            {
                'radiation_type': 0,
                'field_of_view': 0.5,
                'min_range': 1.0,
                'max_range': 2.0,
                'range': seen,
            },
        ]
        for i, seen in enumerate((math.inf, -math.inf, math.nan))
    ],
    # Codecs that it does not know.
    'CompressedImage': [
        [START + i, {'data': b'', 'format': codec}] for i, codec in enumerate(('av1', 'vp9'))
    ],
}


def as_published(data: Any) -> Any:
    """Replace what the published client refuses by its nearest relatives."""
    if isinstance(data, list):
        return [as_published(member) for member in data]
    if not isinstance(data, dict):
        return data
    made = {name: as_published(value) for name, value in data.items()}
    if 'x' in made and 'covariance' in made:
        made |= {name: 0.25 for name in ('x', 'y', 'z', 'w') if made.get(name, 0) is None}
    if 'max_range' in made and 'radiation_type' in made:
        made['range'] = made['max_range']
    if made.get('format') in ('av1', 'vp9'):
        made['format'] = 'hevc'
    return made


@pytest.fixture(scope='module')
def ours() -> Any:
    """The peer's script with the name of the package replaced."""
    source = (HERE / 'published_types.py').read_text().replace('mosaicolabs', 'mosaico_ros')
    module = types.ModuleType('own_types')
    exec(compile(source, 'own_types.py', 'exec'), module.__dict__)
    return module


@pytest.fixture(scope='module')
def rows() -> Rows:
    """Any values of every type: by tag, pairs of time and fields."""
    made = {
        cls.ontology_tag(): [
            [START + i * STEP, as_published(data.model_dump())]
            for i, data in enumerate(sample(cls, SAMPLES))
        ]
        for cls in TYPES
    }
    made['Foreign'] = [
        [START, {'id': 65535, 'pose': None, 'trace': [], 'blob': b'\xff\x00'}],
        [START + STEP, {'id': 0, 'pose': {'x': 0.5, 'label': None}, 'trace': None, 'blob': None}],
        [
            START + 2 * STEP,
            {
                'id': 7,
                'pose': {'x': None, 'label': 'ü'},
                'trace': [{'t': -(2**63), 'ok': True}, {'t': None, 'ok': None}],
                'blob': b'',
            },
        ],
    ]
    return made


class Exchange:
    """What both clients did in one archive, and the files that they left."""

    def __init__(self, ours: Any, folder: Path, rows: Rows) -> None:
        self.ours, self.folder = ours, folder
        self.questions = list(questions(rows))
        self.write('rows', rows)
        self.write('refused', REFUSED)
        self.write(
            'asked',
            [[name, *question] for name in ('own', 'their') for question, _ in self.questions],
        )

    def path(self, name: str) -> str:
        return str(self.folder / f'{name}.json')

    def write(self, name: str, content: Any) -> None:
        Path(self.path(name)).write_text(self.ours.as_json(content))

    def read(self, name: str) -> Any:
        return json.loads(Path(self.path(name)).read_text())

    def steps(self, *steps: tuple[str, str, str] | tuple[str, str]) -> str:
        """Return the path of a file of steps, whose last argument is the name of a file."""
        self.write('steps', [[verb, [*names, self.path(file)]] for verb, *names, file in steps])
        return self.path('steps')


@pytest.fixture(scope='module')
def exchange(
    start_shared: Callable[..., Any],
    ours: Any,
    rows: Rows,
    peer: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Exchange:
    """We write, the peer writes, reads and asks, we read and ask: each in one process."""
    made = Exchange(ours, tmp_path_factory.mktemp('types'), rows)
    daemon = start_shared()
    with daemon.client() as client:
        written = ours.act(
            client, made.steps(('write', 'own', 'rows'), ('write', 'own_refused', 'refused'))
        )
        assert written == [{}, {}]
        steps = made.steps(
            ('write', 'their', 'rows'),
            ('write', 'their_refused', 'refused'),
            ('read', 'own', 'own_rows'),
            ('read', 'own_refused', 'unread'),
            ('ask', 'asked'),
        )
        made.peer = peer('types', daemon.port, steps)
        steps = made.steps(
            ('read', 'their', 'their_rows'),
            ('read', 'own_refused', 'own_refused'),
            ('ask', 'asked'),
        )
        made.us = ours.act(client, steps)
    return made


def check_rows(found: Rows, report: dict[str, Any], rows: Rows, ours: Any) -> None:
    """Compare as text: NaN equals itself there, and -0.0 does not equal 0.0."""
    assert report['failed'] == {}
    assert report['classes'] == {tag: [tag] for tag in rows}
    assert found.keys() == rows.keys()
    for tag, expected in json.loads(ours.as_json(rows)).items():
        for row, got in zip(expected, found[tag], strict=True):
            assert json.dumps(got, sort_keys=True) == json.dumps(row, sort_keys=True), tag


def test_all_types_take_part(rows: Rows, ours: Any) -> None:
    assert len(rows) == 60
    text = ours.as_json(rows)
    for extreme in ('NaN', '-Infinity', '-0.0', str(2**64 - 1), str(-(2**63)), '[]', r'\ud'):
        assert extreme in text


def test_the_published_client_reads_what_we_write(exchange: Exchange, rows: Rows) -> None:
    check_rows(exchange.read('own_rows'), exchange.peer[2], rows, exchange.ours)


def test_we_read_what_the_published_client_writes(exchange: Exchange, rows: Rows) -> None:
    assert exchange.peer[0] == {}
    check_rows(exchange.read('their_rows'), exchange.us[0], rows, exchange.ours)


def test_what_the_published_client_refuses(exchange: Exchange) -> None:
    """The list in this file is true: we take and give back all of it, the peer none."""
    counts = {tag: len(rows) for tag, rows in REFUSED.items()}
    assert {tag: len(rows) for tag, rows in exchange.peer[1].items()} == counts
    assert set(exchange.peer[3]['failed']) == set(REFUSED)
    assert exchange.us[1]['failed'] == {}
    assert {tag: len(rows) for tag, rows in exchange.read('own_refused').items()} == counts


# ---- queries --------------------------------------------------------------------------------

NUMBERS = (
    ('Integer8', 'data'),
    ('Integer64', 'data'),
    ('Unsigned64', 'data'),
    ('Floating16', 'data'),
    ('Floating32', 'data'),
    ('Floating64', 'data'),
    ('Header', 'sample_counter'),
    ('MotionState', 'pose.position.x'),
    ('Foreign', 'id'),
    ('RobotJoint', 'positions.any'),
    ('RobotJoint', 'positions.0'),
    ('Joy', 'buttons.all'),
    ('FrameTransform', 'transforms.any.translation.z'),
)
TEXTS = (
    ('String', 'data'),
    ('Header', 'frame_id'),
    ('RobotJoint', 'names.any'),
    ('Foreign', 'pose.label'),
)
#: Operators with the test that each stands for; operands are pivots among the stored values.
NUMERIC: dict[str, tuple[int, Callable[..., bool]]] = {
    'eq': (1, lambda v, a: v == a),
    'neq': (1, lambda v, a: v != a),
    'lt': (1, lambda v, a: v < a),
    'leq': (1, lambda v, a: v <= a),
    'gt': (1, lambda v, a: v > a),
    'geq': (1, lambda v, a: v >= a),
    'in_': (2, lambda v, a, b: v in (a, b)),
    'between': (2, lambda v, a, b: a <= v <= b),
    'outside': (2, lambda v, a, b: v < a or v > b),
}
TEXTUAL = {name: test for name, test in NUMERIC.items() if name != 'neq'}


def reached(data: Any, steps: list[str]) -> list[Any]:
    """The values that a path of a question leads to in a row; for `all` and `any`, several."""
    if not steps or data is None:
        return [data]
    step, *rest = steps
    if step in ('any', 'all'):
        return [value for member in data for value in reached(member, rest)]
    if step.isdigit():
        return reached(data[int(step)], rest) if int(step) < len(data) else [None]
    return reached(data.get(step), rest)


def holds(data: Any, field: str, test: Callable[[Any], bool]) -> bool:
    results = [v is not None and test(v) for v in reached(data, field.split('.'))]
    return bool(results) and (all(results) if 'all' in field else any(results))


def questions(rows: Rows) -> Iterator[tuple[list[Any], list[int]]]:
    """Yield tag, field, operator and operands of questions, and the times of their answers."""

    def asked(tag: str, field: str, name: str, operands: list[Any], test: Any) -> Any:
        found = [t for t, data in rows[tag] if holds(data, field, lambda v: test(v, *operands))]
        return [tag, field, name, operands], found

    for fields, operators in ((NUMBERS, NUMERIC), (TEXTS, TEXTUAL)):
        for tag, field in fields:
            stored = [v for _, data in rows[tag] for v in reached(data, field.split('.'))]
            stored = [v for v in stored if v is not None]
            if fields is NUMBERS:
                stored = [v for v in stored if math.isfinite(v)]
            pivots = [statistics.median_low(stored), max(stored)]
            for name, (count, test) in operators.items():
                yield asked(tag, field, name, pivots[:count], test)
    for value in (True, False):
        yield asked('Boolean', 'data', 'eq', [value], lambda v, a: v is a)
    yield asked('String', 'data', 'match', ['*0*'], lambda v, a: '0' in v)


def test_each_finds_the_data_of_the_other(exchange: Exchange) -> None:
    asked = [(name, *q) for name in ('own', 'their') for q in exchange.questions]
    wrong = [
        (who, name, question, found, expected)
        for who, answers in (('we', exchange.us[2]), ('the peer', exchange.peer[4]))
        for (name, question, expected), found in zip(asked, answers, strict=True)
        if found != expected
    ]
    for w in wrong:
        print(w)
    assert wrong == []
    assert sum(bool(expected) for _, _, expected in asked) > 0.6 * len(asked)
