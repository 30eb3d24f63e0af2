"""Distance sensors with one beam."""

from __future__ import annotations

from pydantic import model_validator
from typing_extensions import Self

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import HeaderMixin, VarianceMixin


class Range(Serializable, HeaderMixin, VarianceMixin):
    """One distance within a cone.

    Infinite ranges mean, as in REP 117, that nothing was detected (+) or something too close (-);
    NaN means that there is no measurement. Anything else lies within the limits.

    Source: sensor_msgs/msg/Range.
    """

    radiation_type: MosaicoType.uint8 = MosaicoField(description='0 ultrasound, 1 infrared.')
    field_of_view: MosaicoType.float32 = MosaicoField(description='Opening angle, in rad.')
    min_range: MosaicoType.float32 = MosaicoField(description='Least valid distance, in m.')
    max_range: MosaicoType.float32 = MosaicoField(description='Greatest valid distance, in m.')
    range: MosaicoType.float32 = MosaicoField(description='Measured distance, in m.')

    @model_validator(mode='after')
    def _check_limits(self) -> Self:
        if self.min_range > self.max_range:
            raise ValueError(f'min_range {self.min_range} exceeds max_range {self.max_range}')
        finite = abs(self.range) != float('inf')
        if finite and (self.range < self.min_range or self.range > self.max_range):
            raise ValueError(f'range {self.range} is outside [{self.min_range}, {self.max_range}]')
        return self
