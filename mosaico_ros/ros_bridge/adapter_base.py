"""Adapters that users write: one ROS message at a time, where a column map cannot say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from mosaico_ros.protocol.errors import AlreadyExistsError
from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.adapting import translated, unpacked
from mosaico_ros.ros_bridge.definitions import full_name
from mosaico_ros.ros_bridge.packaged_adapters import load_packaged_adapters
from mosaico_ros.ros_bridge.ros_message import ROSMessage
from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from rosbags.typesys.store import Typestore

    from mosaico_ros.models import Header, Message, Serializable

OntologyT = TypeVar('OntologyT', bound='Serializable')
AdapterT = TypeVar('AdapterT', bound='type[ROSAdapterBase[Any]]')

_registered: dict[str, type[ROSAdapterBase[Any]]] = {}


class ROSAdapterBase(Generic[OntologyT]):
    """Translates one ROS type (or several alike) to one ontology type.

    Subclasses set the class attributes and implement `from_dict`, and `to_ros` for the way back.

    Attributes
    ----------
    ros_msgtype : str or tuple of str
        Full names of the types accepted.
    __mosaico_ontology_type__ : type
        What `from_dict` returns.
    _REQUIRED_KEYS : tuple of str
        Members that a message must have; checked by ``_validate_msgdata``.
    """

    ros_msgtype: ClassVar[str | tuple[str, ...]] = ()
    __mosaico_ontology_type__: ClassVar[type[Any]]
    _REQUIRED_KEYS: ClassVar[tuple[str, ...]] = ()
    __is_default_adapter__: ClassVar[bool] = False

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> OntologyT:
        """Build the ontology object from the members of a message."""
        raise NotImplementedError(f'{cls.__name__} has to implement from_dict()')

    @classmethod
    def translate(cls, ros_msg: ROSMessage, **kwargs: Any) -> Message:
        """Wrap the translated object with the message's record time.

        Raises
        ------
        InvalidArgumentError
            If the message has no data, or `from_dict` fails on it.
        """
        return translated(
            cls, ros_msg.topic, ros_msg.bag_timestamp_ns, ros_msg.data_field, **kwargs
        )

    @classmethod
    def to_ros(cls, data: OntologyT, typestore: Typestore, ros_msg_type: str | None = None) -> Any:
        """Build the ROS message of an ontology object; exports of such topics need it.

        Parameters
        ----------
        data
            What `from_dict` returned.
        typestore
            Knows the message types: ``typestore.types['pkg/msg/Name'](...)`` makes one.
        ros_msg_type
            Which of `ros_msgtype` is wanted.
        """
        raise NotImplementedError(f'{cls.__name__} has no to_ros()')

    @classmethod
    def to_native(cls, mosaico_data: Message | OntologyT, **kwargs: Any) -> Any:
        """Build the ROS message of an ontology object, or of what a message holds."""
        return cls.to_ros(mosaico_data, **kwargs)  # type: ignore[arg-type]

    @classmethod
    def unpack_mosaico_msg(cls, mosaico_msg: Message | OntologyT) -> tuple[OntologyT, Header]:
        """The ontology object that a message holds, or that is given itself, and its header.

        Without a header, one of time zero and no frame is made.

        Raises
        ------
        InvalidArgumentError
            If it is not of the adapter's ontology type.
        """
        return unpacked(cls, mosaico_msg)

    @classmethod
    def has_way_back(cls) -> bool:
        """Whether `to_ros` is implemented."""
        return cls.to_ros.__func__ is not ROSAdapterBase.to_ros.__func__  # type: ignore[attr-defined]

    @classmethod
    def ros_msg_types(cls) -> tuple[str, ...]:
        """Full names of the types accepted."""
        names = cls.ros_msgtype
        return tuple(map(full_name, (names,) if isinstance(names, str) else names))

    @classmethod
    def ros_msg_type(cls) -> str | tuple[str, ...]:
        """What `ros_msgtype` says."""
        return cls.ros_msgtype

    @classmethod
    def get_default_ros_msg(cls) -> str:
        """The first of the types accepted."""
        return cls.ros_msg_types()[0]

    @classmethod
    def is_rosmsg_type_valid(cls, type_to_validate: str) -> bool:
        """Whether a type is one of those accepted."""
        return full_name(type_to_validate) in cls.ros_msg_types()

    @classmethod
    def schema_metadata(
        cls, typestore: Typestore, ros_msg_type: str, ros_version: int
    ) -> dict[str, Any] | None:
        """Facts about a message type, as they stand in the metadata of topics.

        Returns
        -------
        dict or None
            Below ``_ros_`` its name, and if the type store has it, constants and definition text;
            None for a type that the adapter does not accept.
        """
        if not cls.is_rosmsg_type_valid(ros_msg_type):
            return None
        found = RosSchemaMetadata(msgtype=ros_msg_type)
        if ros_msg_type in typestore.fielddefs:
            text, _ = typestore.generate_msgdef(ros_msg_type, ros_version=ros_version)
            constants = typestore.fielddefs[ros_msg_type][0]
            found.update(enums={name: value for name, _, value in constants}, msgdef=text)
        return found.to_dict()

    @classmethod
    def ontology_data_type(cls) -> type[OntologyT]:
        """Ontology class that the adapter produces."""
        return cls.__mosaico_ontology_type__


@overload
def register_default_adapter(adapter: AdapterT) -> AdapterT: ...


@overload
def register_default_adapter(
    adapter: None = None, *, is_default: bool = False
) -> Callable[[AdapterT], AdapterT]: ...


def register_default_adapter(adapter: Any = None, *, is_default: bool = False) -> Any:
    """Class decorator: use this adapter for its message types, with or without parentheses.

    It takes precedence over a built-in column map of the same type.

    Parameters
    ----------
    is_default : bool
        Mark the adapter as the one that serves its ontology type in the other direction too.

    Raises
    ------
    AlreadyExistsError
        If another adapter is registered for one of its types.
    """

    def register(cls: AdapterT) -> AdapterT:
        for name in cls.ros_msg_types():
            holder = _registered.get(name)
            # The same class again: a module imported twice, a notebook cell run again.
            if holder is not None and holder.__qualname__ != cls.__qualname__:
                raise AlreadyExistsError(
                    f'{holder.__name__} is already registered for {name}',
                    remedy='use adapter_overrides to choose another adapter for a topic',
                )
        _registered.update(dict.fromkeys(cls.ros_msg_types(), cls))
        cls.__is_default_adapter__ = is_default
        return cls

    return register if adapter is None else register(adapter)


def registered_adapter(msgtype: str) -> type[ROSAdapterBase[Any]] | None:
    """Adapter that a user or an installed package registered for a message type."""
    load_packaged_adapters()
    return _registered.get(msgtype)


def registered_adapters() -> dict[str, type[ROSAdapterBase[Any]]]:
    """Adapters that users and installed packages registered, by message type."""
    load_packaged_adapters()
    return dict(_registered)


def default_adapter(tag: str) -> type[ROSAdapterBase[Any]] | None:
    """Adapter that was registered as the one for an ontology type."""
    for adapter in registered_adapters().values():
        if adapter.__is_default_adapter__ and same_tag(
            adapter.ontology_data_type().ontology_tag(), tag
        ):
            return adapter
    return None
