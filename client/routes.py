"""The ways to servers: directly, or through the proxy that the environment names."""

import ipaddress
import threading
from urllib.request import getproxies, proxy_bypass

import httpx

from client.errors import TranscribeError

UNUSABLE = (
    "The proxy that is set for {}:// addresses (environment variable {}) can't be used: it must be an HTTP proxy."
)


class Routes(httpx.BaseTransport):
    """Sends each request on its way; safe to use from several threads at once.

    Raises TranscribeError where the environment names a proxy of a kind that is not known.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context()
        self._lock = threading.Lock()
        self._ways: dict[str | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.way(request.url).handle_request(request)

    def close(self) -> None:
        for way in self._ways.values():
            way.close()

    def way(self, url: httpx.URL) -> httpx.HTTPTransport:
        address = _setting(url)
        with self._lock:
            if address not in self._ways:
                try:
                    self._ways[address] = httpx.HTTPTransport(verify=self._tls, proxy=address)
                except (ValueError, ImportError, httpx.InvalidURL):
                    raise TranscribeError(UNUSABLE.format(url.scheme, f"{url.scheme}_proxy or all_proxy")) from None
            return self._ways[address]


def proxy(url: httpx.URL) -> str | None:
    """The proxy on the way to a URL as it may be shown, without credentials; `None` if there is none."""
    address = _setting(url)
    return None if address is None else origin(httpx.URL(address))


def origin(url: httpx.URL) -> str:
    """Scheme, host and port of a URL."""
    return f"{url.scheme}://{url.netloc.decode()}"


def _setting(url: httpx.URL) -> str | None:
    """The proxy that the environment, or the system, has for a URL; none has to do with this machine itself."""
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or is_loopback(url.host) or proxy_bypass(url.netloc.decode()) or proxy_bypass(url.host):
        return None
    return address if "://" in address else f"http://{address}"


def is_loopback(host: str) -> bool:
    """Whether a host is the machine itself, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
