"""The lowest versions that a project declares are enough, for its own tests and for its server."""

import asyncio
from pathlib import Path

import pytest

from brokers import broker
from projects import HANDLERS, build_environment, render, run_own_tests
from serving.client import clients
from serving.server import serve

pytestmark = pytest.mark.slow

SHARED = "duplex_websocket_msgpack_shared_token"
SEVERAL = ["listener_typed_text", "stream_json_dto", SHARED]
"""What takes different ways through what a project depends on."""


@pytest.mark.parametrize(("kind", "names"), [("memory", SEVERAL), ("valkey", [SHARED]), ("postgres", [SHARED])])
def test_lowest_versions_are_enough(template: Path, tmp_path: Path, kind: str, names: list[str]) -> None:
    handlers = [handler for handler in HANDLERS if handler["name"] in names]

    async def exchange(port: int) -> None:
        async with clients(port, handlers) as opened:
            for client in opened:
                await client.exchange_alone()

    with broker(kind) as running:
        answers = {"project_name": "Everything", "channels_backend": running.backend, "handlers": handlers}
        project = render(template, tmp_path / "everything", {**answers, "asyncapi": "yes"})
        python = build_environment(tmp_path / "environment", project, "--resolution", "lowest-direct")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EVERYTHING_TEST_CHANNELS_URL", running.url)
            done = run_own_tests(python, project, timeout=240)
        assert done.returncode == 0, done.stdout
        with serve("generated", project, tmp_path / "output", running.url, python=python) as server:
            asyncio.run(exchange(server.port))
            assert not server.troubles(), server.log()
