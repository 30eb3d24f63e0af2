"""News of the archive, posted to a subscriber."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from mosaico_ros.protocol.errors import UnavailableError

__all__ = ['post']

_TIMEOUT_S = 10


def post(url: str, news: dict[str, Any]) -> None:
    """Post news as JSON.

    Raises
    ------
    UnavailableError
        Unless the subscriber answers with a status of success. The URL, which may hold a
        secret, is not in the message.

    """
    request = urllib.request.Request(
        url, json.dumps(news).encode(), {'Content-Type': 'application/json'}, method='POST'
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return  # others than 2xx are raised
    except urllib.error.HTTPError as error:
        error.close()
        raise UnavailableError(f'The webhook answered {error.code}') from None
    except OSError as error:
        reason = getattr(error, 'reason', error)
        raise UnavailableError(f'The webhook does not answer: {reason}') from None
