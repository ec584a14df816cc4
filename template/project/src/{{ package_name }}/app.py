"""The application."""

from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from litestar.logging import LoggingConfig

from .ws import ws_router
from .ws.socket import ClientSocket, wait_for_handlers


def create_app() -> Litestar:
    """Return a new application, with services of its own."""
    return Litestar(
        route_handlers=[ws_router],
        websocket_class=ClientSocket,
        on_shutdown=[wait_for_handlers],
        logging_config=LoggingConfig(
            loggers={"litestar": {"level": "INFO", "propagate": True}},
            log_exceptions="always",  # by default, nothing that a handler raises is logged
            disable_stack_trace={WebSocketDisconnect, WebSocketException},  # a client that leaves is no failure
        ),
    )


app = create_app()
