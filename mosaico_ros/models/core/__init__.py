"""What all models are made of: types, layouts, the registry, messages and columns."""

from mosaico_ros.models.core.base_model import BaseModel as BaseModel
from mosaico_ros.models.core.message import Message as Message
from mosaico_ros.models.core.serializable import Serializable as Serializable
from mosaico_ros.models.core.types import MosaicoField as MosaicoField, MosaicoType as MosaicoType
from mosaico_ros.models.core.unmodeled import (
    Unmodeled as Unmodeled,
    make_unmodeled_ontology_class as make_unmodeled_ontology_class,
    resolve_ontology_class as resolve_ontology_class,
)
