"""What the project's websocket class promises and its own tests cannot show without waiting for it."""

import asyncio
import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest


def test_client_is_given_up_when_one_message_is_found_waiting_twice(
    everything: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(everything / "src")
    watch = importlib.import_module("everything.ws.socket").watch

    async def scenario() -> None:
        socket = SimpleNamespace(connection_state="receive", send_timeout=60)
        task = asyncio.create_task(asyncio.sleep(60))
        sending = {task: 0}
        watch(lambda: socket, sending)
        sending[task] = 0  # that message is sent, and another one waits
        watch(lambda: socket, sending)
        assert socket.connection_state == "receive"
        assert not task.cancelling()
        watch(lambda: socket, sending)
        assert socket.connection_state == "disconnect"
        assert task.cancelling()

    asyncio.run(scenario())
