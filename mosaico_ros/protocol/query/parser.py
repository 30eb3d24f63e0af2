"""Reading queries: every spelling that a client or the documentation uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query.conditions import Condition, Operator, parse_condition
from mosaico_ros.protocol.query.tree import (
    CatalogField,
    FieldCondition,
    MetadataCondition,
    OntologyCondition,
    Query,
    SectionQuery,
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
_METADATA = 'user_metadata'
_RANGE = 'include_timestamp_range'


def parse(body: dict[str, Any]) -> Query:
    """Read the body of the action ``query``.

    Raises
    ------
    InvalidArgumentError
        Unknown section, field or operator, or a malformed condition; names the place.

    """
    unknown = sorted(set(body) - {'sequence', 'topic', 'ontology'})
    if unknown:
        raise InvalidArgumentError(
            f'The query section {unknown[0][:80]!r} is unknown',
            remedy='Known are sequence, topic, ontology.',
        )
    ontology = dict(_object(body.get('ontology'), 'ontology'))
    wants_range = ontology.pop(_RANGE, False)
    if not isinstance(wants_range, bool):
        raise InvalidArgumentError(f'ontology.{_RANGE} is not true or false')
    return Query(
        _section(_object(body.get('sequence'), 'sequence'), 'sequence', _SEQUENCE_FIELDS),
        _section(_object(body.get('topic'), 'topic'), 'topic', _TOPIC_FIELDS),
        parse_ontology(ontology),
        wants_range,
    )


def parse_ontology(body: dict[str, Any]) -> tuple[OntologyCondition, ...]:
    """Read ``{"<tag>.<path>": {"<operator>": operand}}``.

    Raises
    ------
    InvalidArgumentError
        A malformed key or condition; names it.

    """
    conditions = []
    for key, spelled in body.items():
        tag, path = ontology_path(key)
        conditions.append(OntologyCondition(tag, path, parse_condition(spelled, key, lists=True)))
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
            fields.append(_field_condition(known[key], spelled, where))
        else:
            raise InvalidArgumentError(
                f'The query field {where!r} is unknown',
                remedy=f'Known are {", ".join([*known, _METADATA])}.',
            )
    return SectionQuery(tuple(fields), tuple(metadata))


def _field_condition(name: CatalogField, spelled: Any, where: str) -> FieldCondition:
    condition = parse_condition(spelled, where, substring=name is CatalogField.LOCATOR)
    if condition.operator in (Operator.EX, Operator.NEX):
        raise InvalidArgumentError(f'{where} always exists; {condition.operator.value} is void')
    wanted = 'number' if name is CatalogField.CREATED_AT_NS else 'text'
    if condition.kind != wanted:
        raise InvalidArgumentError(f'{where} compares with {wanted}, not {condition.kind}')
    if name in _NAMES:
        condition = _map_text(condition, lambda text: text.strip('/'))
    elif name is CatalogField.SERIALIZATION_FORMAT:
        condition = _map_text(condition, str.lower)
    return FieldCondition(name, condition)


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
            yield MetadataCondition(
                metadata_path(path), parse_condition(spelled, f'{where}.{path[:80]}')
            )
