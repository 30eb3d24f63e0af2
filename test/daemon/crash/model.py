"""What an archive has promised, read from the facts that it told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ['Model', 'Session', 'Topic']


@dataclass
class Session:
    """A session that was returned."""

    uuid: str
    locator: str
    finalized: bool = False

    @property
    def sequence(self) -> str:
        return self.locator.partition(':')[0]


@dataclass
class Topic:
    """A topic that was created; `durable` is the highest acknowledged count."""

    session: str
    stride: int
    begun: bool = False
    durable: int = 0
    locked: bool = False


@dataclass
class Model:
    """Everything that was acknowledged, and the one call that may have happened or not."""

    sequences: set[str] = field(default_factory=set)
    sessions: dict[str, Session] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)
    doing: tuple[str, Any] = ('', None)

    @classmethod
    def of(cls, facts: list[tuple[str, Any]]) -> Model:
        """Return what facts promise."""
        model = cls()
        for verb, argument in facts:
            if verb == 'durable':
                name, rows = argument
                if name in model.topics:
                    assert rows > model.topics[name].durable, 'acknowledged twice'
                    model.topics[name].durable = rows
            elif verb == 'done':
                getattr(model, f'_{model.doing[0]}')(model.doing[1], argument)
                model.doing = ('', None)
            else:
                assert not model.doing[0]
                model.doing = (verb, argument)
        return model

    def may_be_gone(self, kind: str) -> set[str]:
        """Return the names of a kind that the last call may have deleted."""
        verb, target = self.doing
        after = Model(
            set(self.sequences), dict(self.sessions), dict(self.topics), dict(self.notes)
        )
        if verb.startswith('delete_'):
            getattr(after, f'_{verb}')(target, None)
        return set(getattr(self, kind)) - set(getattr(after, kind))

    def may_be_new(self, kind: str) -> set[str]:
        """Return the names that the last call may have created."""
        verb, target = self.doing
        if (verb, kind) == ('create_topic', 'topics'):
            return {target[0]}
        return {target} if (verb, kind) == ('create_sequence', 'sequences') else set()

    def _create_sequence(self, name: str, _: Any) -> None:
        self.sequences.add(name)

    def _create_session(self, _: str, result: list[str]) -> None:
        uuid, locator = result
        self.sessions[uuid] = Session(uuid, locator)

    def _create_topic(self, argument: tuple[str, str, int], _: Any) -> None:
        name, session, stride = argument
        self.topics[name] = Topic(session, stride)

    def _begin(self, name: str, _: Any) -> None:
        self.topics[name].begun = True

    def _finish(self, name: str, _: Any) -> None:
        self.topics[name].locked = True

    def _finalize(self, uuid: str, _: Any) -> None:
        self.sessions[uuid].finalized = True

    def _delete_sequence(self, name: str, _: Any) -> None:
        self.sequences.discard(name)
        for uuid, session in list(self.sessions.items()):
            if session.sequence == name:
                self._delete_session(uuid, None)
        self.notes.pop(name, None)

    def _delete_session(self, uuid: str, _: Any) -> None:
        del self.sessions[uuid]
        for name in [n for n, topic in self.topics.items() if topic.session == uuid]:
            self._delete_topic(name, None)

    def _delete_topic(self, name: str, _: Any) -> None:
        del self.topics[name]
        self.notes.pop(name, None)

    def _notify(self, argument: tuple[str, str], _: Any) -> None:
        target, message = argument
        self.notes.setdefault(target, []).append(message)

    def _purge(self, target: str, _: Any) -> None:
        self.purged.update(self.notes.pop(target, []))

    def _routine(self, _: str, __: Any) -> None:
        pass
