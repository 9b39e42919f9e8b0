"""Serves the label page until Ctrl-C."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp

from tropism.errors import ConfigError, OutputError
from tropism.label.access import Access, is_loopback

SHORTEST_TOKEN = 12
SHUTDOWN_SECONDS = 3


def check_token(host: str, token: str | None, *, allow_host: Sequence[str] = ()) -> None:
    """Refuse to serve to a network without a token, or with a weak one.

    Args:
        host: the address to serve on.
        token: required from annotators; None for no token.
        allow_host: host names of a proxy, through which others can reach a loopback address.

    Raises:
        ConfigError: with a new token in its remedy.
    """
    fresh = secrets.token_urlsafe(16)
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"`host={host}` can be reached from other machines and needs `token`.", remedy=f"Add `token={fresh}`."
        )
    if token is None and allow_host:
        raise ConfigError(
            f"`allow_host={allow_host[0]}` lets other machines in and needs `token`.",
            remedy=f"Add `token={fresh}`.",
        )
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError("`token` must consist of printable ASCII characters.", remedy=f"Use `token={fresh}`.")
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"`token` must have at least {SHORTEST_TOKEN} characters, got {len(token)}.",
            remedy=f"Use `token={fresh}`.",
        )


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket, opened early so that an address in use is reported before anything else happens.

    Args:
        host: a name or an address.
        port: 0 for a free one.

    Raises:
        OutputError: if the address is in use or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OutputError(
            f"cannot listen on {host}:{port} ({error.strerror or error}).", remedy="Use another `port`."
        ) from None


def serve(app: ASGIApp, listening: socket.socket, *, when_ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or a termination signal; requests in progress are finished first.

    Args:
        app: the pages.
        listening: from `bound_socket`; closed at the end.
        when_ready: called once, when the server accepts requests.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,  # addresses may contain the token
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = _Server(config, when_ready)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn raises the interrupt again after all requests are answered
    finally:
        signal.signal(signal.SIGTERM, before)
        listening.close()


def page_address(access: Access, *, for_owner: bool) -> str:
    """The address to open in a browser, with the token if there is one."""
    host = f"[{access.host}]" if ":" in access.host else access.host
    shown = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "[::]" else host  # noqa: S104  (compared only)
    token = access.owner_token if for_owner else access.token
    query = f"?{urlencode({'token': token})}" if token is not None else ""
    return f"http://{shown}:{access.port}/{'results' if for_owner else ''}{query}"


class _Server(uvicorn.Server):
    """A server that reports when it is ready."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then report it."""
        await super().startup(sockets=sockets)
        if self.started:
            self._when_ready()
