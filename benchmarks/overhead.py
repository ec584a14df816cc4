"""What a message costs in the framework and in our template, in microseconds, without a network.

    python benchmarks/overhead.py --json figures.json

The application is driven in its own event loop by a receive and a send that are scripted: a connection of 20,000
messages. In each round every contender has its turn, in another order, and what is compared is the median of the
rounds. Before anything is measured, every contender has to answer, to refuse, and to survive what it refuses.
"""

import argparse
import asyncio
import gc
import importlib
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar

from figures import (
    KINDS,
    MEASURED,
    PACKAGE,
    Target,
    arguments,
    class_name,
    load,
    machine,
    path_of,
    publish,
    questions,
    render_everything,
    spread,
)
from peers import FORMS, PUSH, REPLY, App, Event, Form, chanx_kinds, speaks

MESSAGES = 20_000
REPLYING, PUSHING = "a reply", "an event"
GENERATED, LIMITED = "generated, ", "the same limits by hand, "
THREE_KINDS, CHANX = "three kinds with ids, listener", "three kinds, chanx on FastAPI"
WORK = {"reply": [REPLYING], "push": [PUSHING], "duplex": [REPLYING, PUSHING]}
BY_HAND = {
    REPLYING: {
        "listener": "listener",
        "listener-class": "listener-class",
        "websocket": "websocket",
        "duplex-listener": "listener",
        "duplex-websocket": "websocket",
    },
    PUSHING: dict.fromkeys(("stream", "duplex-listener", "duplex-websocket"), "stream"),
}
"""Which of the hand-written ones a generated interface is held against."""
NOW = datetime.now(UTC)


def scope_of(path: str) -> dict[str, Any]:
    """Return the scope of a connection, as uvicorn makes it."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


def received(frame: str | bytes) -> dict[str, Any]:
    """Return the event of a received frame."""
    return {"type": "websocket.receive", "text" if isinstance(frame, str) else "bytes": frame}


@dataclass
class Contender:
    """An application, what it is asked to do, and what a message took."""

    label: str
    form: Form
    work: str
    app: App
    path: str = "/"
    microseconds: list[float] = field(default_factory=list)

    def prepare(self) -> None:
        """Be ready for one's turn."""

    async def converse(self, frames: list[str | bytes], times: int) -> list[dict[str, Any]]:
        """Send these frames so many times each, leave, and return what was sent back to the last few."""
        events = [event for frame in frames for event in itertools.repeat(received(frame), times)]
        script = itertools.chain([{"type": "websocket.connect"}], events)
        gone = {"type": "websocket.disconnect", "code": 1000}
        sent: list[dict[str, Any]] = []
        keep = sent.append if times == 1 else lambda _message: None

        async def receive() -> dict[str, Any]:
            return next(script, gone)

        async def send(message: dict[str, Any]) -> None:
            keep(message)

        await self.app(scope_of(self.path), receive, send)
        return sent

    async def listen(self, times: int) -> list[dict[str, Any]]:
        """Wait for so many events, leave, and return the first few."""
        gone = asyncio.Event()
        sent: list[dict[str, Any]] = []
        left = times
        script = iter([{"type": "websocket.connect"}])

        async def receive() -> dict[str, Any]:
            for event in script:
                return event
            await gone.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: dict[str, Any]) -> None:
            nonlocal left
            if message["type"] == "websocket.send":
                if left > times - 2:
                    sent.append(message)
                left -= 1
                if not left:
                    gone.set()

        await self.app(scope_of(self.path), receive, send)
        assert not left, f"{self.label}: {left} events were not sent"
        return sent

    def plain(self, message: dict[str, Any]) -> Any:
        """Return a sent message, decoded; it must be in a frame of the right kind."""
        assert message["type"] == "websocket.send", (self.label, message)
        data = message["text" if self.form.is_text else "bytes"]
        if self.form.payload == "raw":
            return data
        codec: Any = msgspec.msgpack if self.form.codec == "msgpack" else msgspec.json
        return codec.decode(data)

    async def check(self) -> None:
        """Check that it does what it is measured for."""
        if self.work == PUSHING:
            first, second = map(self.plain, await self.listen(MESSAGES))
            assert first == second, self.label
            assert first["number"] == 1 if self.form.payload == "typed" else first in ("event 1", b"event 1")
            return
        hello = self.form.frame({"type": "say", "text": "hello"} if self.form.payload == "typed" else "hello")
        invalid = [self.form.frame({"type": "say", "text": 1})] if self.form.payload == "typed" else []
        _, *answers = await self.converse([hello, *invalid, hello], 1)
        replies = [self.plain(it) for it in answers if it["type"] == "websocket.send"]
        if self.form.payload == "raw":
            assert replies == [hello, hello], (self.label, replies)
        else:
            one, error, two = replies
            assert one == two == {"type": "said", "text": "hello"}, (self.label, replies)
            assert error["type"] == "error", (self.label, replies)

    def frames(self) -> list[str | bytes]:
        """Return what a client sends, over and over."""
        return [self.form.frame({"type": "say", "text": "hello"} if self.form.payload == "typed" else "hello")]

    async def run(self) -> None:
        """Measure one connection."""
        frames = self.frames()
        gc.collect()
        begun = time.process_time()  # what others do meanwhile does not count
        talk = self.converse(frames, MESSAGES // len(frames)) if self.work == REPLYING else self.listen(MESSAGES)
        await talk
        self.microseconds.append((time.process_time() - begun) / MESSAGES * 1e6)


def source_of(event: Any) -> Callable[..., AsyncGenerator[Any, None]]:
    """Return what yields the same event over and over, without a pause, and then waits."""

    async def events(*_: object) -> AsyncGenerator[Any, None]:
        for _number in range(MESSAGES):
            yield event
        await asyncio.Event().wait()

    return events


async def silence(*_: object) -> AsyncGenerator[Any, None]:
    """Yield nothing for as long as the client stays."""
    await asyncio.Event().wait()
    yield


def event_of(form: Form, event_class: Any = Event) -> Any:
    """Return an event in that form."""
    if form.payload == "typed":
        return event_class(number=1, at=NOW)
    return "event 1" if form.is_text else b"event 1"


def by_hand(forms: list[str]) -> Iterator[Contender]:
    """Yield the hand-written ones, in these forms."""
    if FORMS[0].name in forms:
        yield Chanx(CHANX, FORMS[0], REPLYING, chanx_kinds())
    for form in (it for it in FORMS if it.name in forms):
        for label, reply in REPLY.items():
            if speaks(label, form):
                yield Contender(label, form, REPLYING, reply(form))
        for label, push in PUSH.items():
            if speaks(label, form):
                yield Contender(label, form, PUSHING, push(form, source_of(event_of(form))))


class Generated(Contender):
    """A generated handler; what its connections tell is ours to say."""

    connection_class: Any = None
    events: Any = None

    def prepare(self) -> None:
        """Have its connections tell what is to be measured."""
        if self.events:
            self.connection_class.events = self.events


class Kinds(Contender):
    """A generated handler of three kinds of messages, of which each has an `id`."""

    def frames(self) -> list[str | bytes]:
        """Return a message of each kind."""
        kinds: list[dict[str, Any]] = [
            {"type": "say", "text": "hello"},
            {"type": "typing"},
            {"type": "read", "up_to": 1},
        ]
        return [self.form.frame(kind | {"id": number}) for number, kind in enumerate(kinds)]

    async def check(self) -> None:
        """Check that each message has the answer that refers to it."""
        _, *answers = await self.converse(self.frames(), 1)
        replies = [self.plain(it) for it in answers if it["type"] == "websocket.send"]
        assert [(it["type"], it["ref"]) for it in replies] == [("said", 0), ("done", 1), ("done", 2)], replies


class Chanx(Kinds):
    """Three kinds of messages as chanx has them, which has no ids: a payload is a message in a message there."""

    def frames(self) -> list[str | bytes]:
        """Return a message of each kind."""
        kinds: list[dict[str, Any]] = [
            {"action": "say", "payload": {"text": "hello"}},
            {"action": "typing"},
            {"action": "read", "payload": {"up_to": 1}},
        ]
        return [self.form.frame(kind) for kind in kinds]

    async def check(self) -> None:
        """Check that each message is answered."""
        _, *answers = await self.converse(self.frames(), 1)
        replies = [self.plain(it) for it in answers if it["type"] == "websocket.send"]
        assert [it["action"] for it in replies] == ["said", "done", "done"], replies


def generated(folder: Path) -> Iterator[Contender]:
    """Yield every generated handler, a duplex one for either thing that it does."""
    sys.path.insert(0, str(render_everything(folder)))
    app = importlib.import_module(f"{PACKAGE}.app").app
    for handler in MEASURED:
        service = importlib.import_module(f"{PACKAGE}.ws.{handler['name']}.service")
        form = Form(handler["payload"], handler["transport"], handler.get("codec", "json"))
        direction = questions()["interfaces"]["default"][handler["interface"]]["direction"]
        for work in WORK[direction]:
            label = f"{GENERATED}{handler['interface']}"
            contender = Generated(label, form, work, app, path_of(handler["name"]))
            contender.connection_class = getattr(service, f"{class_name(handler)}Connection")
            if direction != "reply":
                event = event_of(form, getattr(service, "TickEvent", None))
                contender.events = source_of(event) if work == PUSHING else silence
            yield contender
    for handler in KINDS:
        form = Form(handler["payload"], handler["transport"], handler.get("codec", "json"))
        yield Kinds(THREE_KINDS, form, REPLYING, app, path_of(handler["name"]))


def ratio(rows: dict[str, Any], of: str, to: str) -> float:
    """Return the median of the rounds' ratios: what disturbs one round disturbs both sides of it."""
    pairs = zip(rows[of]["rounds"], rows[to]["rounds"], strict=True)
    return float(statistics.median(one / other for one, other in pairs))


def beside_bare(figures: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return what each generated handler costs in relation to one by hand that limits nothing, and has no service."""
    return {
        work: {
            form: {
                label: round(ratio(rows, label, f"Litestar by hand, {BY_HAND[work][label.removeprefix(GENERATED)]}"), 2)
                for label in rows
                if label.startswith(GENERATED)
            }
            for form, rows in forms.items()
        }
        for work, forms in figures.items()
    }


def judged(figures: dict[str, dict[str, dict[str, Any]]]) -> Iterator[Target]:
    """Yield each target: of what a user would write, only the same interface, with the same limits, is comparable."""
    for work, forms in figures.items():
        for form, rows in forms.items():
            for label in (label for label in rows if label.startswith(GENERATED)):
                of, hand = f"{work}, {form}: {label}", f"{LIMITED}{BY_HAND[work][label.removeprefix(GENERATED)]}"
                yield Target(of, hand, ratio(rows, label, hand), 1.15, at_most=True)
            if THREE_KINDS in rows:
                one = f"{GENERATED}listener"
                if CHANX in rows:
                    chanx = ratio(rows, THREE_KINDS, CHANX)
                    yield Target(f"{work}, {form}: {THREE_KINDS}", CHANX, chanx, 0.5, at_most=True)
                yield Target(f"{work}, {form}: {THREE_KINDS}", one, ratio(rows, THREE_KINDS, one), 1.10, at_most=True)
            for label in (label for label in rows if label.startswith(GENERATED)):
                of = f"{work}, {form}: {label}"
                if work == REPLYING and form.startswith("typed") and "FastAPI" in rows:
                    yield Target(of, "FastAPI", ratio(rows, label, "FastAPI"), 0.6, at_most=True)


def report(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables, and whether the targets are met."""
    for work, forms in document["microseconds"].items():
        labels = list(dict.fromkeys(label for rows in forms.values() for label in rows))
        yield f"{work:36}" + "".join(f"{form:>22}" for form in forms)
        for label in labels:
            cells = (rows.get(label) for rows in forms.values())
            texts = (
                "-" if it is None else "{median:.2f} ({quarter:.2f}-{three_quarters:.2f})".format(**it) for it in cells
            )
            yield f"{label:36}" + "".join(f"{text:>22}" for text in texts)
        yield ""
        yield "beside by hand without limits"
        for label in next(iter(document["bare"][work].values())):
            yield f"{label:36}" + "".join(f"{document['bare'][work][form][label]:>22}" for form in forms)
        yield ""
    yield from map(str, document["targets"])


async def measure(contenders: list[Contender], rounds: int) -> None:
    """Check all of them, and measure them in rounds, of which the first warms up."""
    order = random.Random(0)  # noqa: S311 - no secret
    async with AsyncExitStack() as running:
        for app in {id(it.app): it.app for it in contenders}.values():
            if isinstance(app, Litestar):  # the services of a generated one are made when it starts
                await running.enter_async_context(app.lifespan())
        for it in contenders:
            it.prepare()
            await it.check()
        for _ in range(rounds + 1):
            for it in order.sample(contenders, len(contenders)):
                it.prepare()
                await it.run()


def more(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark alone."""
    names = [form.name for form in FORMS]
    parser.add_argument("--form", choices=names, action="append", help="which messages (all)")
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"of a connection ({MESSAGES})")


def main() -> None:
    """Measure, and print what was found."""
    global MESSAGES  # noqa: PLW0603
    options = arguments(__doc__, rounds=9, more=more)
    MESSAGES = options.messages
    forms = options.form or [form.name for form in FORMS]
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        contenders = [it for it in [*generated(Path(folder)), *by_hand(forms)] if it.form.name in forms]
        asyncio.run(measure(contenders, options.rounds))
    figures: dict[str, dict[str, dict[str, Any]]] = {REPLYING: {}, PUSHING: {}}
    for it in contenders:
        _, *counted = it.microseconds
        row = spread(counted) | {"rounds": [round(value, 3) for value in counted]}
        figures[it.work].setdefault(it.form.name, {})[it.label] = row
    targets = list(judged(figures))
    document = {
        "machine": machine(),
        "method": f"{options.rounds} interleaved rounds of {MESSAGES} messages, no network; microseconds a message: "
        "median (quartiles)",
        "load": f"{before} before, {load()} after",
        "microseconds": figures,
        "bare": beside_bare(figures),
        "targets": targets,
    }
    publish(document, report(document), options.json)


if __name__ == "__main__":
    main()
