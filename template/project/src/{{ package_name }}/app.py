"""The application."""

from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from litestar.logging import LoggingConfig

from .ws import ws_router


def create_app() -> Litestar:
    """Return a new application, with services of its own."""
    return Litestar(
        route_handlers=[ws_router],
        logging_config=LoggingConfig(
            loggers={"litestar": {"level": "INFO", "propagate": True}},
            # By default nothing that a handler raises is logged. A client that leaves, and a close, are no failures.
            log_exceptions="always",
            disable_stack_trace={WebSocketDisconnect, WebSocketException},
        ),
    )


app = create_app()
