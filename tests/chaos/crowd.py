"""The crowd: so many visits that a number of connections is reached, in waves, and what is checked behind each."""

import asyncio
import re
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from projects import HANDLERS
from serving.client import clients
from serving.server import DEADLINE, FAILURE, Server, path_of, serve

from .visits import VISITS, Visitor

WAVES = 8
SETTINGS = {"ws_ping_interval": 2, "ws_ping_timeout": 2}
"""Of uvicorn: for a client that has fallen silent to be noticed in time."""
SEND_TIMEOUT = 1.0
GRACE = 5.0  # seconds that uvicorn waits for connections when it shuts down

PROTOCOL = re.compile(r"^ERROR .*(?:data transfer failed|parser failed).*\n(?:Traceback.*\n)?(?:[ +|].*\n|\S*Error.*\n)*")


@dataclass
class Report:
    """What there has been."""

    kind: str
    seed: int
    totals: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    """In bytes, at rest: before, and after each wave."""

    @property
    def growth(self) -> float:
        """Return by how much memory has grown in the last quarter of the waves."""
        return self.memory[-1] / self.memory[-1 - WAVES // 4] - 1 if self.memory[-1] else 0.0

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
            return f"seed {self.report.seed}, visitor {number}, {what}, {visitor.handler['name']}: {traceback.format_exc()}"
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
        assert not failures, "\n".join([*failures[:5], f"{len(failures)} failures in all", self.server.log()[-5000:]])

    def judge(self) -> None:
        """Check that nothing is left, and that the log holds what was asked for, and nothing else."""
        self.server.settle()
        failed = {it.removeprefix("failed "): n for it, n in self.report.totals.items() if it.startswith("failed ")}
        assert Counter(self.server.failures()) == failed, self.server.log()[-5000:]
        assert not self.server.troubles(), "\n".join(self.server.troubles()[:20])
        self.report.memory.append(self.server.memory())


def run(kind: str, project: Path, output: Path, seed: int, connections: int, at_once: int) -> Report:
    """Let a crowd meet a server, which must be as before after each wave, and at last shut it down."""
    with serve(kind, project, output, **SETTINGS) as server:
        server.begin(send_timeout=SEND_TIMEOUT)

        async def everything() -> Report:
            crowd = Crowd(server, seed, at_once)
            await asyncio.to_thread(crowd.judge)
            for number in range(WAVES):
                await crowd.wave(connections * (number + 1) // WAVES)
                await asyncio.to_thread(crowd.judge)
            async with clients(server.port, HANDLERS):  # open connections, when the end comes
                await asyncio.to_thread(server.terminate, 2 * GRACE)
            return crowd.report

        report = asyncio.run(everything())
        if kind == "uvicorn":  # granian drops the handlers, too
            assert not server.leftovers(server.last_counts(), None)
        return report
