"""Checks tokens, hosts, origins and sizes before a request reaches a page."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tropism.label.access import Access, Role

MOST_BODY_BYTES = 64 * 1024
TOO_LARGE = "The request is too large."
YEAR_SECONDS = 365 * 86_400
OWNER_PATHS = ("/results",)

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""No inline script or style, no outside sources, no frames. `same-origin` and not `no-referrer`, under which browsers
send `Origin: null` with the page's own forms."""

ENTERED = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={path}">'
    '<title>Tropism</title><p><a href="{path}">Continue</a></p></html>'
)
"""A page and not a redirect: after a link from another site, a redirected request carries no SameSite=Strict cookie."""


class RequestGuard:
    """Passes a request to the pages, or answers it with 401, 403 or 413.

    The pages find the role in the scope's `tropism.role`; every response has `SECURITY_HEADERS`.

    Args:
        app: the pages.
        access: who may use them.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._answer(scope)
        if answer is not None:
            await answer(scope, receive, send_safely)
            return
        await self.app(scope, _limited(receive), send_safely)

    def _answer(self, scope: Scope) -> Response | None:
        """The response that replaces a page; None if the request may pass."""
        headers = Headers(scope=scope)
        if not self.access.knows_host(headers.get("host", "")):
            return PlainTextResponse("Unknown host name. Add it with --allow-host.", 403)
        if self.access.token is None:
            scope["tropism.role"] = "owner"
        else:
            entered = self._entered(scope)
            if entered is not None:
                return entered
            role = self._role(headers)
            if role is None or (scope["path"] in OWNER_PATHS and role != "owner"):
                return PlainTextResponse(
                    "Open this page by the link that you were given; it ends in ?token=...",
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
            scope["tropism.role"] = role
        if scope["method"] not in ("GET", "HEAD") and _from_elsewhere(headers):
            return PlainTextResponse("Requests from other sites are not accepted.", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return PlainTextResponse(TOO_LARGE, 413)
        return None

    def _role(self, headers: Headers) -> Role | None:
        """The role of a header or cookie."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.access.role_of(shown.strip())
        return self.access.role_of_cookie(cookies_of(headers).get(self.access.cookie, ""))

    def _entered(self, scope: Scope) -> Response | None:
        """The page that turns a token in the address into a cookie; None if there is no valid token."""
        if scope["method"] != "GET":
            return None
        try:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        except ValueError:
            return None
        role = self.access.role_of(given)
        if role is None:
            return None
        path = scope["path"] if scope["path"] in OWNER_PATHS else "/"
        page = HTMLResponse(ENTERED.format(path=path))
        page.set_cookie(
            self.access.cookie, self.access.cookie_value(role), max_age=YEAR_SECONDS, httponly=True, samesite="strict"
        )
        return page


def cookies_of(headers: Headers) -> dict[str, str]:
    """The cookies of a request; cookies that cannot be parsed are ignored."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _limited(receive: Receive) -> Receive:
    """A `receive` that stops at a body that is too large, whatever its declared length."""
    num_bytes = 0

    async def receive_limited() -> Message:
        nonlocal num_bytes
        message = await receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > MOST_BODY_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return receive_limited


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a browser reports another site as the origin; other programs send no such header and are accepted."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower()
