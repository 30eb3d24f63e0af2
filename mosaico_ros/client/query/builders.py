"""Builders of queries. All conditions must hold; the daemon evaluates them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from mosaico_ros.models.core.expressions import QueryExpression, substring_pattern
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import metadata_path

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ['Query', 'QueryBuilder', 'QueryOntologyCatalog', 'QuerySequence', 'QueryTopic']

_RANGE = 'include_timestamp_range'
_METADATA_OPERATORS = (
    'eq', 'neq', 'lt', 'leq', 'gt', 'geq', 'between', 'outside', 'in_', 'match', 'ex',
)  # fmt: skip


class QueryBuilder(ABC):
    """One section of a query."""

    @abstractmethod
    def name(self) -> str:
        """Return the section's name on the wire."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the section as it is sent."""

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.to_dict()})'


class QueryOntologyCatalog(QueryBuilder):
    """Conditions on stored values.

    Conditions on one ontology type must hold in one message; with several types, a sequence
    must satisfy each.

    Parameters
    ----------
    *expressions
        From ``.Q`` of a model, for example ``IMU.Q.acceleration.x.gt(5)``.
    include_timestamp_range
        Have ``timestamp_range`` filled in for every topic found: times of the first and the last
        message that satisfy the conditions.

    Raises
    ------
    InvalidArgumentError
        Something else than an expression, or two conditions on one field.

    """

    def __init__(
        self, *expressions: QueryExpression, include_timestamp_range: bool = False
    ) -> None:
        self._expressions: dict[str, QueryExpression] = {}
        self._include_timestamp_range = include_timestamp_range
        for expression in expressions:
            self.with_expression(expression)

    def with_expression(self, expr: QueryExpression) -> Self:
        """Add a condition."""
        if not isinstance(expr, QueryExpression):
            raise InvalidArgumentError(
                f'{expr!r} is not a condition on stored values',
                remedy='Make one with .Q and an operator, for example IMU.Q.acceleration.x.gt(5).',
            )
        if expr.key in self._expressions:
            raise InvalidArgumentError(
                f'There already is a condition on {expr.key}',
                remedy='A field takes one condition; between() and outside() express ranges.',
            )
        self._expressions[expr.key] = expr
        return self

    def expressions(self) -> list[QueryExpression]:
        """Return the conditions."""
        return list(self._expressions.values())

    def name(self) -> str:
        """Return ``ontology``."""
        return 'ontology'

    def to_dict(self) -> dict[str, Any]:
        """Return the section as it is sent."""
        body: dict[str, Any] = {}
        for expression in self._expressions.values():
            body.update(expression.to_dict())
        if self._include_timestamp_range:
            body[_RANGE] = True
        return body


class _CatalogBuilder(QueryBuilder):
    """What sequences and topics can be searched by alike."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[str, Any]] = {}
        self._metadata: dict[str, dict[str, Any]] = {}

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

    def with_created_timestamp(
        self, time_start: int | None = None, time_end: int | None = None
    ) -> Self:
        """Only those created in a time span.

        Parameters
        ----------
        time_start, time_end
            Nanoseconds since 1970, both inclusive; at least one.

        Raises
        ------
        InvalidArgumentError
            Both absent, or reversed.

        """
        if time_start is None and time_end is None:
            raise InvalidArgumentError(
                'with_created_timestamp got no time', remedy='Give time_start, time_end or both.'
            )
        if time_start is None:
            return self._with_field('created_at_ns', '$leq', time_end)
        if time_end is None:
            return self._with_field('created_at_ns', '$geq', time_start)
        if time_start > time_end:
            raise InvalidArgumentError(
                f'with_created_timestamp got {time_start} to {time_end}',
                remedy='Give the earlier time first.',
            )
        return self._with_field('created_at_ns', '$between', [time_start, time_end])

    def with_user_metadata(self, key: str, **operator: Any) -> Self:
        """Only those whose user metadata satisfy a condition.

        Parameters
        ----------
        key
            Dots reach into nested dictionaries: ``site.hall``. ``*`` stands for any key,
            ``**`` for any depth, ``name[*]`` for the elements of a list.
        **operator
            One of ``eq neq lt leq gt geq between outside in_ match ex`` with its operand;
            ``ex=False`` asks for objects without the key.

        Raises
        ------
        InvalidArgumentError
            Not exactly one operator, an unknown one, a bad operand, or a key used before.

        """
        if len(operator) != 1:
            raise InvalidArgumentError(
                f'with_user_metadata({key!r}) got {len(operator)} conditions',
                remedy=f'Give one of {", ".join(_METADATA_OPERATORS)}.',
            )
        ((name, value),) = operator.items()
        if name not in _METADATA_OPERATORS:
            raise InvalidArgumentError(
                f'with_user_metadata({key!r}) got the operator {name!r}',
                remedy=f'Give one of {", ".join(_METADATA_OPERATORS)}.',
            )
        metadata_path(key)
        if key in self._metadata:
            raise InvalidArgumentError(
                f'There already is a condition on the metadata {key!r}',
                remedy='A key takes one condition; between and outside express ranges.',
            )
        self._metadata[key] = _metadata_condition(key, name, value)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the section as it is sent."""
        body: dict[str, Any] = dict(self._fields)
        if self._metadata:
            body['user_metadata'] = dict(self._metadata)
        return body

    def _restrict_names(self, names: list[str]) -> Self:
        return self._with_field('name', '$in', names)

    def _with_field(self, field: str, operator: str, value: Any) -> Self:
        if field in self._fields:
            raise InvalidArgumentError(
                f'{type(self).__name__} already has a condition on {field}',
                remedy='A field takes one condition.',
            )
        self._fields[field] = {operator: value}
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

    def name(self) -> str:
        """Return ``sequence``."""
        return 'sequence'


class QueryTopic(_CatalogBuilder):
    """Conditions on topics.

    Examples
    --------
    >>> QueryTopic().with_ontology_tag(IMU.ontology_tag()).with_name_match('front')

    """

    def with_ontology_tag(self, ontology_tag: str) -> Self:
        """Only topics of one type: ``IMU.ontology_tag()``."""
        return self._with_field('ontology_tag', '$eq', ontology_tag)

    def name(self) -> str:
        """Return ``topic``."""
        return 'topic'

    def _plain_name(self, name: str) -> str:
        return f'/{super()._plain_name(name)}'


class Query:
    """Several builders as one object.

    Parameters
    ----------
    *queries
        At most one of each kind.

    Raises
    ------
    InvalidArgumentError
        A kind occurs twice, or something is not a builder.

    """

    def __init__(self, *queries: QueryBuilder) -> None:
        self._builders: dict[str, QueryBuilder] = {}
        self.append(*queries)

    def append(self, *queries: QueryBuilder) -> None:
        """Add builders."""
        for builder in queries:
            if not isinstance(builder, QueryBuilder):
                raise InvalidArgumentError(
                    f'{builder!r} is not a query builder',
                    remedy='Use QuerySequence, QueryTopic and QueryOntologyCatalog.',
                )
            if builder.name() in self._builders:
                raise InvalidArgumentError(
                    f'The query has two builders of type {type(builder).__name__}',
                    remedy='Put all conditions of one kind into one builder.',
                )
            self._builders[builder.name()] = builder

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the action ``query``."""
        return {name: builder.to_dict() for name, builder in self._builders.items()}

    def ontology_conditions(self) -> list[QueryExpression]:
        """Return the conditions on stored values."""
        builder = self._builders.get('ontology')
        return builder.expressions() if isinstance(builder, QueryOntologyCatalog) else []

    def __repr__(self) -> str:
        return f'Query({self.to_dict()})'


def _metadata_condition(key: str, name: str, value: Any) -> dict[str, Any]:
    if name == 'ex':
        if not isinstance(value, bool):
            raise _bad_operand(key, name, value, 'True or False')
        return {'$ex' if value else '$nex': None}
    if name in ('between', 'outside', 'in_'):
        values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else []
        if name == 'in_':
            good = bool(values)
        else:
            good = len(values) == 2 and values[0] <= values[1]
        if not good or not all(isinstance(item, (bool, int, float, str)) for item in values):
            wanted = 'a list of values' if name == 'in_' else 'two values, the lower one first'
            raise _bad_operand(key, name, value, wanted)
        return {f'${name.rstrip("_")}': values}
    if name == 'match':
        if not isinstance(value, str) or not value:
            raise _bad_operand(key, name, value, 'a text')
        return {'$match': substring_pattern(value)}
    if not isinstance(value, (bool, int, float, str)):
        raise _bad_operand(key, name, value, 'a number, text or boolean')
    return {f'${name}': value}


def _bad_operand(key: str, name: str, value: Any, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'with_user_metadata({key!r}, {name}={value!r})', remedy=f'{name} takes {wanted}.'
    )
