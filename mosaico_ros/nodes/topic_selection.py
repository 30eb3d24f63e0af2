"""Which of the topics in the graph a node records.

The rules are those of ``ros2 bag record``: a topic is taken if one of the include rules takes
it and no exclude rule refuses it. With no include rule at all, every visible topic is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mosaico_ros.protocol.errors import InvalidArgumentError


@dataclass(frozen=True)
class Verdict:
    """Whether a topic is taken, and why: the reason goes to the log as it stands."""

    selected: bool
    reason: str


def is_glob(pattern: str) -> bool:
    """Tell a glob from a name; ROS names cannot contain ``*``, ``?`` or ``[``."""
    return any(character in pattern for character in '*?[')


def is_hidden(name: str) -> bool:
    """Tell whether a token of the topic's name starts with an underscore (hidden in ROS 2)."""
    return any(token.startswith('_') for token in name.split('/'))


def _matches(value: str, patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        if value == pattern or (is_glob(pattern) and fnmatchcase(value, pattern)):
            return pattern
    return None


def _compile(parameter: str, pattern: str) -> re.Pattern[str] | None:
    if not pattern:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidArgumentError(
            f'{parameter}: {pattern!r} is not a regular expression: {error}',
            remedy='escape the special characters, or use the glob form in `topics`',
        ) from error


@dataclass(frozen=True)
class TopicSelection:
    """Rules that decide about a topic by its name and type.

    Parameters
    ----------
    topics, exclude_topics
        Full names (``/imu``) or globs (``/camera/*``; ``*`` also crosses ``/``).
    regex, exclude_regex
        Regular expressions searched anywhere in the name; empty means unused.
    topic_types, exclude_topic_types
        Types (``sensor_msgs/msg/Imu``) or globs over them.
    include_hidden_topics
        Also take topics with a name token that starts with an underscore. A hidden topic
        given by its full name is taken in any case.

    Raises
    ------
    InvalidArgumentError
        A regular expression does not compile.
    """

    topics: Sequence[str] = ()
    regex: str = ''
    topic_types: Sequence[str] = ()
    exclude_topics: Sequence[str] = ()
    exclude_regex: str = ''
    exclude_topic_types: Sequence[str] = ()
    include_hidden_topics: bool = False
    _include: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _exclude: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, '_include', _compile('regex', self.regex))
        object.__setattr__(self, '_exclude', _compile('exclude_regex', self.exclude_regex))

    @property
    def takes_everything(self) -> bool:
        """True if no include rule narrows the choice."""
        return not (self.topics or self.regex or self.topic_types)

    def exact_names(self) -> tuple[str, ...]:
        """Return the full names asked for, to report those that never appeared."""
        return tuple(name for name in self.topics if not is_glob(name))

    def verdict(self, name: str, topic_type: str) -> Verdict:
        """Decide about one topic."""
        taken_by = self._taken_by(name, topic_type)
        if taken_by is None:
            return Verdict(False, 'not asked for')
        if pattern := _matches(topic_type, self.exclude_topic_types):
            return Verdict(False, f'its type is excluded by exclude_topic_types {pattern!r}')
        if pattern := _matches(name, self.exclude_topics):
            return Verdict(False, f'excluded by exclude_topics {pattern!r}')
        if self._exclude is not None and self._exclude.search(name):
            return Verdict(False, f'excluded by exclude_regex {self.exclude_regex!r}')
        if is_hidden(name) and not self.include_hidden_topics and name not in self.topics:
            return Verdict(False, 'hidden; set include_hidden_topics to record it')
        return Verdict(True, taken_by)

    def _taken_by(self, name: str, topic_type: str) -> str | None:
        if self.takes_everything:
            return 'every topic is asked for'
        if pattern := _matches(name, self.topics):
            return f'topics {pattern!r}'
        if self._include is not None and self._include.search(name):
            return f'regex {self.regex!r}'
        if pattern := _matches(topic_type, self.topic_types):
            return f'topic_types {pattern!r}'
        return None
