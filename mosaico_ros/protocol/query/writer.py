"""Writing queries in their current JSON spelling."""

from __future__ import annotations

from typing import Any

from mosaico_ros.protocol.query.conditions import grouped
from mosaico_ros.protocol.query.tree import (
    AllOf,
    AnyOf,
    Not,
    Order,
    Query,
    SectionQuery,
    Sections,
    Where,
)

__all__ = ['to_json', 'where_json']


def to_json(query: Query) -> dict[str, Any]:
    """Return the body of the action ``query``; what says nothing is left out."""
    body = _sections_json(query)
    if query.include_timestamp_range:
        body.setdefault('ontology', {})['include_timestamp_range'] = True
    if query.where is not None:
        body['where'] = where_json(query.where)
    if query.order != Order():
        body['order'] = str(query.order)
    if query.limit is not None:
        body['limit'] = query.limit
    if query.cursor is not None:
        body['cursor'] = query.cursor
    if query.explain:
        body['explain'] = True
    return body


def where_json(node: Where) -> dict[str, Any]:
    """Return a tree as ``where`` holds it."""
    if isinstance(node, Not):
        return {'$not': where_json(node.part)}
    if isinstance(node, (AllOf, AnyOf)):
        name = '$and' if isinstance(node, AllOf) else '$or'
        return {name: [where_json(part) for part in node.parts]}
    return _sections_json(node)


def _sections_json(sections: Sections) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, section in (('sequence', sections.sequence), ('topic', sections.topic)):
        if section:
            body[name] = _section_json(section)
    if sections.ontology:
        body['ontology'] = grouped((row.key, row.condition.to_json()) for row in sections.ontology)
    return body


def _section_json(section: SectionQuery) -> dict[str, Any]:
    body = grouped((item.field.value, item.condition.to_json()) for item in section.fields)
    if section.user_metadata:
        body['user_metadata'] = grouped(
            ('.'.join(map(str, entry.path)), entry.condition.to_json())
            for entry in section.user_metadata
        )
    return body
