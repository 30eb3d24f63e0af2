"""The Arrow layouts of all built-in types, which other clients recognise by fingerprint."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from mosaico_ros import models
from mosaico_ros.models.core.columns import writer_schema
from mosaico_ros.models.core.registry import registered_tags

FINGERPRINTS = json.loads(Path(__file__).with_name('fingerprints.json').read_text())
REFERENCE = Path(__file__).parents[3] / 'shared' / 'ontology_schemas.json'


@pytest.mark.parametrize('tag', FINGERPRINTS)
def test_fingerprint(tag):
    cls = getattr(models, tag)
    assert cls.ontology_tag() == tag
    assert cls.is_registered()
    assert cls.fingerprint() == FINGERPRINTS[tag]


def test_all_built_in_types_are_listed():
    assert len(FINGERPRINTS) == 60
    assert set(FINGERPRINTS) <= set(registered_tags())


@pytest.mark.skipif(not REFERENCE.exists(), reason='reference schemas are not beside the checkout')
def test_agrees_with_the_reference_field_by_field():
    for tag, reference in json.loads(REFERENCE.read_text())['ontologies'].items():
        cls = getattr(models, tag)
        described = [_described(field) for field in writer_schema(cls)]
        assert described == [_expected(field) for field in reference['writer_schema']], tag
        assert cls.serialization_format().value == reference['serialization_format']


def _described(field):
    return field.name, field.nullable, str(field.type).split('<')[0].split('[')[0]


def _expected(field):
    return field['name'], field['nullable'], field['type'].split('<')[0].split('[')[0]


def test_every_field_says_what_it_means():
    for tag in FINGERPRINTS:
        for field in getattr(models, tag).arrow_struct():
            assert (field.metadata or {}).get(b'description'), f'{tag}.{field.name}'


def test_fingerprint_ignores_wide_text_and_descriptions():
    from mosaico_ros.protocol.fingerprint import fingerprint

    plain = pa.struct([pa.field('a', pa.string()), pa.field('b', pa.binary(), nullable=False)])
    wide = pa.struct(
        [
            pa.field('a', pa.large_string(), metadata={'description': 'x'}),
            pa.field('b', pa.large_binary(), nullable=False),
        ]
    )
    assert fingerprint(plain) == fingerprint(wide)
    assert fingerprint(plain) != fingerprint(pa.struct([plain[1], plain[0]]))
