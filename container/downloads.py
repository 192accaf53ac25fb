"""Files by HTTP, streamed to disk."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

TIMEOUT = httpx.Timeout(30, connect=5)
"""Seconds. A host that does not answer soon is one that a firewall hides; the caller has other sources."""


class FetchError(Exception):
    """Something could not be fetched; the message is one sentence that says what and why."""


def fetch_file(url: str, target: Path, progress: Callable[[float | None], None]) -> None:
    """Downloads `url` to `target`; `progress` gets the fraction done, `None` if the server does not tell the size.

    Proxies and certificate authorities come from the usual environment variables. Raises `FetchError`, and may leave a
    part of the file behind.
    """
    headers = {"Accept-Encoding": "identity"}
    try:
        with httpx.stream("GET", url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
            if response.status_code != httpx.codes.OK:
                raise FetchError(f"{url} answers {response.status_code} {response.reason_phrase}.")
            total, done = int(response.headers.get("Content-Length", 0)), 0
            with target.open("wb") as file:
                for part in response.iter_bytes(1 << 20):
                    file.write(part)
                    done += len(part)
                    progress(done / total if total else None)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as cause:
        raise FetchError(f"{urlsplit(url).hostname} cannot be reached ({cause}).") from None
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise FetchError(f"The download of {url} broke off ({str(cause) or type(cause).__name__}).") from None
