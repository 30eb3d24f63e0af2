"""What the archive knows about recordings, as plain records."""

from mosaico_ros.models.platform.sequence import Sequence as Sequence
from mosaico_ros.models.platform.session import Session as Session
from mosaico_ros.models.platform.topic import Topic as Topic
