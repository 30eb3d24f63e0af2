"""The operand of ``$match``.

What a pattern means depends on where it stands and what it contains:

=========  =====================================  ===========================================
flavour    chosen for                             matches
=========  =====================================  ===========================================
SUBSTRING  the key ``locator`` (clients to 0.5)   the text anywhere, no wildcards
WILDCARD   patterns with ``* ? # [ ]``            the whole text: any run, any one character,
                                                  one digit, one of a set or range
LIKE       patterns with ``%`` and none of those  the whole text, as SQL: ``%`` any run,
                                                  ``_`` any one character
EXACT      all others                             the whole text, itself
=========  =====================================  ===========================================

All flavours are case-sensitive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_PATTERN_LENGTH

__all__ = ['MatchFlavour', 'Pattern']


class MatchFlavour(str, Enum):
    """How the text of a pattern is read."""

    SUBSTRING = 'substring'
    WILDCARD = 'wildcard'
    LIKE = 'like'
    EXACT = 'exact'


@dataclass(frozen=True)
class Pattern:
    """A pattern and its flavour; make one with :meth:`parse`."""

    text: str
    flavour: MatchFlavour

    @classmethod
    def parse(cls, text: str, *, substring: bool = False) -> Pattern:
        """Choose the flavour by the table above, and check the pattern.

        Raises
        ------
        InvalidArgumentError
            Empty or longer than 256 characters; a bracket without its partner, an empty set,
            a reversed range.

        """
        if not text:
            raise InvalidArgumentError('The pattern of $match is empty', remedy='Use "*" for any.')
        if len(text) > MAX_PATTERN_LENGTH:
            raise InvalidArgumentError(
                f'The pattern of $match has {len(text)} characters',
                remedy=f'At most {MAX_PATTERN_LENGTH} are accepted.',
            )
        if substring:
            return cls(text, MatchFlavour.SUBSTRING)
        if any(symbol in text for symbol in '*?#[]'):
            pattern = cls(text, MatchFlavour.WILDCARD)
            _ = pattern._pieces  # reports unbalanced brackets now rather than at the first row
            return pattern
        return cls(text, MatchFlavour.LIKE if '%' in text else MatchFlavour.EXACT)

    @property
    def regex_source(self) -> str:
        """The pattern as a regular expression for the whole text.

        Only literals, ``.``, ``.*`` and sets, so that RE2 reads it too. Give it the flag "dot
        matches newline" and anchor both ends.
        """
        return '.*'.join(source for source, _ in self._pieces)

    @property
    def literal_prefix(self) -> str:
        """Longest text that every match begins with; prunes by bounds."""
        if self.flavour is MatchFlavour.SUBSTRING:
            return ''
        stops = {MatchFlavour.LIKE: '%_', MatchFlavour.WILDCARD: '*?#['}.get(self.flavour, '')
        ends = [at for at, character in enumerate(self.text) if character in stops]
        return self.text[: ends[0]] if ends else self.text

    def matches(self, value: str) -> bool:
        """Whether the whole of `value` fits the pattern."""
        # Piece by piece between the runs, leftmost first: linear, where one regular expression
        # with many ``.*`` would need exponential time on hostile text.
        pieces = self._compiled
        head, head_length = pieces[0]
        if len(pieces) == 1:
            return len(value) == head_length and head.match(value) is not None
        tail, tail_length = pieces[-1]
        at, end = head_length, len(value) - tail_length
        if end < at or not head.match(value) or not tail.match(value, end):
            return False
        for piece, length in pieces[1:-1]:
            found = piece.search(value, at, end)
            if found is None:
                return False
            at = found.start() + length
        return True

    @cached_property
    def _pieces(self) -> tuple[tuple[str, int], ...]:
        """What stands between the runs: a regular expression and its fixed length."""
        if self.flavour is MatchFlavour.WILDCARD:
            return tuple(_wildcard_pieces(self.text))
        if self.flavour is MatchFlavour.LIKE:
            return tuple(
                (re.escape(piece).replace('_', '.'), len(piece)) for piece in self.text.split('%')
            )
        literal = (re.escape(self.text), len(self.text))
        if self.flavour is MatchFlavour.SUBSTRING:
            return (('', 0), literal, ('', 0))
        return (literal,)

    @cached_property
    def _compiled(self) -> tuple[tuple[re.Pattern[str], int], ...]:
        return tuple((re.compile(source, re.DOTALL), length) for source, length in self._pieces)


def _wildcard_pieces(text: str) -> Iterator[tuple[str, int]]:
    source, length, at = '', 0, 0
    while at < len(text):
        symbol = text[at]
        at += 1
        if symbol == '*':
            yield source, length
            source, length = '', 0
            continue
        if symbol == '[':
            end = text.find(']', at)
            if end < 0:
                raise _refused(text, 'the bracket at character', at, 'is not closed')
            source += _set_source(text, at, text[at:end])
            at = end + 1
        elif symbol == ']':
            raise _refused(text, 'the bracket at character', at, 'was not opened')
        else:
            source += {'?': '.', '#': '[0-9]'}.get(symbol) or re.escape(symbol)
        length += 1
    yield source, length


def _set_source(text: str, at: int, members: str) -> str:
    if not members:
        raise _refused(text, 'the set at character', at, 'is empty')
    source = ''
    while members:
        if len(members) >= 3 and members[1] == '-':
            low, high, members = members[0], members[2], members[3:]
            if low > high:
                raise _refused(text, f'the range {low}-{high} at character', at, 'is reversed')
            source += f'{re.escape(low)}-{re.escape(high)}'
        else:
            source, members = source + re.escape(members[0]), members[1:]
    return f'[{source}]'


def _refused(text: str, what: str, at: int, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'The pattern {text[:80]!r} of $match: {what} {at} {why}',
        remedy='Sets read [abc] or [a-z]; write [[] for a literal opening bracket.',
    )
