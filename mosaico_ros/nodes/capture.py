"""Live topics as parcels: what to subscribe to, taking it, and the memory it may fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mosaico_ros.nodes.accounting import TopicReport
from mosaico_ros.nodes.discovery import Discovery
from mosaico_ros.nodes.drain import Budget, DrainLoop, FlushPolicy, supported
from mosaico_ros.nodes.parcel import Parcel
from mosaico_ros.nodes.topic_selection import TopicSelection, is_glob


class Capture:
    """The subscriptions of a node and the thread that empties them.

    Parameters
    ----------
    node
        The rclpy node to subscribe with.
    settings
        Checked values of a parameter table that holds those of capture.
    policy
        When the messages of a topic become a parcel.
    hand_over
        Called with each parcel in the taking thread; must not block.
    event
        Where to say what happened: ``event(text, warning=False)``.

    Raises
    ------
    InvalidArgumentError
        A setting is malformed.
    """

    def __init__(
        self,
        node: Any,
        settings: Mapping[str, Any],
        policy: FlushPolicy,
        hand_over: Callable[[Parcel], None],
        event: Callable[..., None],
    ) -> None:
        self.parked = settings['intake'] == 'drain' and supported()
        if settings['intake'] == 'drain' and not self.parked:
            event(
                'this rclpy does not let messages be taken without an executor; using callbacks',
                warning=True,
            )
        self._budget = Budget(int(settings['buffer_max_mb'] * 1_000_000))
        self._drain = DrainLoop(
            node,
            hand_over,
            policy,
            self._budget,
            settings['drain_period_ms'] / 1000,
            parked=self.parked,
        )
        self._discovery = Discovery(
            node,
            _selection(node, settings),
            self._drain,
            settings['discovery_period_sec'],
            info=event,
            warn=lambda text: event(text, warning=True),
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
    def failure(self) -> BaseException | None:
        """Why the taking stopped by itself, or None."""
        return self._drain.failure

    def start(self) -> None:
        """Start taking."""
        self._drain.start()

    def look(self) -> None:
        """Look at the graph once and subscribe to what is new."""
        self._discovery.look()

    def release(self, size: int) -> None:
        """Say that the memory of so many bytes of payload is free again."""
        self._budget.released += size

    def topic_details(self, name: str) -> dict[str, Any]:
        """Return what the graph says about a topic's publishers, for the topic's metadata."""
        return self._discovery.topic_details(name)

    def reports(self) -> list[TopicReport]:
        """Return the account of every topic."""
        return [account.report() for account in list(self._discovery.accounts.values())]

    def never_seen(self) -> list[str]:
        """Return the topics asked for by name that have not appeared."""
        return self._discovery.never_seen()

    def finish(self, patience: float) -> None:
        """Stop, take what is still on its way (at most `patience` seconds) and hand it over."""
        self._drain.finish(patience)

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._drain.close()


def _selection(node: Any, settings: Mapping[str, Any]) -> TopicSelection:
    def resolved(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name if is_glob(name) else node.resolve_topic_name(name) for name in names)

    return TopicSelection(
        topics=resolved(settings['topics']),
        regex=settings['regex'],
        topic_types=settings['topic_types'],
        exclude_topics=resolved(settings['exclude_topics']),
        exclude_regex=settings['exclude_regex'],
        exclude_topic_types=settings['exclude_topic_types'],
        include_hidden_topics=settings['include_hidden_topics'],
    )
