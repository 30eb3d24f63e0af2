"""The Flight service: translates between gRPC messages and :class:`Calls`."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from mosaico_ros.daemon.calls import Calls, Descriptor, Flight, Gate, Put
from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.frames import Frame, read_frame
from mosaico_ros.daemon.transport.ipc import BatchReader, encode_schema
from mosaico_ros.daemon.transport.outgoing import Outgoing
from mosaico_ros.daemon.transport.status import status_of
from mosaico_ros.daemon.transport.untaken import Untaken
from mosaico_ros.protocol.api_keys import API_KEY_HEADER, Permission
from mosaico_ros.protocol.errors import (
    CancelledError,
    DeadlineExceededError,
    InvalidArgumentError,
)

__all__ = ['FlightService']

_log = logging.getLogger(__name__)

# How long completing an unmarked upload waits for the news that its client died instead.
# Measured over killed clients: 0.3 ms, and 8 ms with two busy Python threads. Each pause gives
# the thread that takes gRPC's events a turn, so that a busy interpreter stretches the wait.
_END_SECONDS = 0.04
_END_PAUSES = 4

Context = Any  # grpc.ServicerContext; grpcio ships no types
Answers = Generator[bytes, None, None]


class FlightService:
    """Handlers of all RPCs.

    Parameters
    ----------
    calls
        The daemon.
    gate
        Who may call it.
    outgoing
        Makes the messages of read streams.
    max_message_bytes
        Largest message accepted.
    idle_seconds
        How long a client may send nothing of its upload, or take nothing of its answer; 0 for
        ever.

    """

    def __init__(
        self,
        calls: Calls,
        gate: Gate,
        outgoing: Outgoing,
        max_message_bytes: int,
        idle_seconds: float = 0,
    ) -> None:
        self._calls = calls
        self._gate = gate
        self._outgoing = outgoing
        self._limit = max_message_bytes
        self._idle_seconds = idle_seconds
        self._untaken = Untaken(idle_seconds)
        #: Set when the server goes down: cancelled uploads are not their clients' doing then.
        self.stopping = False

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register; requests and answers are bytes to gRPC."""
        return grpc.method_handlers_generic_handler(
            messages.SERVICE,
            {
                'ListActions': grpc.unary_stream_rpc_method_handler(
                    self._stream('ListActions', self._list_actions)
                ),
                'DoAction': grpc.unary_stream_rpc_method_handler(
                    self._stream('DoAction', self._do_action)
                ),
                'ListFlights': grpc.unary_stream_rpc_method_handler(
                    self._stream('ListFlights', self._list_flights)
                ),
                'GetFlightInfo': grpc.unary_unary_rpc_method_handler(
                    self._unary('GetFlightInfo', self._get_flight_info)
                ),
                'GetSchema': grpc.unary_unary_rpc_method_handler(
                    self._unary('GetSchema', self._get_schema)
                ),
                'DoGet': grpc.unary_stream_rpc_method_handler(self._stream('DoGet', self._do_get)),
                'DoPut': grpc.stream_stream_rpc_method_handler(
                    self._stream('DoPut', self._do_put)
                ),
            },
        )

    # Every RPC passes through one of the next two; what concerns all calls belongs there.

    def _unary(
        self, name: str, behaviour: Callable[[bytes], bytes]
    ) -> Callable[[bytes, Context], bytes]:
        def handle(request: bytes, context: Context) -> bytes:
            with _counted(name):
                try:
                    self._admit(context, name, Permission.READ)
                    return behaviour(request)
                except Exception as error:
                    _abort(context, name, error)

        return handle

    def _stream(
        self, name: str, behaviour: Callable[[Any, Context], Answers]
    ) -> Callable[[Any, Context], Iterator[bytes]]:
        def handle(request: Any, context: Context) -> Iterator[bytes]:
            with _counted(name):
                try:
                    # Before a byte of the request is looked at; some calls ask for more later.
                    self._admit(context, name, Permission.READ)
                    with closing(behaviour(request, context)) as answers:
                        for answer in answers:
                            with self._untaken.offered(context):
                                yield answer
                except Exception as error:
                    _abort(context, name, error)

        return handle

    def _admit(self, context: Context, call: str, needed: Permission) -> None:
        tokens = [value for name, value in context.invocation_metadata() if name == API_KEY_HEADER]
        # Of two keys neither is the caller's word.
        self._gate.admit(tokens[0] if len(tokens) == 1 else None, needed, call)

    def _list_actions(self, request: bytes, context: Context) -> Answers:
        _parse(messages.Empty, request)
        for name, description in self._calls.action_types():
            yield messages.ActionType(type=name, description=description).SerializeToString()

    def _do_action(self, request: bytes, context: Context) -> Answers:
        action = _parse(messages.Action, request)
        self._admit(context, action.type, self._calls.permission(action.type))
        for body in self._calls.do_action(action.type, action.body, context.is_active):
            yield messages.Result(body=body).SerializeToString()

    def _list_flights(self, request: bytes, context: Context) -> Answers:
        criteria = _parse(messages.Criteria, request)
        for flight in self._calls.list_flights(criteria.expression):
            yield _flight_info(flight)

    def _get_flight_info(self, request: bytes) -> bytes:
        return _flight_info(self._calls.get_flight_info(_descriptor(request)))

    def _get_schema(self, request: bytes) -> bytes:
        schema = self._calls.get_schema(_descriptor(request))
        return bytes(messages.SchemaResult(schema=encode_schema(schema)).SerializeToString())

    def _do_get(self, request: bytes, context: Context) -> Answers:
        ticket = _parse(messages.Ticket, request)
        with closing(self._outgoing.stream(*self._calls.do_get(ticket.ticket))) as stream:
            for message in stream:
                # The key of a long read may be revoked, or expire, on the way.
                self._admit(context, 'DoGet', Permission.READ)
                metrics.BYTES_READ.add(len(message))
                yield message

    def _do_put(self, requests: Iterator[bytes], context: Context) -> Answers:
        self._admit(context, 'DoPut', Permission.WRITE)
        first = self._first_frame(requests)
        reader = BatchReader(first, self._limit)
        mail: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        put = self._calls.begin_put(_descriptor(bytes(first.descriptor)), reader.schema, mail.put)
        # An acknowledgement must not wait for the client's next batch, nor the client's silence
        # end with it, and gRPC offers no way to wait for either: the stream is consumed by a
        # thread of its own.
        incoming = _Incoming(requests)
        failures: list[BaseException] = []

        def consume() -> None:
            try:
                self._consume(put, reader, first, incoming, context)
            except BaseException as error:
                failures.append(error)
            finally:
                mail.put(None)

        threading.Thread(target=consume, name='put', daemon=True).start()
        while True:
            try:
                news = mail.get(timeout=incoming.patience(self._idle_seconds))
            except queue.Empty:
                if incoming.patience(self._idle_seconds):
                    continue
                reason = f'the client sent nothing for {self._idle_seconds:g} s'
                put.interrupt(reason)
                raise DeadlineExceededError(
                    f'The upload was ended: {reason}',
                    remedy='The topic keeps what arrived. MOSAICOD_IDLE_TIMEOUT sets the time.',
                ) from None
            if news is None:
                break
            yield messages.PutResult(app_metadata=news).SerializeToString()
        if failures:
            raise failures[0]

    def _consume(
        self,
        put: Put,
        reader: BatchReader,
        first: Frame,
        requests: Iterable[bytes],
        context: Context,
    ) -> None:
        """Feed an upload to its end, and complete it if the end is an orderly one."""
        try:
            if len(first.app_metadata):
                put.append(None, bytes(first.app_metadata))
            for data in requests:
                self._admit(context, 'DoPut', Permission.WRITE)
                frame = read_frame(data)
                put.append(reader.read(frame), bytes(frame.app_metadata))
            ended_at = time.monotonic()
            put.settle()
            if not put.ended:
                _require_orderly_end(context, ended_at)
            put.finish()
        except (grpc.RpcError, CancelledError):
            put.interrupt(
                'the daemon was stopped'
                if self.stopping
                else 'the client cancelled the upload or went away'
            )
            raise
        except BaseException as error:
            put.interrupt(str(error) or type(error).__name__)
            raise

    @staticmethod
    def _first_frame(requests: Iterator[bytes]) -> Frame:
        try:
            frame = read_frame(next(requests))
        except StopIteration:
            raise InvalidArgumentError(
                'The upload ended before it began', remedy='Send a descriptor and a schema.'
            ) from None
        if not len(frame.descriptor):
            raise InvalidArgumentError(
                'The upload names no topic', remedy='Send a descriptor in the first message.'
            )
        return frame


class _Incoming:
    """The messages of an upload, and for how long its client has been silent."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._waiting_since: float | None = None

    def __iter__(self) -> Iterator[bytes]:
        while True:
            # Only while waiting: a sender that is held back by a slow store is not idle.
            self._waiting_since = time.monotonic()
            data = next(self._requests, None)
            self._waiting_since = None
            if data is None:
                return
            yield data

    def patience(self, idle_seconds: float) -> float | None:
        """Return how many seconds the client may still be silent; `None` for ever."""
        if not idle_seconds:
            return None
        since = self._waiting_since
        return max(0.0, idle_seconds - (time.monotonic() - since)) if since else idle_seconds


def _require_orderly_end(context: Context, ended_at: float) -> None:
    """Tell a half-closed stream from one whose client died.

    To gRPC both look the same at first: the requests end. A lost connection is noticed as a
    cancellation of the call a moment later, so completing waits for that moment.
    """
    pauses = 0
    while context.is_active():
        if pauses >= _END_PAUSES and time.monotonic() - ended_at >= _END_SECONDS:
            return
        time.sleep(_END_SECONDS / 10)
        pauses += 1
    raise CancelledError('The client went away before the upload ended')


@contextmanager
def _counted(name: str) -> Iterator[None]:
    """Count a call while it runs and, if it is not aborted, how it ended."""
    with metrics.RPCS_RUNNING.held(name):
        try:
            yield
        except GeneratorExit:
            metrics.RPCS.add(1, name, grpc.StatusCode.CANCELLED.name)
            raise
    metrics.RPCS.add(1, name, grpc.StatusCode.OK.name)


def _abort(context: Context, name: str, error: Exception) -> NoReturn:
    code, details = status_of(error, name)
    metrics.RPCS.add(1, name, code.name)
    context.abort(code, details)
    raise AssertionError('abort returned')


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidArgumentError(f'The request is not a Flight {kind.DESCRIPTOR.name}') from None


def _descriptor(data: bytes) -> Descriptor:
    message = _parse(messages.FlightDescriptor, data)
    if message.type == messages.DESCRIPTOR_CMD:
        return Descriptor(command=message.cmd)
    if message.type == messages.DESCRIPTOR_PATH:
        return Descriptor(path=tuple(message.path))
    raise InvalidArgumentError(
        'The descriptor is neither a command nor a path', remedy='Send a command descriptor.'
    )


def _flight_info(flight: Flight) -> bytes:
    descriptor = flight.descriptor
    if descriptor.command is not None:
        described = messages.FlightDescriptor(type=messages.DESCRIPTOR_CMD, cmd=descriptor.command)
    else:
        described = messages.FlightDescriptor(type=messages.DESCRIPTOR_PATH, path=descriptor.path)
    info = messages.FlightInfo(
        schema=encode_schema(flight.schema),
        flight_descriptor=described,
        total_records=flight.total_records,
        total_bytes=flight.total_bytes,
        app_metadata=flight.app_metadata,
    )
    for endpoint in flight.endpoints:
        info.endpoint.add(
            ticket=messages.Ticket(ticket=endpoint.ticket),
            location=[messages.Location(uri=uri) for uri in endpoint.locations],
            app_metadata=endpoint.app_metadata,
        )
    return bytes(info.SerializeToString())
