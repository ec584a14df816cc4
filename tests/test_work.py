"""A piece of work for each message: what the README says to write for a database holds on a real one."""

import json
import re
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path

import pytest

from brokers import Postgres, broker
from projects import build_environment, render, run

CHAT = {
    "name": "chat",
    "interface": "listener",
    "payload": "typed",
    "transport": "text",
    "guard": "none",
    "work": "message",
}

POOLS = {
    "SQLAlchemy": (
        "from sqlalchemy import text\nfrom sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine",
        (
            "url = URL.replace('postgresql:', 'postgresql+asyncpg:')\n"
            "engine = create_async_engine(url, pool_size=2, max_overflow=0)\n"
            "sessions = async_sessionmaker(engine)"
        ),
        "await work.execute(text('INSERT INTO said VALUES (:text)'), {'text': message.text})",
        "engine.pool.checkedout()",
    ),
    "Advanced Alchemy": (
        "from advanced_alchemy.config import EngineConfig, SQLAlchemyAsyncConfig\nfrom sqlalchemy import text",
        (
            "url = URL.replace('postgresql:', 'postgresql+asyncpg:')\n"
            "limits = EngineConfig(pool_size=2, max_overflow=0)\n"
            "config = SQLAlchemyAsyncConfig(connection_string=url, engine_config=limits)"
        ),
        "await work.execute(text('INSERT INTO said VALUES (:text)'), {'text': message.text})",
        "config.get_engine().pool.checkedout()",
    ),
    "asyncpg": (
        "from asyncpg import create_pool",
        "pool = await create_pool(URL, min_size=2, max_size=2)",
        "await work.execute('INSERT INTO said VALUES ($1)', message.text)",
        "pool.get_size() - pool.get_idle_size()",
    ),
    "psycopg": (
        "from psycopg_pool import AsyncConnectionPool",
        "pool = AsyncConnectionPool(URL, min_size=2, max_size=2, open=False)\nawait pool.open(wait=True)",
        "await work.execute('INSERT INTO said VALUES (%s)', (message.text,))",
        "2 - pool.get_stats()['pool_available']",
    ),
}
"""What makes a pool of two, what a message does with its work, and how much of the pool is held."""

SCRIPT = """
import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
{imports}

from desk.ws import testing
from desk.ws.chat import dependencies, service
from desk.ws.chat.schemas import SaidEvent
from desk.ws.contract import MessageError
from desk.ws.settings import Settings
from desk.ws.testing import connect, create_app, serve

URL = sys.argv[1]
CLIENTS, MESSAGES = 50, 20
testing.TIMEOUT = 30


async def said() -> list[str]:
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        rows = await (await connection.execute("SELECT text FROM said")).fetchall()
        return [text for text, in rows]


async def main() -> None:
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        await connection.execute("DROP TABLE IF EXISTS said")
        await connection.execute("CREATE TABLE said (text text)")
{pool}

    @asynccontextmanager
    async def begin_work():
{work}

    async def say(self, message, work):
        {insert}
        if message.text == "refuse":
            raise MessageError("not now")
        if message.text == "fail":
            raise RuntimeError("not for the client")
        if message.text == "wait":
            await asyncio.sleep(60)
        return SaidEvent(text=message.text)

    dependencies.begin_work = begin_work
    service.ChatConnection.say = say
    found = {{"answered": 0, "held while idle": []}}
    async with serve(create_app(Settings())) as app, AsyncExitStack() as stack:
        path = "/ws/chat"
        sessions_ = [await stack.enter_async_context(connect(app, path)) for _ in range(CLIENTS)]
        await asyncio.sleep(0.1)
        found["held while idle"].append({held})

        async def talk(session, number):
            for at in range(MESSAGES):
                session.send(json.dumps({{"type": "say", "id": at, "text": f"{{number}}/{{at}}"}}))
            for at in range(MESSAGES):
                answer = json.loads(await session.receive())
                assert (answer["type"], answer["ref"]) == ("said", at), answer
                found["answered"] += 1

        await asyncio.gather(*(talk(session, number) for number, session in enumerate(sessions_)))
        await asyncio.sleep(0.1)
        found["held while idle"].append({held})
        found["committed"] = len(await said())
        one, two, three, *others = sessions_
        one.send(json.dumps({{"type": "say", "id": 1, "text": "refuse"}}))
        found["refused"] = json.loads(await one.receive())
        two.send(json.dumps({{"type": "say", "text": "fail"}}))
        found["failed"] = (await two.closed()).code
        await two.ended()
        three.send(json.dumps({{"type": "say", "text": "wait"}}))
        await asyncio.sleep(0.3)
        found["held in the middle"] = {held}
        three.cancel()
        await three.ended()
        await asyncio.sleep(0.2)
        found["held while idle"].append({held})
        found["rolled back"] = not {{"refuse", "fail", "wait"}} & set(await said())
        others[0].send(json.dumps({{"type": "say", "id": 1, "text": "the last word"}}))
        await others[0].leave()
        found["last word"] = "the last word" in await said()
        for session in (one, *others[1:]):
            await session.leave()
    print(json.dumps(found))


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def postgres() -> Generator[Postgres, None, None]:
    """Return a database."""
    with broker("postgres") as database:
        assert isinstance(database, Postgres)
        yield database


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose messages have work of their own."""
    return render(template, tmp_path_factory.mktemp("work") / "desk", {"project_name": "Desk", "handlers": [CHAT]})


@pytest.fixture(scope="module")
def python(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has what talks to databases, too."""
    libraries = ("advanced-alchemy", "asyncpg", "psycopg[binary,pool]", "sqlalchemy[asyncio]")
    return build_environment(tmp_path_factory.mktemp("environment") / "databases", project, *libraries)


@pytest.mark.slow
@pytest.mark.parametrize("library", POOLS)
def test_pool_of_two_serves_fifty_connections_that_hold_nothing_while_idle(
    project: Path, python: Path, postgres: Postgres, library: str
) -> None:
    """With the lines of the README: 1,000 messages are committed, and what fails is rolled back."""
    readme = (project / "README.md").read_text()
    found = re.search(rf"^# {library}: .*\n((?:[a-z ].+\n)+)", readme, re.MULTILINE)
    assert found, f"the README says nothing of {library}"
    imports, pool, insert, held = POOLS[library]
    script = SCRIPT.format(
        imports=imports,
        pool=textwrap.indent(pool, "    "),
        work=textwrap.indent(found[1], " " * 8),
        insert=insert,
        held=held,
    )
    (project / "script.py").write_text(script)
    done = run(python, "script.py", postgres.url, cwd=project, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "answered": 1000,
        "held while idle": [0, 0, 0],
        "committed": 1000,
        "refused": {"type": "error", "detail": "not now", "ref": 1},
        "failed": 4500,
        "held in the middle": 1,
        "rolled back": True,
        "last word": True,
    }


APPLICATION = """
import asyncio
import json
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide

from desk.ws import WebsocketPlugin
from desk.ws.testing import connect, serve


class Connection:
    def __init__(self, done):
        self.done = done

    @asynccontextmanager
    async def transaction(self):
        try:
            yield
        except BaseException:
            self.done.append("rolled back")
            raise
        self.done.append("committed")


class Pool:
    def __init__(self):
        self.done = []

    @asynccontextmanager
    async def acquire(self):
        self.done.append("acquired")
        yield Connection(self.done)
        self.done.append("given back")


async def main():
    pool = Pool()
    app = Litestar(
        plugins=[WebsocketPlugin()],
        dependencies={"pool": Provide(lambda: pool, sync_to_thread=False)},
        openapi_config=None,
    )
    async with serve(app), connect(app, "/ws/chat") as session:
        assert pool.done == []
        session.send('{"type": "say", "id": 1, "text": "hello"}')
        assert json.loads(await session.receive())["ref"] == 1
        await session.leave()
    print(json.dumps(pool.done))


asyncio.run(main())
"""


def test_dependency_of_the_application_reaches_the_work_as_the_readme_says(template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "desk", {"project_name": "Desk", "handlers": [CHAT]})
    readme = (project / "README.md").read_text()
    (block,) = re.findall(
        r"^```python\n(@asynccontextmanager\nasync def begin_work\(pool.*?)^```", readme, re.DOTALL | re.MULTILINE
    )
    dependencies = project / "src/desk/ws/chat/dependencies.py"
    text = dependencies.read_text()
    imports = "from functools import partial\nfrom typing import Any as Pool\n"
    begun = text.index("@asynccontextmanager\nasync def begin_work")
    dependencies.write_text(f"{text[:begun]}{imports}\n\n{block}")
    (project / "application.py").write_text(APPLICATION)
    done = run(sys.executable, "application.py", cwd=project, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == ["acquired", "committed", "given back"]
