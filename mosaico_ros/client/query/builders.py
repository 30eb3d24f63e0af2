"""Builders of queries; the daemon evaluates them.

All conditions of a builder must hold. ``&``, ``|`` and ``~`` combine builders with each other,
and conditions on values inside of :class:`QueryOntologyCatalog`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from mosaico_ros.models.core.combining import Combinable, Combination
from mosaico_ros.models.core.expressions import (
    QueryableInstant,
    QueryableValue,
    QueryExpression,
    substring_pattern,
)
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import grouped, metadata_path

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ['Query', 'QueryBuilder', 'QueryOntologyCatalog', 'QuerySequence', 'QueryTopic']

_RANGE = 'include_timestamp_range'
_METADATA = 'user_metadata'


class QueryBuilder(Combinable):
    """One section of a query; ``&``, ``|`` and ``~`` combine it with others."""

    _section: ClassVar[str]
    _wants_range = False

    def __init__(self) -> None:
        self._conditions: list[QueryExpression] = []
        self._trees: list[Combinable] = []

    @property
    def kind(self) -> str:
        """Query builders."""
        return 'query builders'

    def name(self) -> str:
        """Return the section's name on the wire."""
        return self._section

    def expressions(self) -> list[Any]:
        """Return the conditions, single ones first."""
        return [*self._conditions, *self._trees]

    def to_dict(self) -> dict[str, Any]:
        """Return the section as it is sent."""
        return _spelled(self._section, self._conditions)

    def where(self) -> dict[str, Any]:
        """Return the conditions as a node of a query's tree.

        Raises
        ------
        InvalidArgumentError
            There are none.

        """
        nodes = [tree.where() for tree in self._trees]
        if self._conditions:
            nodes.insert(0, {self._section: _spelled(self._section, self._conditions)})
        if not nodes:
            raise InvalidArgumentError(
                f'{type(self).__name__}() holds no condition that could be combined',
                remedy='Give it one, or leave it out.',
            )
        return _all_of(nodes)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(map(str, self.expressions()))})'


class QueryOntologyCatalog(QueryBuilder):
    """Conditions on stored values.

    Conditions on one ontology type must hold in one message; with several types, a sequence
    must satisfy each.

    Parameters
    ----------
    *expressions
        From ``.Q`` of a model, for example ``IMU.Q.acceleration.x.gt(5)``, or combined:
        ``(IMU.Q.acceleration.x > 5) | (IMU.Q.acceleration.y > 5)``.
    include_timestamp_range
        Have ``timestamp_range`` filled in for every topic found: times of the first and the last
        message that satisfy the conditions.

    Raises
    ------
    InvalidArgumentError
        Something else than a condition on values.

    """

    _section = 'ontology'

    def __init__(
        self, *expressions: QueryExpression | Combination, include_timestamp_range: bool = False
    ) -> None:
        super().__init__()
        self._wants_range = include_timestamp_range
        for expression in expressions:
            self.with_expression(expression)

    def with_expression(self, expr: QueryExpression | Combination) -> Self:
        """Add a condition."""
        if not isinstance(expr, Combinable) or not isinstance(
            next(expr.leaves()), QueryExpression
        ):
            raise InvalidArgumentError(
                f'{expr} is not a condition on stored values',
                remedy='Make one with .Q and an operator, for example IMU.Q.acceleration.x.gt(5).',
            )
        for part in _conjuncts(expr):
            if isinstance(part, QueryExpression):
                self._conditions.append(part)
            else:
                self._trees.append(part)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the section as it is sent; combined conditions are not in it, see `Query`."""
        return super().to_dict() | ({_RANGE: True} if self._wants_range else {})


class _CatalogBuilder(QueryBuilder):
    """What sequences and topics can be searched by alike."""

    def with_name(self, name: str) -> Self:
        """Only the one of this name; slashes around it do not matter."""
        return self._with_field('name', '$eq', self._plain_name(name))

    def with_name_match(self, name: str) -> Self:
        """Only those whose name contains the text, in which ``*`` and ``%`` match anything."""
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(
                f'{name!r} is not a text to search names for', remedy='Give part of a name.'
            )
        return self._with_field('name', '$match', substring_pattern(name))

    def with_created_timestamp(self, time_start: Any = None, time_end: Any = None) -> Self:
        """Only those created in a time span.

        Parameters
        ----------
        time_start, time_end
            Nanoseconds since 1970 or datetimes, both inclusive; at least one.

        Raises
        ------
        InvalidArgumentError
            Both absent, or reversed.

        """
        created = QueryableInstant(f'{self._section}.created_at_ns')
        if time_start is None and time_end is None:
            raise InvalidArgumentError(
                'with_created_timestamp got no time', remedy='Give time_start, time_end or both.'
            )
        if time_start is None:
            self._conditions.append(created.leq(time_end))
        elif time_end is None:
            self._conditions.append(created.geq(time_start))
        else:
            self._conditions.append(created.between(time_start, time_end))
        return self

    def with_user_metadata(self, key: str, **operators: Any) -> Self:
        """Only those whose user metadata satisfy all given conditions.

        Parameters
        ----------
        key
            Dots reach into nested dictionaries: ``site.hall``. ``*`` stands for any key,
            ``**`` for any depth, ``name[*]`` for the elements of a list.
        **operators
            Some of ``eq neq lt leq gt geq between outside in_ match ex`` with their operands;
            ``ex=False`` asks for objects without the key.

        Raises
        ------
        InvalidArgumentError
            No operator, an unknown one, or a bad operand.

        """
        metadata_path(key)
        value = QueryableValue(f'{self._section}.{_METADATA}.{key}')
        known = dir(value)
        if not operators or not operators.keys() <= set(known):
            given = ', '.join(sorted(operators.keys() - set(known))) or 'no operator'
            raise InvalidArgumentError(
                f'with_user_metadata({key!r}) got {given}',
                remedy=f'Give some of {", ".join(known)}.',
            )
        self._conditions += [getattr(value, name)(value_) for name, value_ in operators.items()]
        return self

    def _restrict_names(self, names: list[str]) -> Self:
        return self._with_field('name', '$in', names)

    def _with_field(self, field: str, operator: str, value: Any) -> Self:
        self._conditions.append(QueryExpression(self._section, field, operator, value))
        return self

    def _plain_name(self, name: str) -> str:
        plain = name.strip('/') if isinstance(name, str) else ''
        if not plain:
            raise InvalidArgumentError(f'{name!r} is not a name', remedy='Give a name.')
        return plain


class QuerySequence(_CatalogBuilder):
    """Conditions on sequences.

    Examples
    --------
    >>> QuerySequence().with_name_match('test_drive').with_user_metadata('site.hall', eq='B')

    """

    _section = 'sequence'


class QueryTopic(_CatalogBuilder):
    """Conditions on topics.

    Examples
    --------
    >>> QueryTopic().with_ontology_tag(IMU.ontology_tag()).with_name_match('front')

    """

    _section = 'topic'

    def with_ontology_tag(self, ontology_tag: str) -> Self:
        """Only topics of one type: ``IMU.ontology_tag()``."""
        if not isinstance(ontology_tag, str):
            raise InvalidArgumentError(
                f'{ontology_tag!r} is not an ontology tag', remedy='Give IMU.ontology_tag().'
            )
        return self._with_field('ontology_tag', '$eq', ontology_tag)

    def _plain_name(self, name: str) -> str:
        return f'/{super()._plain_name(name)}'


class Query:
    """Several conditions as one object; all must hold.

    Parameters
    ----------
    *queries
        At most one builder of each kind, and any number of combined ones.

    Raises
    ------
    InvalidArgumentError
        A kind occurs twice, or something is not a builder.

    """

    def __init__(self, *queries: QueryBuilder | Combination) -> None:
        self._builders: dict[str, QueryBuilder] = {}
        self._combined: list[Combination] = []
        self.append(*queries)

    def append(self, *queries: QueryBuilder | Combination) -> None:
        """Add builders."""
        for query in queries:
            leaf = next(query.leaves()) if isinstance(query, Combinable) else None
            if not isinstance(leaf, QueryBuilder):
                raise InvalidArgumentError(
                    f'{query} is not a query builder',
                    remedy='Use QuerySequence, QueryTopic and QueryOntologyCatalog.',
                )
            if isinstance(query, Combination):
                self._combined.append(query)
            elif query.name() in self._builders:
                raise InvalidArgumentError(
                    f'The query has two builders of type {type(query).__name__}',
                    remedy='Put all conditions of one kind into one builder, or combine them '
                    'with & or |.',
                )
            else:
                self._builders[query.name()] = query

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the action ``query``.

        Raises
        ------
        InvalidArgumentError
            A combined builder holds no condition.

        """
        sections: dict[str, list[QueryExpression]] = {}
        nodes: list[dict[str, Any]] = []
        wants_range = False
        for part in self._parts():
            if isinstance(part, QueryBuilder):
                sections.setdefault(part.name(), []).extend(part._conditions)
                nodes += [tree.where() for tree in part._trees]
            else:
                nodes.append(part.where())
            wants_range = wants_range or any(leaf._wants_range for leaf in part.leaves())
        body = {name: _spelled(name, found) for name, found in sections.items()}
        if wants_range:
            body.setdefault('ontology', {})[_RANGE] = True
        if nodes:
            body['where'] = _all_of(nodes)
        return body

    def __repr__(self) -> str:
        return f'Query({self.to_dict()})'

    def _parts(self) -> Iterator[Combinable]:
        """Yield what must hold: builders, and what only a tree can say."""
        yield from self._builders.values()
        for combination in self._combined:
            yield from _conjuncts(combination)


def _conjuncts(condition: Combinable) -> Iterator[Combinable]:
    """Yield conditions that must all hold instead of one that says so."""
    if isinstance(condition, Combination) and condition.operator == '$and':
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition


def _all_of(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return nodes[0] if len(nodes) == 1 else {'$and': nodes}


def _spelled(section: str, conditions: Iterable[QueryExpression]) -> dict[str, Any]:
    """Return conditions as their section is sent."""
    if section == 'ontology':
        return grouped((one.key, {one.operator: one.value}) for one in conditions)
    inner: list[tuple[str, dict[str, Any]]] = []
    plain: list[tuple[str, dict[str, Any]]] = []
    for one in conditions:
        head, _, key = one.path.partition('.')
        into, name = (inner, key) if head == _METADATA else (plain, one.path)
        into.append((name, {one.operator: one.value}))
    return grouped(plain) | ({_METADATA: grouped(inner)} if inner else {})
