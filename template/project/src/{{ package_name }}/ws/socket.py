"""The websocket class of every handler: what is true of a connection, whatever it is for."""

import asyncio
import weakref
from asyncio import current_task
from collections.abc import Callable
from typing import Any, Literal, overload

from litestar import Litestar, WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.status_codes import WS_1000_NORMAL_CLOSURE
from litestar.types import Message, Receive, Scope, Send

WS_1003_UNSUPPORTED_DATA = 1003
MAX_REASON_BYTES = 123  # what RFC 6455 leaves of a close frame; servers fail on more
CLOSED_BY_SERVER = "after sending 'websocket.close'"  # uvicorn, when it has closed itself: no pong came, say
GIVEN_UP = 2  # looks at a send that waits
MAX_RELEASE_SECONDS = 5.0  # what a shutdown waits for handlers at most


class ClientSocket(WebSocket[Any, Any, Any]):
    """A WebSocket on which a client that has left, or has stopped reading, is no error.

    What is sent to such a client is dropped, the next receive raises ``WebSocketDisconnect``, ``iter_data()`` and
    its siblings end, and so do streams. Servers disagree here: uvicorn raises an ``OSError`` of its own, or a
    ``RuntimeError`` if it has closed the connection itself; others say nothing; and none gives up on a client that
    keeps the connection and reads no more.
    """

    __slots__ = ("__weakref__",)  # as its bases: there may be many connections, and each would have a dictionary

    send_timeout: float = 30.0
    """Seconds that one message may wait for the client to read: at least so many, and less than twice as many."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.app.state.setdefault("handlers", weakref.WeakSet()).add(current_task())

    def send_wrapper(self, send: Send) -> Send:
        """Wrap ``send``, and watch for as long as the connection lasts that no call of it waits too long."""
        loop = asyncio.get_running_loop()
        sending: dict[asyncio.Task[Any], int] = {}  # tasks inside of `send`, and how often `watch` found them there

        async def wrapped_send(message: Message) -> None:
            if self.connection_state == "disconnect":
                return
            # A timer for each message, or a look at the clock, would cost too much: `watch` looks now and then.
            task: Any = current_task(loop)
            sending[task] = 0
            try:
                await send(message)
            except OSError:
                self.connection_state = "disconnect"
            except RuntimeError as exc:
                if CLOSED_BY_SERVER not in str(exc):
                    raise
                self.connection_state = "disconnect"
            except asyncio.CancelledError:
                if sending[task] < GIVEN_UP or task.uncancel():  # not by `watch`, or not by `watch` alone
                    # anyio knows its cancellations by their message. granian puts one of its own in the place of it:
                    # let anyio repeat what it said.
                    await asyncio.sleep(0)
                    raise
            finally:
                del sending[task]

        loop.call_later(self.send_timeout, watch, weakref.ref(self), sending)
        return wrapped_send

    async def close(self, code: int = WS_1000_NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection. What is sent from now on is dropped."""
        await super().close(code, (reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
        self.connection_state = "disconnect"


def watch(reference: Callable[[], ClientSocket | None], sending: dict[asyncio.Task[Any], int]) -> None:
    """Give up a client for which a message has waited since the last look, or look again later."""
    socket = reference()
    if socket is None or socket.connection_state == "disconnect":
        return
    if not any(sending.values()):
        sending.update(dict.fromkeys(sending, 1))
        asyncio.get_running_loop().call_later(socket.send_timeout, watch, reference, sending)
        return
    socket.connection_state = "disconnect"
    for task in sending:
        sending[task] = GIVEN_UP
        task.cancel()


async def wait_for_handlers(app: Litestar) -> None:
    """Let handlers that the server has cancelled finish their release before the application ends."""
    if handlers := set(app.state.get("handlers", ())):
        await asyncio.wait(handlers, timeout=MAX_RELEASE_SECONDS)


class RawSocket(ClientSocket):
    """A socket that takes one kind of frame, and closes on the other.

    Litestar hands a frame of the other kind over as an empty one, and a raw handler could not tell the two apart.
    """

    __slots__ = ()

    @overload
    async def receive_data(self, mode: Literal["text"]) -> str: ...

    @overload
    async def receive_data(self, mode: Literal["binary"]) -> bytes: ...

    async def receive_data(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Return the data of the next frame."""
        event: Any = await self.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="the client has left", code=event["code"])
        data: str | bytes | None = event.get("text" if mode == "text" else "bytes")
        if data is None:
            await self.close(WS_1003_UNSUPPORTED_DATA, f"expected a {mode} frame")
            raise WebSocketDisconnect(detail="a frame of the wrong kind", code=WS_1003_UNSUPPORTED_DATA)
        return data
