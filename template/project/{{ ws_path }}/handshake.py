"""Handshakes: which pages may connect, and a line in the log for whoever may not.

Browsers let a page of any site connect to any server, and say where the page is from: to care is left to the server. So
every handler is asked for here, guarded or not. A handshake is refused before it is accepted: what it was for has not
been touched.
"""

import logging
import re
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import quote

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR
from litestar.types import Scope

from .limits import plugin_of

logger = logging.getLogger(__name__)

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origin(NamedTuple):
    """Where a page is from, in the one way of writing it that can be compared."""

    scheme: str
    host: str
    port: str


def _parse(text: str) -> Origin | None:
    """Return the origin that a text is, or None for what is none."""
    found = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]*))?", text.lower())
    if found is None:
        return None
    scheme, host, port = found.groups()
    return Origin(scheme, host, port or DEFAULT_PORTS.get(scheme, ""))


def _is_of_this_server(origin: Origin) -> bool:
    """Tell whether a page that is from where it connects to is from this server, and not only seems to be.

    Anybody can have a name of their own lead here, when their page is loaded already (DNS rebinding). The browser takes
    the page and this server for the same site then. It cannot if it has seen a certificate, or if there is no name.
    """
    if origin.scheme == "https" or origin.host == "localhost" or origin.host.endswith(".localhost"):
        return True
    try:
        ip_address(origin.host.strip("[]"))
    except ValueError:
        return False
    return True


async def check_origin(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse the pages of other sites.

    A page may connect to where it is from, and from each of the setting `allowed_origins`. A client that names no
    origin is no browser.
    """
    text = connection.headers.get("origin")
    allowed: tuple[str, ...] = handler.opt["websockets"].settings.allowed_origins
    if text is None or "*" in allowed:
        return
    origin = _parse(text)
    if origin and origin in map(_parse, allowed):
        return
    # Behind a proxy, the scheme is right if the server believes the proxy's X-Forwarded-Proto.
    scheme = connection.scope["scheme"].replace("ws", "http")
    if origin is None or origin != _parse(f"{scheme}://{connection.headers.get('host', '')}"):
        raise PermissionDeniedException(f"pages of {text[:100]!a} may not connect")
    if not _is_of_this_server(origin):
        raise PermissionDeniedException(f"pages of {text[:100]!a} may not connect over plain HTTP")


def log_refusal(exc: Exception, scope: Scope) -> None:
    """Log why a handshake is refused: the client is told no more than 403, and the server knows no more either."""
    if (
        scope["type"] == ScopeType.WEBSOCKET
        and plugin_of(scope) is not None
        and isinstance(exc, HTTPException)
        and exc.status_code < HTTP_500_INTERNAL_SERVER_ERROR
    ):
        client = scope["client"][0] if scope["client"] else "a client"
        path = quote(scope["path"], errors="replace")  # no line break of a client's gets into the log
        logger.info("%s is refused at %s: %s", client, path, exc.detail)
