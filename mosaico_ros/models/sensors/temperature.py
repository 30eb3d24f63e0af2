"""Thermometers."""

from __future__ import annotations

from typing_extensions import Self

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import HeaderMixin, VarianceMixin

KELVIN_AT_0_CELSIUS = 273.15


class Temperature(Serializable, HeaderMixin, VarianceMixin):
    """A thermodynamic temperature.

    Source: sensor_msgs/msg/Temperature, converted from degrees Celsius.
    """

    value: MosaicoType.float64 = MosaicoField(description='Temperature, in K.')

    @classmethod
    def from_celsius(
        cls, *, value: float, variance: float | None = None, variance_type: int | None = None
    ) -> Self:
        """Make one from degrees Celsius; the variance is taken in K^2."""
        kelvin = value + KELVIN_AT_0_CELSIUS
        return cls(value=kelvin, variance=variance, variance_type=variance_type)

    @classmethod
    def from_fahrenheit(
        cls, *, value: float, variance: float | None = None, variance_type: int | None = None
    ) -> Self:
        """Make one from degrees Fahrenheit; the variance is taken in K^2."""
        kelvin = (value - 32) * 5 / 9 + KELVIN_AT_0_CELSIUS
        return cls(value=kelvin, variance=variance, variance_type=variance_type)

    def to_celsius(self) -> float:
        """Return the temperature in degrees Celsius."""
        return self.value - KELVIN_AT_0_CELSIUS

    def to_fahrenheit(self) -> float:
        """Return the temperature in degrees Fahrenheit."""
        return self.to_celsius() * 9 / 5 + 32
