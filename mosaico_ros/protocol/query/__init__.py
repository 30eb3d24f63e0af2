"""The query language: a typed tree, its reader and its writer.

``parse`` accepts every spelling that a published client or the documentation uses;
``to_json`` writes the current one. Evaluation against stored data is the daemon's.
"""

from __future__ import annotations

from mosaico_ros.protocol.query.conditions import Condition, Operator, Scalar
from mosaico_ros.protocol.query.parser import parse, parse_ontology
from mosaico_ros.protocol.query.pattern import MatchFlavour, Pattern
from mosaico_ros.protocol.query.tree import (
    CatalogField,
    FieldCondition,
    MetadataCondition,
    MetadataStep,
    OntologyCondition,
    PathStep,
    Query,
    SectionQuery,
    Specifier,
    StepKind,
    metadata_path,
    ontology_key,
    ontology_path,
    to_json,
)

__all__ = [
    'CatalogField',
    'Condition',
    'FieldCondition',
    'MatchFlavour',
    'MetadataCondition',
    'MetadataStep',
    'OntologyCondition',
    'Operator',
    'PathStep',
    'Pattern',
    'Query',
    'Scalar',
    'SectionQuery',
    'Specifier',
    'StepKind',
    'metadata_path',
    'ontology_key',
    'ontology_path',
    'parse',
    'parse_ontology',
    'to_json',
]
