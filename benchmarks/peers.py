"""What a user would write instead: the same handlers by hand, on what there is.

Every one answers a message with its text, or says why it is none and goes on; or sends what a source
yields until the client leaves. Those on Litestar, Starlette and FastAPI get what belongs to the connection by
dependency injection where the framework has it, and find its end in every case that their framework reports.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from chanx.core.decorators import channel, ws_handler
from chanx.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx.messages.base import BaseMessage
from fastapi import Depends, FastAPI
from litestar import Litestar, WebSocket, websocket, websocket_listener, websocket_stream
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.handlers import WebsocketListener
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect

App = Callable[[Any, Any, Any], Awaitable[None]]
Source = Callable[[], AsyncGenerator[Any, None]]
"""What yields events: strings, bytes or `Event`, as the form has it."""


class Message(msgspec.Struct, frozen=True, tag="say"):
    """What a client sends."""

    text: str


class Reply(msgspec.Struct, frozen=True, tag="said"):
    """The answer to a message."""

    text: str


class Event(msgspec.Struct, frozen=True, tag="tick"):
    """What the client is sent unasked."""

    number: int
    at: datetime


class TextEvent(msgspec.Struct, frozen=True, tag="said"):
    """What all subscribers of a channel are sent."""

    text: str
    at: datetime


class Error(msgspec.Struct, frozen=True, tag="error"):
    """The answer to a frame that is no message."""

    detail: str


class PydanticMessage(BaseModel):
    """What a client sends, as FastAPI's users write it."""

    type: Literal["say"]
    text: str


class PydanticReply(BaseModel):
    """The answer to a message, as FastAPI's users write it."""

    type: Literal["said"] = "said"
    text: str


class PydanticEvent(BaseModel):
    """What the client is sent unasked, as FastAPI's users write it."""

    type: Literal["tick"] = "tick"
    number: int
    at: datetime


class PydanticError(BaseModel):
    """The answer to a frame that is no message, as FastAPI's users write it."""

    type: Literal["error"] = "error"
    detail: str


@dataclass(frozen=True)
class Form:
    """What messages look like: one of the forms that the guide offers."""

    payload: str
    transport: str
    codec: str = "json"

    @property
    def name(self) -> str:
        """Return what the form is called in the tables."""
        encoding = f" {self.codec}" if self.payload == "typed" and self.transport == "binary" else ""
        return f"{self.payload} {self.transport}{encoding}"

    @property
    def is_text(self) -> bool:
        """Tell which frames carry it."""
        return self.transport == "text"

    @property
    def frame_class(self) -> type[str | bytes]:
        """Return what a frame is to Python."""
        return str if self.is_text else bytes

    @property
    def encode(self) -> Callable[[Any], bytes]:
        """Return an encoder, made once."""
        encoder: Any = msgspec.msgpack.Encoder() if self.codec == "msgpack" else msgspec.json.Encoder()
        encode: Callable[[Any], bytes] = encoder.encode
        return encode

    @property
    def decode(self) -> Callable[[Any], Message]:
        """Return a decoder of messages, made once."""
        decoder: Any = msgspec.msgpack.Decoder(Message) if self.codec == "msgpack" else msgspec.json.Decoder(Message)
        decode: Callable[[Any], Message] = decoder.decode
        return decode

    def frame(self, message: Any) -> str | bytes:
        """Return what a client sends or receives for a message: encoded, or the string itself."""
        data: bytes = self.encode(message) if self.payload == "typed" else str(message).encode()
        return data.decode() if self.is_text else data


FORMS = (
    Form("typed", "text"),
    Form("typed", "binary"),
    Form("typed", "binary", "msgpack"),
    Form("raw", "text"),
    Form("raw", "binary"),
)


class Connection:
    """What belongs to one connection."""

    def __init__(self) -> None:
        self.received = 0


async def provide_connection() -> AsyncGenerator[Connection, None]:
    """Hold what a connection needs until it has ended."""
    yield Connection()


# Raw ASGI ------------------------------------------------------------------------------------------------------------


def asgi_reply(form: Form) -> App:
    """Return an application of nothing but ASGI; what is typed is decoded and encoded by msgspec."""
    encode, decode, is_typed, is_text = form.encode, form.decode, form.payload == "typed", form.is_text
    key = "text" if is_text else "bytes"

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            data = event.get(key)
            if is_typed:
                try:
                    message = decode(data or "")
                except ValueError as exc:
                    answer: Any = encode(Error(str(exc)))
                else:
                    answer = encode(Reply(message.text))
                if is_text:
                    answer = answer.decode()
            elif data is None:
                await send({"type": "websocket.close", "code": 1003})
                return
            else:
                answer = data
            await send({"type": "websocket.send", key: answer})

    return app


def asgi_push(form: Form, source: Source) -> App:
    """Return an application of nothing but ASGI that sends what the source yields."""
    encode, is_typed, is_text = form.encode, form.payload == "typed", form.is_text
    key = "text" if is_text else "bytes"

    async def push(send: Any) -> None:
        async for event in source():
            data = event
            if is_typed:
                data = encode(event).decode() if is_text else encode(event)
            await send({"type": "websocket.send", key: data})

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        pushing = asyncio.create_task(push(send))
        while (await receive())["type"] != "websocket.disconnect":
            pass
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)

    return app


# Litestar by hand ----------------------------------------------------------------------------------------------------


IDLE, PATIENCE, LARGEST = 600, 30, 64 * 1024
"""Seconds without a message, seconds that a message waits for its client, and bytes of a message: all at most."""


def size(data: str | bytes) -> int:
    """Return how many bytes a frame of this data has."""
    return len(data.encode()) if isinstance(data, str) else len(data)


class TimedOut(WebSocket[Any, Any, Any]):
    """The limits of a generated project, in the way that comes to mind first: a timeout for each message."""

    def receive_wrapper(self, receive: Any) -> Any:
        """Wrap ``receive``: an idle client has left, and one that sends too much."""
        wrapped = super().receive_wrapper(receive)

        async def limited() -> Any:
            try:
                async with asyncio.timeout(IDLE):
                    message: Any = await wrapped()
            except TimeoutError:
                return await self.give_up(3008)
            if size(message.get("text") or message.get("bytes") or "") > LARGEST:
                return await self.give_up(1009)
            return message

        return limited

    def send_wrapper(self, send: Any) -> Any:
        """Wrap ``send``: a client that does not read has left, and to have left is no error."""
        wrapped = super().send_wrapper(send)

        async def limited(message: Any) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await wrapped(message)
            except (OSError, LitestarDisconnect):  # a TimeoutError is an OSError
                self.connection_state = "disconnect"

        return limited

    async def give_up(self, code: int) -> Any:
        """Close, and return what a receive returns of a client that has left."""
        await self.close(code)
        return {"type": "websocket.disconnect", "code": code}


class Limited(TimedOut):
    """The same limits by a careful hand: time stamps, at which something looks every second."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.sending: dict[Any, float] = {}
        self.receiving: Any = None
        self.late: set[Any] = set()
        self.last = self.loop.time()
        super().__init__(scope, receive, send)
        self.loop.call_later(1, self.look)

    def receive_wrapper(self, receive: Any) -> Any:
        """Wrap ``receive``: an idle client has left, and one that sends too much."""
        wrapped = super(TimedOut, self).receive_wrapper(receive)

        async def limited() -> Any:
            self.receiving = task = asyncio.current_task()
            try:
                message: Any = await wrapped()
            except asyncio.CancelledError:
                if task not in self.late:
                    raise
                return await self.give_up(3008)
            finally:
                self.receiving = None
            self.last = self.loop.time()
            if size(message.get("text") or message.get("bytes") or "") > LARGEST:
                return await self.give_up(1009)
            return message

        return limited

    def send_wrapper(self, send: Any) -> Any:
        """Wrap ``send``: a client that does not read has left, and to have left is no error."""
        wrapped = super(TimedOut, self).send_wrapper(send)

        async def limited(message: Any) -> None:
            task = asyncio.current_task()
            self.last = self.sending[task] = self.loop.time()
            try:
                await wrapped(message)
            except (OSError, LitestarDisconnect):
                self.connection_state = "disconnect"
            except asyncio.CancelledError:
                if task not in self.late:
                    raise
            finally:
                del self.sending[task]

        return limited

    def look(self) -> None:
        """Cancel what has waited for too long, and look again in a second."""
        now = self.loop.time()
        late = {task for task, since in self.sending.items() if now - since > PATIENCE}
        if late:
            self.connection_state = "disconnect"
        elif self.receiving and now - self.last > IDLE:
            late = {self.receiving}
        self.late = late
        for task in late:
            task.cancel()
        if self.connection_state != "disconnect":
            self.loop.call_later(1, self.look)


def litestar_listener(form: Form, websocket_class: Any = WebSocket) -> App:
    """Return a function listener."""
    modes: Any = {} if form.is_text else {"receive_mode": "binary", "send_mode": "binary"}
    listen = partial(websocket_listener, "/", dependencies={"connection": provide_connection}, **modes)
    if form.payload == "typed":
        encode, decode = form.encode, form.decode

        async def typed(data: Any, connection: NamedDependency[Connection]) -> bytes:
            try:
                message = decode(data)
            except ValueError as exc:
                return encode(Error(str(exc)))
            connection.received += 1
            return encode(Reply(message.text))

        typed.__annotations__["data"] = form.frame_class
        return Litestar([listen()(typed)], websocket_class=websocket_class)
    if form.is_text:

        @listen()
        async def text(data: str, connection: NamedDependency[Connection]) -> str:
            connection.received += 1
            return data

        return Litestar([text], websocket_class=websocket_class)

    @listen()
    async def binary(data: bytes, connection: NamedDependency[Connection]) -> bytes:
        connection.received += 1
        return data

    return Litestar([binary], websocket_class=websocket_class)


def litestar_listener_class(form: Form, websocket_class: Any = WebSocket) -> App:
    """Return a class listener."""

    class Listener(WebsocketListener):
        path = "/"
        dependencies = {"connection": provide_connection}  # noqa: RUF012 - Litestar reads it so
        receive_mode = "text" if form.is_text else "binary"
        send_mode = "text" if form.is_text else "binary"

    if form.payload == "typed":
        encode, decode = form.encode, form.decode

        async def typed(_self: Listener, data: Any, connection: NamedDependency[Connection]) -> bytes:
            try:
                message = decode(data)
            except ValueError as exc:
                return encode(Error(str(exc)))
            connection.received += 1
            return encode(Reply(message.text))

        typed.__annotations__["data"] = form.frame_class

        class Typed(Listener):
            on_receive = typed

        return Litestar([Typed], websocket_class=websocket_class)
    if form.is_text:

        class Text(Listener):
            async def on_receive(self, data: str, connection: NamedDependency[Connection]) -> str:
                connection.received += 1
                return data

        return Litestar([Text], websocket_class=websocket_class)

    class Binary(Listener):
        async def on_receive(self, data: bytes, connection: NamedDependency[Connection]) -> bytes:
            connection.received += 1
            return data

    return Litestar([Binary], websocket_class=websocket_class)


def litestar_websocket(form: Form, websocket_class: Any = WebSocket) -> App:
    """Return a handler with a receive loop of its own."""
    encode, decode, is_typed = form.encode, form.decode, form.payload == "typed"
    mode: Any = form.transport

    @websocket("/", dependencies={"connection": provide_connection})
    async def handler(socket: WebSocket[Any, Any, Any], connection: NamedDependency[Connection]) -> None:
        await socket.accept()
        async for data in socket.iter_data(mode):
            if not is_typed:
                connection.received += 1
                await socket.send_data(data, mode=mode)
                continue
            try:
                message = decode(data)
            except ValueError as exc:
                await socket.send_data(encode(Error(str(exc))), mode=mode)
            else:
                connection.received += 1
                await socket.send_data(encode(Reply(message.text)), mode=mode)
        await socket.close()

    return Litestar([handler], websocket_class=websocket_class)


def litestar_stream(form: Form, source: Source, websocket_class: Any = WebSocket) -> App:
    """Return a stream."""
    encode, mode = form.encode, form.transport
    stream = partial(websocket_stream, "/", mode=mode, warn_on_data_discard=False)  # type: ignore[arg-type]

    async def provide_events() -> AsyncGenerator[AsyncGenerator[Any, None], None]:
        events = source()
        yield events
        await events.aclose()

    if form.payload == "typed":

        @stream(dependencies={"events": provide_events})
        async def typed(events: NamedDependency[AsyncGenerator[Any, None]]) -> AsyncGenerator[bytes, None]:
            async for event in events:
                yield encode(event)

        return Litestar([typed], websocket_class=websocket_class)

    @stream(dependencies={"events": provide_events})
    async def raw(events: NamedDependency[AsyncGenerator[Any, None]]) -> AsyncGenerator[Any, None]:
        async for event in events:
            yield event

    return Litestar([raw], websocket_class=websocket_class)


def litestar_channel(form: Form) -> tuple[Any, Callable[[str], Awaitable[None]]]:
    """Return a stream of what is published to a channel, encoded once for all subscribers, and what publishes."""
    plugin = ChannelsPlugin(MemoryChannelsBackend(), channels=["lobby"])
    encode, stream = form.encode, partial(websocket_stream, "/", mode=form.transport, warn_on_data_discard=False)  # type: ignore[arg-type]

    async def provide_events() -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        async with plugin.start_subscription("lobby") as subscriber:
            yield subscriber.iter_events()

    @stream(dependencies={"events": provide_events})
    async def handler(events: NamedDependency[AsyncGenerator[bytes, None]]) -> AsyncGenerator[bytes, None]:
        async for event in events:
            yield event

    async def publish(text: str) -> None:
        event = encode(TextEvent(text, datetime.now(UTC))) if form.payload == "typed" else text.encode()
        await plugin.wait_published(event, "lobby")

    return Litestar([handler], plugins=[plugin]), publish


# Starlette and FastAPI -----------------------------------------------------------------------------------------------


def checked(data: str | bytes) -> str:
    """Return the text of a message, checked by hand, or raise `ValueError`."""
    message = json.loads(data)
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        raise ValueError("expected an object with a text")  # noqa: TRY004 - as the decoders of the others
    text: str = message["text"]
    return text


def starlette_reply(form: Form) -> App:
    """Return a Starlette endpoint, with the standard library's json."""
    is_typed, is_text = form.payload == "typed", form.is_text

    async def endpoint(socket: StarletteWebSocket) -> None:
        await socket.accept()
        receive = socket.receive_text if is_text else socket.receive_bytes
        try:
            while True:
                data: Any = await receive()
                if is_typed:
                    try:
                        text = checked(data)
                    except ValueError as exc:
                        data = json.dumps({"type": "error", "detail": str(exc)})
                    else:
                        data = json.dumps({"type": "said", "text": text})
                    data = data if is_text else data.encode()
                await (socket.send_text(data) if is_text else socket.send_bytes(data))
        except WebSocketDisconnect:
            pass

    return Starlette(routes=[WebSocketRoute("/", endpoint)])


def starlette_push(form: Form, source: Source) -> App:
    """Return a Starlette endpoint that sends what the source yields."""
    is_typed, is_text = form.payload == "typed", form.is_text

    async def push(socket: StarletteWebSocket) -> None:
        async for event in source():
            data = event
            if is_typed:
                data = json.dumps({"type": "tick", "number": event.number, "at": event.at.isoformat()})
                data = data if is_text else data.encode()
            await (socket.send_text(data) if is_text else socket.send_bytes(data))

    async def endpoint(socket: StarletteWebSocket) -> None:
        await socket.accept()
        pushing = asyncio.create_task(push(socket))
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)

    return Starlette(routes=[WebSocketRoute("/", endpoint)])


def fastapi_reply(form: Form) -> App:
    """Return a FastAPI endpoint, with pydantic in its fastest form: JSON to model to JSON."""
    app = FastAPI()
    is_typed, is_text = form.payload == "typed", form.is_text

    @app.websocket("/")
    async def endpoint(
        socket: StarletteWebSocket, connection: Annotated[Connection, Depends(provide_connection)]
    ) -> None:
        await socket.accept()
        receive = socket.receive_text if is_text else socket.receive_bytes
        try:
            while True:
                data: Any = await receive()
                if is_typed:
                    answer: BaseModel
                    try:
                        message = PydanticMessage.model_validate_json(data)
                    except ValidationError as exc:
                        answer = PydanticError(detail=str(exc))
                    else:
                        connection.received += 1
                        answer = PydanticReply(text=message.text)
                    data = answer.model_dump_json()
                    data = data if is_text else data.encode()
                await (socket.send_text(data) if is_text else socket.send_bytes(data))
        except WebSocketDisconnect:
            pass

    return app


def fastapi_push(form: Form, source: Source) -> App:
    """Return a FastAPI endpoint that sends what the source yields."""
    app = FastAPI()
    is_typed, is_text = form.payload == "typed", form.is_text

    async def push(socket: StarletteWebSocket) -> None:
        async for event in source():
            data = event
            if is_typed:
                data = PydanticEvent(number=event.number, at=event.at).model_dump_json()
                data = data if is_text else data.encode()
            await (socket.send_text(data) if is_text else socket.send_bytes(data))

    @app.websocket("/")
    async def endpoint(socket: StarletteWebSocket) -> None:
        await socket.accept()
        pushing = asyncio.create_task(push(socket))
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)

    return app


REPLY: dict[str, Callable[[Form], App]] = {
    "raw ASGI": asgi_reply,
    "Litestar by hand, listener": litestar_listener,
    "Litestar by hand, listener-class": litestar_listener_class,
    "Litestar by hand, websocket": litestar_websocket,
    "a timeout a message by hand, listener": partial(litestar_listener, websocket_class=TimedOut),
    "the same limits by hand, listener": partial(litestar_listener, websocket_class=Limited),
    "the same limits by hand, listener-class": partial(litestar_listener_class, websocket_class=Limited),
    "the same limits by hand, websocket": partial(litestar_websocket, websocket_class=Limited),
    "Starlette": starlette_reply,
    "FastAPI": fastapi_reply,
}
PUSH: dict[str, Callable[[Form, Source], App]] = {
    "raw ASGI": asgi_push,
    "Litestar by hand, stream": litestar_stream,
    "the same limits by hand, stream": partial(litestar_stream, websocket_class=Limited),
    "Starlette": starlette_push,
    "FastAPI": fastapi_push,
}


def speaks(peer: str, form: Form) -> bool:
    """Tell whether a peer knows the form: Starlette and FastAPI have no MessagePack."""
    return not (form.codec == "msgpack" and peer.startswith(("Starlette", "FastAPI")))


class ChanxText(BaseModel):
    """What is said, as chanx has it: in the payload of a message."""

    text: str


class ChanxNumber(BaseModel):
    """What has been read."""

    up_to: int


class ChanxSay(BaseMessage):
    """A kind of message."""

    action: Literal["say"] = "say"
    payload: ChanxText


class ChanxTyping(BaseMessage):
    """Another one."""

    action: Literal["typing"] = "typing"
    payload: None = None


class ChanxRead(BaseMessage):
    """A third one."""

    action: Literal["read"] = "read"
    payload: ChanxNumber


class ChanxSaid(BaseMessage):
    """The answer to the first one."""

    action: Literal["said"] = "said"
    payload: ChanxText


class ChanxDone(BaseMessage):
    """The answer to the others."""

    action: Literal["done"] = "done"
    payload: None = None


@channel(name="kinds")
class ChanxConsumer(AsyncJsonWebsocketConsumer):
    """A consumer of chanx with a method for each kind of message."""

    log_websocket_message = False

    @ws_handler
    async def say(self, message: ChanxSay) -> ChanxSaid:
        """Answer a message."""
        return ChanxSaid(payload=message.payload)

    @ws_handler
    async def typing(self, _message: ChanxTyping) -> ChanxDone:
        """Say that it is done."""
        return ChanxDone()

    @ws_handler
    async def read(self, _message: ChanxRead) -> ChanxDone:
        """Say that it is done."""
        return ChanxDone()


def chanx_kinds() -> App:
    """Return a FastAPI application with three kinds of messages, as chanx has them."""
    app = FastAPI(openapi_url=None)
    app.router.routes.append(WebSocketRoute("/", ChanxConsumer.as_asgi()))
    return app
