"""The tree of a query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query.conditions import Condition, Operator


class CatalogField(str, Enum):
    """Fields of sequences and topics that the catalog knows."""

    NAME = 'name'
    #: Spelling of clients up to 0.5: `$match` is a substring search, topics compare in full.
    LOCATOR = 'locator'
    CREATED_AT_NS = 'created_at_ns'
    ONTOLOGY_TAG = 'ontology_tag'
    SERIALIZATION_FORMAT = 'serialization_format'


@dataclass(frozen=True)
class FieldCondition:
    """A condition on a catalog field. Names in it carry no leading slash, patterns may.

    What the methods return is not negated yet.
    """

    field: CatalogField
    condition: Condition
    negated: bool = False

    def matches_sequence_name(self, name: str) -> bool:
        """Whether a sequence of this name satisfies a condition on NAME or LOCATOR."""
        return self._any_spelling((name, f'/{name}'))

    def matches_topic_name(self, sequence: str, path: str) -> bool:
        """Whether the topic ``<sequence>/<path>`` satisfies a condition on NAME or LOCATOR."""
        if self.field is CatalogField.NAME:
            return self._any_spelling((path, f'/{path}'))
        full = f'{sequence}/{path}'
        if self.condition.operator is Operator.MATCH:
            return self.condition.matches(full)
        return self._any_spelling((full, path))

    def _any_spelling(self, spellings: Iterable[str]) -> bool:
        if self.condition.operator is Operator.NEQ:
            return all(self.condition.matches(text) for text in spellings)
        if self.condition.operator is Operator.MATCH:
            return any(self.condition.matches(text) for text in spellings)
        return any(self.condition.matches(text) for text in spellings if text[0] != '/')


class StepKind(str, Enum):
    """What one step of a metadata path stands for."""

    KEY = 'key'
    ANY_KEY = '*'
    ANY_DEPTH = '**'


@dataclass(frozen=True)
class MetadataStep:
    """One step of a metadata path.

    Parameters
    ----------
    kind
        A named key, any key of this level, or any number of levels (also none).
    name
        The key; empty for the wildcards.
    elements
        Whether the step goes on into the elements of an array (``name[*]``).

    """

    kind: StepKind
    name: str = ''
    elements: bool = False

    def __str__(self) -> str:
        text = self.name if self.kind is StepKind.KEY else self.kind.value
        return f'{text}[*]' if self.elements else text


@dataclass(frozen=True)
class MetadataCondition:
    """A condition on the user metadata of a sequence or topic."""

    path: tuple[MetadataStep, ...]
    condition: Condition
    negated: bool = False


class Specifier(str, Enum):
    """Which elements of a list a path means."""

    INDEX = 'index'
    ANY = '?'
    ALL = '!'


@dataclass(frozen=True)
class PathStep:
    """One field of an ontology path, with its list specifier if it has one.

    Parameters
    ----------
    name
        Field name; the first one is a top-level column.
    specifier
        `None` for the value itself.
    index
        Element, from 0; only with ``Specifier.INDEX``.

    """

    name: str
    specifier: Specifier | None = None
    index: int | None = None

    def __str__(self) -> str:
        if self.specifier is None:
            return self.name
        inside = self.index if self.specifier is Specifier.INDEX else self.specifier.value
        return f'{self.name}[{inside}]'


@dataclass(frozen=True)
class OntologyCondition:
    """A condition on the rows of topics with one ontology tag (in the spelling received)."""

    tag: str
    path: tuple[PathStep, ...]
    condition: Condition
    negated: bool = False

    @property
    def key(self) -> str:
        """The wire key, ``<tag>.<path>``."""
        return ontology_key(self.tag, self.path)


@dataclass(frozen=True)
class SectionQuery:
    """Conditions on sequences, or on topics; all must hold."""

    fields: tuple[FieldCondition, ...] = ()
    user_metadata: tuple[MetadataCondition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.user_metadata)


@dataclass(frozen=True)
class Sections:
    """Conditions that must all hold; also a leaf of ``where``.

    Ontology conditions of one tag must hold in one row of one topic; with several tags a
    sequence must satisfy each group.
    """

    sequence: SectionQuery = field(default_factory=SectionQuery)
    topic: SectionQuery = field(default_factory=SectionQuery)
    ontology: tuple[OntologyCondition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sequence or self.topic or self.ontology)


@dataclass(frozen=True)
class AllOf:
    """Every part must hold."""

    parts: tuple[Where, ...]


@dataclass(frozen=True)
class AnyOf:
    """One part must hold."""

    parts: tuple[Where, ...]


@dataclass(frozen=True)
class Not:
    """The part must not hold."""

    part: Where


Where = Sections | AllOf | AnyOf | Not


class OrderKey(str, Enum):
    """What the sequences of an answer are ordered by."""

    #: Order of creation.
    CREATED = 'created'
    NAME = 'name'
    #: First timestamp of the sequence's data; those without data come last.
    START_TIME = 'start_time'


@dataclass(frozen=True)
class Order:
    """Order of the sequences of an answer, spelled ``name``, or ``-name`` if descending."""

    key: OrderKey = OrderKey.CREATED
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Order:
        """Read ``name`` or ``-name``; InvalidArgumentError if there is no such key."""
        try:
            return cls(OrderKey(text.removeprefix('-')), text.startswith('-'))
        except (ValueError, AttributeError):
            names = ', '.join(key.value for key in OrderKey)
            raise InvalidArgumentError(
                f'The order {str(text)[:40]!r} of the query is unknown',
                remedy=f'Known are {names}; "-" turns it round.',
            ) from None

    def __str__(self) -> str:
        return f'-{self.key.value}' if self.descending else self.key.value


@dataclass(frozen=True)
class Query(Sections):
    """A whole query: sections, and how to answer.

    Parameters
    ----------
    include_timestamp_range
        Have the answer say when the ontology conditions held.
    where
        More of them as a tree, which must hold too.
    order
        Order of the sequences of the answer.
    limit
        Sequences in the answer, at most.
    cursor
        Where the last answer ended, from its ``next_cursor``.
    explain
        Have the answer carry the plan.

    """

    include_timestamp_range: bool = False
    where: Where | None = None
    order: Order = field(default_factory=Order)
    limit: int | None = None
    cursor: str | None = None
    explain: bool = False

    def __bool__(self) -> bool:
        return super().__bool__() or self.where is not None


def ontology_key(tag: str, path: tuple[PathStep, ...]) -> str:
    """Return the wire key of an ontology condition."""
    return '.'.join((tag, *map(str, path)))


_STEP = re.compile(r'([^\[\].]+)(?:\[(0|[1-9][0-9]{0,8}|\?|!)\])?')


def ontology_path(key: str) -> tuple[str, tuple[PathStep, ...]]:
    """Read a wire key such as ``RobotJoint.positions[?]``.

    Raises
    ------
    InvalidArgumentError
        No path after the tag, an empty step, a bad specifier, or more than one specifier.

    """
    tag, dot, rest = key.partition('.')
    if not tag or not dot or not rest:
        raise InvalidArgumentError(
            f'The ontology key {key[:80]!r} names no field',
            remedy='Write <tag>.<field path>, for example IMU.acceleration.x.',
        )
    steps = []
    for part in rest.split('.'):
        found = _STEP.fullmatch(part)
        if not found:
            raise InvalidArgumentError(
                f'The part {part[:80]!r} of the ontology key {key[:80]!r} is not a field',
                remedy='A field may be followed by one of [N], [?], [!].',
            )
        name, inside = found.groups()
        if inside is None:
            steps.append(PathStep(name))
        elif inside in '?!':
            steps.append(PathStep(name, Specifier(inside)))
        else:
            steps.append(PathStep(name, Specifier.INDEX, int(inside)))
    if sum(step.specifier is not None for step in steps) > 1:
        raise InvalidArgumentError(
            f'The ontology key {key[:80]!r} has more than one list specifier',
            remedy='Lists of lists cannot be addressed by element.',
        )
    return tag, tuple(steps)


_METADATA_STEP = re.compile(r'(\*\*|\*|[A-Za-z0-9_ -]+)(\[\*\])?')


def metadata_path(key: str) -> tuple[MetadataStep, ...]:
    """Read a metadata key such as ``site.*.hall[*]``.

    Raises
    ------
    InvalidArgumentError
        An empty part, or a character other than letters, digits, ``-``, ``_``, space and the
        wildcards.

    """
    steps = []
    for part in key.split('.'):
        found = _METADATA_STEP.fullmatch(part)
        if not found or part == '**[*]':
            raise InvalidArgumentError(
                f'The part {part[:80]!r} of the metadata key {key[:80]!r} cannot be queried',
                remedy='Use letters, digits, "-", "_", space; wildcards are *, ** and name[*].',
            )
        text, elements = found.groups()
        if text in ('*', '**'):
            steps.append(MetadataStep(StepKind(text), elements=bool(elements)))
        else:
            steps.append(MetadataStep(StepKind.KEY, text, bool(elements)))
    return tuple(steps)
