"""Where the commands that ask the API find it. Asks nobody."""

from __future__ import annotations

from sluice.core.errors import ConfigurationError
from sluice.core.settings import AddressSettings, ClientSettings, load

DEFAULT: str = ClientSettings.model_fields["sluice_url"].default


def api_url() -> str:
    """Return SLUICE_URL, or where an API that is started here listens: API_HOST and API_PORT, also from `.env`.

    Raises ConfigurationError when one of them cannot be used.
    """
    named = load(ClientSettings)
    if "sluice_url" in named.model_fields_set:
        return named.sluice_url
    address = load(AddressSettings)
    if address.api_port == 0:
        raise ConfigurationError(
            "API_PORT is 0, which is any free port: set SLUICE_URL to the one that was taken"
        )
    return f"http://{reachable(address.api_host)}:{address.api_port}"


def is_found(url: str) -> bool:
    """Whether commands find `url` in any shell: it is the default, and nothing here says otherwise."""
    try:
        return url == DEFAULT == api_url()
    except ConfigurationError:
        return False


def reachable(host: str) -> str:
    """`host` as a client on this machine writes it in a URL."""
    if host in {"0.0.0.0", ""}:  # noqa: S104 - to recognise it, not to bind it
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
