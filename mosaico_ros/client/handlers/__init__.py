"""Writers, handlers and streamers."""

from mosaico_ros.client.handlers.base_session_writer import BaseSessionWriter
from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler, RecordingHandler
from mosaico_ros.client.handlers.sequence_handler import SequenceHandler
from mosaico_ros.client.handlers.sequence_reader import SequenceDataStreamer
from mosaico_ros.client.handlers.sequence_updater import SequenceUpdater
from mosaico_ros.client.handlers.sequence_writer import SequenceWriter
from mosaico_ros.client.handlers.topic_handler import TopicHandler
from mosaico_ros.client.handlers.topic_reader import TopicDataStreamer
from mosaico_ros.client.handlers.topic_writer import TopicWriter

__all__ = [
    'BaseSessionWriter',
    'RecordedTopicHandler',
    'RecordingHandler',
    'SequenceDataStreamer',
    'SequenceHandler',
    'SequenceUpdater',
    'SequenceWriter',
    'TopicDataStreamer',
    'TopicHandler',
    'TopicWriter',
]
