"""Which of the topics in the graph a node takes: topics, services and actions.

The rules are those of ``ros2 bag record``: a topic is taken if one of the include rules takes
it and no exclude rule refuses it. With no include rule at all, every visible topic is taken. Of
a service the events are taken that introspection publishes, of an action feedback, status and
the events of its three services.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mosaico_ros.protocol.errors import InvalidArgumentError

_SERVICE_EVENT = '/_service_event'
_ACTION = re.compile(
    r'(?P<action>.+)/_action/'
    r'(feedback|status|(send_goal|cancel_goal|get_result)/_service_event)'
)


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


def action_of(name: str) -> str | None:
    """Return the action that a topic belongs to, or None."""
    found = _ACTION.fullmatch(name)
    return found['action'] if found else None


def service_of(name: str) -> str | None:
    """Return the service whose events a topic carries, or None; those of actions do not count."""
    if name.endswith(_SERVICE_EVENT) and action_of(name) is None:
        return name[: -len(_SERVICE_EVENT)]
    return None


def matches(value: str, patterns: Sequence[str]) -> str | None:
    """Return the first name or glob that matches, or None."""
    for pattern in patterns:
        if value == pattern or (is_glob(pattern) and fnmatchcase(value, pattern)):
            return pattern
    return None


def compiled(parameter: str, pattern: str) -> re.Pattern[str] | None:
    """Compile the regular expression of a parameter; None if it is empty.

    Raises
    ------
    InvalidArgumentError
        It is none.
    """
    if not pattern:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidArgumentError(
            f'{parameter}: {pattern!r} is not a regular expression: {error}',
            remedy='escape the special characters with a backslash',
        ) from error


@dataclass(frozen=True)
class TopicSelection:
    """Rules that decide about a topic by its name and type.

    Parameters
    ----------
    topics, exclude_topics
        Full names (``/imu``) or globs (``/camera/*``; ``*`` also crosses ``/``).
    services, exclude_services, actions, exclude_actions
        The same for services and actions.
    all_topics, all_services, all_actions
        Take all of a kind; all visible topics are also taken where nothing is asked for.
    regex, exclude_regex
        Regular expressions searched anywhere in the name of a topic, service or action; empty
        means unused.
    topic_types, exclude_topic_types
        Types (``sensor_msgs/msg/Imu``) or globs over them.
    static_topics
        Full names subscribed to in any case, with their types.
    include_hidden_topics
        Also take topics with a name token that starts with an underscore. A hidden topic
        given by its full name, or by a glob that spells out such a token
        (``*/_action/status``), is taken in any case.

    Raises
    ------
    InvalidArgumentError
        A regular expression does not compile, or rules contradict each other.
    """

    topics: Sequence[str] = ()
    all_topics: bool = False
    regex: str = ''
    topic_types: Sequence[str] = ()
    services: Sequence[str] = ()
    all_services: bool = False
    actions: Sequence[str] = ()
    all_actions: bool = False
    static_topics: Sequence[tuple[str, str]] = ()
    exclude_topics: Sequence[str] = ()
    exclude_regex: str = ''
    exclude_topic_types: Sequence[str] = ()
    exclude_services: Sequence[str] = ()
    exclude_actions: Sequence[str] = ()
    include_hidden_topics: bool = False
    _include: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _exclude: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, '_include', compiled('regex', self.regex))
        object.__setattr__(self, '_exclude', compiled('exclude_regex', self.exclude_regex))
        for kind in ('topics', 'services', 'actions'):
            if getattr(self, f'all_{kind}') and getattr(self, kind):
                raise InvalidArgumentError(
                    f'all_{kind} takes what {kind} would choose from',
                    remedy=f'leave out {kind}, or all_{kind}',
                )
        if self.all_topics and (self.regex or self.topic_types):
            raise InvalidArgumentError(
                'all_topics takes what regex and topic_types would choose from',
                remedy='leave out regex and topic_types, or all_topics',
            )
        topics = self.takes_every_topic or any(map(is_glob, self.topics)) or self.topic_types
        services = self.all_services or any(map(is_glob, self.services))
        actions = self.all_actions or any(map(is_glob, self.actions))
        exclusions: tuple[tuple[str, object, str], ...] = (
            ('exclude_topics', topics, 'all_topics, topic_types, regex or a glob in topics'),
            ('exclude_topic_types', topics or services or actions, 'all_topics, regex or a glob'),
            ('exclude_regex', topics or services or actions, 'all_topics, regex or a glob'),
            ('exclude_services', services, 'all_services, regex or a glob in services'),
            ('exclude_actions', actions, 'all_actions, regex or a glob in actions'),
        )
        for parameter, broad, remedy in exclusions:
            if getattr(self, parameter) and not (broad or self.regex):
                raise InvalidArgumentError(
                    f'{parameter} has nothing to exclude from: only single names are asked for',
                    remedy=f'ask with {remedy}, or leave out {parameter}',
                )

    @property
    def takes_every_topic(self) -> bool:
        """True if every visible topic is asked for: explicitly, or because nothing else is."""
        narrowed = (
            self.topics or self.regex or self.topic_types or self.services or self.all_services
            or self.actions or self.all_actions or self.static_topics
        )  # fmt: skip
        return self.all_topics or not narrowed

    def never_seen(self, seen: Sequence[str]) -> list[str]:
        """Return the topics, services and actions asked for by name that are not among `seen`.

        `seen` holds names of topics. Services and actions are told as such.
        """
        found: dict[str, set[str | None]] = {
            'topic': set(seen),
            'service': set(map(service_of, seen)),
            'action': set(map(action_of, seen)),
        }
        asked = [
            *(('topic', name) for name in self.topics),
            *(('topic', name) for name, _ in self.static_topics),
            *(('service', name) for name in self.services),
            *(('action', name) for name in self.actions),
        ]
        return [
            name if kind == 'topic' else f'{kind} {name}'
            for kind, name in asked
            if not is_glob(name) and name not in found[kind]
        ]

    def verdict(self, name: str, topic_type: str) -> Verdict:
        """Decide about one topic."""
        action, service = action_of(name), service_of(name)
        taken_by = self._taken_as_part(action, service)
        if taken_by is None:
            taken_by = self._taken_as_topic(name, topic_type)
            if taken_by is None:
                return Verdict(False, 'not asked for')
            spelled_out = [pattern for pattern in self.topics if is_hidden(pattern)]
            hidden = is_hidden(name) and not self.include_hidden_topics
            if hidden and matches(name, spelled_out) is None:
                return Verdict(False, 'hidden; set include_hidden_topics to record it')
        for parameter, value in (
            ('exclude_topic_types', topic_type),
            ('exclude_topics', name),
            ('exclude_services', service),
            ('exclude_actions', action),
        ):
            if value is not None and (pattern := matches(value, getattr(self, parameter))):
                return Verdict(False, f'excluded by {parameter} {pattern!r}')
        if self._exclude is not None and self._exclude.search(action or service or name):
            return Verdict(False, f'excluded by exclude_regex {self.exclude_regex!r}')
        return Verdict(True, taken_by)

    def _taken_as_part(self, action: str | None, service: str | None) -> str | None:
        for kind, name in (('actions', action), ('services', service)):
            if name is None:
                continue
            if getattr(self, f'all_{kind}'):
                return f'all_{kind}'
            if pattern := matches(name, getattr(self, kind)):
                return f'{kind} {pattern!r}'
            if self._include is not None and self._include.search(name):
                return f'regex {self.regex!r}'
        return None

    def _taken_as_topic(self, name: str, topic_type: str) -> str | None:
        if self.takes_every_topic:
            return 'every topic is asked for'
        if pattern := matches(name, self.topics):
            return f'topics {pattern!r}'
        if self._include is not None and self._include.search(name):
            return f'regex {self.regex!r}'
        if pattern := matches(topic_type, self.topic_types):
            return f'topic_types {pattern!r}'
        return None


def static_topics(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read the ``static_topics`` parameter: ``/imu:sensor_msgs/msg/Imu``.

    Raises
    ------
    InvalidArgumentError
        An entry is not a full name and a type.
    """
    pairs = []
    for entry in entries:
        name, _, topic_type = entry.partition(':')
        if not name.startswith('/') or topic_type.count('/') != 2:
            raise InvalidArgumentError(
                f'static_topics: {entry!r} is not NAME:TYPE',
                remedy='write it like /imu:sensor_msgs/msg/Imu',
            )
        pairs.append((name, topic_type))
    return tuple(pairs)
