"""Conditions combined by ``&`` (all of them), ``|`` (one of them) and ``~`` (not)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError


class CombiningError(InvalidArgumentError, TypeError):
    """What stands on one side of ``&`` or ``|`` is no condition, or one of another kind."""


class Combinable(ABC):
    """A condition that ``&``, ``|`` and ``~`` combine with others of its kind."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """What such conditions are called in error texts."""

    @abstractmethod
    def where(self) -> dict[str, Any]:
        """Return the condition as a node of a query's tree, see docs/query.md."""

    def leaves(self) -> Iterator[Any]:
        """Yield the single conditions."""
        yield self

    def __and__(self, other: Combinable) -> Combination:
        return self._joined('$and', other)

    def __or__(self, other: Combinable) -> Combination:
        return self._joined('$or', other)

    def __rand__(self, other: Any) -> Combination:
        return self._joined('$and', other)  # refuses: a condition would have combined itself

    def __ror__(self, other: Any) -> Combination:
        return self._joined('$or', other)

    def __invert__(self) -> Combination:
        return Combination('$not', (self,))

    def _joined(self, operator: str, other: Any) -> Combination:
        if not isinstance(other, Combinable):
            raise CombiningError(
                f'{other!r} is no condition that & and | could combine',
                remedy='They bind closer than comparisons: write (a > 1) | (b > 1).',
            )
        if other.kind != self.kind:
            raise CombiningError(
                f'{self.kind} and {other.kind} cannot be combined',
                remedy='Put conditions on values into QueryOntologyCatalog(...) first.',
            )
        parts: list[Combinable] = []
        for side in (self, other):
            flat = isinstance(side, Combination) and side.operator == operator
            parts += side.parts if flat else (side,)  # type: ignore[attr-defined]
        return Combination(operator, tuple(parts))


@dataclass(frozen=True)
class Combination(Combinable):
    """Conditions of one kind, combined.

    Attributes
    ----------
    operator
        ``$and``, ``$or`` or ``$not``; the last has one part.
    parts
        What is combined.
    """

    operator: str
    parts: tuple[Combinable, ...]

    @property
    def kind(self) -> str:
        """Kind of all parts."""
        return self.parts[0].kind

    def where(self) -> dict[str, Any]:
        """Return the tree."""
        nodes = [part.where() for part in self.parts]
        return {self.operator: nodes[0] if self.operator == '$not' else nodes}

    def leaves(self) -> Iterator[Any]:
        """Yield the single conditions of all parts."""
        for part in self.parts:
            yield from part.leaves()

    def __bool__(self) -> bool:
        raise no_truth()

    def __str__(self) -> str:
        if self.operator == '$not':
            return f'~({self.parts[0]})'
        return {'$and': ' & ', '$or': ' | '}[self.operator].join(f'({p})' for p in self.parts)


def no_truth() -> CombiningError:
    """Say why a condition is neither true nor false."""
    return CombiningError(
        'A condition is neither true nor false before the daemon evaluates it',
        remedy='Write & | ~ for and, or, not, and (a > 1) & (a < 5) for 1 < a < 5.',
    )
