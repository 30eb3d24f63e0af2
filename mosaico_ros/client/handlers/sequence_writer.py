"""Writing a new sequence."""

from __future__ import annotations

from typing import Any

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.enums import SessionLevelErrorPolicy, SessionStatus
from mosaico_ros.client.handlers.base_session_writer import (
    BaseSessionWriter,
    check_user_metadata,
)
from mosaico_ros.protocol.locators import SequenceLocator

__all__ = ['SequenceWriter']


class SequenceWriter(BaseSessionWriter):
    """Creates a sequence when its ``with`` block begins, and completes it when the block ends.

    If the block fails, ``SessionLevelErrorPolicy.Report`` keeps every row accepted until then and
    leaves a notification; ``Delete`` removes the sequence. The error propagates either way.
    """

    def __init__(
        self,
        connection: Connection,
        sequence: SequenceLocator,
        metadata: dict[str, Any],
        on_error: SessionLevelErrorPolicy,
        token: str | None = None,
    ) -> None:
        super().__init__(connection, sequence, on_error, token)
        self._metadata = check_user_metadata(metadata)

    @property
    def status(self) -> SessionStatus:
        """Where the sequence stands; the same as :attr:`session_status`."""
        return self._status

    def _begin(self) -> None:
        self._connection.create(
            'sequence_create',
            {'locator': str(self._sequence), 'user_metadata': self._metadata},
            token=self._token,
        )

    def _remove_sequence(self) -> None:
        self._connection.action('sequence_delete', {'locator': str(self._sequence)})
