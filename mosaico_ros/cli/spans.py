"""Times and spans of time as a person types them."""

from __future__ import annotations

import math
from typing import Any

import click

#: Times have 64 bits, so nothing comes after this one.
_LAST_NS = 2**63 - 1


def exclusive(last_ns: int | None) -> int | None:
    """End of a window, as the SDK takes it, whose last time a person has given."""
    return None if last_ns is None or last_ns >= _LAST_NS else last_ns + 1


class Seconds(click.FloatRange):
    """A span of at most a century: twice as many nanoseconds fit into 64 bits."""

    def __init__(self) -> None:
        super().__init__(min=0, max=3.2e9)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        seconds = super().convert(value, parameter, context)
        if math.isnan(seconds):
            self.fail(f'{value!r} is no number.', parameter, context)
        return seconds
