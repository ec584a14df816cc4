"""The websocket class of every handler: what is true of a connection, whatever it is for."""

import asyncio
import weakref
from time import monotonic
from typing import Any, Literal, overload

from litestar import Litestar, WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.status_codes import WS_1000_NORMAL_CLOSURE
from litestar.types import Message, Receive, Scope, Send

WS_1003_UNSUPPORTED_DATA = 1003
MAX_REASON_BYTES = 123  # what RFC 6455 leaves of a close frame; servers fail on more
MAX_RELEASE_SECONDS = 5.0  # what a shutdown waits for handlers at most


class ClientSocket(WebSocket[Any, Any, Any]):
    """A WebSocket on which a client that has left, or has stopped reading, is no error.

    What is sent to such a client is dropped, the next receive raises ``WebSocketDisconnect``, ``iter_data()`` and
    its siblings end, and so do streams. Servers disagree here: uvicorn raises an ``OSError`` of its own, others say
    nothing, and none gives up on a client that keeps the connection and reads no more.

    This is the one place for what is true of every connection, whatever its handler does: limits, time stamps, counts,
    a log line when it ends. Override ``accept()``, ``receive_data()``, ``send_wrapper()`` or ``close()``, and call
    ``super()``; but listeners accept with Litestar's own ``accept()``, whatever the class says. What one handler needs
    belongs in its dependencies, who may connect in a guard, and what a message means in its service. The application
    takes it as its ``websocket_class``; a handler that needs another one names a subclass, as `RawSocket` is.
    """

    send_timeout: float = 30.0
    """Seconds that one message may wait for the client to read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.app.state.setdefault("handlers", weakref.WeakSet()).add(asyncio.current_task())

    def send_wrapper(self, send: Send) -> Send:
        """Wrap ``send``, and watch for as long as the connection lasts that no call of it waits too long."""
        loop = asyncio.get_running_loop()
        timeout = self.send_timeout
        sending: dict[asyncio.Task[Any], float] = {}  # the tasks inside of `send`, and since when
        reference = weakref.ref(self)

        async def wrapped_send(message: Message) -> None:
            if self.connection_state == "disconnect":
                return
            # A timer a message would cost more than the message: note the time, and let `watch` look now and then.
            task = asyncio.current_task(loop)
            assert task is not None
            sending[task] = monotonic()
            try:
                await send(message)
            except OSError:
                self.connection_state = "disconnect"
            except asyncio.CancelledError:
                if task in sending or task.uncancel():  # not by `watch`, or not by `watch` alone
                    # anyio knows its cancellations by their message. granian puts one of its own in the place of it:
                    # let anyio repeat what it said.
                    await asyncio.sleep(0)
                    raise
            finally:
                sending.pop(task, None)

        def watch() -> None:
            socket = reference()
            if socket is None or socket.connection_state == "disconnect":
                return
            now = monotonic()
            patience = min(sending.values(), default=now) + timeout - now
            if patience > 0:
                loop.call_later(patience, watch)
                return
            socket.connection_state = "disconnect"
            for task in list(sending):
                del sending[task]
                task.cancel()

        loop.call_later(timeout, watch)
        return wrapped_send

    async def close(self, code: int = WS_1000_NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection. What is sent from now on is dropped."""
        await super().close(code, (reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
        self.connection_state = "disconnect"


async def wait_for_handlers(app: Litestar) -> None:
    """Let handlers that the server has cancelled finish their release before the application ends."""
    if handlers := set(app.state.get("handlers", ())):
        await asyncio.wait(handlers, timeout=MAX_RELEASE_SECONDS)


class RawSocket(ClientSocket):
    """A socket that takes one kind of frame, and closes on the other.

    Litestar hands a frame of the other kind over as an empty one, and a raw handler could not tell the two apart.
    """

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
