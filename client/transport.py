"""HTTP to one server: with the token to its API, without it to the presigned URLs that it hands out."""

import json
import math
import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from client.errors import Foreign, NotAuthorized, Refused, Stopped, TranscribeError, Unreachable
from client.routes import Routes, origin, proxy

TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
BUSY = {429, 503}
API, UPLOADS, DOWNLOADS = "API", "uploads", "downloads"
TIMEOUT = httpx.Timeout(60, connect=10)
FEWEST_ATTEMPTS = 5
LONGEST_DELAY = 5.0
# What the service says where none of its calls is: below another path than its own.
NO_CALL = "There is no such resource."
AGAIN = re.compile(r" Try again [^.]*\.")


class Retries:
    """Back-off with jitter, until there were 5 attempts and `patience` seconds have passed since the first failure."""

    def __init__(self, patience: float, stop: threading.Event | None = None) -> None:
        self._patience = patience
        self._stop = stop or threading.Event()
        self._failures = 0
        self._first = 0.0

    def wait(self, error: Unreachable) -> None:
        """Returns when it is time for another attempt. Raises `error` if there is to be none, or Stopped."""
        self._failures += 1
        if self._failures == 1:
            self._first = time.monotonic()
        late = self._failures >= FEWEST_ATTEMPTS and time.monotonic() - self._first > self._patience
        if late or error.after > self._patience:
            raise error
        delay = min(LONGEST_DELAY, 0.25 * 2**self._failures) * random.uniform(0.5, 1)  # noqa: S311
        if self._stop.wait(max(delay, error.after)):
            raise Stopped


class Transport:
    """Safe to use from several threads at once.

    A server that has answered before is asked again for `patience` seconds when it can't be reached; one that never
    has is given up at once, unless `patience` is endless. `note` is told when that waiting begins and ends.
    """

    def __init__(
        self,
        server: str,
        token: str,
        patience: float,
        note: Callable[[str], None],
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self.server = _address(server)
        self.patience = patience
        routes = Routes(ca_file)
        routes.way(httpx.URL(self.server))
        self._api = httpx.Client(
            headers={"Authorization": f"Bearer {_header(token)}"}, timeout=TIMEOUT, transport=routes
        )
        self._plain = httpx.Client(timeout=TIMEOUT, transport=routes)
        self._note = note
        self._lock = threading.Lock()
        self._known = patience == math.inf
        self._troubles: dict[str, str] = {}

    def close(self) -> None:
        self._api.close()
        self._plain.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
    ) -> httpx.Response:
        """Calls the API. While there is no usable answer the same request is sent again, so it must bear that."""
        retries = Retries(self.patience, stop)
        again = False
        request = self._api.build_request(method, self.server + path, json=body, params=query, headers=headers)
        while True:
            try:
                response = self._api.send(request)
                self._raise_if_temporary(response)
            except httpx.TransportError as error:
                trouble = Unreachable(_diagnosis(error, httpx.URL(self.server)))
                again = True
                if not self._known:
                    raise trouble from None
            except Unreachable as error:
                trouble = error
                again = again or response.status_code not in BUSY
                if response.status_code not in BUSY and not self._known:
                    raise
            else:
                self._answered(API)
                return self._checked(response, again)
            self.wait(retries, trouble, API)

    def wait(self, retries: Retries, error: Unreachable, part: str) -> None:
        """Waits for the next attempt at a part of the server, and lets the user know."""
        message = str(error)
        with self._lock:
            news = message not in self._troubles.values()
            self._troubles[part] = message
        if news:
            until = "until it works" if self.patience == math.inf else f"for {self.patience:.0f} seconds"
            self._note(f"{AGAIN.sub('', message)} Trying again {until}.")
        retries.wait(error)

    def send(self, method: str, url: str, headers: httpx.Headers, content: Iterable[bytes]) -> httpx.Response:
        """Sends a body to a presigned URL. Raises Unreachable where another attempt may help."""
        url = self.resolve(url)
        try:
            response = self._plain.request(method, url, headers=headers, content=content)
        except httpx.TransportError as error:
            raise Unreachable(_diagnosis(error, httpx.URL(url))) from None
        # S3 answers 400 RequestTimeout, not 408, when the body came too slowly.
        if response.status_code == 400 and b"RequestTimeout" in response.content:
            raise Unreachable("The upload was too slow for the server.")
        self._raise_if_temporary(response)
        self._answered(UPLOADS)
        return response

    def receive(self, url: str, write: Callable[[bytes], Any]) -> None:
        """Gives `write` what a presigned URL holds, block by block. Raises Refused, or Unreachable as `send`."""
        url = self.resolve(url)
        try:
            with self._plain.stream("GET", url) as response:
                if response.status_code != HTTPStatus.OK:
                    response.read()
                    self._raise_if_temporary(response)
                    raise Refused(
                        response.status_code,
                        f"The download was answered with HTTP {response.status_code}.{through(response.url)}",
                    )
                for block in response.iter_bytes():
                    write(block)
        except httpx.TransportError as error:
            raise Unreachable(_diagnosis(error, httpx.URL(url))) from None
        self._answered(DOWNLOADS)

    def resolve(self, url: str) -> str:
        """A URL of the server's answers, which may be absolute or a path below the server's address."""
        return self.server + url if url.startswith("/") and not url.startswith("//") else url

    def _raise_if_temporary(self, response: httpx.Response) -> None:
        if response.status_code in TEMPORARY:
            after = response.headers.get("Retry-After", "")
            said = refusal(response) or (
                f"The server answers '{response.status_code} {response.reason_phrase}'.{through(response.url)}"
            )
            raise Unreachable(str(said), float(after) if after.isdigit() else 0)

    def _answered(self, part: str) -> None:
        with self._lock:
            self._known = True
            news = self._troubles.pop(part, None) is not None and not self._troubles
        if news:
            self._note("The server answers again.")

    def _checked(self, response: httpx.Response, again: bool) -> httpx.Response:
        if response.is_success or response.is_redirect:
            return response
        refused = refusal(response)
        # API Gateway itself answers 403, without a problem document, where the authorizer says no.
        if response.status_code == HTTPStatus.UNAUTHORIZED or (
            response.status_code == HTTPStatus.FORBIDDEN and refused is None
        ):
            raise NotAuthorized(
                "The server does not take the token. Set TRANSCRIBE_TOKEN or --token to a valid one of this server."
            )
        if refused is None or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED or str(refused) == NO_CALL:
            raise self.foreign(response)
        refused.again = again
        raise refused

    def foreign(self, response: httpx.Response) -> Foreign:
        """What to say of an answer that no transcription service gives."""
        location = response.headers.get("Location", "")
        hint = f" It sends on to {origin(httpx.URL(location))}." if location.startswith("http") else ""
        status = f"{response.status_code} {response.reason_phrase}"
        message = f"{self.server} does not answer like a transcription service ({status}).{hint}{through(response.url)}"
        return Foreign(f"{message} Check TRANSCRIBE_SERVER or --server.")


def refusal(response: httpx.Response) -> Refused | None:
    """The problem document (RFC 9457) of an answer, `None` if there is none."""
    try:
        problem = json.loads(response.content)
        fields = [(error["field"], error["message"]) for error in problem.get("errors", [])]
        return Refused(response.status_code, problem["detail"], fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def refused_upload(response: httpx.Response) -> Refused:
    """What to say of an upload that the store did not take."""
    answered = f"The upload was answered with HTTP {response.status_code}.{through(response.url)}"
    return Refused(response.status_code, str(refusal(response) or answered))


def _address(server: str) -> str:
    try:
        url = httpx.URL(server.rstrip("/"))
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise TranscribeError(f"The server must be an address such as http://127.0.0.1:8000, not {server!r}.")
    return str(url).rstrip("/")


def _header(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NotAuthorized("The token is empty or holds characters that no token has. Copy it again.")
    return token


def through(url: httpx.URL) -> str:
    """What to add to a complaint of a server that is reached through a proxy, which may be the cause."""
    used = proxy(url)
    by = f"{url.scheme}_proxy or all_proxy; no_proxy exempts servers"
    return "" if used is None else f" The way there is the proxy {used}, set in the environment ({by})."


def _diagnosis(error: httpx.TransportError, url: httpx.URL) -> str:
    # Of the URL, which may be presigned, no more is shown.
    return _cause(error, origin(url), proxy(url)) + through(url)


def _cause(error: httpx.TransportError, server: str, proxy: str | None) -> str:
    causes = _causes(error)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        host = httpx.URL(proxy or server).host
        return f"The name {host} is not known (DNS). Check the address and the network."
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {server} is not trusted: {cause.verify_message}. If it is your own, name it, or "
                "that of its authority, by --ca-file or TRANSCRIBE_CA_FILE."
            )
        if isinstance(cause, ssl.SSLError):
            return f"No secure connection to {server} (TLS: {cause.reason or cause}). Is it http:// instead?"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        if proxy:
            return f"No connection to {server}: nothing answers at the proxy (connection refused)."
        return f"Nothing answers at {server} (connection refused). Is the server running?"
    if isinstance(error, httpx.TimeoutException):
        return f"{server} does not answer in time."
    said = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return f"The connection to {server} failed: {said.rstrip('.') or type(error).__name__}."


def _causes(error: BaseException | None) -> list[BaseException]:
    causes = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
