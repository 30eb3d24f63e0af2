"""Strict reading and writing of dataclasses as JSON objects.

A body is a dataclass; its annotations say what is accepted. Understood are ``str``, ``int``
(64 bit), ``bool``, ``uuid.UUID``, enums, locators, ``dict[str, Any]`` (any JSON object), other
dataclasses, ``list[...]``, ``tuple[...]`` of numbers, and ``... | None``. Unknown keys are
ignored; a field without a default is required; an explicit null counts as absent where there
is a default.
"""

from __future__ import annotations

import dataclasses
import types
import uuid
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mosaico_ros.protocol import locators
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import INT64_MAX, INT64_MIN
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator

__all__ = ['from_json', 'to_json']

_T = TypeVar('_T')
_NAMES = {dict: 'object', list: 'array', str: 'text', bool: 'boolean', type(None): 'null'}


@cache
def _fields(cls: type) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(cls)
    return tuple(
        (
            f.name,
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(cls)
    )


def from_json(cls: type[_T], body: dict[str, Any], where: str) -> _T:
    """Build `cls` from a JSON object.

    Parameters
    ----------
    cls
        A dataclass.
    body
        The object, as :func:`mosaico_ros.protocol.codec.decode_object` returns it.
    where
        How error texts name the body, for example ``topic_create``.

    Raises
    ------
    InvalidArgumentError
        A required field is missing, or a value has the wrong type; names the field.

    """
    values = {}
    for name, hint, required in _fields(cls):  # type: ignore[arg-type]
        value = body.get(name)
        if value is None and not (name in body and _nullable(hint)):
            if required:
                what = 'is null' if name in body else 'is missing'
                raise InvalidArgumentError(f'The field {name!r} of {where} {what}')
            continue
        values[name] = _read(value, hint, name, where)
    return cls(**values)


def _nullable(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _read(value: Any, hint: Any, name: str, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        choices = get_args(hint)
        if value is None and type(None) in choices:
            return None
        if TopicLocator in choices and SequenceLocator in choices:
            return _parsed(locators.parse_resource, value, name, where)
        (hint,) = (choice for choice in choices if choice is not type(None))
        return _read(value, hint, name, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise _wrong(name, where, 'an array', value)
        inner = get_args(hint)[0]
        items = [_read(item, inner, f'{name}[{i}]', where) for i, item in enumerate(value)]
        if origin is tuple and len(items) != len(get_args(hint)):
            raise InvalidArgumentError(
                f'The field {name!r} of {where} takes {len(get_args(hint))} elements'
            )
        return items if origin is list else tuple(items)
    if hint is dict or origin is dict:
        if not isinstance(value, dict):
            raise _wrong(name, where, 'a JSON object', value)
        return value
    if hint is bool:
        if not isinstance(value, bool):
            raise _wrong(name, where, 'true or false', value)
        return value
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(name, where, 'an integer', value)
        if not INT64_MIN <= value <= INT64_MAX:
            raise InvalidArgumentError(
                f'The field {name!r} of {where} does not fit into 64 bits: {str(value)[:40]}'
            )
        return value
    if dataclasses.is_dataclass(hint) and not hasattr(hint, 'parse'):
        if not isinstance(value, dict):
            raise _wrong(name, where, 'a JSON object', value)
        return from_json(hint, value, f'{where} {name}')  # type: ignore[arg-type]
    if hint is str:
        if not isinstance(value, str):
            raise _wrong(name, where, 'text', value)
        if '\0' in value:  # which not every catalog can hold
            raise InvalidArgumentError(f'The field {name!r} of {where} holds a NUL character')
        return value
    if hint is uuid.UUID:
        return _parsed(_uuid, value, name, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _parsed(hint, value, name, where)
    return _parsed(hint.parse, value, name, where)


def _uuid(text: str) -> uuid.UUID:
    result = uuid.UUID(text)
    if str(result) != text.lower():  # the standard reader takes braces and missing hyphens too
        raise ValueError('not the canonical form of a UUID')
    return result


def _parsed(parse: Any, value: Any, name: str, where: str) -> Any:
    if not isinstance(value, str):
        raise _wrong(name, where, 'text', value)
    try:
        return parse(value)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f'The field {name!r} of {where}: {error.message}', remedy=error.remedy
        ) from None
    except ValueError:
        known = ''
        if isinstance(parse, type) and issubclass(parse, Enum):
            known = f'Known are {", ".join(str(member.value) for member in parse)}.'
        raise InvalidArgumentError(
            f'The field {name!r} of {where} cannot be {value[:80]!a}', remedy=known or None
        ) from None


def _wrong(name: str, where: str, wanted: str, value: Any) -> InvalidArgumentError:
    got = _NAMES.get(type(value), repr(value)[:40])
    return InvalidArgumentError(f'The field {name!r} of {where} must be {wanted}, not {got}')


def to_json(body: Any) -> dict[str, Any]:
    """Return the JSON object of a body; fields that equal `None` by default are left out."""
    result = {}
    for field in dataclasses.fields(body):
        value = getattr(body, field.name)
        if value is None and field.default is None:
            continue
        result[field.name] = _write(value)
    return result


def _write(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (SequenceLocator, SessionLocator, TopicLocator, uuid.UUID)):
        return str(value)
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, (list, tuple)):
        return [_write(item) for item in value]
    return value
