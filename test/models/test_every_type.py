"""Any value of any built-in type survives the way into columns, into Parquet and back."""

import enum
import math
import typing

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings

from mosaico_ros import models
from mosaico_ros.models import Message, Serializable, Vector3d
from mosaico_ros.models.core.arrow import strip
from mosaico_ros.models.core.base_model import integer_range
from mosaico_ros.models.core.columns import decode, encode, writer_schema

TYPES = [
    getattr(models, name)
    for name, package in models.EXPORTS.items()
    if isinstance(getattr(models, name), type)
    and issubclass(getattr(models, name), Serializable)
    and name not in ('Serializable', 'Unmodeled')
]


# ---- any value of any type ----------------------------------------------------------------


def values(annotation, arrow):
    """Draw anything that a field may hold."""
    bare, _, optional = strip(annotation)
    strategy = _bare_values(bare, arrow)
    return st.none() | strategy if optional else strategy


def _bare_values(bare, arrow):
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return st.sampled_from(list(bare))
    if isinstance(bare, type) and issubclass(bare, pydantic.BaseModel):
        return instances(bare)
    if pa.types.is_fixed_size_list(arrow):
        item = values(typing.get_args(bare)[0], arrow.value_type)
        return st.lists(item, min_size=arrow.list_size, max_size=arrow.list_size)
    if pa.types.is_list(arrow):
        return st.lists(values(typing.get_args(bare)[0], arrow.value_type), max_size=3)
    if pa.types.is_integer(arrow):
        return st.integers(*integer_range(arrow))
    if pa.types.is_floating(arrow):
        return st.floats(width=arrow.bit_width)
    if pa.types.is_boolean(arrow):
        return st.booleans()
    if pa.types.is_binary(arrow):
        return st.binary(max_size=8)
    return st.text(st.characters(codec='utf-8'), max_size=8)


def instances(model):
    """Draw instances; struct members that are all null are read as None, so none is drawn."""
    overrides = {}
    if model.__name__ in ('Velocity', 'Acceleration'):
        overrides['linear'] = instances(Vector3d)
    if model.__name__ == 'Range':
        overrides |= {'min_range': st.just(0.5), 'max_range': st.just(8.0)}
        overrides['range'] = st.sampled_from([0.5, 8.0, math.inf, -math.inf, math.nan])
    if issubclass(model, models.Time | models.Duration):
        overrides['nanoseconds'] = st.integers(0, 999_999_999)
    members = {
        field.name: overrides[field.name]
        if field.name in overrides
        else values(model.model_fields[field.name].annotation, field.type)
        for field in model.arrow_struct()
    }
    return (
        st.fixed_dictionaries(members)
        .filter(lambda given: any(value is not None for value in given.values()))
        .map(lambda given: model(**given))
    )


def plain(value):
    """Replace NaN, which equals nothing, by text."""
    if isinstance(value, float) and math.isnan(value):
        return 'NaN'
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return value


@pytest.mark.parametrize('cls', TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_type_survives(cls, data):
    payloads = data.draw(st.lists(instances(cls), max_size=4))
    messages = [Message(data=payload, timestamp_ns=i) for i, payload in enumerate(payloads)]
    batch = encode(cls, messages)
    batch.validate(full=True)
    assert batch.schema.equals(writer_schema(cls), check_metadata=True)
    back = decode(cls, batch)
    assert [type(message.data) for message in back] == [cls] * len(messages)
    assert [plain(m.model_dump()) for m in back] == [plain(m.model_dump()) for m in messages]
    # A slice of a bigger batch decodes to the same rows.
    sliced = decode(cls, batch.slice(1))
    assert [plain(m.model_dump()) for m in sliced] == [plain(m.model_dump()) for m in messages[1:]]


@pytest.mark.parametrize('cls', TYPES, ids=lambda cls: cls.__name__)
def test_parquet_takes_every_type(cls, tmp_path):
    """Parquet refuses nulls in not-null fields even below a null struct."""
    drawn = []

    @settings(
        max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(instances(cls))
    def draw(payload):
        drawn.append(Message(data=payload, timestamp_ns=len(drawn)))

    draw()
    table = pa.Table.from_batches([encode(cls, drawn)])
    pq.write_table(table, tmp_path / 't.parquet')
    assert pq.read_table(tmp_path / 't.parquet').num_rows == len(drawn)
