"""Files on their way to the server, by a single request or in parts."""

import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx

from client import disk
from client.calls import FRESH_URLS, Calls, ignore
from client.errors import Refused, Unreachable
from client.models import File
from client.parts import AT_ONCE, PartsUpload
from client.transport import UPLOADS, Retries, refused_upload


class Uploads(Calls):
    """The calls, and the uploads that the requests in their answers are for."""

    def __init__(
        self,
        server: str,
        token: str,
        *,
        patience: float = 120,
        note: Callable[[str], None] = ignore,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(server, token, patience=patience, note=note, ca_file=ca_file)
        self._slots = threading.Semaphore(AT_ONCE)

    def upload(
        self,
        job: str,
        file: File,
        local: Path,
        *,
        sent: Callable[[int], None] = ignore,
        stop: threading.Event | None = None,
    ) -> None:
        """Sends a local file as `file` of a job; harmless if it is there already.

        A large file goes in parts, without those that are there from an earlier attempt. `sent` is told how many of its
        bytes have gone out, fewer than before when some are sent again. Raises SourceLost if the file can't be read
        whole, and Stopped soon after `stop` is set.
        """
        stop = stop or threading.Event()
        if file.multipart:
            self._send_parts(job, file, local, sent, stop)
        else:
            self._send_whole(job, file, local, sent, stop)

    def _send_parts(
        self, job: str, file: File, local: Path, sent: Callable[[int], None], stop: threading.Event
    ) -> None:
        try:
            PartsUpload(self, self._slots, job, file, local, sent, stop).run()
        except Refused as error:
            # It has arrived meanwhile, or the job has been cancelled.
            if error.status != HTTPStatus.CONFLICT or self._awaits(job, file):
                raise

    def _awaits(self, job: str, file: File) -> bool:
        return next(self.files(job, str(file.n - 1) if file.n else None)).awaited

    def _send_whole(
        self, job: str, file: File, local: Path, sent: Callable[[int], None], stop: threading.Event
    ) -> None:
        retries = Retries(self.transport.patience, stop)
        digest = disk.md5(local, file.size, stop)
        request = file.upload
        refused = 0
        while request := request or self.fresh_upload(job, file, stop):
            headers = httpx.Headers(request.headers)
            headers["Content-Length"] = str(file.size)
            headers["Content-MD5"] = digest
            content = disk.blocks(local, file.size, sent, stop)
            try:
                response = self.transport.send(request.method, request.url, headers, content)
            except Unreachable as error:
                self.transport.wait(retries, error, UPLOADS)
            else:
                if response.is_success or response.status_code == HTTPStatus.PRECONDITION_FAILED:
                    return
                refused += 1
                mendable = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
                if response.status_code not in mendable or refused > FRESH_URLS:
                    raise refused_upload(response)
            # It was damaged on its way, or the URL has expired, or it arrived without us hearing of it: a fresh one
            # settles all of that.
            request = None
