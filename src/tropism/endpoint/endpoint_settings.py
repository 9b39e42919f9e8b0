"""Where an endpoint is, which model to ask for, and how patiently: a YAML file, or an address."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from tropism.cache import cache_root
from tropism.errors import ConfigError

KEY_VARIABLE = "TROPISM_ENDPOINT_KEY"
"""Environment variable with the key of an endpoint that names no other."""


LIMITS = ("max_tokens", "max_completion_tokens")


class EndpointSettings(BaseModel):
    """An OpenAI-compatible endpoint.

    Attributes:
        url: up to and with `/v1`; `/chat/completions` is added.
        model: the name that the endpoint knows it by.
        key: NAME of the environment variable that holds the key, never the key itself.
        limit_name: what the endpoint calls the limit on an answer's tokens.
        extra: what else to send with every request (`reasoning_effort`, `chat_template_kwargs`).
        timeout_seconds: for a whole answer.
        attempts: for each request.
        concurrency: requests at a time.
        longest_wait_seconds: an endpoint that asks to wait longer than this is not waited for.
        most_bytes: of an answer; a longer one is dropped unread.
        price_in, price_out: per million tokens, in whatever currency; the cost is shown where both are given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    model: str = Field(min_length=1)
    key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_seconds: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=4, gt=0)
    concurrency: int = Field(default=8, gt=0, le=256)
    longest_wait_seconds: float = Field(default=60.0, gt=0)
    most_bytes: int = Field(default=4_000_000, gt=0)
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user name, password, query or fragment")
        return url.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _adds(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        taken = extra.keys() & {"model", "messages", "temperature", "seed", "stream", "n", *LIMITS}
        if taken:
            raise ValueError(f"must not set {', '.join(sorted(taken))}")
        return extra

    @property
    def place(self) -> str:
        """The model and its host, for people."""
        return f"{self.model} at {urlsplit(self.url).netloc}"

    @property
    def is_local(self) -> bool:
        """Whether requests stay on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def identity(self) -> str:
        """Stands for the model of this endpoint in the names of files."""
        parts = json.dumps([self.url, self.model, self.extra], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:40]

    @property
    def store(self) -> Path:
        """The file of its replies."""
        return cache_root() / "endpoints" / f"{self.identity}.sqlite"

    def secret(self) -> str | None:
        """The key, from the environment.

        Raises:
            ConfigError: where the variable is not set, or the key would travel unencrypted.
        """
        found = os.environ.get(self.key or KEY_VARIABLE, "").strip()
        if self.key and not found:
            raise ConfigError(f"the environment variable {self.key} is not set.", remedy="Export the key under it.")
        if not found:
            return None
        if not self.is_local and urlsplit(self.url).scheme == "http":
            raise ConfigError(
                f"the key in {self.key or KEY_VARIABLE} would travel unencrypted to {urlsplit(self.url).netloc}.",
                remedy="Use https, a tunnel to 127.0.0.1, or unset the variable.",
            )
        if not re.fullmatch(r"[\x21-\x7e]+", found):
            raise ConfigError(
                f"the key in {self.key or KEY_VARIABLE} holds signs that no header can carry.", remedy="Copy it again."
            )
        return found


Kind = TypeVar("Kind", bound=EndpointSettings)


def open_settings(given: str, kind: type[Kind], *, model: str | None = None) -> Kind:
    """Settings from a YAML file, or from an address `http(s)://HOST/v1#MODEL` with defaults.

    Args:
        given: path or address.
        kind: which settings the file may hold.
        model: the model, where it is named elsewhere.

    Raises:
        ConfigError: where the file is missing, or a setting is wrong or unknown. No error repeats a value.
    """
    values: Any
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", given):
        url, _, named = given.partition("#")
        values = {"url": url, "model": named}
        source = "the endpoint's address"
    else:
        source = given
        try:
            values = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"the endpoint {given} is no readable file ({error.strerror}).",
                remedy="Give a YAML file with `url` and `model`, or an address http://HOST/v1#MODEL.",
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise ConfigError(f"{given} is not valid YAML.", remedy="Write `url: ...` and `model: ...`.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{given} must hold settings by name.", remedy="Write `url: ...` and `model: ...`.")
    try:
        return kind.model_validate(values | ({"model": model} if model else {}))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        hint = " It is the NAME of an environment variable." if name == "key" else ""
        raise ConfigError(
            f"{source} has a wrong {name!r}: {first['msg'].removeprefix('Value error, ')}.{hint}",
            remedy=f"The settings are {', '.join(kind.model_fields)}.",
        ) from None
