"""The crowd: so many visits that a number of connections is reached, in waves, and what is checked behind each."""

import asyncio
import re
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from brokers import Broker
from projects import HANDLERS
from serving.client import Client, clients
from serving.server import DEADLINE, Server, serve

from .visits import VISITS, Visitor

SETTINGS: dict[str, Any] = {"ws_ping_interval": 2, "ws_ping_timeout": 2}
"""Of uvicorn: for a client that has fallen silent to be noticed in time."""
SEND_TIMEOUT = 1.0
SHARED = [handler for handler in HANDLERS if handler.get("events") == "channel"]
GRACE = 5.0  # seconds that uvicorn waits for connections when it shuts down

INVALID_TEXT = re.compile(
    r"^ERROR: +Invalid UTF-8 sequence received from client\.\n(?:(?:Traceback|[ ]|UnicodeDecodeError).*\n)+",
    re.MULTILINE,
)
"""What uvicorn logs of text that is no text: we send some. No handler ever sees it."""
BROKER = re.compile(r"^WARNING .* the broker is (lost, .*|back: .*)\n", re.MULTILINE)
"""What the project logs of a broker that goes away and comes back."""
LATE_WRITE = re.compile(
    r"^WARNING .* - asyncio - selector_events - socket\.send\(\) raised exception\.\n", re.MULTILINE
)
"""What asyncio logs when uvicorn writes more than four messages before it is told that the client has crashed."""


@dataclass
class Report:
    """What there has been."""

    kind: str
    seed: int
    totals: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    """In bytes, at rest, before and after each wave."""

    @property
    def growth(self) -> float:
        """Return by how much memory has grown from the third to the last quarter of the waves, both on average."""
        quarter = max(1, len(self.memory) // 4)
        third, last = sum(self.memory[-2 * quarter : -quarter]), sum(self.memory[-quarter:])
        return last / third - 1 if third else 0.0

    def __str__(self) -> str:
        """Tell it in lines."""
        totals = "".join(f"\n  {count:7} {what}" for what, count in sorted(self.totals.items()) if "/" not in what)
        failed = sum(count for what, count in self.totals.items() if "/" in what)
        memory = ", ".join(f"{it / 2**20:.1f}" for it in self.memory)
        return (
            f"{self.kind}, seed {self.seed}:{totals}\n  {failed:7} failures asked for, each logged once\n"
            f"  memory at rest, MiB: {memory}; the last quarter grew by {self.growth:.1%}"
        )


class Crowd:
    """Visitors in the order that a seed gives."""

    def __init__(self, server: Server, seed: int, at_once: int) -> None:
        self.server = server
        self.report = Report(server.kind, seed)
        self.random = Random(seed)  # noqa: S311 - no secret
        self.numbers = iter(range(10**9))
        self.places = asyncio.Semaphore(at_once)

    async def visit(self, number: int) -> str:
        """Let the visitor of that number do what it does, and return what went wrong."""
        random = Random(f"{self.report.seed}/{number}")  # noqa: S311 - no secret
        visitor = Visitor(self.server, random.choice(HANDLERS), random, self.report.totals)
        visit = random.choice(VISITS)
        what = visit.__name__.replace("_", " ")
        try:
            async with asyncio.timeout(2 * DEADLINE):
                await visit(visitor)
        except Exception:  # noqa: BLE001
            who = f"seed {self.report.seed}, visitor {number}, {what}, {visitor.handler['name']}"
            return f"{who}: {traceback.format_exc()}"
        else:
            self.report.totals[f"visits: {what}"] += 1
            return ""
        finally:
            self.places.release()

    async def wave(self, connections: int) -> None:
        """Let so many connections come, or some more, and wait until the last visitor is gone."""
        visits: list[asyncio.Task[str]] = []
        while self.report.totals["connections"] < connections:
            await self.places.acquire()
            visits.append(asyncio.create_task(self.visit(next(self.numbers))))
            await asyncio.sleep(0)
        failures = list(filter(None, await asyncio.gather(*visits)))
        assert not failures, "\n".join([*failures[:5], f"{len(failures)} failures in all"])

    async def outage(self, broker: Broker) -> None:
        """Take the broker away from the subscribers of every handler, who stay, and are told all when it is back."""

        async def resume(client: Client) -> None:
            if client.is_answered:
                await client.send("back")  # it waits for the broker
                client.check(await client.receive_answer(), 2, "back")
            await client.receive_event()

        async with clients(self.server.port, SHARED) as opened:
            self.report.totals["connections"] += len(opened)
            await asyncio.gather(*(client.exchange() for client in opened))
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(self.random.uniform(0, 1))
            resumed = [asyncio.create_task(resume(client)) for client in opened]
            await asyncio.to_thread(broker.start)
            await asyncio.gather(*resumed)
            self.report.totals["subscribers that have outlived the broker"] += len(opened)

    def judge(self) -> None:
        """Check that nothing is left, and that the log holds what was asked for, and nothing else."""
        self.server.settle()
        totals = self.report.totals.items()
        failed = Counter({what.removeprefix("failed "): n for what, n in totals if what.startswith("failed ")})
        logged = Counter(self.server.failures())
        assert logged == failed, f"failures: logged {logged - failed} too often, {failed - logged} too seldom"
        troubles = self.server.troubles(INVALID_TEXT, LATE_WRITE, BROKER)
        assert not troubles, "\n".join(troubles[:20])
        self.report.memory.append(self.server.memory())


def run(  # noqa: PLR0913
    kind: str,
    project: Path,
    output: Path,
    broker: Broker,
    *,
    seed: int,
    connections: int,
    waves: int,
    at_once: int = 100,
) -> Report:
    """Let a crowd meet a server, which must be as before after each wave, and at last shut it down.

    Behind each wave, the broker goes away, too, and comes back; if there is one.
    """
    with serve(kind, project, output, broker.url, **SETTINGS) as server:
        server.begin(send_timeout=SEND_TIMEOUT)

        async def everything() -> Report:
            crowd = Crowd(server, seed, at_once)
            await asyncio.to_thread(crowd.judge)
            for number in range(waves):
                await crowd.wave(connections * (number + 1) // waves)
                if broker.backend != "memory":
                    await crowd.outage(broker)
                await asyncio.to_thread(crowd.judge)
            async with clients(server.port, HANDLERS):  # open connections, when the end comes
                await asyncio.to_thread(server.terminate, 2 * GRACE)
            return crowd.report

        report = asyncio.run(everything())
        if kind == "uvicorn":  # granian drops the handlers, too
            assert not server.leftovers(server.last_counts(), None)
        return report
