"""Base of every type that a topic can hold."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from mosaico_ros.models.core import registry
from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.query_proxy import QueryRoot
from mosaico_ros.protocol.fingerprint import fingerprint
from mosaico_ros.protocol.serialization import SerializationFormat


class Serializable(BaseModel):
    """A data type of the ontology; derive from it to define your own.

    Defining a subclass derives its Arrow layout from the annotations, registers it under its
    ontology tag (the class name, unless ``__ontology_tag__`` says otherwise) and makes its fields
    queryable through ``.Q``.

    Attributes
    ----------
    Q
        Entry to query expressions: ``IMU.Q.acceleration.x.gt(5)``.
    __ontology_tag__
        Name of the type in the archive.
    __serialization_format__
        How the daemon shapes the storage of such topics.

    Examples
    --------
    >>> class EncoderTicks(Serializable):
    ...     left_ticks: MosaicoType.uint32 = MosaicoField(description='Left wheel.')
    ...     right_ticks: MosaicoType.uint32 = MosaicoField(description='Right wheel.')
    >>> EncoderTicks.ontology_tag()
    'EncoderTicks'
    """

    Q: ClassVar[QueryRoot] = QueryRoot()
    __serialization_format__: ClassVar[SerializationFormat] = SerializationFormat.Default
    __ontology_tag__: ClassVar[str | None] = None
    __registry_key__: ClassVar[str | None] = None
    __explicit_struct__: ClassVar[pa.StructType | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # Looked up in the class itself: a tag belongs to one class, not to its descendants.
        own = vars(cls)
        cls.__ontology_tag__ = own.get('__ontology_tag__') or cls.__name__
        cls.__registry_key__ = own.get('__registry_key__') or cls.__ontology_tag__
        if cls.__pydantic_fields_complete__:
            cls.arrow_struct()  # a field that Arrow cannot hold is reported where it is defined
        registry.register(cls.__registry_key__, cls)

    @classmethod
    def ontology_tag(cls) -> str:
        """Return the name under which the archive knows this type."""
        return cls.__ontology_tag__ or cls.__name__

    @classmethod
    def is_registered(cls) -> bool:
        """Return whether this class is the one that its tag stands for."""
        key = cls.__registry_key__
        return key is not None and registry.lookup(key) is cls

    @classmethod
    def serialization_format(cls) -> SerializationFormat:
        """Return the storage hint that topics of this type are created with."""
        return cls.__serialization_format__

    @classmethod
    def arrow_struct(cls) -> pa.StructType:
        """Return the Arrow layout: one field per model field, the envelope not included."""
        if cls.__explicit_struct__ is not None:
            return cls.__explicit_struct__
        return super().arrow_struct()

    @classmethod
    def fingerprint(cls) -> str:
        """Return the ten hex digits that identify the Arrow layout."""
        return fingerprint(cls.arrow_struct())
