"""Every gRPC status arrives as its own error, with the daemon's own text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mosaico_ros.client.comm.connection import Connection, Endpoint
from mosaico_ros.protocol.errors import ErrorCode, MosaicoError, error_for_code

TEXT = 'The sequence "dock" is taken. Detail: choose another.\nSecond line'


@pytest.fixture(scope='module')
def endpoint():
    """A gRPC server that answers the action NAME with the status NAME."""

    def refuse(request: bytes, context: grpc.ServicerContext):
        # The action type is field 1 of the message, a length-prefixed text.
        name = request[2 : 2 + request[1]].decode()
        context.abort(grpc.StatusCode[name.upper()], TEXT)
        yield b''

    class Service(grpc.GenericRpcHandler):
        def service(self, details):
            if details.method.endswith('/DoAction'):
                return grpc.unary_stream_rpc_method_handler(refuse)
            return None

    server = grpc.server(ThreadPoolExecutor(4), handlers=[Service()])
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    yield Endpoint('127.0.0.1', port)
    server.stop(0)


@pytest.mark.parametrize('code', list(ErrorCode))
def test_statuses(endpoint, code):
    connection = Connection(endpoint)
    with pytest.raises(MosaicoError) as caught:
        connection.action(code.value, {})
    connection.close()
    assert type(caught.value) is error_for_code(code)
    if code is ErrorCode.UNAVAILABLE:  # then nobody but the client knows who did not answer
        assert str(endpoint) in caught.value.message
        assert caught.value.message.endswith(TEXT)
    else:
        assert caught.value.message == TEXT
    assert caught.value.__cause__ is not None
