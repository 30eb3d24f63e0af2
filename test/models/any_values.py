"""Strategies for anything that a built-in type may hold."""

from __future__ import annotations

import enum
import math
import typing

import hypothesis.strategies as st
import pyarrow as pa
import pydantic
from hypothesis import HealthCheck, Phase, given, settings

from mosaico_ros import models
from mosaico_ros.models import Serializable, Vector3d
from mosaico_ros.models.core.arrow import strip
from mosaico_ros.models.core.base_model import integer_range

#: Every built-in type that has a layout of its own.
TYPES = [
    getattr(models, name)
    for name, package in models.EXPORTS.items()
    if isinstance(getattr(models, name), type)
    and issubclass(getattr(models, name), Serializable)
    and name not in ('Serializable', 'Unmodeled')
]


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
        least, most = integer_range(arrow)
        return st.sampled_from([least, most]) | st.integers(least, most)
    if pa.types.is_floating(arrow):
        special = st.sampled_from([math.nan, math.inf, -math.inf, -0.0])
        return special | st.floats(width=arrow.bit_width)
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


def sample(model, count):
    """Return some instances, the same ones in every run."""
    drawn = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(instances(model))
    def draw(instance):
        drawn.append(instance)

    draw()
    return drawn


def plain(value):
    """Replace NaN, which equals nothing, by text."""
    if isinstance(value, float) and math.isnan(value):
        return 'NaN'
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return value
