"""Defining models: annotations, limits, registration, layouts known only at run time."""

import enum
from typing import Any, Literal, Optional, get_args

import numpy as np
import pyarrow as pa
import pydantic
import pytest

from mosaico_ros import models
from mosaico_ros.models import (
    IMU,
    Header,
    HeaderMixin,
    Integer8,
    Message,
    MosaicoField,
    MosaicoType,
    Serializable,
    Time,
    Unsigned64,
    VarianceMixin,
    Vector3d,
    make_unmodeled_ontology_class,
    resolve_ontology_class,
)
from mosaico_ros.models.core.columns import writer_schema
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.serialization import SerializationFormat


def layout(annotation):
    return type('Probe', (models.BaseModel,), {'__annotations__': {'field': annotation}})


class Colour(str, enum.Enum):
    RED = 'red'


class Size(enum.IntEnum):
    BIG = 1


@pytest.mark.parametrize(
    ('annotation', 'expected'),
    [
        (int, pa.int64()),
        (float, pa.float64()),
        (str, pa.string()),
        (bool, pa.bool_()),
        (bytes, pa.binary()),
        (MosaicoType.uint16, pa.uint16()),
        (Optional[int], pa.int64()),  # noqa: UP045 - both spellings
        (int | None, pa.int64()),
        (list[int], pa.list_(pa.int64())),
        (list[list[MosaicoType.int8]], pa.list_(pa.list_(pa.int8()))),
        (MosaicoType.list_(float, 3), pa.list_(pa.float64(), 3)),
        (MosaicoType.matrix(MosaicoType.float32, 2, 3), pa.list_(pa.list_(pa.float32(), 3), 2)),
        (dict[str, int], pa.map_(pa.string(), pa.int64())),
        (tuple[int, int], pa.list_(pa.int64(), 2)),
        (tuple[str, ...], pa.list_(pa.string())),
        (Literal['a', 'b'], pa.string()),
        (Literal[1, 2], pa.int64()),
        (Colour, pa.string()),
        (Size, pa.int64()),
        (Time, Time.arrow_struct()),
        (MosaicoType.annotate(int, pa.date32()), pa.date32()),
    ],
)
def test_annotation(annotation, expected):
    field = layout(annotation).arrow_struct().field('field')
    assert field.type == expected
    assert field.nullable == (type(None) in get_args(annotation))


@pytest.mark.parametrize(
    'annotation', [Any, int | str, Literal['a', 1], tuple[int, str], object, list, dict]
)
def test_annotation_without_arrow_type(annotation):
    with pytest.raises(InvalidArgumentError, match=r"Field 'field' of Probe"):
        layout(annotation).arrow_struct()


def test_error_at_definition_names_field_and_remedy():
    with pytest.raises(InvalidArgumentError, match=r"Field 'what' of Odd.*annotate"):

        class Odd(Serializable):
            what: Any


def test_mixin_fields_come_first():
    class Gauge(Serializable, HeaderMixin, VarianceMixin):
        value: MosaicoType.float32 = MosaicoField(description='In m.')
        note: str | None = None

    names = ['variance', 'variance_type', 'header', 'value', 'note']
    struct = Gauge.arrow_struct()
    assert [field.name for field in struct] == names
    assert struct.field('value').metadata == {b'description': b'In m.'}
    assert not struct.field('value').nullable
    assert struct.field('note').nullable
    assert writer_schema(Gauge).names == ['timestamp_ns', *names]


@pytest.mark.parametrize(
    ('make', 'told'),
    [
        (lambda: Integer8(data=128), 'less than or equal to 127'),
        (lambda: Integer8(data=-129), 'greater than or equal to -128'),
        (lambda: Unsigned64(data=-1), 'greater than or equal to 0'),
        (lambda: Unsigned64(data=2**64), 'less than or equal to 18446744073709551615'),
        (lambda: Message(data=Integer8(data=1), timestamp_ns=2**63), 'timestamp_ns'),
        (lambda: Message(data=3, timestamp_ns=0), 'Serializable'),
        (lambda: Vector3d(x='fast', y=0, z=0), r"valid number.*input_value='fast'"),
        (lambda: Vector3d(x=1, y=2), 'Field required'),
        (lambda: models.Joy(axes=[0.5], buttons=[2**31]), r'buttons.0'),
        (lambda: models.Joy(axes=np.zeros((2, 2)), buttons=[]), 'shape any, got 2 x 2'),
        (lambda: models.Joy(axes=[], buttons=np.array([2**40])), 'fit int32, got int64'),
        (lambda: models.Joy(axes=[], buttons=np.array([0.5])), 'fit int32, got float64'),
        (lambda: models.Velocity(), 'linear or an angular part'),
        (
            lambda: models.Inertia(
                mass=1, center_of_mass=Vector3d(x=0, y=0, z=0), inertia=[1.0] * 5
            ),
            'at least 6 items',
        ),
    ],
)
def test_refused_at_construction(make, told):
    with pytest.raises(pydantic.ValidationError, match=told):
        make()


def test_numpy_scalars_become_python_values():
    vector = Vector3d(x=np.float32(0.5), y=np.int64(2), z=np.float64(3))
    assert [type(v) for v in (vector.x, vector.y, vector.z)] == [float] * 3
    assert type(Integer8(data=np.int64(5)).data) is int


def test_lists_copy_and_compare_with_arrays():
    joy = models.Joy(axes=np.array([0.5, 1.0]), buttons=[1])
    assert joy == models.Joy(axes=[0.5, 1.0], buttons=[1])
    assert joy != models.Joy(axes=[0.5, 0.0], buttons=[1])
    assert '0.5' in joy.model_dump_json()


def define(tag=None, kind=float):
    class Cell(Serializable):
        __ontology_tag__ = tag
        value: kind

    return Cell


def test_a_class_defined_again_replaces_the_earlier_one():
    first, second = define(), define(kind=int)
    assert not first.is_registered()
    assert second.is_registered()
    assert resolve_ontology_class('Cell') is second


def test_tags_of_other_classes_are_refused():
    with pytest.raises(InvalidArgumentError, match=r'RobotJoint.*__ontology_tag__'):
        define(tag='RobotJoint')


def test_names_that_are_no_types_are_free():
    assert define(tag='Topic').ontology_tag() == 'Topic'


def test_a_concrete_model_can_be_extended():
    class TaggedIMU(IMU):
        label: str

    assert TaggedIMU.ontology_tag() == 'TaggedIMU'
    assert IMU.ontology_tag() == 'IMU'
    assert TaggedIMU.arrow_struct().names == [*IMU.arrow_struct().names, 'label']
    assert IMU.is_registered()
    assert TaggedIMU.is_registered()


def test_forward_references_resolve_on_use():
    class Tree(Serializable):
        leaves: 'list[Leaf]'

    class Leaf(models.BaseModel):
        size: int

    Tree.model_rebuild(_types_namespace={'Leaf': Leaf})
    assert Tree.arrow_struct().field('leaves').type == pa.list_(Leaf.arrow_struct())


def test_envelope_name_is_reserved():
    class Stamped(Serializable):
        timestamp_ns: int

    with pytest.raises(InvalidArgumentError, match='timestamp_ns'):
        writer_schema(Stamped)


def test_message_gives_its_payload_by_type():
    message = Message(data=Integer8(data=1), timestamp_ns=np.int64(5))
    assert message.get_data(Integer8).data == 1
    assert message.get_data(IMU) is None
    assert message.ontology_type() is Integer8
    assert message.ontology_tag() == 'Integer8'
    assert message.model_dump() == {'data': {'data': 1}, 'timestamp_ns': 5}


def test_message_from_a_dataframe_row():
    row = {
        'timestamp_ns': 3.0,
        '/imu.IMU.acceleration.x': 1.0,
        '/imu.IMU.acceleration.y': 2.0,
        '/imu.IMU.acceleration.z': 3.0,
        '/imu.IMU.angular_velocity.x': 0.0,
        '/imu.IMU.angular_velocity.y': 0.0,
        '/imu.IMU.angular_velocity.z': 0.0,
        '/imu.IMU.header.frame_id': float('nan'),
        '/gps.GPS.position.x': float('nan'),
    }
    message = Message.from_dataframe_row(row, '/imu')
    assert message.timestamp_ns == 3
    assert message.data.acceleration == Vector3d(x=1, y=2, z=3)
    assert message.data.header is None
    assert Message.from_dataframe_row(row, '/gps') is None


# ---- layouts known only at run time --------------------------------------------------------


LAYOUT = pa.struct(
    [pa.field('a', pa.int32(), nullable=False), ('b', pa.struct([('c', pa.string())]))]
)


def test_resolve_prefers_the_registered_class():
    assert resolve_ontology_class('IMU') is IMU
    assert resolve_ontology_class('Header', Header.arrow_struct()) is Header


def test_resolve_makes_a_variant_for_another_layout():
    variant = resolve_ontology_class('IMU', LAYOUT)
    assert variant.ontology_tag() == 'IMU'
    assert variant.__name__.startswith('IMU__')
    assert variant.arrow_struct() == LAYOUT
    assert resolve_ontology_class('IMU', LAYOUT) is variant
    assert resolve_ontology_class('IMU') is IMU
    assert variant.Q.b.c.eq('x').key == 'IMU.b.c'


def test_resolve_makes_a_class_for_an_unknown_tag():
    cls = resolve_ontology_class('nobody_knows', LAYOUT, None, SerializationFormat.Ragged)
    assert cls.serialization_format() is SerializationFormat.Ragged
    assert resolve_ontology_class('nobody_knows') is cls
    with pytest.raises(InvalidArgumentError, match='nobody_heard'):
        resolve_ontology_class('nobody_heard')


def test_making_a_class_twice():
    args = ('Twice', None, SerializationFormat.Default)
    cls = make_unmodeled_ontology_class(*args, LAYOUT)
    assert make_unmodeled_ontology_class(*args, LAYOUT) is cls
    with pytest.raises(InvalidArgumentError, match='Twice'):
        make_unmodeled_ontology_class(*args, pa.struct([('z', pa.int8())]))


@pytest.mark.parametrize(
    ('raw', 'told'),
    [
        ({}, 'missing field a'),
        ({'a': 1, 'd': 2}, 'unknown field d'),
        ({'a': 1, 'b': 2}, 'field b should be a dict, got int'),
        ({'a': 1, 'b': {'x': 1}}, r'unknown field b\.x'),
    ],
)
def test_raw_data_is_checked(raw, told):
    cls = resolve_ontology_class('checked', LAYOUT)
    with pytest.raises(pydantic.ValidationError, match=told):
        cls(raw_data=raw)
