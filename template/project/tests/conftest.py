"""What all tests share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests as the servers run the application: on asyncio."""
    return "asyncio"
