"""A project with channels, as generated, and what it holds: `python -m serving.counted --port PORT`."""

import argparse
import asyncio
import gc
import importlib
from types import AsyncGeneratorType

import uvicorn
from litestar import Litestar, get

app: Litestar = importlib.import_module("desk.app").app
channels = app.plugins.get(importlib.import_module("desk.ws").WebsocketPlugin).channels


@get("/counts")
async def get_counts() -> dict[str, int]:
    """Return what is alive in this process, after a garbage collection."""
    gc.collect()
    return {
        "subscribers": channels.subscribers,
        "channels": len(channels.names),
        "tasks": len(asyncio.all_tasks()),
        "streams": sum(type(it) is AsyncGeneratorType and it.ag_frame is not None for it in gc.get_objects()),
    }


app.register(get_counts)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    uvicorn.run(app, port=parser.parse_args().port, timeout_graceful_shutdown=5)
