"""The websocket class of every handler: what is true of a connection, whatever it is for."""

import asyncio
import weakref
from asyncio import current_task
from collections import defaultdict
from math import inf
from typing import Any, Literal, overload

from litestar import Litestar, WebSocket
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.status_codes import (
    WS_1000_NORMAL_CLOSURE,
    WS_1003_UNSUPPORTED_DATA,
    WS_1009_MESSAGE_TOO_BIG,
    WS_1013_TRY_AGAIN_LATER,
)
from litestar.types import Message, Receive, Scope, Send

WS_3008_TIMEOUT = 3008  # in IANA's registry
MAX_REASON_BYTES = 123  # what RFC 6455 leaves of a close frame; servers fail on more
CLOSED_BY_SERVER = "after sending 'websocket.close'"  # uvicorn, when it has closed itself: no pong came, say
MAX_RELEASE_SECONDS = 5.0  # what a shutdown waits for handlers at most


class ClientSocket(WebSocket[Any, Any, Any]):
    """A WebSocket on which a client that has left, or has stopped reading, is no error.

    What is sent to such a client is dropped, the next receive raises ``WebSocketDisconnect``, ``iter_data()`` and
    its siblings end, and so do streams. Servers disagree here: uvicorn raises an ``OSError`` of its own, or a
    ``RuntimeError`` if it has closed the connection itself; others say nothing; and none gives up on a client that
    keeps the connection and reads no more.

    A client that sends too large a message, or with which nothing has been exchanged for too long, has left in the same
    sense: it is closed with the code that says so. The settings have the limits.

    This is the one place for what is true of every connection, whatever its handler does: limits, time stamps, counts,
    a log line when it ends. Override ``accept()``, ``receive_data()``, ``send_wrapper()`` or ``close()``, and call
    ``super()``; but listeners accept with Litestar's own ``accept()``, whatever the class says. What one handler needs
    belongs in its dependencies, who may connect in a guard, and what a message means in its service. The application
    takes it as its ``websocket_class``; a handler that needs another one names a subclass, as `RawSocket` is.
    """

    # As its bases: there may be many connections, and each would have a dictionary.
    __slots__ = (
        "__weakref__",
        "_idle_timeout",
        "_loop",
        "_max_message_size",
        "_moved",
        "_overdue",
        "_quiet_since",
        "_receiving",
        "_send_timeout",
        "_sending",
        "_stuck_since",
        "subprotocol",
    )

    subprotocol: str | None
    """What the connection is accepted with if the handler chooses nothing. For guards and dependencies to set."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = scope["litestar_app"].state["settings"]
        self._max_message_size: int = settings.max_message_size
        self._idle_timeout: float = settings.idle_timeout
        self._send_timeout: float = settings.send_timeout
        self._loop = asyncio.get_running_loop()
        self._sending: list[asyncio.Task[Any]] = []  # the tasks inside of `send`
        self._stuck_since = inf  # the first look that saw a task there, since a message was sent
        self._receiving: asyncio.Task[Any] | None = None  # the task inside of `receive`
        self._moved = True  # whether a message was received or sent since the last look
        self._quiet_since = inf  # the look that saw the last message
        self._overdue: frozenset[asyncio.Task[Any]] = frozenset()  # the tasks that `find_overdue` has cancelled
        self.subprotocol = None
        super().__init__(scope, receive, send)
        # A timer for each message, or a look at the clock, would cost too much: look now and then.
        _look_after(weakref.ref(self), self._loop)

    def receive_wrapper(self, receive: Receive) -> Receive:
        """Wrap ``receive``: a client that reaches a limit is closed, and has left."""

        async def wrapped_receive() -> Any:
            if self.connection_state == "disconnect":
                raise WebSocketDisconnect(detail="the client has left")
            self._receiving = current_task(self._loop)
            try:
                message: Any = await receive()
            except asyncio.CancelledError:
                if not self._was_overdue():
                    raise
                return await self._give_up(WS_3008_TIMEOUT, "nothing was received or sent for too long")
            finally:
                self._receiving = None
            self._moved = True
            if message["type"] == "websocket.receive":
                self.connection_state = "receive"
                data = message.get("text") or message.get("bytes")
                limit = self._max_message_size
                # At most four bytes a character: most messages are too short to be measured.
                if data and 4 * len(data) > limit and _size(data) > limit:
                    return await self._give_up(WS_1009_MESSAGE_TOO_BIG, f"a message may have {limit} bytes")
            else:
                self.connection_state = "connect" if message["type"] == "websocket.connect" else "disconnect"
            return message

        return wrapped_receive

    async def _give_up(self, code: int, reason: str) -> Any:
        """Close the connection, and return what a receive returns of a client that has left."""
        await self.close(code, reason)
        return {"type": "websocket.disconnect", "code": code}

    def send_wrapper(self, send: Send) -> Send:
        """Wrap ``send``: what cannot be sent is dropped."""

        async def wrapped_send(message: Message) -> None:
            if self.connection_state == "disconnect":
                return
            if not self._sending:
                self._stuck_since = inf
            task: Any = current_task(self._loop)
            self._sending.append(task)
            self._moved = True
            try:
                await send(message)
                self._stuck_since = inf
            except OSError:
                self.connection_state = "disconnect"
            except RuntimeError as exc:
                if CLOSED_BY_SERVER not in str(exc):
                    raise
                self.connection_state = "disconnect"
            except asyncio.CancelledError:
                if not self._was_overdue():
                    # anyio knows its cancellations by their message. granian puts one of its own in the place of it:
                    # let anyio repeat what it said.
                    await asyncio.sleep(0)
                    raise
            finally:
                self._sending.remove(task)

        return self._accept_wrapper(wrapped_send)

    def _accept_wrapper(self, send: Send) -> Send:
        """Wrap ``send`` for the first message, which is the only one to accept."""

        async def wrapped_accept(message: Message) -> None:
            if message["type"] == "websocket.send":
                await self.accept()  # comes by here, too
            else:
                self.send = send
            if message["type"] == "websocket.accept":
                message["subprotocol"] = message["subprotocol"] or self.subprotocol
            await send(message)

        return wrapped_accept

    @overload
    async def receive_data(self, mode: Literal["text"]) -> str: ...

    @overload
    async def receive_data(self, mode: Literal["binary"]) -> bytes: ...

    async def receive_data(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Return the data of the next frame, or raise ``WebSocketDisconnect``. A frame of the other kind is empty."""
        if self.connection_state == "init":
            await self.accept()
        event: Any = await self.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="the client has left", code=event["code"])
        data: str | bytes | None = event.get("text" if mode == "text" else "bytes")
        return await self.receive_other(mode) if data is None else data

    async def receive_other(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Return what `receive_data` is to return for a frame of the other kind."""
        return "" if mode == "text" else b""

    def send_data(self, data: str | bytes, mode: Literal["text", "binary"] = "text", encoding: str = "utf-8") -> Any:
        """Return what sends a frame when it is awaited, and accepts the connection first if nobody has."""
        if mode == "text":
            text = data if isinstance(data, str) else data.decode(encoding)
            return self.send({"type": "websocket.send", "text": text, "bytes": None})
        content = data if isinstance(data, bytes) else data.encode(encoding)
        return self.send({"type": "websocket.send", "bytes": content, "text": None})

    def find_overdue(self) -> float:
        """Cancel the tasks that have waited for too long, and return the seconds until the next look.

        What has begun since the last look is taken to begin now. So nothing is cut short, and nothing takes twice as
        long as it may.
        """
        now = self._loop.time()
        self._stuck_since = min(self._stuck_since, now) if self._sending else inf
        patience = min(self._stuck_since, now) + self._send_timeout - now
        if patience <= 0:
            self.connection_state = "disconnect"
            self._cancel(*self._sending)
        if self._moved:
            self._moved = False
            self._quiet_since = now
        idle = self._quiet_since + (self._idle_timeout or inf) - now
        if idle <= 0:
            if self._receiving and not self._sending:
                self._cancel(self._receiving)
            self._quiet_since = now  # a handler that sends, or does not even receive, is at work
            idle = self._idle_timeout
        return min(patience, idle)

    def _cancel(self, *tasks: asyncio.Task[Any]) -> None:
        self._overdue = frozenset(tasks)
        for task in tasks:
            task.cancel()

    def _was_overdue(self) -> bool:
        """Tell whether the current task was cancelled by `find_overdue`, and by nobody else."""
        task = current_task(self._loop)
        if task not in self._overdue:
            return False
        self._overdue -= {task}
        return not task.uncancel()

    async def close(self, code: int = WS_1000_NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection. What is sent from now on is dropped."""
        await super().close(code, (reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
        self.connection_state = "disconnect"


def _look_after(reference: weakref.ref[ClientSocket], loop: asyncio.AbstractEventLoop) -> None:
    """Look after a connection for as long as it lasts."""
    socket = reference()
    if socket is not None and socket.connection_state != "disconnect":
        loop.call_later(socket.find_overdue(), _look_after, reference, loop)


def _size(data: str | bytes) -> int:
    """Return how many bytes a frame of this data has."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


async def limit_connections(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Keep account of the connections of each handler, and send away those that are too many.

    They are accepted first, because a page can read the code of a close, and not that of a refused handshake. Nothing
    else is done for them: nobody is asked for a token, and no service is touched.
    """
    if connection.scope["type"] != ScopeType.WEBSOCKET:
        return
    state = connection.app.state
    limit = state["settings"].max_connections
    handlers = state.setdefault("handlers", defaultdict[Any, set[Any]](set))[connection.route_handler]
    if limit and len(handlers) >= limit:
        socket: Any = connection
        # A browser gives up if none of the subprotocols that it offers is chosen.
        await socket.accept(next(iter(socket.scope["subprotocols"]), None))
        raise WebSocketException(
            detail=f"{limit} connections are all that this handler takes", code=WS_1013_TRY_AGAIN_LATER
        )
    task: Any = current_task()
    handlers.add(task)
    task.add_done_callback(handlers.discard)  # no frame, as of a middleware, that lasts as long as the connection


async def wait_for_handlers(app: Litestar) -> None:
    """Let handlers that the server has cancelled finish their release before the application ends."""
    if handlers := set[Any]().union(*app.state.get("handlers", {}).values()):
        await asyncio.wait(handlers, timeout=MAX_RELEASE_SECONDS)


class RawSocket(ClientSocket):
    """A socket that takes one kind of frame, and closes on the other.

    Litestar hands a frame of the other kind over as an empty one, and a raw handler could not tell the two apart.
    """

    __slots__ = ()

    async def receive_other(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Close the connection, and raise ``WebSocketDisconnect``."""
        await self.close(WS_1003_UNSUPPORTED_DATA, f"expected a {mode} frame")
        raise WebSocketDisconnect(detail="a frame of the wrong kind", code=WS_1003_UNSUPPORTED_DATA)
