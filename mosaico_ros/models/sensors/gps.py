"""Satellite navigation."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Point3d, Vector3d
from mosaico_ros.models.data.mixins import HeaderMixin


class GPSStatus(Serializable):
    """Quality of a satellite fix.

    Source: sensor_msgs/msg/NavSatStatus.
    """

    status: MosaicoType.int8 = MosaicoField(
        description='-1 no fix, 0 fix, 1 with satellite and 2 with ground-based augmentation.'
    )
    service: MosaicoType.uint16 = MosaicoField(
        description='Bits of the systems in use: 1 GPS, 2 GLONASS, 4 COMPASS, 8 GALILEO.'
    )
    satellites: MosaicoType.int8 | None = MosaicoField(
        default=None, description='Number of satellites in use.'
    )
    hdop: MosaicoType.float64 | None = MosaicoField(
        default=None, description='Horizontal dilution of precision.'
    )
    vdop: MosaicoType.float64 | None = MosaicoField(
        default=None, description='Vertical dilution of precision.'
    )


class GPS(Serializable, HeaderMixin):
    """A position on the Earth (WGS 84).

    Source: sensor_msgs/msg/NavSatFix.
    """

    position: Point3d = MosaicoField(
        description='Latitude (x) and longitude (y) in deg, altitude (z) above the ellipsoid in m.'
    )
    velocity: Vector3d | None = MosaicoField(
        default=None, description='Velocity to the north, to the east and upwards, in m/s.'
    )
    status: GPSStatus | None = MosaicoField(default=None, description='Quality of the fix.')


class NMEASentence(Serializable, HeaderMixin):
    """A sentence of a navigation receiver, as it was sent.

    Source: nmea_msgs/msg/Sentence.
    """

    sentence: MosaicoType.string = MosaicoField(description='The sentence, from $ to checksum.')
