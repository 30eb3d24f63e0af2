"""The envelope around answers of actions."""

from __future__ import annotations

from typing import Any

from mosaico_ros.protocol import codec


def seal(action: str, response: dict[str, Any] | None) -> bytes:
    """Return the body of one ``Result``: the action's name and its answer."""
    return codec.encode({'action': action, 'response': response})


def open_envelope(action: str, data: bytes) -> dict[str, Any] | None:
    """Return the answer inside an envelope, `None` if it is void or of another action.

    Raises
    ------
    InvalidArgumentError
        If the bytes are not a JSON object.

    """
    body = codec.decode_object(data, f'the answer of {action}')
    response = body.get('response')
    if body.get('action') != action or not isinstance(response, dict):
        return None
    return response
