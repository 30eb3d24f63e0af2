"""Watch the graph: which topics to take, with which quality of service, and what is missing."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.drain import DrainLoop, Tap
from mosaico_ros.nodes.inbox import Inbox
from mosaico_ros.nodes.latch_cache import LatchCache
from mosaico_ros.nodes.message_types import message_class
from mosaico_ros.nodes.qos_policy import Offer, choose, queue_depth
from mosaico_ros.nodes.qos_profiles import profile
from mosaico_ros.nodes.topic_selection import TopicSelection, action_of, service_of
from mosaico_ros.protocol.errors import NotFoundError

Log = Callable[[str], None]

# How often the graph is looked at, as a part of the configured period, while it still changes.
_EAGER = 0.2
_QUIET_LOOKS = 25
# Every so many looks all endpoints of every topic are compared, and missing types tried again.
_THOROUGH = 10
# A subscription that no publisher needs is kept so long, seconds: the others have found their
# publishers by then, so that nothing falls between them.
_OVERLAP = 10.0


@dataclass(frozen=True)
class DiscoveryRules:
    """What Discovery goes by, beside the selection.

    Attributes
    ----------
    period
        Seconds between two looks at a quiet graph.
    once
        Whether topics are only looked for until the graph has been quiet for some looks.
    include_unpublished_topics
        Whether topics are subscribed to that have no publisher yet.
    ignore_leaf_topics
        Whether topics are left out that nobody else subscribes to.
    qos_overrides
        Profile by topic name, used as it is.
    """

    period: float
    once: bool = False
    include_unpublished_topics: bool = False
    ignore_leaf_topics: bool = False
    qos_overrides: Mapping[str, QoSProfile] = field(default_factory=dict)


@dataclass
class _Watched:
    inbox: Inbox
    message_class: type[Any]
    override: QoSProfile | None
    taps: dict[Offer, Tap] = field(default_factory=dict)
    changed: float = 0.0
    publishers: int = 0
    details: dict[str, Any] = field(default_factory=dict)


class Discovery:
    """Subscribe to what the selection takes, as it appears.

    Parameters
    ----------
    inbox
        Makes the inbox of a new topic.
    info, warn
        Where to say what happened.

    Attributes
    ----------
    settled
        Whether topics that appear are left alone; may be set.
    accounts
        By name of the topic.
    """

    def __init__(
        self,
        node: Node,
        selection: TopicSelection,
        rules: DiscoveryRules,
        drain: DrainLoop,
        latch: LatchCache,
        inbox: Callable[[TopicAccount], Inbox],
        *,
        info: Log,
        warn: Log,
    ) -> None:
        self._node = node
        self._selection = selection
        self._rules = rules
        self._drain = drain
        self._latch = latch
        self._inbox = inbox
        self._info = info
        self._warn = warn
        self._refused: set[tuple[str, str]] = set()
        self._watched: dict[str, _Watched] = {}
        self._without_type: dict[str, str] = {}
        self._quiet = 0
        self._looks = 0
        self._once = rules.once
        self.settled = False
        self.accounts: dict[str, TopicAccount] = {}

    @property
    def pause(self) -> float:
        """Seconds until the next look: short while topics still appear."""
        return self._rules.period * (_EAGER if self._quiet < _QUIET_LOOKS else 1.0)

    @property
    def topics(self) -> list[str]:
        """Names of the topics that are subscribed to, sorted."""
        return sorted(self._watched)

    def topic_details(self, name: str) -> dict[str, Any]:
        """Return what is known of a topic beyond its type, for the topic's metadata."""
        watched = self._watched.get(name)
        return dict(watched.details) if watched is not None else {}

    def look(self) -> None:
        """Look at the graph once and subscribe to what is new."""
        changed = False
        thorough = self._looks % _THOROUGH == 0
        if self._looks == 0:
            for name, topic_type in self._selection.static_topics:
                self._subscribe(name, [topic_type], [])
        self._looks += 1
        if thorough:
            self._try_types_again()
            for watched in self._watched.values():
                self._look_again(watched, thorough)
        for name, types in self._node.get_topic_names_and_types():
            watched_already = self._watched.get(name)
            if watched_already is not None:
                if not thorough:
                    self._look_again(watched_already, thorough)
                if len(types) > 1:
                    self._tell_of_types(name, types)
                continue
            if len(types) > 1:
                types = self._offered_types(name, types)
            if self.settled or (name, types[0]) in self._refused or name in self._without_type:
                continue
            verdict = self._selection.verdict(name, types[0])
            if not verdict.selected:
                self._refused.add((name, types[0]))
                continue
            changed |= self._appeared(name, types)
        self._quiet = 0 if changed else self._quiet + 1
        if self._once and self._quiet >= _QUIET_LOOKS:
            # Asked to look for topics later, it does so for good.
            self._once, self.settled = False, True

    def never_seen(self) -> list[str]:
        """Return the topics, services and actions asked for by name that nobody published."""
        seen = [
            name
            for name, account in self.accounts.items()
            if account.arrived or name not in self._watched or self._watched[name].publishers
        ]
        return self._selection.never_seen(seen)

    def _publishers(self, name: str) -> list[Any]:
        return self._of_others(self._node.get_publishers_info_by_topic(name))

    def _of_others(self, endpoints: list[Any]) -> list[Any]:
        return [
            info
            for info in endpoints
            if info.node_name != self._node.get_name()
            or info.node_namespace != self._node.get_namespace()
        ]

    def _offered_types(self, name: str, types: list[str]) -> list[str]:
        """Return the types that are published: somebody may only listen with another one."""
        offered = {info.topic_type for info in self._publishers(name)}
        return [each for each in types if each in offered] or types

    def _tell_of_types(self, name: str, types: list[str]) -> None:
        recorded = self.accounts[name].type
        for other in self._offered_types(name, types):
            if other != recorded and (name, other) not in self._refused:
                self._refused.add((name, other))
                self._warn(
                    f'{name} is published as {other}, too, of which nothing is recorded; '
                    f'recording {recorded}'
                )

    def _appeared(self, name: str, types: list[str]) -> bool:
        publishers = self._publishers(name) if self._node.count_publishers(name) else []
        if not publishers and not self._rules.include_unpublished_topics:
            return False  # somebody only listens; nothing to match and nothing to record
        if self._rules.ignore_leaf_topics and not self._of_others(
            self._node.get_subscriptions_info_by_topic(name)
        ):
            return False
        return self._subscribe(name, types, publishers)

    def _subscribe(self, name: str, types: list[str], publishers: list[Any]) -> bool:
        topic_type = types[0]
        account = self.accounts.setdefault(name, TopicAccount(name, topic_type))
        try:
            cls = message_class(topic_type)
        except NotFoundError as error:
            if name not in self._without_type:
                self._warn(f'not recording {name}: {error}')
            self._without_type[name] = topic_type
            account.problem = str(error)
            return False
        account.problem = ''
        override = self._rules.qos_overrides.get(name)
        watched = _Watched(self._inbox(account), cls, override)
        try:
            self._tap(watched, publishers)
        except RuntimeError as error:  # what rclpy's RCLError is
            self._refused.add((name, topic_type))
            account.problem = f'cannot subscribe to {name} as {topic_type}: {error}'
            self._warn(f'not recording {name}: {account.problem}')
            return False
        self._watched[name] = watched
        self._info(f'recording {name} ({topic_type}; {_told(watched)})')
        return True

    def _try_types_again(self) -> None:
        if not self._without_type:
            return
        importlib.invalidate_caches()
        for name, topic_type in list(self._without_type.items()):
            publishers = self._publishers(name)
            if self._subscribe(name, [topic_type], publishers):
                del self._without_type[name]

    def _look_again(self, watched: _Watched, thorough: bool) -> None:
        name = watched.inbox.account.name
        # Counting is far cheaper than asking for all endpoints; only one publisher replaced by
        # another with other qualities escapes it, hence the thorough look now and then.
        if not thorough and self._node.count_publishers(name) == watched.publishers:
            return
        publishers = self._publishers(name)
        if publishers:
            before = set(watched.taps)
            self._tap(watched, publishers)
            if not before >= set(watched.taps):
                self._info(f'subscribed to {name} once more for a new publisher')

    def _tap(self, watched: _Watched, publishers: list[Any]) -> None:
        """Subscribe in every way that the publishers need, and describe them."""
        inbox = watched.inbox
        account = inbox.account
        watched.publishers = self._node.count_publishers(account.name) if publishers else 0
        self._describe(watched, publishers)
        if watched.override is not None:
            if not watched.taps:
                offer = _asked(watched.override)
                watched.taps[offer] = self._drain.add(
                    inbox, watched.message_class, watched.override, offer
                )
            return
        needed = choose([_offer(info) for info in publishers])
        now = time.monotonic()
        for offer in needed:
            if offer not in watched.taps:
                asked = profile(offer, queue_depth(account.type))
                watched.taps[offer] = self._drain.add(inbox, watched.message_class, asked, offer)
                watched.changed = now
                if len(watched.taps) > 1 and publishers and len(needed) > 1:
                    self._info(
                        f'the publishers of {account.name} offer different qualities of '
                        f'service; subscribed to each kind, repetitions are left out'
                    )
        if publishers and now - watched.changed > _OVERLAP:
            for offer in set(watched.taps) - set(needed):
                self._drain.remove(watched.taps.pop(offer))

    def _describe(self, watched: _Watched, publishers: list[Any]) -> None:
        account = watched.inbox.account
        if len(publishers) > 1:
            account.publications.several_publishers()
        latching = [info for info in publishers if _offer(info).transient_local]
        if latching:
            self._latch.describe(
                account,
                max(_depth(info) for info in latching),
                [bytes(info.endpoint_gid) for info in publishers if info not in latching],
            )
        watched.details = {
            **_part_of(account.name),
            'offered_qos': [_offered(info) for info in publishers],
            **_type_hash(publishers),
        }


def _told(watched: _Watched) -> str:
    told = ' and '.join(map(str, watched.taps))
    depth = next(iter(watched.taps.values())).depth
    return f'{told}, depth {depth}' + (' by qos_overrides_path' if watched.override else '')


def _asked(profile: QoSProfile) -> Offer:
    return Offer(
        reliable=profile.reliability == QoSReliabilityPolicy.RELIABLE,
        transient_local=profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


def _offer(info: Any) -> Offer:
    return _asked(info.qos_profile)


def _depth(info: Any) -> int:
    # Fast DDS does not tell it: history unknown, depth 0.
    profile = info.qos_profile
    return profile.depth if profile.history == QoSHistoryPolicy.KEEP_LAST else 1


def _part_of(name: str) -> dict[str, str]:
    action, service = action_of(name), service_of(name)
    if action is not None:
        return {'kind': 'action', 'action': action}
    if service is not None:
        return {'kind': 'service_event', 'service': service}
    return {}


def _offered(info: Any) -> dict[str, Any]:
    profile = info.qos_profile
    namespace = info.node_namespace.rstrip('/')
    return {
        'node': f'{namespace}/{info.node_name}',
        'reliability': profile.reliability.name.lower(),
        'durability': profile.durability.name.lower(),
        'depth': _depth(info),
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
