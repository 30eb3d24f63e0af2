"""Checks for adapters written per message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.adapter_base import ROSAdapterBase


def _validate_msgdata(
    cls: type[ROSAdapterBase[Any]], ros_data: dict[str, Any], case_insensitive: bool = False
) -> None:
    """Check that a message has the members that the adapter requires.

    The leading underscore is part of the documented name.

    Raises
    ------
    InvalidArgumentError
        Listing what is missing, and what there is.
    """
    present = {key.lower() for key in ros_data} if case_insensitive else set(ros_data)
    wanted = {key: key.lower() if case_insensitive else key for key in cls._REQUIRED_KEYS}
    missing = [key for key, spelled in wanted.items() if spelled not in present]
    if missing:
        raise InvalidArgumentError(
            f'message of type {cls.ros_msgtype} lacks {missing}; it has {list(ros_data)}'
        )
