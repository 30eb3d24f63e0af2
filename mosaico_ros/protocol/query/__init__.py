"""The query language: a typed tree, its reader and its writer.

``parse`` accepts every spelling that a published client or the documentation uses;
``to_json`` writes the current one; ``alternatives`` takes the boolean tree of ``where`` apart.
``predicates``, beside them, says which rows of a batch match; how stored data is searched is the
daemon's.
"""

from __future__ import annotations

from mosaico_ros.protocol.query.conditions import Condition, Operator, Scalar, grouped
from mosaico_ros.protocol.query.parser import parse, parse_ontology, parse_where
from mosaico_ros.protocol.query.pattern import MatchFlavour, Pattern
from mosaico_ros.protocol.query.tree import (
    AllOf,
    AnyOf,
    CatalogField,
    FieldCondition,
    MetadataCondition,
    MetadataStep,
    Not,
    OntologyCondition,
    Order,
    OrderKey,
    PathStep,
    Query,
    SectionQuery,
    Sections,
    Specifier,
    StepKind,
    Where,
    metadata_path,
    ontology_key,
    ontology_path,
)
from mosaico_ros.protocol.query.where import alternatives, row_alternatives, rows_tree
from mosaico_ros.protocol.query.writer import to_json, where_json

__all__ = [
    'AllOf',
    'AnyOf',
    'CatalogField',
    'Condition',
    'FieldCondition',
    'MatchFlavour',
    'MetadataCondition',
    'MetadataStep',
    'Not',
    'OntologyCondition',
    'Operator',
    'Order',
    'OrderKey',
    'PathStep',
    'Pattern',
    'Query',
    'Scalar',
    'SectionQuery',
    'Sections',
    'Specifier',
    'StepKind',
    'Where',
    'alternatives',
    'grouped',
    'metadata_path',
    'ontology_key',
    'ontology_path',
    'parse',
    'parse_ontology',
    'parse_where',
    'row_alternatives',
    'rows_tree',
    'to_json',
    'where_json',
]
