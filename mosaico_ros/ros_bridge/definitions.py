"""Message definitions: from a recording, from installed packages, or from a distribution's set.

Texts are parsed by rosbags' type system (``.msg``, concatenated ``.msg`` with ``MSG:`` separators,
IDL); only the search for what a text leaves out is done here.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE, ROS1, Struct, Wire, build_tree
from mosaico_ros.ros_bridge.service_types import as_message, composed, owner, parts

if TYPE_CHECKING:
    from rosbags.typesys import Stores
    from rosbags.typesys.store import Typestore

#: rosbags' form: type name to ``(constants, fields)``.
Types = dict[str, tuple[list, list]]

_IDL_SEPARATOR = '=' * 80 + '\n'


@dataclass(frozen=True)
class Definition:
    """One message type with everything it refers to.

    Attributes
    ----------
    msgtype : str
        Full name, such as ``sensor_msgs/msg/Imu``.
    types : dict
        The type and all nested types, in rosbags' form.
    ros1 : bool
        Payloads of this type are in ROS 1 serialization.
    """

    msgtype: str
    types: Types
    ros1: bool = False

    @cached_property
    def tree(self) -> Struct:
        """Node tree for the decoder."""
        return build_tree(self.types, self.msgtype)

    @property
    def constants(self) -> dict[str, bool | int | float | str]:
        """Constants of the type itself, not of nested types."""
        return {name: value for name, _, value in self.types[self.msgtype][0]}

    @cached_property
    def text(self) -> str:
        """Canonical ``.msg`` text followed by that of every nested type (MCAP's ``ros2msg``)."""
        store = self._typestore()
        store.fielddefs = {
            as_message(name): (
                constants,
                [(member, _renamed(desc)) for member, desc in members],
            )
            for name, (constants, members) in self.types.items()
        }
        name = as_message(self.msgtype)
        return store.generate_msgdef(name, ros_version=1 + (not self.ros1))[0]

    @property
    def wire(self) -> Wire:
        """How payloads are laid out where nothing else is said: as the encoder does it."""
        return ROS1 if self.ros1 else CDR_LE

    @property
    def md5(self) -> str:
        """ROS 1 type hash."""
        return self._typestore().generate_msgdef(self.msgtype, ros_version=1)[1]

    @cached_property
    def messages(self) -> Typestore:
        """rosbags' type store of this type and the nested ones, to make messages with."""
        from rosbags.typesys.store import Typestore

        store = Typestore()
        store.register(self.types)
        return store

    def for_ros(self, version: int) -> Definition:
        """The same message in ROS 1 or ROS 2, where types that both have differ in members.

        ROS 1 headers have a ``seq``, for example, and matrices of a camera are spelled in
        capitals. Types that the other version does not have stay as they are.
        """
        if self.ros1 == (version == 1):
            return self
        known = typestore('noetic' if version == 1 else None).fielddefs
        types: Types = {}
        wanted = [self.msgtype]
        while wanted:
            name = wanted.pop()
            if name not in types:
                types[name] = known.get(name) or self.types[name]
                wanted += _references(types[name][1])
        return Definition(self.msgtype, types, ros1=version == 1)

    @cached_property
    def type_hash(self) -> str | None:
        """REP-2016 type hash (``RIHS01_...``); None for ROS 1 and for types without one."""
        if self.ros1:
            return None
        store = self._typestore()
        # In ROS 2 `char` is another name of `uint8`, and is hashed under that.
        store.fielddefs = {
            name: (constants, [(field, _with_uint8(desc)) for field, desc in fields])
            for name, (constants, fields) in self.types.items()
        }
        try:
            return store.hash_rihs01(self.msgtype)
        except KeyError:
            return None

    def _typestore(self) -> Typestore:
        from rosbags.typesys.store import Typestore

        store = Typestore()
        store.fielddefs = self.types
        return store


def find_definition(
    msgtype: str,
    text: str | None = None,
    *,
    distro: str | Stores | None = None,
    ros1: bool = False,
    extra: Types | None = None,
) -> Definition:
    """Definition of a message type, complete with nested types.

    Looked up in this order: ``text``, ``extra``, the ``share`` folders of installed ROS packages
    (``AMENT_PREFIX_PATH``, then this Python environment), the type set of the distribution.

    Parameters
    ----------
    msgtype : str
        ``pkg/msg/Name`` or ``pkg/Name``.
    text : str, optional
        ``.msg`` or IDL text, with or without nested types.
    distro : str or rosbags.typesys.Stores, optional
        ROS distribution, such as ``humble``; default ``$ROS_DISTRO``, else the latest.
    ros1 : bool
        The text is a ROS 1 definition, and payloads are in ROS 1 serialization.
    extra : dict, optional
        Types registered by the user, in rosbags' form.

    Raises
    ------
    InvalidArgumentError
        If a text cannot be parsed, or the distribution is unknown.
    NotFoundError
        If the type, or one nested in it, is defined nowhere.
    """
    msgtype = full_name(msgtype)
    types: Types = dict(parse_definition(text, msgtype)) if text else {}
    found: Types = {}
    wanted = [msgtype]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        known = types.get(name) or (extra or {}).get(name) or _basic(name, ros1=ros1)
        known = known or _installed(name) or typestore(distro).fielddefs.get(name)
        if known is None:
            user = '' if name == msgtype else f', which {msgtype} refers to'
            raise NotFoundError(
                f'no definition of message type {name}{user}',
                remedy='install its package, or pass its .msg text',
            )
        found[name] = (known[0], known[1])
        wanted += _references(known[1])
    return Definition(msgtype, found, ros1)


def full_name(msgtype: str) -> str:
    """Three-part type name: ``std_msgs/String`` and ``std_msgs/msg/String`` mean the same.

    Raises
    ------
    InvalidArgumentError
        If it has neither form.
    """
    parts = msgtype.split('/')
    if len(parts) == 2:
        parts.insert(1, 'msg')
    if len(parts) != 3 or not all(parts):
        raise InvalidArgumentError(
            f'{msgtype!r} is not a message type', remedy='write it as package/msg/Name'
        )
    return '/'.join(parts)


def parse_definition(text: str, msgtype: str) -> Types:
    """Types found in a definition text.

    Raises
    ------
    InvalidArgumentError
        If it is neither ``.msg`` nor IDL text.
    """
    types: Any = {}
    try:
        if text.startswith(f'{_IDL_SEPARATOR}IDL: '):
            for part in text.split(_IDL_SEPARATOR)[1:]:
                types.update(_types_from_idl(part.split('\n', 1)[1]))
        elif _is_idl(text):
            types.update(_types_from_idl(text))
        else:
            name = as_message(msgtype)
            types.update(_types_from_msg(text.replace('\r\n', '\n'), name))
            types[msgtype] = types.pop(name)
    except Exception as error:
        # The parser raises its own error for what it rejects and, on the odd text that it
        # stumbles over, whatever the stumble was.
        cause = str(error).splitlines()[-1][:80] if str(error) else type(error).__name__
        raise InvalidArgumentError(
            f'the definition of {msgtype} cannot be parsed (near {cause})'
        ) from error
    return {
        name: (constants, [(field, _with_wstring(desc)) for field, desc in fields])
        for name, (constants, fields) in types.items()
    }


@lru_cache
def same_fields(msgtype: str, one: str | None, other: str | None) -> bool:
    """Whether two definition texts of a type mean the same layout, whatever their comments.

    A text that is missing, or does not say all, does not contradict.
    """
    if one == other or not one or not other:
        return True
    try:
        left, right = parse_definition(one, msgtype), parse_definition(other, msgtype)
    except InvalidArgumentError:
        return False
    return all(left[name][1] == right[name][1] for name in left.keys() & right.keys())


@lru_cache
def typestore(distro: str | Stores | None = None) -> Typestore:
    """Type set of a distribution.

    Raises
    ------
    InvalidArgumentError
        If there is no such distribution.
    """
    from rosbags.typesys import Stores, get_typestore

    explicit = distro is not None
    if not explicit:
        distro = os.environ.get('ROS_DISTRO') or 'latest'
    if isinstance(distro, Stores):
        return get_typestore(distro)
    by_name = {store.value.split('_')[-1]: store for store in Stores}
    name = str(distro).lower()
    store = by_name.get(name.split('_')[-1])
    if store is None:
        if not explicit or name == 'rolling':
            return get_typestore(Stores.LATEST)
        raise InvalidArgumentError(
            f'unknown ROS distribution {distro!r}', remedy=f'one of {", ".join(sorted(by_name))}'
        )
    return get_typestore(store)


def _is_idl(text: str) -> bool:
    return any(line.lstrip().startswith('module ') for line in text.splitlines())


def _types_from_idl(text: str) -> Types:
    from rosbags.typesys import get_types_from_idl

    # What is included is looked for like all that a text refers to.
    found: Any = get_types_from_idl(re.sub(r'^[ \t]*#.*$', '', text, flags=re.MULTILINE))
    return dict(found)


def _types_from_msg(text: str, name: str) -> Types:
    from rosbags.typesys.base import make_typesdict
    from rosbags.typesys.msg import MSGParser

    class Parser(MSGParser):
        # ROS 1 has no rules for the spelling of names.
        ConstantName = MSGParser.MixedSnake
        PackageName = MSGParser.MixedSnake

    # A string constant may be empty, which is how its canonical text has it too.
    text = re.sub(r'^([ \t]*string[ \t]+\w+[ \t]*=)[ \t]*$', r"\1''", text, flags=re.MULTILINE)
    found: Any = make_typesdict(Parser(f'MSG: {name}\n{text}').specification())
    return dict(found)


def _part(text: str, msgtype: str) -> Any:
    """Definition of one part of a ``.srv`` or ``.action`` text, or None."""
    _, kind, name = msgtype.split('/')
    pieces = re.split(r'^---[ \t]*$', text.replace('\r\n', '\n'), flags=re.MULTILINE)
    by_name = dict(zip(parts(kind), pieces, strict=False))
    piece = by_name.get(name.rpartition('_')[2])
    return None if piece is None else parse_definition(piece, msgtype).get(msgtype)


def _renamed(desc: Any) -> Any:
    kind, content = desc
    if int(kind) == 2:
        return (kind, as_message(content))
    return (kind, (_renamed(content[0]), content[1])) if int(kind) > 2 else desc


def _references(fields: list) -> list[str]:
    names = []
    for _, desc in fields:
        kind, content = int(desc[0]), desc[1]
        if kind > 2:
            kind, content = int(content[0][0]), content[0][1]
        if kind == 2:
            names.append(content)
    return names


def _with_wstring(desc: Any) -> Any:
    """rosbags' ``.msg`` parser takes ``wstring`` for a message of the same package."""
    kind, content = desc
    if int(kind) == 2 and content.endswith('/wstring'):
        return (1, ('wstring', 0))
    return (kind, (_with_wstring(content[0]), content[1])) if int(kind) > 2 else desc


def _with_uint8(desc: Any) -> Any:
    if desc == (desc[0], ('char', 0)):
        return (desc[0], ('uint8', 0))
    if isinstance(desc[1][0], tuple):
        return (desc[0], (_with_uint8(desc[1][0]), desc[1][1]))
    return desc


def _basic(name: str, *, ros1: bool) -> Any:
    """Time and duration, which ROS 1 texts use without defining them."""
    if not ros1 or not name.startswith('builtin_interfaces/'):
        return None
    return typestore('empty').fielddefs.get(name)


@cache
def _installed(msgtype: str) -> Any:
    """Definition from the share folder of an installed package, or None."""
    if not re.fullmatch(r'\w+/\w+/\w+', msgtype):
        return None  # a damaged reference, which may name any path
    package, kind, name = msgtype.split('/')
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for prefix in [*filter(None, prefixes), sys.prefix]:
        folder = Path(prefix) / 'share' / package / kind
        whole = owner(kind, name)
        if whole is not None and (folder / f'{whole}.{kind}').is_file():
            text = (folder / f'{whole}.{kind}').read_text(encoding='utf-8')
            return composed(package, kind, name) or _part(text, msgtype)
        for suffix in ('.msg', '.idl'):
            path = folder / f'{name}{suffix}'
            if path.is_file():
                text = path.read_text(encoding='utf-8')
                return parse_definition(text, msgtype).get(msgtype)
    return None
