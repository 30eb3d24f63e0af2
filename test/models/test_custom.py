"""Types of a user's own, through a real archive: as the guides print them, and beyond."""

from __future__ import annotations

import datetime
import enum
from typing import Any, Literal, Optional

import pydantic
import pytest

from mosaico_ros import (
    IMU,
    HeaderMixin,
    Message,
    MosaicoField,
    MosaicoType,
    QueryOntologyCatalog,
    QuerySequence,
    Serializable,
    Vector2d,
    Vector3d,
)
from mosaico_ros.examples.encoder_ticks import EncoderTicks


class SimpleImageClassification(Serializable):
    top_left_corner: Vector2d
    bottom_right: Vector2d
    label: MosaicoType.string
    confidence: MosaicoType.float32


class State(enum.Enum):
    IDLE = 'idle'
    BUSY = 'busy'


class Waypoint(Serializable, HeaderMixin):
    goal: Vector3d
    tolerance: float | None = None
    reached: Optional[bool] = None  # noqa: UP045 - both spellings


class Mission(Serializable):
    """Everything that an annotation can say."""

    state: State
    mode: Literal['auto', 'manual']
    planned: datetime.datetime
    limit: datetime.timedelta
    area: tuple[float, float]
    waypoints: list[Waypoint]
    speeds: dict[str, float]
    operator: MosaicoType.string = MosaicoField(nullable=True)


class CalibratedIMU(IMU):
    """A built-in type with something added."""

    bias: Vector3d
    temperature: MosaicoType.float32 | None = None


def mission(**changes: Any) -> Mission:
    given: dict[str, Any] = {
        'state': State.BUSY,
        'mode': 'auto',
        'planned': datetime.datetime(2026, 3, 4, 5, tzinfo=datetime.timezone.utc),
        'limit': datetime.timedelta(hours=1),
        'area': (2.5, 4.0),
        'waypoints': [Waypoint(goal=Vector3d(x=1, y=2, z=3), tolerance=0.5), Waypoint(goal=ZERO)],
        'speeds': {'max': 1.5, 'min': 0.5},
        'operator': None,
    }
    return Mission(**given | changes)


ZERO = Vector3d(x=0, y=0, z=0)
EXAMPLES: list[Serializable] = [
    EncoderTicks(left_ticks=2**32 - 1, right_ticks=0, encoder_timestamp=2**64 - 1),
    SimpleImageClassification(
        top_left_corner=Vector2d(x=1, y=2),
        bottom_right=Vector2d(x=3, y=4),
        label='cat',
        confidence=0.75,
    ),
    mission(),
    CalibratedIMU(acceleration=ZERO, angular_velocity=ZERO, bias=Vector3d(x=0.1, y=0, z=0)),
]


@pytest.fixture(scope='module')
def stored(shared_daemon: Any) -> Any:
    with shared_daemon.client() as client:
        with client.sequence_create('custom_types') as sequence:
            for data in EXAMPLES:
                topic = sequence.topic_create(data.ontology_tag(), {}, type(data))
                topic.push(Message(timestamp_ns=5, data=data))
        yield client


@pytest.mark.parametrize('data', EXAMPLES, ids=lambda data: data.ontology_tag())
def test_what_was_pushed_comes_back(stored: Any, data: Serializable) -> None:
    (message,) = stored.topic_handler('custom_types', data.ontology_tag()).get_data_streamer()
    assert message.data == data
    assert type(message.data) is type(data)


@pytest.mark.parametrize(
    ('condition', 'tag'),
    [
        (EncoderTicks.Q.left_ticks.eq(2**32 - 1), 'EncoderTicks'),
        (SimpleImageClassification.Q.bottom_right.y.gt(3), 'SimpleImageClassification'),
        (SimpleImageClassification.Q.label.eq('cat'), 'SimpleImageClassification'),
        (Mission.Q.state.eq('busy'), 'Mission'),
        (Mission.Q.mode.in_('auto', 'none'), 'Mission'),
        (Mission.Q.waypoints.any().goal.z.geq(3), 'Mission'),
        (CalibratedIMU.Q.bias.x.between(0, 1), 'CalibratedIMU'),
        (CalibratedIMU.Q.acceleration.x.eq(0), 'CalibratedIMU'),
    ],
)
def test_its_fields_are_asked_for(stored: Any, condition: Any, tag: str) -> None:
    here = QuerySequence().with_name('custom_types')
    answer = stored.query(here, QueryOntologyCatalog(condition))
    assert [topic.name for item in answer for topic in item.topics] == [f'/{tag}']
    assert len(stored.query(here, QueryOntologyCatalog(IMU.Q.acceleration.x.eq(0)))) == 0


@pytest.mark.parametrize(
    ('make', 'field', 'expected', 'got'),
    [
        (
            lambda: EncoderTicks(left_ticks=-1, right_ticks=0, encoder_timestamp=0),
            ('left_ticks',),
            'greater than or equal to 0',
            -1,
        ),
        (
            lambda: EncoderTicks(left_ticks=0, right_ticks=2**32, encoder_timestamp=0),
            ('right_ticks',),
            'less than or equal to 4294967295',
            2**32,
        ),
        (lambda: mission(state='lost'), ('state',), "'idle' or 'busy'", 'lost'),
        (lambda: mission(mode='off'), ('mode',), "'auto' or 'manual'", 'off'),
        (lambda: mission(planned='soon'), ('planned',), 'valid datetime', 'soon'),
        (lambda: mission(area=(1, 2, 3)), ('area',), 'at most 2 items', (1, 2, 3)),
        (lambda: mission(speeds={'max': 'fast'}), ('speeds', 'max'), 'valid number', 'fast'),
        (
            lambda: mission(waypoints=[{'goal': {'x': 0, 'y': None, 'z': 'up'}}]),
            ('waypoints', 0, 'goal', 'z'),
            'valid number',
            'up',
        ),
    ],
)
def test_a_wrong_value_is_refused_by_field_expected_and_got(
    make: Any, field: tuple[Any, ...], expected: str, got: Any
) -> None:
    with pytest.raises(pydantic.ValidationError) as refusal:
        make()
    (error,) = refusal.value.errors()
    assert error['loc'] == field
    assert expected in error['msg']
    assert error['input'] == got


def test_a_cell_of_a_notebook_may_run_again(shared_daemon: Any) -> None:
    """Each run of the cell makes the class anew, the second time with a field more."""
    notebook: dict[str, Any] = {'__name__': '__main__'}
    cell = """
from mosaico_ros import *
class Wheel(Serializable):
    speed: float
"""
    exec(cell, notebook)
    exec(cell, notebook)
    runs: list[tuple[str, dict[str, Any]]] = [
        (cell, {'speed': 1.5}),
        (f'{cell}    slip: bool = False', {'speed': 2.5, 'slip': True}),
    ]
    with shared_daemon.client() as client:
        for number, (code, values) in enumerate(runs):
            exec(code, notebook)
            wheel = notebook['Wheel']
            with client.sequence_create(f'notebook_{number}') as sequence:
                topic = sequence.topic_create('wheel', {}, wheel)
                topic.push(Message(timestamp_ns=1, data=wheel(**values)))
            handler = client.topic_handler(f'notebook_{number}', 'wheel')
            (message,) = handler.get_data_streamer()
            assert type(message.data) is wheel
            assert message.data.model_dump() == values
        (old,) = client.topic_handler('notebook_0', 'wheel').get_data_streamer()
        assert old.data.raw_data == {'speed': 1.5}
