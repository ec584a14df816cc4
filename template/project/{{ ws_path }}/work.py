"""A piece of work of its own for each message, such as a transaction."""

import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import anyio

Work = TypeVar("Work")


@asynccontextmanager
async def finished(work: AbstractAsyncContextManager[Work]) -> AsyncGenerator[Work, None]:
    """Begin a piece of work, and end it whatever happens: its last awaits are not cancelled, even if the handler is."""
    stack = AsyncExitStack()
    begun = await stack.enter_async_context(work)
    try:
        yield begun
    except BaseException:
        with anyio.CancelScope(shield=True):
            await stack.__aexit__(*sys.exc_info())
        raise
    with anyio.CancelScope(shield=True):
        await stack.aclose()
