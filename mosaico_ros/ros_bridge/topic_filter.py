"""Choosing topics by name patterns."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


class TopicFilter:
    """Patterns applied in order, as in a ``.gitignore``.

    ``*`` and ``?`` are wildcards; a pattern with ``!`` in front removes. A list that begins with a
    removal starts from all topics, any other from none; no list at all takes everything. The
    leading slash of a topic may be left away.
    """

    def __init__(self, patterns: Sequence[str] | None) -> None:
        self._patterns = list(patterns or [])
        self._used: set[str] = set()

    def __call__(self, topic: str) -> bool:
        """Whether the topic is chosen."""
        if not self._patterns:
            return True
        only_removals = all(pattern.startswith('!') for pattern in self._patterns)
        chosen = only_removals or self._patterns[0].startswith('!')
        for pattern in self._patterns:
            if self._matches(pattern, topic):
                self._used.add(pattern)
                chosen = not pattern.startswith('!')
        return chosen

    @property
    def unused(self) -> list[str]:
        """Patterns that matched none of the topics seen so far."""
        return [pattern for pattern in self._patterns if pattern not in self._used]

    @staticmethod
    def _matches(pattern: str, topic: str) -> bool:
        pattern = pattern.removeprefix('!')
        return fnmatchcase(topic, pattern) or fnmatchcase(topic.lstrip('/'), pattern)
