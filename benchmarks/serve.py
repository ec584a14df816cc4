"""Messages over a real server: how many a second, how late they are, and what a connection costs in memory.

    python benchmarks/serve.py --json figures.json

Every contender has a server of its own, and all are on one core; the client has another one, and offers what browsers
offer. A generated project is served by its own command, the others with the same loop and settings. *As installed* is
with uvicorn's defaults on uvloop, compression among them; *plain uvicorn* with the same on asyncio. In each round every
contender has its turn, in another order, while the servers of the others have nothing to do. What is compared is the
median of the rounds. Memory is that of a fresh server, after a few connections that warm it up.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clients import Served, allow_files, clients
from figures import Target, arguments, load, machine, publish, render_everything, spread
from peers import FORMS, Form, speaks
from server import BARE, WEBSOCKETS

REPLYING = [
    "generated, listener",
    "generated, listener-class",
    "generated, websocket",
    "Litestar by hand, listener",
    "Litestar by hand, websocket",
    "raw ASGI",
    "Starlette",
    "FastAPI",
    "FastAPI, as installed",
    "generated, listener, plain uvicorn",
    WEBSOCKETS,
    BARE,
]
PUSHING = ["generated, stream", "Litestar by hand, stream", "raw ASGI", "Starlette", "FastAPI", WEBSOCKETS]
FANNED = ["generated, stream", "Litestar by hand, channel"]
HELD = [
    ("generated, listener", "reply"),
    ("Litestar by hand, listener", "reply"),
    ("generated, websocket", "reply"),
    ("Litestar by hand, websocket", "reply"),
    ("raw ASGI", "reply"),
    ("FastAPI", "reply"),
    ("FastAPI, as installed", "reply"),
    ("generated, listener, plain uvicorn", "reply"),
    (WEBSOCKETS, "reply"),
]
TALKING, LISTENING, SUBSCRIBED, IDLE = 32, 8, 100, 1000
"""How many connections there are: that ask for answers, are sent events, are told what is published, do nothing."""
PUBLISHED = 100
"""How many events a second are published to the channel of those."""

Rows = dict[str, dict[str, list[float]]]


def note(rows: Rows, label: str, **values: float) -> None:
    """Note what a contender did in a round."""
    for name, value in values.items():
        rows.setdefault(label, {}).setdefault(name, []).append(value)


def start(served: list[Served], stack: ExitStack) -> list[Served]:
    """Start these servers, two at a time, for as long as the stack lasts."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(stack.enter_context, served))


def talk(form: Form, sources: Path, rounds: int, seconds: float) -> Rows:
    """Measure answers: many connections at once for the rate, one for the latency."""
    rows: Rows = {}
    order = random.Random(0)  # noqa: S311 - no secret
    with ExitStack() as stack:
        served = start([Served(it, form, "reply", sources) for it in REPLYING if speaks(it, form)], stack)
        for number in range(rounds + 1):
            for it in order.sample(served, len(served)):
                with clients(it, TALKING) as many:
                    all_at_once = many.reply(seconds)
                with clients(it, 1) as one:
                    alone = one.reply(seconds / 2)
                if number:  # the first round warms up
                    note(
                        rows,
                        it.label,
                        rate=all_at_once.rate,
                        cost=all_at_once.cost,
                        p50=all_at_once.latency(0.5),
                        p99=all_at_once.latency(0.99),
                        alone_p50=alone.latency(0.5),
                        alone_p99=alone.latency(0.99),
                        busy=all_at_once.busy,
                    )
    return {label: rows[label] for label in REPLYING if label in rows}


def push(form: Form, sources: Path, rounds: int, seconds: float) -> Rows:
    """Measure events, sent as fast as they are read."""
    rows: Rows = {}
    order = random.Random(0)  # noqa: S311 - no secret
    with ExitStack() as stack:
        served = start([Served(it, form, "push", sources) for it in PUSHING if speaks(it, form)], stack)
        for number in range(rounds + 1):
            for it in order.sample(served, len(served)):
                with clients(it, LISTENING) as many:
                    many.listen(0.1)
                    result = many.listen(seconds)
                time.sleep(0.1)  # for the server to notice that they have left
                if number:
                    note(rows, it.label, rate=result.rate, cost=result.cost, busy=result.busy)
    return {label: rows[label] for label in PUSHING if label in rows}


def fan_out(form: Form, sources: Path, rounds: int, seconds: float) -> Rows:
    """Measure what is published once, for all subscribers of a channel, at a rate that all contenders can keep up."""
    rows: Rows = {}
    order = random.Random(0)  # noqa: S311 - no secret
    for number in range(rounds + 1):
        for label in order.sample(FANNED, len(FANNED)):
            with Served(label, form, "fan-out", sources, PUBLISHED) as served, clients(served, SUBSCRIBED) as many:
                many.listen(0.2)
                result = many.listen(3 * seconds, is_timed=True)  # few events, and each wakes the server
                if number:
                    p50, p99 = result.latency(0.5), result.latency(0.99)
                    note(rows, label, rate=result.rate, cost=result.cost, p50=p50, p99=p99, busy=result.busy)
    return {label: rows[label] for label in FANNED}


def hold(form: Form, sources: Path, rounds: int, idle: int) -> Rows:
    """Measure what a connection that does nothing needs, on a fresh server each time."""
    rows: Rows = {}
    held = [(label, form, work) for label, work in HELD if speaks(label, form)]
    for _ in range(rounds):
        with ExitStack() as stack:
            for it in start([Served(*of, sources) for of in held], stack):
                with clients(it, 50) as few:
                    few.reply(0.2)
                time.sleep(0.3)
                before = it.memory()
                with clients(it, idle):
                    time.sleep(0.3)
                    note(rows, it.label, kibibytes=(it.memory() - before) / idle / 1024)
    return rows


def ratio(rows: Rows, name: str, of: str, to: str) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(one / other for one, other in zip(rows[of][name], rows[to][name], strict=True))


def judged(form: str, talked: Rows, pushed: Rows, fanned: Rows, held: Rows) -> Iterator[Target]:
    """Yield each target. How many a second a server can do is judged by what one costs it: others may be busy, too."""
    for of in (label for label in talked if label.startswith("generated") and not label.endswith("plain uvicorn")):
        for to, limit in (("FastAPI", 1.15), ("FastAPI, as installed", 1.5), ("raw ASGI", 0.75)):
            if to in talked and (to == "raw ASGI" or form.startswith("typed")):
                yield Target(f"answers a second, {form}: {of}", to, ratio(talked, "cost", to, of), limit, at_most=False)
    stream = "generated, stream"
    for to in ("Litestar by hand, stream", "raw ASGI"):
        value = ratio(pushed, "cost", to, stream)
        yield Target(f"events a second, {form}: {stream}", to, value, 0.8, at_most=False)
    of, to = FANNED
    yield Target(f"events of a channel, {form}: {of}", to, ratio(fanned, "cost", to, of), 0.8, at_most=False)
    for interface in ("listener", "websocket"):
        of, to = f"generated, {interface}", f"Litestar by hand, {interface}"
        value = ratio(held, "kibibytes", of, to)
        yield Target(f"memory of an idle connection, {form}: {of}", to, value, 1.1, at_most=True)


def table(title: str, rows: dict[str, dict[str, Any]], columns: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a table: medians, and the quartiles of the first column."""
    yield f"{title:38}" + "".join(
        f"{head:>{28 if number == 0 else 14}}" for number, head in enumerate(columns.values())
    )
    for label, row in rows.items():
        first, *others = columns
        cells = f"{row[first]['median']:.1f} ({row[first]['quarter']:.1f}-{row[first]['three_quarters']:.1f})"
        yield f"{label:38}{cells:>28}" + "".join(f"{row[name]['median']:>14.2f}" for name in others)
    yield ""


def report(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables, and whether the targets are met."""
    for form, tables in document["forms"].items():
        yield from table(
            f"answers, {form}",
            tables["answers"],
            {
                "rate": "a second (quartiles)",
                "cost": "CPU us each",
                "p50": "p50 ms",
                "p99": "p99 ms",
                "alone_p50": "alone p50",
                "alone_p99": "alone p99",
                "busy": "client busy",
            },
        )
        yield from table(
            f"events, {form}",
            tables["events"],
            {"rate": "a second (quartiles)", "cost": "CPU us each", "busy": "client busy"},
        )
        yield from table(
            f"events of a channel, {form}",
            tables["fan-out"],
            {
                "rate": "a second (quartiles)",
                "cost": "CPU us each",
                "p50": "p50 ms",
                "p99": "p99 ms",
                "busy": "client busy",
            },
        )
        yield from table(f"idle, {form}", tables["idle"], {"kibibytes": "KiB a connection"})
    yield from map(str, document["targets"])


def more(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark alone."""
    names = [form.name for form in FORMS]
    parser.add_argument("--form", choices=names, action="append", help="which messages (typed text, raw binary)")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"how many connections do nothing ({IDLE})")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one contender is measured in a round (1)")


def main() -> None:
    """Measure, and print what was found."""
    options = arguments(__doc__, rounds=5, more=more)
    allow_files(4 * options.idle + 1000)
    before = load()
    forms: dict[str, Any] = {}
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as folder:
        sources = render_everything(Path(folder))
        for form in (form for form in FORMS if form.name in (options.form or ("typed text", "raw binary"))):
            measured = (
                talk(form, sources, options.rounds, options.seconds),
                push(form, sources, options.rounds, options.seconds),
                fan_out(form, sources, options.rounds, options.seconds),
                hold(form, sources, max(1, options.rounds // 2), options.idle),
            )
            targets += judged(form.name, *measured)
            forms[form.name] = {
                name: {
                    label: {column: spread(values, 3) for column, values in row.items()} for label, row in rows.items()
                }
                for name, rows in zip(("answers", "events", "fan-out", "idle"), measured, strict=True)
            }
    document = {
        "machine": machine(),
        "method": f"{options.rounds} interleaved rounds of {options.seconds} s; uvicorn on one core, the client on "
        "another, which offers compression as browsers do; "
        f"{TALKING} connections ask, and one alone; {LISTENING} are sent events; "
        f"{SUBSCRIBED} are told what is published {PUBLISHED} times a second, for three times as long; "
        f"{options.idle} are idle",
        "load": f"{before} before, {load()} after",
        "forms": forms,
        "targets": targets,
    }
    publish(document, report(document), options.json)


if __name__ == "__main__":
    main()
