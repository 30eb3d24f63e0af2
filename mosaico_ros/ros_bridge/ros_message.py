"""One decoded ROS message, as adapters written per message receive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.models import Time


@dataclass
class ROSHeader:
    """``std_msgs/Header`` of a message; ``seq`` exists in ROS 1 only."""

    seq: int | None
    frame_id: str
    stamp: Time

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ROSHeader:
        """Build from a decoded header.

        Raises
        ------
        InvalidArgumentError
            If ``frame_id``, ``stamp`` or a part of the stamp is missing.
        """
        from mosaico_ros.models import Time

        try:
            stamp = Time(seconds=data['stamp']['sec'], nanoseconds=data['stamp']['nanosec'])
            return cls(data.get('seq'), data['frame_id'], stamp)
        except (KeyError, TypeError) as error:
            raise InvalidArgumentError(
                f'message header lacks frame_id or stamp.sec and stamp.nanosec: {data!r}'
            ) from error


class ROSMessage:
    """Message with its place in the recording.

    Attributes
    ----------
    bag_timestamp_ns : int
        Record (or receive) time, nanoseconds.
    topic, msg_type : str
        Where it was published, and its full type name.
    data_field : dict or None
        Members by name; nested messages are dicts, arrays are lists.
    const_data : dict
        Constants of the message type.
    header : ROSHeader or None
        The member ``header``, if there is one.
    """

    def __init__(
        self,
        bag_timestamp_ns: int,
        topic: str,
        msg_type: str,
        data: dict[str, Any] | None,
        const_data: dict[str, Any] | None = None,
    ) -> None:
        self.bag_timestamp_ns = bag_timestamp_ns
        self.topic = topic
        self.msg_type = msg_type
        self.data_field = data
        self.const_data = const_data or {}
        header = data.get('header') if data else None
        # A member of that name may be anything; only a dict can be a std_msgs/Header.
        self.header = (
            ROSHeader.from_dict(header)
            if isinstance(header, dict) and 'frame_id' in header
            else None
        )

    def __repr__(self) -> str:
        return f'ROSMessage({self.msg_type} on {self.topic} at {self.bag_timestamp_ns})'
