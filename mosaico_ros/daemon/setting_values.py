"""What people write as the value of a setting, and what it means."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

__all__ = ['convert']

_UNITS = (86_400, 3_600, 60, 1)
_DURATION = re.compile(r'(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?', re.ASCII)


def convert(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return the value of a setting as its type wants it.

    Raises
    ------
    ValueError
        It is no such value, or outside the limits in the field's metadata.

    """
    # Annotations are text here; the defaults' types say the same and need no evaluation.
    kind = field.type
    if kind == 'bool':
        return _bool(value)
    if kind in ('int', 'float'):
        if isinstance(value, bool):
            raise ValueError(f'{value} is not a number')
        try:
            number: Any = int(value) if kind == 'int' else float(value)
        except ValueError:
            number = _duration(str(value)) if kind == 'float' else None
            if number is None:
                raise ValueError(f'{value!r} is not a number') from None
        low, high = field.metadata['low'], field.metadata['high']
        if low is not None and not number >= low:
            raise ValueError(f'{value} is below {low}')
        if high is not None and not number <= high:
            raise ValueError(f'{value} is above {high}')
        return number
    text = str(value)
    if kind == 'Path':
        return Path(text).expanduser().absolute()
    choices = field.metadata['choices']
    if choices is not None:
        text = text.lower()
        if text not in choices:
            raise ValueError(f'{value!r} is none of {", ".join(choices)}')
    return text


def _duration(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    return float(sum(int(n or 0) * unit for n, unit in zip(found.groups(), _UNITS, strict=True)))


def _bool(value: Any) -> bool:
    text = str(value).lower()
    if text in ('1', 'true', 'yes', 'on'):
        return True
    if text in ('0', 'false', 'no', 'off'):
        return False
    raise ValueError(f'{value!r} is neither true nor false')
