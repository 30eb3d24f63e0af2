"""Reading one topic over several connections at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.handlers.batch_source import BatchSource
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['read_stripes']


def read_stripes(
    connection: Connection,
    locator: TopicLocator,
    tickets: Sequence[flight.Ticket],
    meter: Meter,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return the rows of all tickets, in their order.

    Each is read over a connection of its own: one connection reaches one of the daemon's
    workers, and is one flow to the network.

    Parameters
    ----------
    connection
        The client's connection; the others are opened like it.
    locator
        The topic, for error texts.
    tickets
        The stripes, as the daemon ordered them.
    meter
        Counts the rows.
    columns
        What to keep of each row; all by default.

    Raises
    ------
    MosaicoError
        One stripe was refused or broken off; the others are cancelled then.

    """
    with ExitStack() as opened, ThreadPoolExecutor(len(tickets), 'mosaico-stripe') as threads:
        sources = []
        for ticket in tickets:
            own = Connection(connection.endpoint, connection.server)
            opened.callback(own.close)
            source = BatchSource(own, locator, ticket, columns)
            connection.cancel_on_close(source)
            sources.append(source)
        running = [threads.submit(_read, source, meter) for source in sources]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()  # the one to blame, before the others fail as cancelled
        finally:
            for source in sources:
                source.cancel()
        return pa.concat_tables([future.result() for future in running])


def _read(source: BatchSource, meter: Meter) -> pa.Table:
    batches = []
    while (batch := source.next()) is not None:
        batches.append(batch)
        meter.advance(batch.num_rows)
    return pa.Table.from_batches(batches, source.schema())
