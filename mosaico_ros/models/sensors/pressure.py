"""Pressure sensors."""

from __future__ import annotations

from typing_extensions import Self

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import HeaderMixin, VarianceMixin

PASCAL_PER_ATM = 101_325.0
PASCAL_PER_BAR = 100_000.0
PASCAL_PER_PSI = 6894.7572931783


class Pressure(Serializable, HeaderMixin, VarianceMixin):
    """An absolute pressure.

    Source: sensor_msgs/msg/FluidPressure.
    """

    value: MosaicoType.float64 = MosaicoField(description='Pressure, in Pa.')

    @classmethod
    def from_atm(
        cls, *, value: float, variance: float | None = None, variance_type: int | None = None
    ) -> Self:
        """Make one from atmospheres; the variance is taken in Pa^2."""
        return cls(value=value * PASCAL_PER_ATM, variance=variance, variance_type=variance_type)

    @classmethod
    def from_bar(
        cls, *, value: float, variance: float | None = None, variance_type: int | None = None
    ) -> Self:
        """Make one from bar; the variance is taken in Pa^2."""
        return cls(value=value * PASCAL_PER_BAR, variance=variance, variance_type=variance_type)

    @classmethod
    def from_psi(
        cls, *, value: float, variance: float | None = None, variance_type: int | None = None
    ) -> Self:
        """Make one from pounds per square inch; the variance is taken in Pa^2."""
        return cls(value=value * PASCAL_PER_PSI, variance=variance, variance_type=variance_type)

    def to_atm(self) -> float:
        """Return the pressure in atmospheres."""
        return self.value / PASCAL_PER_ATM

    def to_bar(self) -> float:
        """Return the pressure in bar."""
        return self.value / PASCAL_PER_BAR

    def to_psi(self) -> float:
        """Return the pressure in pounds per square inch."""
        return self.value / PASCAL_PER_PSI
