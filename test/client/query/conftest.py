"""A sequence to ask about."""

from __future__ import annotations

import pytest

from mosaico_ros import GPS, IMU, Message, String


@pytest.fixture
def recorded(client, name, make_imu, make_gps) -> str:
    """Two bursts of acceleration, at 100..120 and 500..540, and a GPS fix from 510 on."""
    with client.sequence_create(name, {'site': {'hall': name}, 'trial': 4}) as sequence:
        imu = sequence.topic_create('/front/imu', {'mount': 'wrist'}, IMU)
        gps = sequence.topic_create('/gps', {}, GPS)
        text = sequence.topic_create('/log', {}, String)
        for time_ns in range(0, 1000, 10):
            burst = 100 <= time_ns <= 120 or 500 <= time_ns <= 540
            imu.push(make_imu(time_ns, y=9.0 if burst else 0.1, x=float(time_ns)))
            gps.push(make_gps(time_ns, status=2 if time_ns >= 510 else 0))
        text.push(Message(timestamp_ns=5, data=String(data='[ERR] motor stalled')))
    return name
