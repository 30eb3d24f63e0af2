"""What recorders that died have left in the spool, delivered without anybody's doing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.delivery import Delivery
from mosaico_ros.nodes.spool import Spool, left_behind
from mosaico_ros.protocol.errors import MosaicoError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

_LAST_WORDS = 1.0


class Recovery(threading.Thread):
    """Delivers the spools below a folder that have no owner, one after the other.

    Parameters
    ----------
    root
        The folder.
    address
        Spools for another daemon than this are left alone.
    connect
        Makes a client.
    event
        Where to say what happened.
    batches
        How `Delivery` sends.
    """

    def __init__(
        self,
        root: Path,
        address: str,
        connect: Callable[[], MosaicoClient],
        event: Callable[..., None],
        **batches: Any,
    ) -> None:
        super().__init__(name='recovery', daemon=True)
        self._root = root
        self._address = address
        self._connect = connect
        self._event = event
        self._batches = batches
        self._stopping = threading.Event()

    def run(self) -> None:
        """Deliver what was there at the start."""
        try:
            found = left_behind(self._root)
        except OSError as error:
            self._event(f'the spools in {self._root} cannot be read: {error}', warning=True)
            return
        for folder in found:
            if self._stopping.is_set():
                return
            try:
                spool = Spool.take_over(folder)
            except (MosaicoError, OSError, TypeError, ValueError) as error:
                self._event(f'the spool {folder} cannot be used: {error}', warning=True)
                continue
            if spool is not None:
                self._recover(spool)

    def stop(self) -> None:
        """Stop soon; what is not delivered stays for the next start."""
        self._stopping.set()
        if self.ident is not None:
            self.join(_LAST_WORDS * 3)

    def _recover(self, spool: Spool) -> None:
        recording = spool.recording
        if recording.address != self._address:
            self._event(
                f'{spool.folder} holds messages of {recording.name} for the daemon at '
                f'{recording.address}; start a recorder for that daemon to deliver them',
                warning=True,
            )
            spool.close(remove=False)
            return
        accounts: list[TopicAccount] = []

        def account(topic: Any) -> TopicAccount:
            accounts.append(TopicAccount(topic.name, topic.type))
            return accounts[-1]

        delivery = Delivery(
            spool,
            self._connect,
            account=account,
            released=lambda _size: None,
            event=self._event,
            growing=False,
            **self._batches,
        )
        delivery.start()
        while delivery.is_alive():
            delivery.join(0.2)
            if self._stopping.is_set():
                delivery.finish(_LAST_WORDS)
                delivery.join(_LAST_WORDS * 2)
                break
        if delivery.is_alive():
            return  # the end of the process frees the spool
        spool.close(remove=delivery.delivered)
        if delivery.failure is not None:
            self._event(
                f'{recording.name} cannot be delivered from {spool.folder}: {delivery.failure}',
                warning=True,
            )
        elif delivery.delivered:
            sent = sum(each.sent for each in accounts)
            damaged = sum(each.refused for each in accounts)
            self._event(
                f'{delivery.recording_name}, which a recorder left unfinished, is complete now: '
                f'{sent} messages were in the spool'
                + (f', {damaged} of them damaged on the disk' if damaged else '')
                + (f', {spool.log.cut} bytes at its end were cut off' if spool.log.cut else ''),
                warning=bool(damaged),
            )
