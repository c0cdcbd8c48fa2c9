"""What a URL in a setting must be, and how it may be shown. Reads no setting."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

_LIBPQ_ONLY = frozenset(
    {
        *(
            "connect_timeout",
            "tcp_user_timeout",
            "channel_binding",
            "gssencmode",
            "fallback_application_name",
        ),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("sslsni", "sslcompression", "min_protocol_version", "max_protocol_version"),
    }
)
"""What providers put into their URLs for libpq. asyncpg would ask the server for settings of these names."""


def of_scheme(schemes: tuple[str, ...]) -> AfterValidator:
    """Return the check that it is one of these, or empty. Its message shows nothing of the URL."""

    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and _split(text).scheme not in schemes:
            raise ValueError("it must start with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value

    return AfterValidator(check)


def without_libpq_only(value: SecretStr) -> SecretStr:
    """Without what has no meaning here. The server refuses what is no setting of its own, by name."""
    before, _, query = value.get_secret_value().partition("?")
    kept = [each for each in query.split("&") if each and each.partition("=")[0] not in _LIBPQ_ONLY]
    return SecretStr("?".join((before, "&".join(kept))) if kept else before)


def http(url: str) -> str:
    """Return it without a slash at its end. Raises ValueError unless it leads to a host by HTTP."""
    parts = _split(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("it must start with http:// or https://")
    try:
        named = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("it must name a host, and a port from 1 to 65535 or none")
    return url.rstrip("/")


def without_userinfo(url: str) -> str:
    """`url` as it may be shown, also when it is none: nothing is left that may be a password, up to the last @."""
    return re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1", url, flags=re.DOTALL | re.IGNORECASE)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # its message may quote the password
        raise ValueError("it is no URL; percent-encode what is special in a password") from None
