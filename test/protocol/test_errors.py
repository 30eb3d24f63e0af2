"""Errors keep their code and remedy wherever they travel."""

from __future__ import annotations

import pickle

import grpc
import pytest

from mosaico_ros.protocol import errors
from mosaico_ros.protocol.errors import ErrorCode, MosaicoError, error_for_code


def test_every_code_has_one_class_and_is_a_grpc_status():
    for code in ErrorCode:
        assert error_for_code(code.value).code is code
        assert grpc.StatusCode[code.name].value[1] == code.value.replace('_', ' ')


def test_text_joins_message_and_remedy():
    error = errors.NotFoundError('No sequence x.', remedy='List them with `mosaico ls`.')
    assert str(error) == 'No sequence x. List them with `mosaico ls`.'
    assert isinstance(error, LookupError)


@pytest.mark.parametrize('code', list(ErrorCode))
def test_errors_survive_pickling(code):
    error = pickle.loads(pickle.dumps(error_for_code(code)('what', remedy='how')))
    assert isinstance(error, MosaicoError)
    assert (error.code, error.message, error.remedy) == (code, 'what', 'how')
