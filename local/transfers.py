"""Storing and reading objects over HTTP, by signed URLs: what S3 does on AWS."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from chalicelib.errors import Problem
from chalicelib.ports import ObjectMissing, UploadMissing
from local import problems
from local.files import DiskFull
from local.objects import DiskObjects, Draft
from local.partial import ChecksumDiffers, PartDraft, PartReplaced

BLOCK_BYTES = 2**20
# What the operating system writes at once (IOV_MAX).
MOST_PIECES = 1024
# How long an upload may pause before it is given up.
PATIENCE_SECONDS = 120.0

# S3 checks the MD5 in this header of a PUT, which need not be signed, and so does this server.
DIGEST = "Content-MD5"

PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


class Transfers:
    """Serves `/objects/<key>`: PUT, GET (with ranges) and HEAD. `stored(key, size)` is called after each PUT."""

    def __init__(self, objects: DiskObjects, stored: Callable[[str, int], None]) -> None:
        self._objects = objects
        self._stored = stored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        match request.method:
            case "PUT":
                response = await self._put(request)
            case "GET" | "HEAD":
                response = await self._get(request)
            case _:
                raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD, PUT"})
        await response(scope, receive, send)

    async def _put(self, request: Request) -> Response:
        key: str = request.path_params["key"]
        if "upload" in request.query_params:
            return await self._put_part(request, key)
        size = self._objects.signer.put_size(key, request.query_params, self._objects.clock())
        _check_length(request, size)
        try:
            if self._objects.size(key) is not None:
                raise FileExistsError
            self._objects.require_room(size)
            await self._receive(request, key, size)
        except DiskFull:
            raise _no_room(size) from None
        except FileExistsError:
            # Told once more, in case the server was killed, or failed, before it could take note.
            await run_in_threadpool(self._stored, key, size)
            raise Problem(HTTPStatus.PRECONDITION_FAILED, "This file has been uploaded already.") from None
        await run_in_threadpool(self._stored, key, size)
        return Response()

    async def _receive(self, request: Request, key: str, size: int) -> None:
        digest = _digest(request)
        with self._objects.draft(key) as draft:
            async for block in _blocks(request, size):
                await run_in_threadpool(_write, draft, block, digest)
            if digest is not None and base64.b64encode(digest.digest()).decode() != request.headers[DIGEST].strip():
                raise _damaged("file")
            await run_in_threadpool(draft.publish, overwrite=False)

    async def _put_part(self, request: Request, key: str) -> Response:
        upload, span, crc32 = self._objects.signer.part(key, request.query_params, self._objects.clock())
        _check_length(request, span.size)
        draft = self._objects.part_draft(key, upload, span, crc32)
        try:
            self._objects.require_room(span.size)
            async with _entered(draft):
                if draft.needed:
                    async for block in _blocks(request, span.size):
                        await run_in_threadpool(draft.write, *block)
                    await run_in_threadpool(draft.publish)
        except DiskFull:
            raise _no_room(span.size) from None
        except ChecksumDiffers:
            raise _damaged("part") from None
        except PartReplaced:
            raise Problem(HTTPStatus.CONFLICT, "The same part has been sent again meanwhile.") from None
        except UploadMissing:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "This upload has been completed or aborted. Ask how it stands: POST /jobs/<id>/files/<n>/parts.",
            ) from None
        return Response(headers={"ETag": f'"{draft.etag}"'})

    async def _get(self, request: Request) -> Response:
        key: str = request.path_params["key"]
        filename = self._objects.signer.get_filename(key, request.query_params, self._objects.clock())
        try:
            return Download(self._objects.path(key), filename=filename, headers=PRIVATE)
        except ObjectMissing:
            raise Problem(HTTPStatus.NOT_FOUND, "The file is not there: it has been deleted.") from None


class Download(FileResponse):
    """A file, or the range of it that is asked for; what it refuses has the shape of all other errors."""

    chunk_size = 2**18

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: Message | None = None

        async def send_unless_refused(message: Message) -> None:
            nonlocal refused
            if message.get("status", HTTPStatus.OK) >= HTTPStatus.BAD_REQUEST:
                refused = message
            if refused is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refused is not None:
            headers = {name.decode(): value.decode() for name, value in refused["headers"] if name == b"content-range"}
            problem = Problem(HTTPStatus(refused["status"]), "The Range header asks for bytes that the file has not.")
            await problems.answer(problem, scope["path"], headers)(scope, receive, send)


@asynccontextmanager
async def _entered(draft: PartDraft) -> AsyncIterator[None]:
    """Enters and leaves a draft in threads: it waits for whoever writes the same part, and for the disk."""
    await run_in_threadpool(draft.__enter__)
    try:
        yield
    finally:
        await run_in_threadpool(draft.__exit__, None, None, None)


def _check_length(request: Request, size: int) -> None:
    declared = request.headers.get("content-length")
    if declared is None:
        raise Problem(HTTPStatus.LENGTH_REQUIRED, f"Send the file with 'Content-Length: {size}'.")
    if declared != str(size):
        raise _wrong_size(f"{declared} bytes", size)


def _wrong_size(sent: str, size: int) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        f"{sent} were sent where {size} were declared. Send the file whole, or create a job with its present size.",
    )


def _no_room(size: int) -> Problem:
    return Problem(
        HTTPStatus.INSUFFICIENT_STORAGE,
        f"The server's disk has no room for these {size} bytes. Send the file again when there is room.",
    )


def _damaged(what: str) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST, f"The {what} was damaged on its way: its checksum is another. Send the {what} again."
    )


def _digest(request: Request) -> "hashlib._Hash | None":
    return hashlib.md5(usedforsecurity=False) if DIGEST in request.headers else None


def _write(draft: Draft, block: list[bytes], digest: "hashlib._Hash | None") -> None:
    if digest is not None:
        for piece in block:
            digest.update(piece)
    draft.write(*block)


async def _blocks(request: Request, size: int) -> AsyncIterator[list[bytes]]:
    """The body, which must have `size` bytes, in blocks of about `BLOCK_BYTES`, each as the pieces that came.

    Raises ClientDisconnect, and Problem if it has another size or pauses for too long.
    """
    pieces = request.stream()
    block: list[bytes] = []
    received = written = 0
    try:
        while True:
            async with asyncio.timeout(PATIENCE_SECONDS):
                piece = await anext(pieces)
            received += len(piece)
            if received > size:
                raise _wrong_size(f"More than {size} bytes", size)
            block.append(piece)
            if received - written >= BLOCK_BYTES or len(block) == MOST_PIECES:
                yield block
                block, written = [], received
    except StopAsyncIteration:
        if received < size:
            raise _wrong_size(f"{received} bytes", size) from None
        yield block
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "Nothing came for too long. Send the file again.") from None
