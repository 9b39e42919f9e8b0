"""Who may come in: by which token, and under which names the page is known."""

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
    """Who may come in.

    Args:
        token: what annotators show; None where everyone may come who reaches the address.
        owner_token: what the owner shows to see results; None together with `token`.
        host: the address that the page is served on.
        allowed_hosts: further names by which browsers reach it, such as the one of a proxy.
        port: tells the cookies of several pages on one machine apart.
    """

    token: str | None = None
    owner_token: str | None = None
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    port: int = 8000

    @property
    def cookie(self) -> str:
        """The name of the cookie that stands for a token."""
        return f"tropism_key_{self.port}"

    def role_of(self, shown: str) -> Role | None:
        """Whose token this is, if anyone's; in a time that does not depend on what is shown."""
        return self._matching(shown, {"owner": self.owner_token, "annotator": self.token})

    def role_of_cookie(self, shown: str) -> Role | None:
        """Whose cookie this is, if anyone's."""
        return self._matching(shown, {"owner": _stamp(self.owner_token), "annotator": _stamp(self.token)})

    def cookie_value(self, role: Role) -> str:
        """What the cookie holds: a stamp that the token makes and that does not give it away."""
        value = _stamp(self.owner_token if role == "owner" else self.token)
        assert value is not None
        return value

    def knows_host(self, shown: str) -> bool:
        """Whether a `Host` header is one of ours: a page elsewhere whose name was made to point here is not.

        Names must be known. Addresses are let in unless the page is served on loopback, because a name that was made
        to point here is a name.
        """
        name = _host_name(f"//{shown}")
        if name in {self.host.lower(), *LOOPBACK_NAMES, *(one.lower() for one in self.allowed_hosts)}:
            return True
        return not is_loopback(self.host) and _is_address(name)

    @staticmethod
    def _matching(shown: str, known: Mapping[Role, str | None]) -> Role | None:
        """The role whose secret was shown; every secret is compared, whichever matches."""
        found: Role | None = None
        for role, secret in known.items():
            if secret is not None and hmac.compare_digest(shown.encode(), secret.encode()) and found is None:
                found = role
        return found


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(address: str) -> str:
    """The name in an address, without its port; empty where there is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether a name is an address in numbers."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _stamp(token: str | None) -> str | None:
    """What a cookie holds for a token."""
    return None if token is None else hmac.new(token.encode(), b"tropism label", hashlib.sha256).hexdigest()
