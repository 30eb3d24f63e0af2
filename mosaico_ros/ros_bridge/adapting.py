"""Between messages of the archive and the objects in them, as adapters of every kind go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.models import Header, Message


def translated(
    adapter: type[Any],
    topic: str,
    timestamp_ns: int,
    data: dict[str, Any] | None,
    *args: Any,
    **kwargs: Any,
) -> Message:
    """Return what the adapter's `from_dict` makes of a message's members, at its record time.

    Raises
    ------
    InvalidArgumentError
        If the message has no data, or `from_dict` fails on it.
    """
    from mosaico_ros.models import Message

    if data is None:
        raise InvalidArgumentError(f'a message of {topic} has no data')
    try:
        made = adapter.from_dict(data, *args, **kwargs)
    except Exception as error:
        raise InvalidArgumentError(
            f'{adapter.__name__} cannot translate a message of {topic}: {error}'
        ) from error
    return Message(timestamp_ns=timestamp_ns, data=made)


def unpacked(adapter: type[Any], mosaico_msg: Message | Any) -> tuple[Any, Header]:
    """The ontology object that a message holds, or that is given itself, and its header.

    Without a header, one of time zero and no frame is made.

    Raises
    ------
    InvalidArgumentError
        If it is not of the adapter's ontology type.
    """
    from mosaico_ros.models import Header, Message, Time

    kind = adapter.ontology_data_type()
    data = mosaico_msg.data if isinstance(mosaico_msg, Message) else mosaico_msg
    if not isinstance(data, kind):
        raise InvalidArgumentError(
            f'{adapter.__name__} makes messages of {kind.__name__}, not of {type(data).__name__}'
        )
    header = getattr(data, 'header', None)
    if header is None:
        header = Header(frame_id='', timestamp=Time(seconds=0, nanoseconds=0))
    return data, header
