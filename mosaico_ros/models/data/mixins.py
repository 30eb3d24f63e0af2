"""Fields that many types share; mix them in after `Serializable`."""

from __future__ import annotations

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.types import Float64List, MosaicoField, MosaicoType
from mosaico_ros.models.data.header import Header


class HeaderMixin(BaseModel):
    """Adds an optional header."""

    header: Header | None = MosaicoField(
        default=None, description='Time and coordinate frame of the measurement.'
    )


class CovarianceMixin(BaseModel):
    """Adds an optional covariance matrix."""

    covariance: Float64List | None = MosaicoField(
        default=None, description='Covariance matrix, row by row, in squared units of the values.'
    )
    covariance_type: MosaicoType.int16 | None = MosaicoField(
        default=None, description="How the covariance was obtained, in the source's numbering."
    )


class VarianceMixin(BaseModel):
    """Adds an optional variance."""

    variance: MosaicoType.float64 | None = MosaicoField(
        default=None, description='Variance, in squared units of the value.'
    )
    variance_type: MosaicoType.int16 | None = MosaicoField(
        default=None, description="How the variance was obtained, in the source's numbering."
    )
