"""What a client may take, whichever handler it uses: how long, how many, and what is not waited for."""

import asyncio
import weakref
from asyncio import current_task
from collections import defaultdict
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Protocol

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.status_codes import WS_1013_TRY_AGAIN_LATER
from litestar.types import Receive, Scope, Send

MAX_RELEASE_SECONDS = 5.0  # what a shutdown waits for handlers at most

# Both are uvicorn's, of a ``RuntimeError``, where ASGI wants an ``OSError``.
CLOSED_BY_SERVER = "after sending 'websocket.close'"  # it has closed the connection: no pong came, say
NEVER_ACCEPTED = "but got 'websocket.send'"  # the client left before it could be accepted


def is_lost(exc: OSError | RuntimeError) -> bool:
    """Tell whether a send failed because the client has left, and not because the application is wrong."""
    return isinstance(exc, OSError) or CLOSED_BY_SERVER in str(exc) or NEVER_ACCEPTED in str(exc)


def size_of(data: str | bytes) -> int:
    """Return the number of bytes in a frame of this data."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


def plugin_of(scope: Any) -> Any:
    """Return the plugin that the handler of a connection belongs to; or None, where that is none of ours."""
    return getattr(scope.get("route_handler"), "opt", {}).get("websockets")


class Watched(Protocol):
    """A connection to look after."""

    def find_overdue(self) -> float | None:
        """End what has waited for too long. Return the seconds until the next look, or None if it needs none."""


def look_after(reference: weakref.ref[Watched], loop: asyncio.AbstractEventLoop) -> None:
    """Look for what is overdue in a connection, now and for as long as it lasts.

    A timer for each message, or a look at the clock, would cost too much.
    """
    connection = reference()
    seconds = None if connection is None else connection.find_overdue()
    if seconds is not None:
        # A timer may outlive its connection: it keeps neither that nor its context variables.
        loop.call_later(seconds, look_after, reference, loop, context=Context())


class Connections:
    """The connections that there are, by their handlers."""

    def __init__(self) -> None:
        self._tasks: defaultdict[BaseRouteHandler, set[asyncio.Task[Any]]] = defaultdict(set)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._tasks.values()))

    def of(self, handler: BaseRouteHandler) -> set[asyncio.Task[Any]]:
        """Return the tasks of one handler's connections: no frame, as of a middleware, lasts as long as those."""
        return self._tasks[handler]

    async def wait(self) -> None:
        """Let handlers that the server has cancelled finish their release before the application ends."""
        if tasks := set[Any]().union(*self._tasks.values()):
            await asyncio.wait(tasks, timeout=MAX_RELEASE_SECONDS)


async def limit_connections(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Count the connections of each handler, and close those that are too many.

    They are accepted first, because a page can read the code of a close, but not that of a refused handshake. Nothing
    else is done for them: no token is checked, and no service is touched.
    """
    if connection.scope["type"] != ScopeType.WEBSOCKET:
        return
    plugin = handler.opt["websockets"]
    limit: int = plugin.settings.max_connections
    tasks: set[asyncio.Task[Any]] = plugin.connections.of(connection.route_handler)  # guards are given a copy
    if limit and len(tasks) >= limit:
        socket: Any = connection
        # A browser gives up if none of the subprotocols that it offers is chosen.
        await socket.accept(next(iter(socket.scope["subprotocols"]), None))
        raise WebSocketException(detail=f"too many connections (limit: {limit})", code=WS_1013_TRY_AGAIN_LATER)
    task: Any = current_task()
    tasks.add(task)
    task.add_done_callback(tasks.discard)


@contextmanager
def limit_closing(app: Litestar) -> Generator[None, None, None]:
    """Let a handler here that fails wait no longer for its client to read the close than for any other message.

    Litestar logs the failure, calls the ``after_exception`` hooks, and sends the close itself: past the websocket
    class, which would give the client up. That the close cannot be sent is no second failure.
    """
    handle = app.asgi_handler

    async def handle_websocket(scope: Scope, receive: Receive, send: Send) -> None:
        closing = asyncio.timeout(None)
        try:
            async with closing:
                scope["state"]["ws_closing"] = closing
                await handle(scope, receive, send)
        except (OSError, RuntimeError) as exc:  # a TimeoutError is an OSError
            if closing.when() is None or not is_lost(exc):
                raise

    def limited_handle(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (handle_websocket if scope["type"] == ScopeType.WEBSOCKET else handle)(scope, receive, send)

    app.asgi_handler = limited_handle
    try:
        yield
    finally:
        app.asgi_handler = handle


async def begin_closing(_: Exception, scope: Scope) -> None:
    """Begin the time in which the close of a handler that has failed must be read."""
    plugin = plugin_of(scope)
    if scope["type"] == ScopeType.WEBSOCKET and plugin is not None:
        deadline = asyncio.get_running_loop().time() + plugin.settings.send_timeout
        scope["state"]["ws_closing"].reschedule(deadline)
