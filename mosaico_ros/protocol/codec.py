"""The encoding of bodies, descriptors and app_metadata: JSON objects in UTF-8.

The only module that knows how bodies are spelled; a second encoding can stand beside it,
told apart by the first byte (JSON objects begin with ``{``).
"""

from __future__ import annotations

import json
import math
import operator
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH

__all__ = ['check_json', 'decode_object', 'encode']


class _RefusedError(ValueError):
    """Carries a reason out of the hooks of the JSON reader."""


def _refuse_constant(name: str) -> Any:
    raise _RefusedError(f'{name} is not JSON; send null or a finite number')


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _RefusedError(f'the number {text[:40]} does not fit into 64-bit floating point')
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f'the key {key[:80]!r} occurs twice in one object')
            seen.add(key)
    return result


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
)


def _integer(value: Any) -> int:
    """Take integers of other libraries for what they are."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f'it holds a {type(value).__name__}') from None


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(',', ':'), default=_integer)


def check_json(value: Any, what: str) -> None:
    """Check that a value survives the wire: JSON types, finite, not too deep, valid Unicode.

    Raises
    ------
    InvalidArgumentError
        Names `what` and the place of the fault.

    """
    pending: list[tuple[Any, int, str]] = [(value, 1, what)]
    while pending:
        item, depth, where = pending.pop()
        if isinstance(item, str):
            _check_text(item, where)
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise InvalidArgumentError(
                    f'{where} is {item}, which JSON cannot carry',
                    remedy='Use null or a finite number.',
                )
        elif item is None or isinstance(item, (bool, int)):
            pass
        elif isinstance(item, (dict, list, tuple)):
            if depth > MAX_JSON_DEPTH:
                raise InvalidArgumentError(
                    f'{what} is nested deeper than {MAX_JSON_DEPTH} levels', remedy='Flatten it.'
                )
            if isinstance(item, dict):
                for key, child in item.items():
                    if not isinstance(key, str):
                        raise InvalidArgumentError(f'{where} has the key {key!r}, not a text')
                    _check_text(key, where)
                    pending.append((child, depth + 1, f'{where}.{key[:80]}'))
            else:
                pending.extend((child, depth + 1, f'{where}[]') for child in item)
        else:
            raise InvalidArgumentError(
                f'{where} is a {type(item).__name__}, which JSON cannot carry'
            )


def _check_text(text: str, where: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                f'{where} holds half of a surrogate pair', remedy='Send valid Unicode.'
            ) from None


def decode_object(data: bytes | bytearray | memoryview, what: str) -> dict[str, Any]:
    """Read one JSON object.

    Parameters
    ----------
    data
        UTF-8 text; nothing at all (or only white space) reads as an empty object.
    what
        How error texts name the body, for example ``the body of query``.

    Raises
    ------
    InvalidArgumentError
        Not UTF-8, not JSON, not an object, NaN or infinite numbers, a key twice in one object,
        more than :data:`MAX_JSON_BYTES`, deeper than :data:`MAX_JSON_DEPTH`.

    """
    if len(data) > MAX_JSON_BYTES:
        raise InvalidArgumentError(
            f'{what} has {len(data)} bytes', remedy=f'At most {MAX_JSON_BYTES} are accepted.'
        )
    try:
        text = bytes(data).decode()
        if not text.strip():
            return {}
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f'{what} is not UTF-8 (byte {error.start})') from None
    except RecursionError:
        raise InvalidArgumentError(
            f'{what} is nested deeper than {MAX_JSON_DEPTH} levels', remedy='Flatten it.'
        ) from None
    except _RefusedError as error:
        raise InvalidArgumentError(f'{what} is refused: {error}') from None
    except ValueError as error:  # JSONDecodeError, and integers of thousands of digits
        raise InvalidArgumentError(f'{what} is not JSON: {error}') from None
    if not isinstance(value, dict):
        raise InvalidArgumentError(
            f'{what} is a JSON {_kind(value)}', remedy='Send a JSON object.'
        )
    check_json(value, what)
    return value


def encode(value: Any) -> bytes:
    """Write a JSON value as compact ASCII; integers may be numpy's.

    Raises
    ------
    InvalidArgumentError
        If the value holds what JSON cannot carry.

    """
    try:
        return _ENCODER.encode(value).encode('ascii')
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArgumentError(f'The value cannot be written as JSON: {error}') from None


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return 'array'
    if isinstance(value, str):
        return 'string'
    return 'null' if value is None else 'number' if not isinstance(value, bool) else 'boolean'
