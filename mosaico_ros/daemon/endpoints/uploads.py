"""Uploads: one DoPut stream becomes one upload of the archive."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.calls import Descriptor
from mosaico_ros.protocol import codec, flights, shapes
from mosaico_ros.protocol.errors import AbortedError, FailedPreconditionError, InvalidArgumentError

__all__ = ['UploadPut', 'put_command']


def put_command(descriptor: Descriptor) -> flights.PutCommand:
    """Read the descriptor of a DoPut.

    Raises
    ------
    InvalidArgumentError
        It is no command, or its JSON lacks a field.

    """
    if descriptor.command is None:
        raise InvalidArgumentError(
            'The descriptor is a path',
            remedy='Send a command: {"resource_locator": "...", "topic_uuid": "..."}.',
        )
    body = codec.decode_object(descriptor.command, 'the descriptor')
    return shapes.from_json(flights.PutCommand, body, 'the descriptor')


class UploadPut:
    """The :class:`mosaico_ros.daemon.calls.Put` of the archive.

    Parameters
    ----------
    archive
        Where the rows go.
    command
        Which topic, and whether the client wants acknowledgements (and so marks the end).
    schema
        The announced schema.
    send
        Takes acknowledgements for the client; may be called by any thread.

    """

    def __init__(
        self,
        archive: Archive,
        command: flights.PutCommand,
        schema: pa.Schema,
        send: Callable[[bytes], None],
    ) -> None:
        self.acknowledges = command.acks
        self.ended = False
        self._locator = command.resource_locator
        self._expected_rows: int | None = None

        def acknowledge(durable_rows: int) -> None:
            send(codec.encode(shapes.to_json(flights.PutAck(durable_rows))))

        self._upload = archive.begin_upload(
            command.resource_locator,
            str(command.topic_uuid),
            schema,
            acknowledge if command.acks else None,
        )

    def append(self, batch: pa.RecordBatch | None, app_metadata: bytes) -> None:
        """Take a batch and what the client says about it."""
        if self.ended:
            raise FailedPreconditionError(
                f'The upload of {self._locator} goes on behind its end marker'
            )
        if batch is not None and batch.num_rows:
            self._upload.append(batch)
        # Other clients may put anything there; only ours has asked for acknowledgements.
        if app_metadata and self.acknowledges:
            body = codec.decode_object(app_metadata, 'the app_metadata of an upload message')
            mark = shapes.from_json(flights.PutMark, body, 'the app_metadata')
            if mark.commit:
                # The acknowledgement follows when it is durable; the stream goes on meanwhile.
                self._upload.cut()
            if mark.end:
                self.ended, self._expected_rows = True, mark.rows

    def settle(self) -> None:
        """Make durable what has arrived; refuse streams that lack their announced end."""
        if self.acknowledges and not self.ended:
            raise AbortedError(
                f'The upload of {self._locator} ended without its end marker',
                remedy='The topic keeps what was received and is marked as interrupted.',
            )
        self._upload.commit()

    def finish(self) -> None:
        """Complete the upload; the topic is locked afterwards."""
        self._upload.finish(self._expected_rows)

    def interrupt(self, reason: str) -> None:
        """Seal the topic as interrupted, with every row that has arrived."""
        self._upload.abort(reason, keep_received=True)
