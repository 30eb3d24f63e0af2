"""What the error policies of the published client leave behind."""

from __future__ import annotations

from typing import Any

from mosaicolabs import (
    IMU,
    Message,
    MosaicoClient,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
    Vector3d,
)

START = 1_700_000_000_000_000_000


def imu(number: int) -> Message:
    return Message(
        timestamp_ns=START + number,
        data=IMU(
            acceleration=Vector3d(x=float(number), y=0.0, z=0.0),
            angular_velocity=Vector3d(x=0.0, y=0.0, z=0.0),
        ),
    )


def state(client: MosaicoClient, name: str) -> dict[str, Any] | None:
    """What a sequence holds, as its readers see it."""
    client.clear_sequence_handlers_cache()
    client.clear_topic_handlers_cache()
    handler = client.sequence_handler(name)
    if handler is None:
        return None
    topics = {}
    for topic_name in handler.topics:
        topic = client.topic_handler(name, topic_name)
        rows = 0
        if topic.timestamp_ns_min is not None:
            rows = len(list(topic.get_data_streamer()))
        topics[topic_name] = {
            'locked': topic.locked,
            'rows': rows,
            'notes': [n.message for n in client.list_topic_notifications(name, topic_name)],
        }
    return {
        'sessions': [session.locked for session in handler.sessions],
        'topics': topics,
        'notes': [n.message for n in client.list_sequence_notifications(name)],
    }


def policies(client: MosaicoClient, name: str) -> dict[str, Any]:
    """A topic writer fails under each pair of policies; another topic goes on beside it."""
    left: dict[str, Any] = {}
    for session_policy in SessionLevelErrorPolicy:
        for topic_policy in TopicLevelErrorPolicy:
            pair = f'{session_policy.name} {topic_policy.name}'
            sequence_name = f'{name}_{session_policy.name}_{topic_policy.name}'
            raised = ''
            try:
                with client.sequence_create(
                    sequence_name, {}, on_error=session_policy
                ) as sequence:
                    steady = sequence.topic_create('steady', {}, IMU)
                    steady.push(imu(0))
                    with sequence.topic_create('failing', {}, IMU, on_error=topic_policy) as topic:
                        topic.push(imu(1))
                        raise RuntimeError('sensor on fire')
                    steady.push(imu(2))
            except Exception as error:
                raised = str(error)
            left[pair] = {
                'raised': 'sensor on fire' in raised,
                'state': state(client, sequence_name),
            }
    return left


def updates(client: MosaicoClient, name: str) -> dict[str, Any]:
    """Sessions on an existing sequence: one that succeeds, and failing ones of each policy."""
    with client.sequence_create(name, {}) as sequence:
        sequence.topic_create('first', {}, IMU).push(imu(0))
    with client.sequence_update(name) as more:
        more.topic_create('second', {}, IMU).push(imu(1))
    for policy in SessionLevelErrorPolicy:
        try:
            with client.sequence_update(name, on_error=policy) as more:
                more.topic_create(f'failing_{policy.name}', {}, IMU).push(imu(2))
                raise RuntimeError('sensor on fire')
        except RuntimeError:
            pass
    seen = state(client, name)
    client.clear_sequence_notifications(name)
    purged = client.list_sequence_notifications(name)
    exists = [client.sequence_exists(name), client.topic_exists(name, 'second')]
    missing = [client.sequence_exists('no_such'), client.topic_exists(name, 'no_such')]
    sessions = client.sequence_handler(name).sessions
    client.session_delete(sessions[0].locator)
    return {
        'state': seen,
        'purged': purged,
        'exists': exists,
        'missing': missing,
        'after_session_delete': state(client, name),
    }
