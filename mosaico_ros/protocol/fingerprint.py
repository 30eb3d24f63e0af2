"""The fingerprint by which both ends recognise a layout."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar

__all__ = ['fingerprint', 'schema_fingerprint']

_FINGERPRINT_DIGITS = 10
_PLAIN_FORMS = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}


def fingerprint(struct: pa.StructType) -> str:
    """Return the ten hex digits by which both ends recognise a layout.

    Names, order, types and nullability of all levels count; descriptions do not.
    """
    plain = pa.struct(
        [field.with_type(_PLAIN_FORMS.get(field.type, field.type)) for field in struct]
    )
    return hashlib.sha1(str(plain).encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def schema_fingerprint(schema: pa.Schema) -> str:
    """Return the fingerprint of a topic's schema: of its columns without envelope and sidecars."""
    return fingerprint(
        pa.struct(
            [
                field
                for field in schema
                if field.name != TIMESTAMP_COLUMN and not is_sidecar(field.metadata)
            ]
        )
    )
