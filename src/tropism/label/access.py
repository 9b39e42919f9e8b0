"""Access control of the label page: tokens, roles, and the host names that the page answers to."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Role: TypeAlias = Literal["owner", "annotator"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the page.

    Args:
        token: required from annotators; None if anyone who reaches the address may enter.
        owner_token: required from the owner to see results; None together with `token`.
        host: the address that the page is served on.
        allowed_hosts: further host names by which browsers reach it, such as a proxy's.
        port: distinguishes the cookies of several pages on one machine.
    """

    token: str | None = None
    owner_token: str | None = None
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    port: int = 8000

    @property
    def cookie(self) -> str:
        """The name of the cookie that is set after a valid token."""
        return f"tropism_key_{self.port}"

    def role_of(self, shown: str) -> Role | None:
        """The role of a token, or None; takes the same time for any input."""
        return self._matching(shown, {"owner": self.owner_token, "annotator": self.token})

    def role_of_cookie(self, shown: str) -> Role | None:
        """The role of a cookie, or None."""
        return self._matching(shown, {"owner": _stamp(self.owner_token), "annotator": _stamp(self.token)})

    def cookie_value(self, role: Role) -> str:
        """The cookie's value: an HMAC of the token, from which the token cannot be recovered."""
        value = _stamp(self.owner_token if role == "owner" else self.token)
        assert value is not None
        return value

    def knows_host(self, shown: str) -> bool:
        """Whether a `Host` header is valid here; this stops DNS rebinding.

        A host name must be known. A numeric address is accepted unless the page is served on loopback, because DNS
        rebinding needs a name.
        """
        name = _host_name(f"//{shown}")
        if name in {self.host.lower(), *LOOPBACK_NAMES, *(one.lower() for one in self.allowed_hosts)}:
            return True
        return not is_loopback(self.host) and _is_address(name)

    @staticmethod
    def _matching(shown: str, known: Mapping[Role, str | None]) -> Role | None:
        """The role of the secret that was given; all secrets are compared, so that the time does not depend on it."""
        found: Role | None = None
        for role, secret in known.items():
            if secret is not None and hmac.compare_digest(shown.encode(), secret.encode()) and found is None:
                found = role
        return found


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(address: str) -> str:
    """The host name in an address, without the port; empty if there is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether a host name is a numeric address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _stamp(token: str | None) -> str | None:
    """The cookie value of a token."""
    return None if token is None else hmac.new(token.encode(), b"tropism label", hashlib.sha256).hexdigest()
