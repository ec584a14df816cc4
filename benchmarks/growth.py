"""How answers, their latency and memory grow with the number of open connections.

    python benchmarks/growth.py --json figures.json

Every connection asks, and asks again when it is answered. For each number of connections every contender gets a fresh
server, in rounds, in another order each time.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clients import Served, allow_files, clients
from figures import arguments, load, machine, publish, render_everything
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
SPARE = 100  # files that are open besides the connections


def measure(sources: Path, counts: list[int], rounds: int, seconds: float) -> dict[str, dict[int, dict[str, float]]]:
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
    return {
        label: {
            count: {name: round(statistics.median(it[name] for it in measured), 3) for name in COLUMNS}
            for count, measured in by_count.items()
        }
        for label, by_count in found.items()
    }


def report(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"{'':30}{'connections':>12}" + "".join(f"{head:>18}" for head in COLUMNS.values())
    for label, by_count in document["growth"].items():
        for count, row in by_count.items():
            yield f"{label:30}{count:>12}" + "".join(f"{row[name]:>18.2f}" for name in COLUMNS)


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
        growth = measure(render_everything(Path(folder)), counts, options.rounds, options.seconds)
    document = {
        "machine": machine(),
        "method": f"medians of {options.rounds} rounds of {options.seconds} s; typed messages in text frames; uvicorn "
        "on one core, the client on another; every connection asks, and asks again when it is answered",
        "load": f"{before} before, {load()} after",
        "growth": growth,
    }
    publish(document, report(document), options.json)


if __name__ == "__main__":
    main()
