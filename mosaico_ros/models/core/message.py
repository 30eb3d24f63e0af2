"""A timestamped piece of data: what topics are made of."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import SerializeAsAny

from mosaico_ros.models.core import registry
from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.protocol.errors import InvalidArgumentError

DataT = TypeVar('DataT', bound=Serializable)


class Message(BaseModel):
    """One record of a topic.

    Attributes
    ----------
    data
        The payload, an instance of any ontology type.
    timestamp_ns
        Time of the record in nanoseconds since 1970; it orders the topic. The time of the
        measurement itself belongs into the payload's header.
    """

    data: SerializeAsAny[Serializable]
    timestamp_ns: MosaicoType.int64 = MosaicoField(
        description='Time of the record, in nanoseconds since 1970.'
    )

    def ontology_type(self) -> type[Serializable]:
        """Return the class of the payload."""
        return type(self.data)

    def ontology_tag(self) -> str:
        """Return the ontology tag of the payload."""
        return self.data.ontology_tag()

    def get_data(self, target_type: type[DataT]) -> DataT | None:
        """Return the payload if it is of the given type, else None."""
        return self.data if isinstance(self.data, target_type) else None

    @staticmethod
    def from_dataframe_row(
        row: Any, topic_name: str, timestamp_column_name: str = 'timestamp_ns'
    ) -> Message | None:
        """Rebuild a message from a row of a data frame.

        Parameters
        ----------
        row
            A pandas Series (or any mapping) whose keys read ``<topic>.<tag>.<field path>``.
        topic_name
            The topic to take from the row.
        timestamp_column_name
            Key of the record time, in nanoseconds.

        Returns
        -------
        Message or None
            None when the row holds no value of that topic.

        Raises
        ------
        InvalidArgumentError
            The tag in the column names is unknown, or there is no record time.
        """
        prefix = f'{topic_name}.'
        tag = ''
        tree: dict[str, Any] = {}
        for column, value in row.items():
            if not str(column).startswith(prefix) or _is_missing(value):
                continue
            tag, *path = str(column)[len(prefix) :].split('.')
            node: dict[str, Any] = tree
            for step in path[:-1]:
                node = node.setdefault(step, {})
            node[path[-1]] = value
        if not tree:
            return None
        cls = registry.lookup(tag)
        if cls is None:
            raise InvalidArgumentError(
                f'No class is registered for the ontology tag {tag!r} of topic {topic_name!r}',
                remedy='Import the module that defines it.',
            )
        time = row.get(timestamp_column_name)
        if _is_missing(time):
            raise InvalidArgumentError(
                f'The row has no value in {timestamp_column_name!r}',
                remedy='Name the column of the record time.',
            )
        return Message(data=cls(**tree), timestamp_ns=int(time))


def _is_missing(value: Any) -> bool:
    """Tell None, NaN and the missing-value marks of pandas, none of which equals itself."""
    if value is None:
        return True
    try:
        return not bool(value == value)
    except (TypeError, ValueError):  # pandas.NA refuses truth; arrays have many
        return type(value).__name__ == 'NAType'
