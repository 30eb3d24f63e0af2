"""Types that describe what one kind of sensor measures."""

from mosaico_ros.models.sensors.camera import CameraInfo as CameraInfo
from mosaico_ros.models.sensors.gps import (
    GPS as GPS,
    GPSStatus as GPSStatus,
    NMEASentence as NMEASentence,
)
from mosaico_ros.models.sensors.image import (
    CompressedImage as CompressedImage,
    Image as Image,
    ImageFormat as ImageFormat,
)
from mosaico_ros.models.sensors.imu import IMU as IMU
from mosaico_ros.models.sensors.joy import Joy as Joy
from mosaico_ros.models.sensors.magnetometer import Magnetometer as Magnetometer
from mosaico_ros.models.sensors.pressure import Pressure as Pressure
from mosaico_ros.models.sensors.range import Range as Range
from mosaico_ros.models.sensors.robot import RobotJoint as RobotJoint
from mosaico_ros.models.sensors.temperature import Temperature as Temperature
from mosaico_ros.models.sensors.video import (
    StatefulDecodingSession as StatefulDecodingSession,
    decode_frames as decode_frames,
)
