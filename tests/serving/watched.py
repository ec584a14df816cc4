"""The project of all handlers, watched: runs in the server process, counts what is held there, and fails on demand.

`python -m serving.watched` is `python -m everything`; other servers import `app` from here.
"""

import asyncio
import atexit
import gc
import importlib
import inspect
import json
import logging
import os
import pkgutil
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import AsyncGeneratorType, FrameType
from typing import Any
from urllib.parse import unquote_plus

import msgspec
import uvicorn
from litestar import Litestar, get, put
from litestar.params import FromQuery
from litestar.types import Message, Receive, Scope, Send

from . import LONG, SECRET

PACKAGE = "everything"
INTERVAL = 0.01  # seconds between two events
NEVER = 3600.0
FLOOD = 512 * 1024  # bytes of a message that a client does not read: a few fill all buffers between the two

demand = "none"
"""What the services do besides what they were generated to do: "flood", which "flood to come" has prepared, "silence",
"fail to reply", "fail to tell"."""
own_demand: ContextVar[str] = ContextVar("own_demand", default="")
"""The same for one connection: what its path has behind the question mark."""
running: list[asyncio.Task[None]] = []


def demanded() -> str:
    """Return what is demanded of this connection."""
    return own_demand.get() or demand


def enlarged(message: Any) -> Any:
    """Return a message of the same kind that is too large for the buffers between server and client."""
    if isinstance(message, str | bytes):
        return message.ljust(FLOOD)
    if "type" in message.__struct_fields__:  # what a DTO encodes must be of its class
        return msgspec.structs.replace(message, type=" " * FLOOD)
    if "text" in message.__struct_fields__:
        return msgspec.structs.replace(message, text=" " * FLOOD)
    return {"flood": " " * FLOOD}


async def disturbed(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Flood the client, or fail after one event."""
    async with aclosing(events):
        async for event in events:
            yield enlarged(event) if demanded() == "flood" else event
            if demanded() == "fail to tell":
                raise RuntimeError(SECRET)


def is_open(stream: Any) -> bool:
    """Tell whether a generator has not ended."""
    return stream.ag_frame is not None


class Watch:
    """What has become of the connections of one handler."""

    def __init__(self, name: str) -> None:
        module: Any = importlib.import_module(f"{PACKAGE}.ws.{name}.service")
        class_name = "".join(part.capitalize() for part in name.split("_"))
        self.connected = 0
        self.released = 0
        self.released_again = 0
        # Kept until it is released, so that none is taken for one that was.
        self.connections: set[object] = set()
        self.sends: dict[object, float] = {}
        self.longest_send = 0.0
        # Kept until it is closed, so that none is closed just because nobody refers to it any more.
        self.streams: list[Any] = []
        self.watch_connections(getattr(module, f"{class_name}Connection"))
        self.is_shared = hasattr(module, "Publish")
        self.service = self.watched_service(name, getattr(module, f"{class_name}Service"))
        schemas = sys.modules.get(f"{PACKAGE}.ws.{name}.schemas")
        kinds = [getattr(schemas, kind, None) for kind in ("SaidEvent", "ReceivedEvent")]
        self.event_class: Any = next(filter(None, kinds), None)
        self.published: dict[str, int] = {}

    def watch_connections(self, connection_class: Any) -> None:
        """Note every connection and stream from now on, and disturb what they send where that is demanded."""
        init = connection_class.__init__

        def noted_init(connection: Any, *arguments: Any) -> None:
            init(connection, *arguments)
            self.connected += 1
            self.connections.add(connection)

        connection_class.__init__ = noted_init
        for name in ("reply", "receive", "say"):  # what a raw handler calls it, and a typed one
            if method := getattr(connection_class, name, None):
                setattr(connection_class, name, self.disturbed_reply(method))
        if hasattr(connection_class, "events"):
            connection_class.events = self.noted_events(connection_class.events)

    def disturbed_reply(self, reply: Any) -> Any:
        """Return a method that floods the client or fails where that is demanded."""

        async def disturbed_reply(connection: Any, message: Any, *work: Any) -> Any:
            if demanded() == "fail to reply":
                raise RuntimeError(SECRET)
            answer = await reply(connection, message, *work)
            if demanded() == "flood and fail":
                if connection.received > 1:
                    raise RuntimeError(SECRET)
                return answer.ljust(24 * FLOOD)
            is_told = answer is not None and not hasattr(connection, "channel")
            return enlarged(answer) if demanded() == "flood" and is_told else answer

        return disturbed_reply

    def noted_events(self, events: Any) -> Any:
        """Return a method `events` whose generators are kept."""

        def noted_events(connection: Any) -> Any:
            stream = events(connection) if demanded() == "none" else disturbed(events(connection))
            self.streams = [*filter(is_open, self.streams), stream]
            return stream

        return noted_events

    def watched_service(self, name: str, service_class: Any) -> Any:
        """Return a service that notes what it releases."""
        service = service_class(channels.publisher(name)) if self.is_shared else service_class()
        release = service.release

        async def noted_release(connection: Any) -> None:
            if connection in self.connections:
                self.connections.remove(connection)
                self.released += 1
            else:
                self.released_again += 1
            await asyncio.sleep(0.01)  # as a database would
            await release(connection)

        service.release = noted_release
        service.interval = INTERVAL
        return service

    async def publish(self) -> None:
        """Publish the next event to every channel that has subscribers."""
        names = {connection.channel for connection in self.service.connections}
        self.published = {name: self.published.get(name, 0) + 1 for name in names}
        for name, number in self.published.items():
            text = f"event {number}"
            event: Any = text
            if self.event_class:
                has_text = "text" in self.event_class.__struct_fields__
                told: dict[str, Any] = {"text": text} if has_text else {"size": LONG + number}
                event = self.event_class(**told, at=datetime.now(UTC))
            elif inspect.signature(self.service.publish).parameters["event"].annotation is bytes:
                event = text.encode()
            await self.service.publish(name, event)

    def noted_send(self, send: Send) -> Send:
        """Return a `send` that notes when it was called, until it is done."""

        async def noted_send(message: Message) -> None:
            call = object()
            self.sends[call] = time.monotonic()
            try:
                await send(message)
            finally:
                self.longest_send = self.wait()
                del self.sends[call]

        return noted_send

    def wait(self) -> float:
        """Return how many seconds a send has waited for its client, at most, done or not."""
        now = time.monotonic()
        return max([self.longest_send, *(now - since for since in self.sends.values())])

    def counts(self) -> dict[str, int]:
        """Return how many of each there are, and have been."""
        return {
            "connected": self.connected,
            "released": self.released,
            "released_again": self.released_again,
            "held": len(self.service.connections),
            "streams": sum(map(is_open, self.streams)),
            "sends": len(self.sends),
        }


app: Litestar = importlib.import_module(f"{PACKAGE}.app").app
plugin: Any = app.plugins.get(importlib.import_module(f"{PACKAGE}.ws").WebsocketPlugin)
settings: Any = plugin.settings
channels: Any = plugin.channels
publish_error: Any = importlib.import_module(f"{PACKAGE}.ws.channels").PublishError
socket_class: Any = importlib.import_module(f"{PACKAGE}.ws.socket").ClientSocket
protocol_class: Any = importlib.import_module(f"{PACKAGE}.server").ClientProtocol
watches = {
    it.name: Watch(it.name)
    for it in pkgutil.iter_modules(importlib.import_module(f"{PACKAGE}.ws").__path__)
    if it.ispkg
}


def counts() -> dict[str, Any]:
    """Return what is alive in this process, after a garbage collection, and the counts of every handler."""
    gc.collect()
    objects = gc.get_objects()
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:
        tasks = 0  # the event loop has ended
    return {
        "tasks": tasks,
        "generators": sum(type(it) is AsyncGeneratorType and is_open(it) for it in objects),
        "sockets": sum(issubclass(type(it), socket_class) for it in objects),
        "subscribers": channels.subscribers,
        "handlers": {name: watch.counts() for name, watch in watches.items()},
        "waits": {name: watch.wait() for name, watch in watches.items()},
    }


@get("/counts")
async def get_counts(mark: FromQuery[int]) -> dict[str, Any]:
    """Return the counts, and put a mark into the log behind all that has been logged."""
    counted = counts()
    logging.getLogger("litestar").info("mark %d", mark)
    return counted


@put("/demand")
async def put_demand(name: FromQuery[str], limits: FromQuery[str]) -> None:
    """Demand something of all connections from now on."""
    global demand  # noqa: PLW0603
    demand = name
    plugin.settings = replace(settings, **json.loads(limits))
    protocol_class.send_timeout = plugin.settings.send_timeout
    for watch in watches.values():
        watch.longest_send = 0
        watch.service.interval = NEVER if name == "silence" else INTERVAL


def note_sends() -> None:
    """Have every handler's sends noted: those of the server, after all that the project does about them."""
    handle = app.asgi_handler

    async def noting_handle(scope: Scope, receive: Receive, send: Send) -> None:
        watch = watches.get(scope["path"].removeprefix("/ws/").partition("/")[0].replace("-", "_"))
        if watch:
            own_demand.set(unquote_plus(scope["query_string"].decode()))
        await handle(scope, receive, watch.noted_send(send) if watch else send)

    app.asgi_handler = noting_handle


async def publish_for_good() -> None:
    """Publish to the channels of all handlers, as often as the others have events."""
    while True:
        for watch in watches.values():
            if watch.is_shared and demand != "silence":
                with suppress(RuntimeError, publish_error):  # the application ends, or the broker is away
                    await watch.publish()
        await asyncio.sleep(INTERVAL)


def watch_services() -> None:
    """Put services that are watched in the place of those that the application has made when it started."""
    for name, watch in watches.items():
        setattr(plugin.services, name, watch.service)


def begin_to_publish() -> None:
    """Begin when the application does."""
    running.append(asyncio.create_task(publish_for_good()))


def end_to_publish() -> None:
    """End when the application does."""
    running.pop().cancel()


def report() -> None:
    """Write the last counts to where the tests look for them."""
    Path(os.environ["REPORT"]).write_text(json.dumps(counts()))


app.register(get_counts)
app.register(put_demand)
app.on_startup += [watch_services, begin_to_publish]
app.on_shutdown.insert(0, end_to_publish)
note_sends()


def serve() -> None:
    """Serve as `python -m everything` does, but for the settings that the tests want otherwise."""
    run, other = uvicorn.run, json.loads(os.environ["SETTINGS"])
    uvicorn.run = lambda app, **settings: run(app, **{**settings, **other})
    importlib.import_module(f"{PACKAGE}.__main__").main()


def report_and_die(number: int, _frame: FrameType | None) -> None:
    """Report, and end as without this handler of a signal: at once."""
    report()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


if __name__ == "__main__":
    # The last moment of this process is when uvicorn, done with its shutdown, raises the signal again; or the usual.
    signal.signal(signal.SIGTERM, report_and_die)
    atexit.register(report)
    serve()
else:
    app.on_shutdown.append(report)
