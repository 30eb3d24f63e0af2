"""What a user has noted with all that a node writes: the parameter `metadata`."""

from __future__ import annotations

import json
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['user_metadata']


def user_metadata(text: str) -> dict[str, Any]:
    """Read the `metadata` parameter.

    Raises
    ------
    InvalidArgumentError
        It is not a JSON object.
    """
    if not text:
        return {}
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(f'metadata is not JSON: {error}') from error
    if not isinstance(content, dict):
        raise InvalidArgumentError(f'metadata must be a JSON object, not {text!r}')
    return content
