"""Live topics as parcels: what to subscribe to, taking it, and the memory it may fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.exceptions import NameValidationException

from mosaico_ros.nodes.accounting import TopicAccount, TopicReport
from mosaico_ros.nodes.budget import Budget
from mosaico_ros.nodes.discovery import Discovery, DiscoveryRules
from mosaico_ros.nodes.drain import DrainLoop, supported
from mosaico_ros.nodes.inbox import FlushPolicy, Inbox
from mosaico_ros.nodes.latch_cache import LatchCache
from mosaico_ros.nodes.parcel import Bundle, Parcel
from mosaico_ros.nodes.per_topic import PerTopic, Throttle
from mosaico_ros.nodes.qos_overrides import read_qos_overrides
from mosaico_ros.nodes.topic_selection import TopicSelection, is_glob, static_topics
from mosaico_ros.protocol.errors import InvalidArgumentError


class Capture:
    """The subscriptions of a node and the thread that empties them.

    With ``use_sim_time`` nothing is subscribed to before the first ``/clock``. The time axis is
    the middleware's receive stamp in any case; the ROS clock goes beside it.

    Parameters
    ----------
    node
        The rclpy node to subscribe with.
    settings
        Checked values of a parameter table that holds those of capture.
    policy
        When the messages of a topic become a parcel.
    hand_over
        Called with parcels: with one, in the taking thread, or after `flush` with those of several
        topics. Must not block. Whoever gets a parcel calls `release` with its size.
    event
        Where to say what happened: ``event(text, warning=False)``.

    Raises
    ------
    InvalidArgumentError
        A setting is malformed, or contradicts another.
    """

    def __init__(
        self,
        node: Any,
        settings: Mapping[str, Any],
        policy: FlushPolicy,
        hand_over: Callable[[Bundle], None],
        event: Callable[..., None],
    ) -> None:
        self.parked = settings['intake'] == 'drain' and supported()
        if settings['intake'] == 'drain' and not self.parked:
            event(
                'this rclpy does not let messages be taken without an executor; using callbacks',
                warning=True,
            )
        self._event = event
        self._latch = LatchCache()
        self._budget = Budget(int(settings['buffer_max_mb'] * 1_000_000))
        self._max_hz = PerTopic(
            'topic_max_hz', settings['topic_max_hz'], float, resolve=_resolver(node), low=0.0
        )
        self._priorities = PerTopic(
            'topic_priority', settings['topic_priority'], int, resolve=_resolver(node)
        )
        selection = _selection(node, settings)
        path = settings['qos_overrides_path']
        rules = DiscoveryRules(
            settings['discovery_period_sec'],
            once=settings['discovery'] == 'once',
            include_unpublished_topics=settings['include_unpublished_topics'],
            ignore_leaf_topics=settings['ignore_leaf_topics'],
            qos_overrides=read_qos_overrides(path) if path else {},
        )
        self._drain = DrainLoop(
            node,
            hand_over,
            policy,
            self._budget,
            settings['drain_period_ms'] / 1000,
            parked=self.parked,
            sim_time=node.get_parameter('use_sim_time').value,
        )
        self._discovery = Discovery(
            node,
            selection,
            rules,
            self._drain,
            self._latch,
            self._inbox,
            info=event,
            warn=lambda text: event(text, warning=True),
        )
        self._waiting_for_clock = False
        self._odd_said = False

    def _inbox(self, account: TopicAccount) -> Inbox:
        max_hz = self._max_hz.of(account.name)
        return Inbox(
            account,
            self._budget,
            self._latch,
            priority=self.priority(account.name),
            throttle=Throttle(max_hz) if max_hz is not None else None,
        )

    @property
    def pause(self) -> float:
        """Seconds until the next `look`."""
        return self._discovery.pause

    @property
    def pending_bytes(self) -> int:
        """Bytes taken from the middleware and not yet released."""
        return self._budget.pending

    @property
    def peak_bytes(self) -> int:
        """Most bytes that were ever pending."""
        return self._budget.peak

    @property
    def failure(self) -> BaseException | None:
        """Why the taking stopped by itself, or None."""
        return self._drain.failure

    @property
    def paused(self) -> bool:
        """Tell whether messages are taken and thrown away."""
        return self._drain.paused

    def start(self) -> None:
        """Start taking."""
        self._drain.start()

    def look(self) -> None:
        """Look at the graph once, subscribe to what is new, and say what has happened."""
        clock = self._drain.clock
        if clock is not None and not clock.started:
            if not self._waiting_for_clock:
                self._event('waiting for /clock, because use_sim_time is set')
            self._waiting_for_clock = True
            return
        self._discovery.look()
        self._tell()

    def _tell(self) -> None:
        while self._budget.changes:
            text, worse = self._budget.changes.popleft()
            self._event(text, warning=worse)
        if self._odd_said:
            return
        odd = [account.name for account in self._accounts() if account.odd_stamps]
        if odd:
            self._odd_said = True
            self._event(
                f'messages of {", ".join(odd[:3])}{" and others" if len(odd) > 3 else ""} carry '
                "stamps more than a day away from the system's clock; where that is the receive "
                'stamp the time axis is the system clock instead',
                warning=True,
            )

    def pause_taking(self) -> None:
        """Throw away what comes from now on, counted; latched messages are kept for later."""
        self._drain.pause(True)

    def resume_taking(self) -> None:
        """Keep what comes from now on, after the latched messages that came in between."""
        self._drain.pause(False)
        self._drain.hand_again(self._latch.parcels(missed=True))

    def latched(self) -> list[Parcel]:
        """Return the last messages of every latched topic, per publisher, as it stands.

        Their stamps are those under which they were captured, ``ros_latched`` is true, and their
        memory is not charged: they are not to be released.
        """
        return self._latch.parcels()

    def cut(self, then: Callable[[list[Parcel]], None]) -> None:
        """Divide what is captured in two.

        Everything taken so far is handed over, then `then` is called with the latched messages
        as they stand, before any later message is handed over. It must not block.
        """
        self._drain.settled(lambda: then(self._latch.parcels()))

    def flush(self, then: Callable[[], None]) -> None:
        """Hand everything taken so far over, then call `then`, which must not block.

        Unlike those of `cut`, parcels of topics with little news share their memory.
        """
        self._drain.flush(then)

    def release(self, size: int) -> None:
        """Say that the memory of so many bytes of parcels is free again."""
        self._budget.release(size)

    def metadata(self) -> dict[str, Any]:
        """Return what to note with a recording about its stamps."""
        return {
            'time_axis': 'receive stamp of the middleware, in order of delivery',
            'ros_clock': '/clock' if self._drain.clock is not None else 'system',
        }

    @property
    def topics(self) -> list[str]:
        """Names of the topics that are subscribed to, sorted."""
        return self._discovery.topics

    @property
    def looks_for_topics(self) -> bool:
        """Whether topics that appear are subscribed to; may be set."""
        return not self._discovery.settled

    @looks_for_topics.setter
    def looks_for_topics(self, looking: bool) -> None:
        self._discovery.settled = not looking

    def priority(self, name: str) -> int:
        """Return how late a topic is shed."""
        return self._priorities.of(name) or 0

    def topic_details(self, name: str) -> dict[str, Any]:
        """Return what the graph says about a topic's publishers, for the topic's metadata."""
        return self._discovery.topic_details(name)

    def reports(self) -> list[TopicReport]:
        """Return the account of every topic."""
        return [account.report() for account in self._accounts()]

    def _accounts(self) -> list[TopicAccount]:
        return list(self._discovery.accounts.values())

    def diagnostics(self) -> dict[str, str]:
        """Return what to publish on ``/diagnostics``: the whole, then each topic."""
        reports = self.reports()
        values: dict[str, Any] = {
            'topics': len(reports),
            'paused': self.paused,
            'memory_stage': self._budget.stage.name.lower(),
            'memory_bytes': self._budget.pending,
            'memory_peak_bytes': self._budget.peak,
            'memory_limit_bytes': self._budget.limit,
            'latched_bytes': self._latch.size,
        }
        for name in ('received', 'stored', 'throttled', 'thinned', 'dropped', 'malformed'):
            values[name] = sum(getattr(report, name) for report in reports)
        losses = [report.lost for report in reports]
        values['lost'] = sum(lost or 0 for lost in losses)
        values['topics_with_unknown_loss'] = losses.count(None)
        for report in reports:
            lost = 'unknown' if report.lost is None else report.lost
            values[report.name] = report.problem or (
                f'received {report.received}, stored {report.stored}, lost {lost}, '
                f'throttled {report.throttled}, thinned {report.thinned}, '
                f'dropped {report.dropped}, malformed {report.malformed}'
            )
        return {name: str(value) for name, value in values.items()}

    def never_seen(self) -> list[str]:
        """Return the topics, services and actions asked for by name that have not appeared."""
        return self._discovery.never_seen()

    def finish(self, patience: float) -> None:
        """Stop, take what is still on its way (at most `patience` seconds) and hand it over."""
        self._drain.finish(patience)
        self._tell()

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._drain.close()


def full_name(resolve: Callable[[str], str], name: str) -> str:
    """Complete a name that a parameter gives; globs stay.

    Parameters
    ----------
    resolve
        ``resolve_topic_name`` or ``resolve_service_name`` of the node.

    Raises
    ------
    InvalidArgumentError
        ROS allows no such name.
    """
    if is_glob(name):
        return name
    try:
        return resolve(name)
    except (RuntimeError, NameValidationException) as error:  # RCLError is the former
        raise InvalidArgumentError(
            f'{name!r} is no name in ROS: {str(error).partition(", at /")[0]}',
            remedy='write names like /camera/image, globs like /camera/*',
        ) from error


def _resolver(node: Any) -> Callable[[str], str]:
    return partial(full_name, node.resolve_topic_name)


def _selection(node: Any, settings: Mapping[str, Any]) -> TopicSelection:
    def resolved(parameter: str) -> tuple[str, ...]:
        resolve = node.resolve_service_name if 'services' in parameter else node.resolve_topic_name
        names: Sequence[str] = settings[parameter]
        return tuple(full_name(resolve, name) for name in names)

    return TopicSelection(
        topics=resolved('topics'),
        all_topics=settings['all_topics'],
        regex=settings['regex'],
        topic_types=settings['topic_types'],
        services=resolved('services'),
        all_services=settings['all_services'],
        actions=resolved('actions'),
        all_actions=settings['all_actions'],
        static_topics=static_topics(settings['static_topics']),
        exclude_topics=resolved('exclude_topics'),
        exclude_regex=settings['exclude_regex'],
        exclude_topic_types=settings['exclude_topic_types'],
        exclude_services=resolved('exclude_services'),
        exclude_actions=resolved('exclude_actions'),
        include_hidden_topics=settings['include_hidden_topics'],
    )
