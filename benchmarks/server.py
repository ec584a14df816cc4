"""Serves one contender, on the port and the core that it is told; `serve.py` and `growth.py` start it.

A generated project is served by its own ``python -m``, with its own loop, protocol and settings: what its user gets.
Those by hand are served by uvicorn with the same loop and settings, unless the label says otherwise; the last two serve
themselves.
"""

import argparse
import asyncio
import importlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from figures import HOST, MAX_MESSAGE_SIZE, MEASURED, PACKAGE, SHARED, class_name, path_of
from peers import FORMS, PUSH, REPLY, App, Error, Event, Form, Reply, litestar_channel

SETTINGS: Any = {
    "ws_max_size": MAX_MESSAGE_SIZE,
    "ws_per_message_deflate": False,
    "ws_ping_interval": 20,
    "ws_ping_timeout": 20,
}
"""What a generated project gives to uvicorn."""

SERVED_OTHERWISE: dict[str, Any] = {
    ", as installed": {},  # with `fastapi[standard]`: uvicorn's defaults on uvloop, compression among them
    ", plain uvicorn": {"loop": "asyncio"},  # its defaults, where nobody has installed uvloop
}
"""Other ways to serve a contender, by how its label ends; the settings are uvicorn's."""

WEBSOCKETS = "websockets' own server"
BARE = "bare sockets: what the client can"


def source_of(form: Form, event_class: Any = Event) -> Callable[..., AsyncGenerator[Any, None]]:
    """Return what yields events as fast as they are taken, and lets others have their turn between two of them."""

    async def events(*_: object) -> AsyncGenerator[Any, None]:
        number = 0
        while True:
            number += 1
            if form.payload == "typed":
                yield event_class(number=number, at=datetime.now(UTC))
            else:
                yield f"event {number}" if form.is_text else b"event %d" % number
            await asyncio.sleep(0)

    return events


def contender_and_settings(label: str) -> tuple[str, Any]:
    """Return whom a label means, and what uvicorn is set to; None for what a project's own command sets."""
    for end, settings in SERVED_OTHERWISE.items():
        if label.endswith(end):
            return label.removesuffix(end), settings
    return label, None if label.startswith("generated") else SETTINGS


def path_and_app(label: str, form: Form, work: str) -> tuple[str, App]:
    """Return the application of a contender, and the path that it serves."""
    if work == "fan-out":
        return shared_path_and_app(label, form)
    if not label.startswith("generated"):
        return "/", REPLY[label](form) if work == "reply" else PUSH[label](form, source_of(form))
    handler = generated(label, form)
    service = importlib.import_module(f"{PACKAGE}.ws.{handler['name']}.service")
    connection_class = getattr(service, f"{class_name(handler)}Connection")
    if hasattr(connection_class, "events"):
        connection_class.events = source_of(form, getattr(service, "TickEvent", None))
    return path_of(handler["name"]), importlib.import_module(f"{PACKAGE}.app").app


def shared_path_and_app(label: str, form: Form) -> tuple[str, App]:
    """Return the application of a contender whose subscribers are told what is published, and the path of a channel."""
    if not label.startswith("generated"):
        by_hand, tell = litestar_channel(form)
        publish_for_good(by_hand, tell)
        return "/", by_hand
    handler = generated(label, form, SHARED)
    package = f"{PACKAGE}.ws.{handler['name']}"
    is_typed = handler["payload"] == "typed"
    event_class = importlib.import_module(f"{package}.schemas").SaidEvent if is_typed else None
    app = importlib.import_module(f"{PACKAGE}.app").app

    async def publish(text: str) -> None:
        plugin = app.plugins.get(importlib.import_module(f"{PACKAGE}.ws").WebsocketPlugin)
        service = getattr(plugin.services, handler["name"])
        event: Any = text if form.is_text else text.encode()
        if event_class:
            event = event_class(text=text, at=datetime.now(UTC))
        await service.publish("lobby", event)

    publish_for_good(app, publish)
    return f"{path_of(handler['name'])}/lobby", app


def publish_for_good(app: Any, publish: Callable[[str], Awaitable[None]]) -> None:
    """Publish the time, so many times a second as we are told, for as long as the application runs."""
    rate = float(os.environ["PUBLISHED"])
    tasks: list[asyncio.Task[None]] = []

    async def publish_on() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / rate
            await asyncio.sleep(due - loop.time())
            await publish(f"{time.time():.6f}")

    def begin() -> None:
        if rate:
            tasks.append(asyncio.create_task(publish_on()))

    app.on_startup.append(begin)
    app.on_shutdown.insert(0, lambda: [task.cancel() for task in tasks])


def generated(label: str, form: Form, handlers: list[dict[str, str]] = MEASURED) -> dict[str, str]:
    """Return the generated handler that a label means."""
    for handler in handlers:
        its = Form(handler["payload"], handler["transport"], handler.get("codec", "json"))
        if label == f"generated, {handler['interface']}" and its == form:
            return handler
    raise LookupError(label)


def own_server_of_websockets(form: Form, work: str) -> Callable[[ServerConnection], Awaitable[None]]:
    """Return a handler for the server of the websockets library."""
    encode, decode, is_typed, is_text = form.encode, form.decode, form.payload == "typed", form.is_text

    async def reply(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await answer(connection)

    async def answer(connection: ServerConnection) -> None:
        async for data in connection:
            if not is_typed:
                await connection.send(data)
                continue
            try:
                message = decode(data)
            except ValueError as exc:
                await connection.send(encode(Error(str(exc))), text=is_text)
            else:
                await connection.send(encode(Reply(message.text)), text=is_text)

    async def push(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for event in source_of(form)():
                await connection.send(encode(event) if is_typed else event, text=is_text)

    return reply if work == "reply" else push


class Bare(asyncio.Protocol):
    """Answers whatever comes with one and the same frame, without looking at it."""

    def connection_made(self, transport: Any) -> None:
        """Remember whom to answer."""
        self.write = transport.write
        self.answer: Callable[[bytes], None] = self.accept

    def accept(self, data: bytes) -> None:
        """Accept the connection; nobody checks the key."""
        if data.endswith(b"\r\n\r\n"):
            self.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            self.answer = self.reply

    def reply(self, _data: bytes) -> None:
        """Answer as the others do."""
        self.write(b'\x81\x1e{"type":"said","text":"hello"}')

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.answer(data)


async def run(label: str, form: Form, work: str, port: int) -> None:
    """Serve what is not for uvicorn."""
    if label == BARE:
        server = await asyncio.get_running_loop().create_server(Bare, HOST, port, backlog=2048)
        await server.serve_forever()
    settings: Any = {"compression": None, "max_size": MAX_MESSAGE_SIZE, "ping_interval": 20, "ping_timeout": 20}
    async with serve(own_server_of_websockets(form, work), HOST, port, backlog=2048, **settings) as own:
        await own.serve_forever()


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser()
    for name in ("label", "form", "work"):
        parser.add_argument(name)
    parser.add_argument("port", type=int)
    parser.add_argument("core", type=int)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    form = next(form for form in FORMS if form.name == options.form)
    if options.label in {WEBSOCKETS, BARE}:
        uvloop.run(run(options.label, form, options.work, options.port))
        return
    label, settings = contender_and_settings(options.label)
    path, app = path_and_app(label, form, options.work)
    sys.stdout.write(f"{path}\n")
    sys.stdout.flush()
    if settings is None:
        sys.argv = [PACKAGE, "--host", HOST, "--port", str(options.port)]
        importlib.import_module(f"{PACKAGE}.__main__").main()
    else:
        uvicorn.run(app, host=HOST, port=options.port, timeout_graceful_shutdown=1, **settings)


if __name__ == "__main__":
    main()
