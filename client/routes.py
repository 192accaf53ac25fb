"""The ways to servers: directly, or through the proxy that the environment names."""

import ipaddress
import os
import ssl
import threading
from urllib.request import getproxies, proxy_bypass

import httpx

from client import text
from client.errors import TranscribeError

UNUSABLE = (
    "The proxy that is set for {}:// addresses (environment variable {}) can't be used: it must be an HTTP proxy."
)


class Routes(httpx.BaseTransport):
    """Sends each request on its way; safe to use from several threads at once.

    Raises TranscribeError where the environment names a proxy of a kind that is not known, or `ca_file` can't be used.
    """

    def __init__(self, ca_file: str | os.PathLike[str] | None = None) -> None:
        self._tls = _trust(ca_file)
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


def _trust(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Trust in the usual authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR, and in the certificates of `ca_file`.

    It is added, since signed URLs lead to hosts of others, such as S3.
    """
    context = httpx.create_ssl_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise TranscribeError(f"There is no certificate (PEM) in {text.printable(ca_file)}.") from None
        except OSError as error:
            raise TranscribeError(f"{text.printable(ca_file)} can't be read: {text.reason(error)}.") from None
        # So that a server's own certificate can be named, without the authority that signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


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
