"""How answers, latency and memory grow with the number of open connections, and events with that of subscribers.

    python benchmarks/growth.py --json figures.json

Every connection asks, and asks again when it is answered. The subscribers of one channel are told what is published to
it, at a rate that one process can keep up, on memory and on Valkey; with two processes, each has half of them, and one
publishes. In memory, two processes would be two channels: that is not measured. For each number every contender gets a
fresh server, in rounds, in another order each time.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clients import CLIENT_CORE, SERVER_CORE, Served, allow_files, clients
from figures import arguments, broker, load, machine, publish, render_everything
from peers import FORMS

COUNTS = (1, 10, 100, 1000, 5000)
CONTENDERS = ("generated, listener", "Litestar by hand, listener", "raw ASGI", "FastAPI")
COLUMNS = {
    "rate": "answers a second",
    "cost": "CPU us each",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "mebibytes": "MiB in all",
    "kibibytes": "KiB a connection",
}
SUBSCRIBERS = (1, 10, 100, 1000)
BROKERS = {
    "memory": ("memory", 1),
    "Valkey": ("valkey", 1),
    "Valkey, two processes": ("valkey", 2),
}
TOLD = {"rate": "events told a second", "cost": "CPU us each", "p50": "p50 ms", "p99": "p99 ms"}
AT_MOST, OFTEN = 5_000, 100
"""How many events a second all subscribers are told together, and how many are published, at most."""
Medians = dict[str, dict[int, dict[str, float]]]
"""By contender, by number, by figure."""
SPARE = 100  # files that are open besides the connections


def measure(sources: Path, counts: list[int], rounds: int, seconds: float) -> Medians:
    """Return the medians of every contender, by the number of connections."""
    found: dict[str, dict[int, list[dict[str, float]]]] = {
        label: {count: [] for count in counts} for label in CONTENDERS
    }
    order = random.Random(0)  # noqa: S311 - no secret
    for _ in range(rounds):
        for count in counts:
            for label in order.sample(CONTENDERS, len(CONTENDERS)):
                with Served(label, FORMS[0], "reply", sources) as served:
                    with clients(served, 10) as few:
                        few.reply(0.2)
                    time.sleep(0.2)
                    before = served.memory()
                    with clients(served, count) as many:
                        idle = served.memory()
                        result = many.reply(seconds)
                        found[label][count].append(
                            {
                                "rate": result.rate,
                                "cost": result.cost,
                                "p50": result.latency(0.5),
                                "p99": result.latency(0.99),
                                "mebibytes": served.memory() / 2**20,
                                "kibibytes": (idle - before) / count / 1024,
                            }
                        )
    return medians(found, COLUMNS)


def subscribe(sources: Path, counts: list[int], rounds: int, seconds: float) -> Medians:
    """Return the medians of what subscribers are told, by their number."""
    found: dict[str, dict[int, list[dict[str, float]]]] = {label: {count: [] for count in counts} for label in BROKERS}
    order = random.Random(0)  # noqa: S311 - no secret
    with broker("valkey") as valkey:
        for _ in range(rounds):
            for count in counts:
                for label in order.sample(list(BROKERS), len(BROKERS)):
                    kind, processes = BROKERS[label]
                    url = valkey.url if kind == "valkey" else "memory://"
                    with ExitStack() as stack:
                        published = min(OFTEN, AT_MOST / count)
                        first, *others = (
                            stack.enter_context(
                                Served("generated, stream", FORMS[0], "fan-out", sources, rate, url, core)
                            )
                            for rate, core in ((published, SERVER_CORE), (0, CLIENT_CORE))[:processes]
                        )
                        many = stack.enter_context(clients(first, count, *others))
                        many.listen(0.2)
                        result = many.listen(seconds, is_timed=True)
                        found[label][count].append(
                            {
                                "rate": result.rate,
                                "cost": result.cost,
                                "p50": result.latency(0.5),
                                "p99": result.latency(0.99),
                            }
                        )
    return medians(found, TOLD)


def medians(found: dict[str, dict[int, list[dict[str, float]]]], columns: dict[str, str]) -> Medians:
    """Return the median of the rounds, figure by figure."""
    return {
        label: {
            count: {name: round(statistics.median(it[name] for it in measured), 3) for name in columns}
            for count, measured in by_count.items()
        }
        for label, by_count in found.items()
    }


def report(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table."""
    for of, columns, found in (
        ("connections", COLUMNS, document["growth"]),
        ("subscribers", TOLD, document["subscribers"]),
    ):
        yield f"{'':30}{of:>12}" + "".join(f"{head:>22}" for head in columns.values())
        for label, by_count in found.items():
            for count, row in by_count.items():
                yield f"{label:30}{count:>12}" + "".join(f"{row[name]:>22.2f}" for name in columns)
        yield ""


def more(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark alone."""
    parser.add_argument("--connections", type=int, action="append", help="how many (1, 10, 100, 1000 and 5000)")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="how long one contender is measured in a round (1.5)"
    )


def main() -> None:
    """Measure, and print what was found."""
    options = arguments(__doc__, rounds=3, more=more)
    before = load()
    wanted = options.connections or list(COUNTS)
    allowed = allow_files(max(wanted) + SPARE) - SPARE
    counts = [count for count in wanted if count <= allowed]
    if len(counts) < len(wanted):
        sys.stderr.write(f"the system allows {allowed} connections: {max(wanted)} are not measured\n")
    with tempfile.TemporaryDirectory() as folder:
        sources = render_everything(Path(folder))
        growth = measure(sources, counts, options.rounds, options.seconds)
        subscribed = [count for count in SUBSCRIBERS if count <= max(counts)]
        subscribers = subscribe(sources, subscribed, options.rounds, options.seconds)
    document = {
        "machine": machine(),
        "method": f"medians of {options.rounds} rounds of {options.seconds} s; typed messages in text frames; uvicorn "
        "on one core, the client on another, which a second process of the server shares; every connection asks, and "
        f"asks again when it is answered; up to {OFTEN} events a second are published, and {AT_MOST} told",
        "load": f"{before} before, {load()} after",
        "growth": growth,
        "subscribers": subscribers,
    }
    publish(document, report(document), options.json)


if __name__ == "__main__":
    main()
