"""Spans of time in bodies."""

from __future__ import annotations

from dataclasses import dataclass

from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['TimeRange', 'check_window']


@dataclass(frozen=True)
class TimeRange:
    """A span of ``timestamp_ns``; whether the end counts is said where it is used."""

    start_ns: int
    end_ns: int


def check_window(start_ns: int | None, end_ns: int | None) -> None:
    """Check that a half-open window is not empty.

    Raises
    ------
    InvalidArgumentError
        If both bounds are given and start >= end.

    """
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise InvalidArgumentError(
            f'The window [{start_ns}, {end_ns}) is empty',
            remedy='The end is exclusive and must be after the start.',
        )
