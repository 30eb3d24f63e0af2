"""Schema metadata keys."""

from __future__ import annotations

import json

from mosaico_ros.protocol import metadata


def test_schema_metadata_is_what_old_readers_expect():
    entries = metadata.schema_metadata('topic', {'ontology_tag': 'IMU'}, {'ä': [1, None]})
    assert entries[b'mosaico:context'] == b'topic'
    assert json.loads(entries[b'mosaico:properties']) == {'ontology_tag': 'IMU'}
    assert json.loads(entries[b'mosaico:user_metadata']) == {'ä': [1, None]}


def test_sidecars_are_recognised():
    assert metadata.is_sidecar({metadata.SIDECAR: metadata.SIDECAR_TRUE})
    assert not metadata.is_sidecar({b'description': b'x'})
    assert not metadata.is_sidecar(None)
