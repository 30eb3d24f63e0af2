"""Types that stay close to one ROS message instead of generalising over it."""

from __future__ import annotations

from enum import IntEnum

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float32List, MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Transform
from mosaico_ros.models.data.mixins import HeaderMixin

__all__ = ['BatteryState', 'FrameTransform', 'PointCloud2', 'PointField', 'PointFieldDataType']


class BatteryState(Serializable, HeaderMixin):
    """State of a battery; what was not measured (NaN in ROS) is null.

    Source: sensor_msgs/msg/BatteryState.
    """

    voltage: MosaicoType.float32 = MosaicoField(description='Voltage, in V.')
    temperature: MosaicoType.float32 | None = MosaicoField(
        default=None, description='Temperature, in degrees Celsius.'
    )
    current: MosaicoType.float32 | None = MosaicoField(
        default=None, description='Current, negative while discharging, in A.'
    )
    charge: MosaicoType.float32 | None = MosaicoField(
        default=None, description='Charge left, in A h.'
    )
    capacity: MosaicoType.float32 | None = MosaicoField(
        default=None, description='Charge when last full, in A h.'
    )
    design_capacity: MosaicoType.float32 | None = MosaicoField(
        default=None, description='Charge by design, in A h.'
    )
    percentage: MosaicoType.float32 = MosaicoField(description='Charge left, 0 to 1.')
    power_supply_status: MosaicoType.uint8 = MosaicoField(
        description='0 unknown, 1 charging, 2 discharging, 3 not charging, 4 full.'
    )
    power_supply_health: MosaicoType.uint8 = MosaicoField(
        description="Health, in the message's numbering: 0 unknown, 1 good, above: a fault."
    )
    power_supply_technology: MosaicoType.uint8 = MosaicoField(
        description="Chemistry, in the message's numbering: 0 unknown, 2 lithium ion."
    )
    present: MosaicoType.bool = MosaicoField(description='Whether the battery is there.')
    location: MosaicoType.string = MosaicoField(description='Slot or place of the battery.')
    serial_number: MosaicoType.string = MosaicoField(description='Serial number.')
    cell_voltage: Float32List | None = MosaicoField(
        default=None, description='Voltage of each cell, in V.'
    )
    cell_temperature: Float32List | None = MosaicoField(
        default=None, description='Temperature of each cell, in degrees Celsius.'
    )


class FrameTransform(Serializable):
    """Transforms that were published together.

    Source: tf2_msgs/msg/TFMessage.
    """

    transforms: list[Transform] = MosaicoField(description='The transforms.')


class PointFieldDataType(IntEnum):
    """Type of the values of a point field."""

    INT8 = 1
    UINT8 = 2
    INT16 = 3
    UINT16 = 4
    INT32 = 5
    UINT32 = 6
    FLOAT32 = 7
    FLOAT64 = 8


class PointField(Serializable):
    """One value within the bytes of a point.

    Source: sensor_msgs/msg/PointField.
    """

    name: MosaicoType.string = MosaicoField(description='Name, such as x or intensity.')
    offset: MosaicoType.uint32 = MosaicoField(description='Place in the point, in bytes.')
    datatype: PointFieldDataType = MosaicoField(description='Type of the values.')
    count: MosaicoType.uint32 = MosaicoField(description='Number of values.')


class PointCloud2(Serializable, HeaderMixin):
    """Points as bytes whose layout the fields tell.

    Source: sensor_msgs/msg/PointCloud2.
    """

    height: MosaicoType.uint32 = MosaicoField(description='Rows of points; 1 if unordered.')
    width: MosaicoType.uint32 = MosaicoField(description='Points per row.')
    fields: list[PointField] = MosaicoField(description='Layout of a point.')
    is_bigendian: MosaicoType.bool = MosaicoField(description='Byte order of the values.')
    point_step: MosaicoType.uint32 = MosaicoField(description='Length of a point, in bytes.')
    row_step: MosaicoType.uint32 = MosaicoField(description='Length of a row, in bytes.')
    data: MosaicoType.binary = MosaicoField(description='The points, row_step x height bytes.')
    is_dense: MosaicoType.bool = MosaicoField(description='Whether all points are valid.')
