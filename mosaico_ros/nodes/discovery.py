"""Watch the graph: which topics to record, with which quality of service, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.drain import DrainLoop, Inbox, Tap
from mosaico_ros.nodes.message_types import message_class
from mosaico_ros.nodes.qos_policy import Offer, QosChoice, choose
from mosaico_ros.nodes.topic_selection import TopicSelection
from mosaico_ros.protocol.errors import NotFoundError

Log = Callable[[str], None]

# How often the graph is looked at, as a part of the configured period, while it still changes.
_EAGER = 0.2
_QUIET_LOOKS = 25
# Every so many looks all endpoints of every topic are compared.
_THOROUGH = 10


@dataclass
class _Watched:
    tap: Tap
    message_class: type[Any]
    publishers: int = 0
    details: dict[str, Any] = field(default_factory=dict)


class Discovery:
    """Subscribe to what the selection takes, as it appears.

    Parameters
    ----------
    period
        Seconds between two looks at a quiet graph.
    info, warn
        Where to say what happened.
    """

    def __init__(
        self,
        node: Node,
        selection: TopicSelection,
        drain: DrainLoop,
        period: float,
        *,
        info: Log,
        warn: Log,
    ) -> None:
        self._node = node
        self._selection = selection
        self._drain = drain
        self._period = period
        self._info = info
        self._warn = warn
        self._refused: set[tuple[str, str]] = set()
        self._watched: dict[str, _Watched] = {}
        self._quiet = 0
        self._looks = 0
        self.accounts: dict[str, TopicAccount] = {}

    @property
    def pause(self) -> float:
        """Seconds until the next look: short while topics still appear."""
        return self._period * (_EAGER if self._quiet < _QUIET_LOOKS else 1.0)

    def topic_details(self, name: str) -> dict[str, Any]:
        """Return what the graph says about a topic's publishers, for the topic's metadata."""
        watched = self._watched.get(name)
        return dict(watched.details) if watched is not None else {}

    def look(self) -> None:
        """Look at the graph once and subscribe to what is new."""
        changed = False
        self._looks += 1
        for name, types in self._node.get_topic_names_and_types():
            watched = self._watched.get(name)
            if watched is not None:
                self._look_again(watched)
                continue
            if (name, types[0]) in self._refused:
                continue
            verdict = self._selection.verdict(name, types[0])
            if not verdict.selected:
                self._refused.add((name, types[0]))
                continue
            changed |= self._subscribe(name, types)
        self._quiet = 0 if changed else self._quiet + 1

    def never_seen(self) -> list[str]:
        """Return the topics asked for by name that have not appeared."""
        return [name for name in self._selection.exact_names() if name not in self.accounts]

    def _publishers(self, name: str) -> list[Any]:
        return [
            info
            for info in self._node.get_publishers_info_by_topic(name)
            if info.node_name != self._node.get_name()
            or info.node_namespace != self._node.get_namespace()
        ]

    def _subscribe(self, name: str, types: list[str]) -> bool:
        publishers = self._publishers(name)
        if not publishers:
            return False  # somebody only listens; nothing to match and nothing to record
        topic_type = types[0]
        account = self.accounts[name] = TopicAccount(name, topic_type)
        try:
            cls = message_class(topic_type)
        except NotFoundError as error:
            self._refused.add((name, topic_type))
            account.problem = str(error)
            self._warn(f'not recording {name}: {error}')
            return False
        if len(types) > 1:
            self._warn(
                f'{name} has publishers of several types ({", ".join(types)}); '
                f'recording {topic_type}'
            )
        choice = choose([_offer(info) for info in publishers], topic_type)
        tap = self._drain.add(Inbox(account), cls, choice)
        watched = self._watched[name] = _Watched(tap, cls)
        watched.publishers = len(publishers)
        self._describe(watched, publishers)
        self._info(f'recording {name} ({topic_type}; {choice})')
        if choice.mixed:
            self._warn_mixed(name, choice)
        return True

    def _look_again(self, watched: _Watched) -> None:
        tap = watched.tap
        name = tap.inbox.account.name
        # Counting is far cheaper than asking for all endpoints; only one publisher replaced by
        # another with other qualities escapes it, hence the thorough look now and then.
        count = self._node.count_publishers(name)
        if count == watched.publishers and self._looks % _THOROUGH:
            return
        watched.publishers = count
        publishers = self._publishers(name)
        if not publishers:
            return
        choice = choose([_offer(info) for info in publishers], tap.inbox.account.type)
        if choice.weaker_than(tap.qos):
            # A later publisher offers less: with what was asked for it would never be heard.
            watched.tap = self._drain.replace(tap, watched.message_class, choice)
            self._info(f'subscribed to {name} again for a new publisher: {choice}')
            self._warn_mixed(name, choice)
        self._describe(watched, publishers)

    def _warn_mixed(self, name: str, choice: QosChoice) -> None:
        self._warn(
            f'the publishers of {name} offer different qualities of service; subscribed as '
            f'{choice}, so that all are heard, without the guarantees that only some offer'
        )

    def _describe(self, watched: _Watched, publishers: list[Any]) -> None:
        if len(publishers) > 1:
            watched.tap.inbox.account.gaps.several_publishers()
        watched.details = {
            'offered_qos': [_offered(info) for info in publishers],
            **_type_hash(publishers),
        }


def _offer(info: Any) -> Offer:
    profile = info.qos_profile
    return Offer(
        reliable=profile.reliability == QoSReliabilityPolicy.RELIABLE,
        transient_local=profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


def _offered(info: Any) -> dict[str, Any]:
    profile = info.qos_profile
    namespace = info.node_namespace.rstrip('/')
    return {
        'node': f'{namespace}/{info.node_name}',
        'reliability': profile.reliability.name.lower(),
        'durability': profile.durability.name.lower(),
        'deadline_ns': profile.deadline.nanoseconds,
        'lifespan_ns': profile.lifespan.nanoseconds,
        'liveliness': profile.liveliness.name.lower(),
    }


def _type_hash(publishers: list[Any]) -> dict[str, str]:
    # Iron and newer; Humble's discovery carries none.
    for info in publishers:
        value = getattr(info, 'topic_type_hash', None)
        if value is not None:
            return {'type_hash': str(value)}
    return {}
