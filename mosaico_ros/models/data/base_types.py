"""One value per message: the ROS 2 standard messages, with Arrow's types."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType


class Integer8(Serializable):
    """An 8-bit signed integer.

    Source: std_msgs/msg/Int8.
    """

    data: MosaicoType.int8 = MosaicoField(description='The value.')


class Integer16(Serializable):
    """A 16-bit signed integer.

    Source: std_msgs/msg/Int16.
    """

    data: MosaicoType.int16 = MosaicoField(description='The value.')


class Integer32(Serializable):
    """A 32-bit signed integer.

    Source: std_msgs/msg/Int32.
    """

    data: MosaicoType.int32 = MosaicoField(description='The value.')


class Integer64(Serializable):
    """A 64-bit signed integer.

    Source: std_msgs/msg/Int64.
    """

    data: MosaicoType.int64 = MosaicoField(description='The value.')


class Unsigned8(Serializable):
    """An 8-bit unsigned integer.

    Source: std_msgs/msg/UInt8.
    """

    data: MosaicoType.uint8 = MosaicoField(description='The value.')


class Unsigned16(Serializable):
    """A 16-bit unsigned integer.

    Source: std_msgs/msg/UInt16.
    """

    data: MosaicoType.uint16 = MosaicoField(description='The value.')


class Unsigned32(Serializable):
    """A 32-bit unsigned integer.

    Source: std_msgs/msg/UInt32.
    """

    data: MosaicoType.uint32 = MosaicoField(description='The value.')


class Unsigned64(Serializable):
    """A 64-bit unsigned integer.

    Source: std_msgs/msg/UInt64.
    """

    data: MosaicoType.uint64 = MosaicoField(description='The value.')


class Floating16(Serializable):
    """A 16-bit float."""

    data: MosaicoType.float16 = MosaicoField(description='The value.')


class Floating32(Serializable):
    """A 32-bit float.

    Source: std_msgs/msg/Float32.
    """

    data: MosaicoType.float32 = MosaicoField(description='The value.')


class Floating64(Serializable):
    """A 64-bit float.

    Source: std_msgs/msg/Float64.
    """

    data: MosaicoType.float64 = MosaicoField(description='The value.')


class Boolean(Serializable):
    """A truth value.

    Source: std_msgs/msg/Bool.
    """

    data: MosaicoType.bool = MosaicoField(description='The value.')


class String(Serializable):
    """A text in UTF-8.

    Source: std_msgs/msg/String.
    """

    data: MosaicoType.string = MosaicoField(description='The text.')
