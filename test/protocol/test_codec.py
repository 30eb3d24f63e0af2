"""JSON bodies: hostile text is refused by name, good text is kept exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.protocol import codec
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import MAX_JSON_BYTES

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_values_survive(value):
    assert codec.decode_object(codec.encode(value), 'it') == value
    assert codec.decode_object(json.dumps(value).encode(), 'it') == value


def test_integers_of_numpy_are_integers():
    assert codec.encode({'a': np.int64(-5), 'b': [np.uint8(7)]}) == b'{"a":-5,"b":[7]}'


@pytest.mark.parametrize('data', [b'', b'  \n', b'{}'])
def test_no_body_is_an_empty_object(data):
    assert codec.decode_object(data, 'it') == {}


@pytest.mark.parametrize(
    ('data', 'named'),
    [
        (b'{"a": NaN}', 'NaN'),
        (b'{"a": [-Infinity]}', '-Infinity'),
        (b'{"a": 1e999}', '1e999'),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' occurs twice"),
        (b'[1]', 'array'),
        (b'null', 'null'),
        (b'7', 'number'),
        (b'{"a": 1', 'not JSON'),
        (b'{"a": 1} x', 'not JSON'),
        (b'{"\xff": 1}', 'not UTF-8'),
        (b'{"a": "\\ud800"}', 'surrogate'),
        (b'{"a": ' + b'[' * 100 + b']' * 100 + b'}', 'nested deeper'),
        (b'{"a": ' + b'[' * 200_000, 'nested deeper'),
        (b'{"a": ' + b'9' * 6000 + b'}', 'not JSON'),
        (b'{"a": "' + b'x' * MAX_JSON_BYTES + b'"}', 'bytes'),
    ],
)
def test_refusals_name_the_fault(data, named):
    with pytest.raises(InvalidArgumentError) as caught:
        codec.decode_object(data, 'the body of query')
    assert named in str(caught.value)
    assert 'the body of query' in str(caught.value)


@pytest.mark.parametrize('value', [float('nan'), {1, 2}, object()])
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(InvalidArgumentError):
        codec.encode({'a': value})
    with pytest.raises(InvalidArgumentError, match=r'metadata\.a'):
        codec.check_json({'a': value}, 'metadata')
