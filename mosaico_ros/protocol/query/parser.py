"""Reading queries: every spelling that a client or the documentation uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_LISTED_NAMES
from mosaico_ros.protocol.query.conditions import Condition, Operator, parse_conditions
from mosaico_ros.protocol.query.tree import (
    AllOf,
    AnyOf,
    CatalogField,
    FieldCondition,
    MetadataCondition,
    Not,
    OntologyCondition,
    Order,
    Query,
    SectionQuery,
    Sections,
    Where,
    metadata_path,
    ontology_path,
)

_SEQUENCE_FIELDS = {
    'name': CatalogField.NAME,
    'locator': CatalogField.LOCATOR,
    'created_at_ns': CatalogField.CREATED_AT_NS,
    'created_at': CatalogField.CREATED_AT_NS,
    'created_timestamp': CatalogField.CREATED_AT_NS,
}
_TOPIC_FIELDS = {
    **_SEQUENCE_FIELDS,
    'ontology_tag': CatalogField.ONTOLOGY_TAG,
    'serialization_format': CatalogField.SERIALIZATION_FORMAT,
}
_NAMES = (CatalogField.NAME, CatalogField.LOCATOR)
_SECTIONS = ('sequence', 'topic', 'ontology')
_EXTENSIONS = ('where', 'order', 'limit', 'cursor', 'explain')
_METADATA = 'user_metadata'
_RANGE = 'include_timestamp_range'


def parse(body: dict[str, Any]) -> Query:
    """Read the body of the action ``query``.

    Raises
    ------
    InvalidArgumentError
        Unknown section, field or operator, or a malformed condition; names the place.

    """
    _known(body, (*_SECTIONS, *_EXTENSIONS), 'section')
    ontology = dict(_object(body.get('ontology'), 'ontology'))
    wants_range = _flag(ontology.pop(_RANGE, False), f'ontology.{_RANGE}')
    where = body.get('where')
    plain = _sections({**body, 'ontology': ontology})
    return Query(
        plain.sequence,
        plain.topic,
        plain.ontology,
        wants_range,
        None if where is None else parse_where(where),
        Order() if body.get('order') is None else Order.parse(body['order']),
        _limit(body.get('limit')),
        _cursor(body.get('cursor')),
        _flag(body.get('explain') or False, 'explain'),
    )


def _sections(body: dict[str, Any]) -> Sections:
    return Sections(
        _section(_object(body.get('sequence'), 'sequence'), 'sequence', _SEQUENCE_FIELDS),
        _section(_object(body.get('topic'), 'topic'), 'topic', _TOPIC_FIELDS),
        parse_ontology(_object(body.get('ontology'), 'ontology')),
    )


def parse_where(node: Any) -> Where:
    """Read the tree behind ``where``.

    Raises
    ------
    InvalidArgumentError
        Something in it is no node, or a malformed condition; names it.

    """
    operator = next(iter(node)) if isinstance(node, dict) and len(node) == 1 else None
    if operator in ('$and', '$or'):
        parts = node[operator]
        if not isinstance(parts, list) or not parts:
            raise InvalidArgumentError(f'{operator} in where takes a list with at least one part')
        found = tuple(map(parse_where, parts))
        return AllOf(found) if operator == '$and' else AnyOf(found)
    if operator == '$not':
        return Not(parse_where(node[operator]))
    if not isinstance(node, dict):
        raise InvalidArgumentError('A part of where is not a JSON object')
    _known(node, _SECTIONS, 'part of where')
    leaf = _sections(node)
    if not leaf:
        raise InvalidArgumentError(
            'A part of where holds no condition',
            remedy='Write {"$and": [..]}, {"$or": [..]}, {"$not": ..} or sections.',
        )
    return leaf


def _known(body: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise InvalidArgumentError(
            f'The query {what} {unknown[0][:80]!r} is unknown',
            remedy=f'Known are {", ".join(names)}.',
        )


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f'{where} is not true or false')
    return value


def _limit(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidArgumentError('The limit of the query is not a positive integer')
    return value


def _cursor(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError('The cursor of the query is not text')
    return value


def parse_ontology(body: dict[str, Any]) -> tuple[OntologyCondition, ...]:
    """Read ``{"<tag>.<path>": {"<operator>": operand}}``.

    Raises
    ------
    InvalidArgumentError
        A malformed key or condition; names it.

    """
    conditions: list[OntologyCondition] = []
    for key, spelled in body.items():
        tag, path = ontology_path(key)
        found = parse_conditions(spelled, key, lists=True)
        conditions += [OntologyCondition(tag, path, condition) for condition in found]
    return tuple(conditions)


def _object(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgumentError(f'The query section {where} is not a JSON object')
    return value


def _section(body: dict[str, Any], section: str, known: dict[str, CatalogField]) -> SectionQuery:
    fields: list[FieldCondition] = []
    metadata: list[MetadataCondition] = []
    for key, spelled in body.items():
        where = f'{section}.{key[:80]}'
        if key == _METADATA:
            metadata.extend(_metadata(_object(spelled, where), '', where))
        elif key.startswith(f'{_METADATA}.'):  # dotted: "user_metadata.site.hall"
            metadata.extend(_metadata({key.partition('.')[2]: spelled}, '', where))
        elif key in known:
            fields.extend(_field_conditions(known[key], spelled, where))
        else:
            raise InvalidArgumentError(
                f'The query field {where!r} is unknown',
                remedy=f'Known are {", ".join([*known, _METADATA])}.',
            )
    return SectionQuery(tuple(fields), tuple(metadata))


def _field_conditions(name: CatalogField, spelled: Any, where: str) -> Iterator[FieldCondition]:
    wanted = 'number' if name is CatalogField.CREATED_AT_NS else 'text'
    substring = name is CatalogField.LOCATOR
    for condition in parse_conditions(
        spelled, where, substring=substring, longest=MAX_LISTED_NAMES
    ):
        if condition.operator in (Operator.EX, Operator.NEX):
            raise InvalidArgumentError(
                f'{where} always exists; {condition.operator.value} is void'
            )
        if condition.kind != wanted:
            raise InvalidArgumentError(f'{where} compares with {wanted}, not {condition.kind}')
        if name in _NAMES:
            condition = _map_text(condition, lambda text: text.strip('/'))
        elif name is CatalogField.SERIALIZATION_FORMAT:
            condition = _map_text(condition, str.lower)
        yield FieldCondition(name, condition)


def _map_text(condition: Condition, change: Any) -> Condition:
    """Apply `change` to the texts of an operand; patterns stay as they are."""
    if isinstance(condition.value, str):
        return replace(condition, value=change(condition.value))
    if isinstance(condition.value, tuple):
        return replace(condition, value=tuple(map(change, condition.value)))
    return condition


def _metadata(body: dict[str, Any], prefix: str, where: str) -> Iterator[MetadataCondition]:
    for key, spelled in body.items():
        path = f'{prefix}.{key}' if prefix else key
        if isinstance(spelled, dict) and spelled and not any(k.startswith('$') for k in spelled):
            yield from _metadata(spelled, path, where)  # {"site": {"hall": {"$eq": "B"}}}
        else:
            steps = metadata_path(path)
            for condition in parse_conditions(spelled, f'{where}.{path[:80]}'):
                yield MetadataCondition(steps, condition)
