"""What uvicorn serves websockets with: its own protocol, and an end for connections of clients that do not read."""

import asyncio
import socket
import struct
from asyncio.transports import BaseTransport
from typing import ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from .ws.settings import Settings

MAX_FRAGMENTS = 10_000  # of one message: an empty one counts as no bytes, but takes some
RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: what the client has not read is dropped, by the system too


class ClientProtocol(WebSocketsSansIOProtocol):
    """The server's side of one connection, which ends although its client may not want it to.

    A transport closes when the client has read what was sent. So one that reads nothing keeps its connection, and what
    waits for it, for as long as it likes, although its handler has given it up long ago. Here, a client may keep the
    server waiting for as long as one message may wait. The application's task lasts until the connection is gone, so
    that it counts until then: `limit_connections` counts tasks.
    """

    send_timeout: ClassVar[float] = Settings.from_environment().send_timeout
    """Seconds that the client may take to read what is sent, or to let go of a connection that has ended."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._lost = False
        self._until_lost: asyncio.Future[None] | None = None  # made when waited for: most connections are idle
        self._patience: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._be_patient_again()
        self._lost = True
        if self._until_lost is not None and not self._until_lost.done():
            self._until_lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        if not self.handshake_initiated:  # headers that are too large: uvicorn would neither answer nor close
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def pause_writing(self) -> None:
        """Give the client some time: it has much to read."""
        super().pause_writing()
        self._lose_patience()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._be_patient_again()

    def keepalive_timeout(self) -> None:
        """Give the client some time to read that the connection ends, because it has answered no ping."""
        super().keepalive_timeout()
        self._lose_patience()

    def handle_ping(self) -> None:
        """Answer a ping; but not that of a client that reads nothing, whose answers would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """Take another fragment of a message, of which there may not be any number."""
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self.abort()

    async def run_asgi(self) -> None:
        """Run the application, until the connection is gone."""
        task = asyncio.current_task()
        try:
            await super().run_asgi()
            if not self._lost and task and not task.cancelling():  # as when the server shuts down
                self._until_lost = self.loop.create_future()
                async with asyncio.timeout(self.send_timeout):
                    await self._until_lost
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """End the connection now, if it has not ended yet, whatever the client does."""
        if not self._lost:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()

    def _lose_patience(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.send_timeout, self.abort)

    def _be_patient_again(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
