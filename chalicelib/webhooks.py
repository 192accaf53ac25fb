"""Telling a job's end to a URL of its owner, signed as Standard Webhooks says (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import http.client
import json
import logging
import math
import random
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from chalicelib import addresses, answers, views
from chalicelib.access import Token
from chalicelib.errors import Problem
from chalicelib.jobs import Job, JobState, Webhook
from chalicelib.ports import Records

PREFIX = "whsec_"
SECRET_BYTES = 24
# For each wait on the other side, and for a delivery from beginning to end.
PATIENCE_SECONDS = 10.0
DELIVERY_SECONDS = 25.0
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 4 * 3600.0
GROWTH = 4.0
GIVE_UP_SECONDS = 24 * 3600.0

log = logging.getLogger(__name__)


class Undelivered(Exception):
    """The receiver did not take the message; the reason is fit to be shown to the job's owner."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def wanted(url: str | None, token: Token | None) -> Webhook | None:
    """Where the end of a new job is told: to the `url` that it names, or to that of its token."""
    url = url or (token.webhook if token else None)
    if url is None:
        return None
    if token is None or token.webhook_secret is None:
        detail = "This token has no secret to sign webhooks with. Make a new one with 'transcriber tokens create'."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return Webhook(url=url, secret=token.webhook_secret)


def message(job: Job) -> bytes:
    """What is told of a job that has ended: its state, and the job as the API shows it."""
    assert job.finished_at is not None, "the job has ended"
    body: answers.Message = {
        "type": f"job.{job.state}",
        "timestamp": views.time(job.finished_at),
        "data": views.told(job, job.finished_at),
    }
    return json.dumps(body).encode()


def signed(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message: its id, the time of this attempt (seconds since 1970), and the signature of both."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signature = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


@dataclass(frozen=True)
class Sender:
    """Sends messages to HTTPS servers whose certificates `tls` trusts, at addresses that are `permitted`.

    A name is resolved once, and what is connected to is the address that was looked at: what the name resolves to a
    moment later does not matter. Redirects are not followed, proxies not used, and of the answer only the head is read.
    """

    permitted: Callable[[str], bool] = addresses.is_public
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises Undelivered if there is none."""
        parts = urlsplit(url)
        assert parts.hostname is not None, "the URL was looked at when the job was made"
        host, port = parts.hostname, parts.port or 443
        connection = _Connection(host, port, self._addresses(host, port), self.tls)
        deadline = threading.Timer(DELIVERY_SECONDS, connection.abandon)
        deadline.daemon = True
        deadline.start()
        try:
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request("POST", path, body, {**headers, "Connection": "close"})
            return connection.getresponse().status
        except ssl.SSLCertVerificationError as error:
            raise Undelivered(f"The certificate of {host} is not valid: {error.verify_message}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(f"{host} gave no answer ({type(error).__name__}).") from None
        finally:
            deadline.cancel()
            connection.close()

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Undelivered(f"The name {host} cannot be resolved.") from None
        resolved = [str(address[0]) for *_, address in found]
        if not all(map(self.permitted, resolved)):
            raise Undelivered(f"{host} is not a host of the public internet.")
        return resolved


class _Connection(http.client.HTTPSConnection):
    """Connects to one of some addresses of a host, the first that answers."""

    def __init__(self, host: str, port: int, found: list[str], tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=PATIENCE_SECONDS, context=tls)
        self._tls = tls
        self._found = found
        self._abandoned = False

    def connect(self) -> None:
        self.sock = self._reached()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        if self._abandoned:
            raise TimeoutError

    def _reached(self) -> socket.socket:
        failed: OSError = TimeoutError()
        for address in self._found:
            if self._abandoned:
                raise TimeoutError
            try:
                return socket.create_connection((address, self.port), PATIENCE_SECONDS)
            except OSError as error:
                failed = error
        raise failed

    def abandon(self) -> None:
        """Ends whatever is being waited for, from another thread."""
        self._abandoned = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection had ended")


def deliver(records: Records, sender: Sender, job_id: str, message_id: str, now: float) -> bool:
    """Tells the end of a job once, and notes on the job how that went. Whether that is all, or to be tried again."""
    job = records.job(job_id)
    if job is None or job.webhook is None or not job.state.final:
        return True
    over, error = _told(sender, job, job.webhook, message_id, now)
    changes: dict[str, Any] = {"attempts": job.webhook.attempts + 1, "error": error}
    if error is None:
        changes["delivered_at"] = now
    records.change_job(job_id, list(JobState), {"webhook": job.webhook.model_copy(update=changes)})
    return over


def _told(sender: Sender, job: Job, webhook: Webhook, message_id: str, now: float) -> tuple[bool, str | None]:
    """Whether nothing is left to do, and what went wrong."""
    body = message(job)
    headers = {"Content-Type": "application/json", "User-Agent": "transcribe"}
    try:
        status = sender.send(webhook.url, {**headers, **signed(webhook.secret, message_id, int(now), body)}, body)
    except Undelivered as error:
        return False, str(error)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return True, None
    # Gone: the receiver wants no more of it.
    return status == HTTPStatus.GONE, f"The answer had the status {status}."


def pause(attempts: int) -> float:
    """Seconds until the next attempt after so many, growing to hours, and spread out so that many do not meet again."""
    regular = min(LONGEST_PAUSE, FIRST_PAUSE * math.pow(GROWTH, min(attempts - 1, 10)))
    return regular * random.uniform(0.8, 1.2)  # noqa: S311
