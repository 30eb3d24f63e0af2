"""Short ways to call a daemon by Flight and by bare gRPC."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.flight as flight

__all__ = ['Remote']

SERVICE = '/arrow.flight.protocol.FlightService/'


class Remote:
    """A daemon as its clients see it; every instance has a sequence name of its own."""

    def __init__(self, url: str) -> None:
        import grpc
        from pyarrow import flight

        self.url = url
        self.client = flight.connect(url)
        self.channel = grpc.insecure_channel(
            url.removeprefix('grpc://'), options=[('grpc.max_send_message_length', -1)]
        )
        self.sequence = f's{uuid.uuid4().hex[:12]}'

    def close(self) -> None:
        self.client.close()
        self.channel.close()

    def act(self, name: str, **body: Any) -> Any:
        """Perform an action; return its response."""
        from pyarrow import flight

        results = self.client.do_action(flight.Action(name, json.dumps(body).encode()))
        data = b''.join(result.body.to_pybytes() for result in results)
        return json.loads(data)['response']

    def session(self) -> dict[str, str]:
        """Create the sequence (once) and a session on it."""
        import pyarrow as pa

        try:
            self.act('sequence_create', locator=self.sequence, user_metadata={})
        except pa.ArrowException:
            pass
        return self.act('session_create', locator=self.sequence)

    def topic(self, path: str, session: dict[str, str] | None = None) -> flight.FlightDescriptor:
        """Create a topic; return the descriptor to upload it with."""
        from pyarrow import flight

        locator = f'{self.sequence}/{path}'
        created = self.act(
            'topic_create',
            session_uuid=(session or self.session())['uuid'],
            locator=locator,
            serialization_format='default',
            ontology_tag='Custom',
            user_metadata={},
        )
        command = {'resource_locator': locator, 'topic_uuid': created['uuid']}
        return flight.FlightDescriptor.for_command(json.dumps(command))

    def put(
        self, path: str, batches: list[pa.RecordBatch], schema: pa.Schema | None = None
    ) -> None:
        """Upload a topic as published clients do."""
        descriptor = self.topic(path)
        writer, _ = self.client.do_put(descriptor, schema or batches[0].schema)
        for batch in batches:
            writer.write_batch(batch)
        writer.close()

    def info(self, path: str = '', **window: int) -> flight.FlightInfo:
        """GetFlightInfo of a topic, or of the sequence."""
        from pyarrow import flight

        locator = f'{self.sequence}/{path}' if path else self.sequence
        command = json.dumps({'resource_locator': locator} | window)
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(command))

    def get(self, path: str, **window: int) -> pa.Table:
        """Read a topic."""
        (endpoint,) = self.info(path, **window).endpoints
        return self.client.do_get(endpoint.ticket).read_all()

    def topic_info(self, path: str) -> dict[str, Any]:
        """The endpoint's app_metadata."""
        (endpoint,) = self.info(path).endpoints
        return json.loads(endpoint.app_metadata)

    def unary(self, method: str, request: bytes) -> bytes:
        """Call an RPC with one answer by bare gRPC."""
        return self.channel.unary_unary(SERVICE + method)(request, timeout=20)

    def stream(self, method: str, request: bytes) -> list[bytes]:
        """Call an RPC with a stream of answers by bare gRPC."""
        return list(self.channel.unary_stream(SERVICE + method)(request, timeout=20))

    def raw_put(self, frames: Iterable[bytes], **options: Any) -> list[bytes]:
        """DoPut by bare gRPC: serialized FlightData in, serialized PutResults out."""
        call = self.channel.stream_stream(SERVICE + 'DoPut')
        return list(call(iter(frames), timeout=60, **options))
