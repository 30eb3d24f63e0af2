"""Fill the archive with small recordings in which every reading and query example finds something.

Two test drives of one project, one of them in bad sight and with a hard stop; and a mission with
sensors of different rates.
"""

from __future__ import annotations

import numpy as np

from mosaico_ros import (
    GPS,
    IMU,
    GPSStatus,
    Image,
    Message,
    MosaicoClient,
    Point3d,
    RobotJoint,
    SequenceWriter,
    String,
    Vector3d,
)
from mosaico_ros.examples import HOST, PORT

START_NS = 1_738_508_778_000_000_000
SECOND_NS = 1_000_000_000
RATE_HZ = 20


def imu(x: float = 0.1, y: float = 0.0) -> IMU:
    return IMU(
        acceleration=Vector3d(x=x, y=y, z=9.81), angular_velocity=Vector3d(x=0.0, y=0.0, z=0.01)
    )


def gps(second: int, status: int) -> GPS:
    return GPS(
        position=Point3d(x=45.07 + second * 1e-5, y=7.68, z=240.5),
        status=GPSStatus(status=status, service=1),
    )


def write_drive(swriter: SequenceWriter, fix: int, hard_stop: bool) -> None:
    """Write ten seconds; with a hard stop, the seconds from the fourth to the sixth are rough."""
    front = swriter.topic_create('/front/camera/imu', {'interface': 'serial'}, IMU)
    stereo = swriter.topic_create('/front_stereo_imu/imu', {'interface': 'usb'}, IMU)
    for i in range(10 * RATE_HZ):
        rough = hard_stop and 4 * RATE_HZ <= i <= 6 * RATE_HZ
        time_ns = START_NS + i * SECOND_NS // RATE_HZ
        front.push(Message(timestamp_ns=time_ns, data=imu(x=7.5 if rough else 0.1)))
        stereo.push(Message(timestamp_ns=time_ns, data=imu(y=1.2 if rough else 0.1)))
    position = swriter.topic_create('/gps', {'receiver': 'rtk'}, GPS)
    log = swriter.topic_create('/localization/log_string', {}, String)
    camera = swriter.topic_create('/front/camera/image_raw', {}, Image)
    joints = swriter.topic_create('/arm/joint_states', {}, RobotJoint)
    for second in range(10):
        time_ns = START_NS + second * SECOND_NS
        position.push(Message(timestamp_ns=time_ns, data=gps(second, fix)))
        text = '[ERR] pose lost' if hard_stop and second == 5 else '[INFO] pose held'
        log.push(Message(timestamp_ns=time_ns, data=String(data=text)))
        picture = np.full((24, 32, 3), second, np.uint8)
        camera.push(Message(timestamp_ns=time_ns, data=Image.from_numpy(picture)))
        state = RobotJoint(
            names=['shoulder', 'elbow'],
            positions=[0.1 * second, -0.1 * second],
            velocities=[0.1, -0.1],
            efforts=[0.0, 0.0],
        )
        joints.push(Message(timestamp_ns=time_ns, data=state))


def write_mission(swriter: SequenceWriter) -> None:
    """Write a minute: IMU ten times a second, position once, and a second IMU at the front."""
    topics = {name: swriter.topic_create(name, {}, IMU) for name in ('/imu', '/front/imu')}
    position = swriter.topic_create('/gps', {}, GPS)
    for i in range(600):
        time_ns = START_NS + i * SECOND_NS // 10
        for twriter in topics.values():
            twriter.push(Message(timestamp_ns=time_ns, data=imu()))
        if i % 10 == 0:
            position.push(Message(timestamp_ns=time_ns, data=gps(i // 10, 2)))


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        fog = {'project': {'name': 'Apollo'}, 'environment': {'visibility': 35}}
        with client.sequence_create('test_drive_fog', fog) as swriter:
            write_drive(swriter, fix=2, hard_stop=True)
        clear = {'project': {'name': 'Apollo'}, 'environment': {'visibility': 90}}
        with client.sequence_create('test_drive_clear', clear) as swriter:
            write_drive(swriter, fix=0, hard_stop=False)
        with client.sequence_create('mission_alpha', {'project': {'name': 'Vega'}}) as swriter:
            write_mission(swriter)
    print('Wrote test_drive_fog, test_drive_clear and mission_alpha.')


if __name__ == '__main__':
    main()
