"""Adding topics to a sequence that exists."""

from __future__ import annotations

from mosaico_ros.client.handlers.base_session_writer import BaseSessionWriter

__all__ = ['SequenceUpdater']


class SequenceUpdater(BaseSessionWriter):
    """Adds a session to an existing sequence; never touches what other sessions wrote.

    If the block fails, ``SessionLevelErrorPolicy.Report`` keeps every row accepted until then and
    leaves a notification; ``Delete`` removes this session only. The error propagates either way.
    """

    def _begin(self) -> None:
        """Nothing to prepare: the daemon refuses a session on an unknown sequence."""

    def _remove_sequence(self) -> None:
        """The sequence is not this writer's to remove."""
