"""The whole service on one machine: its data folder, its workers and its HTTP server put together."""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chalicelib import arrivals, keys, tokens
from chalicelib.access import NewToken, Scope
from chalicelib.indexing import rebuild
from chalicelib.service import Service
from chalicelib.settings import Capacity, Settings
from chalicelib.webhooks import Sender
from container import catalogue
from container.layout import held
from local.courier import Courier
from local.executor import Executor
from local.layout import this_machine
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.schema import NewerRecords
from local.search import SQLiteIndex
from local.sweeper import sweeping
from local.worker import BATCH_SECONDS, Workplace

OWNER = "local"
SECRET_BYTES = 32
# Only the disk bounds a file here; on AWS it may have 5 TB, and so it may here, so that a job runs on either platform.
LARGEST_FILE = 5 * 10**12
# As long as clients of OpenAI's API wait, with room for proxies that wait less.
WAIT_SECONDS = 300


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class LocalService:
    """`token` is that of the machine's own user."""

    service: Service
    objects: DiskObjects
    token: str


@contextlib.contextmanager
def open_service(data: Path, models: Path, model: str) -> Iterator[LocalService]:
    """The service over a data folder, its unfinished jobs going on, until the context ends.

    Raises StartError or `catalogue.ModelError`.
    """
    installed = {name: catalogue.is_multilingual(name, models) for name in catalogue.installed(models)}
    catalogue.path(model, models)
    catalogue.path(catalogue.VAD, models)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_user(data):
        layout = this_machine(models, model)
        workplace = Workplace(data, models, _secret(data / "secret"), layout.recognisers, layout.threads)
        objects, records, index = workplace.objects(), _records(workplace), _index(workplace)
        objects.clear_unfinished()
        executor = Executor(workplace, records)
        courier = Courier(records, Sender())
        service = Service(
            objects=objects,
            records=records,
            workflow=executor,
            index=index,
            settings=Settings(
                models=installed,
                default_model=model,
                diarizes=catalogue.find(catalogue.VOICES, models) is not None,
                largest_file=LARGEST_FILE,
                largest_put=LARGEST_FILE,
                wait_seconds=WAIT_SECONDS,
                capacity=Capacity(
                    workers=layout.recognisers,
                    processors=layout.threads,
                    gigabytes=held(catalogue.path(model, models).stat().st_size) / 2**30,
                    batch_seconds=BATCH_SECONDS,
                ),
            ),
        )
        try:
            for job in records.awaiting():
                arrivals.catch_up(service, job.id)
            _clear_work(objects, records)
            executor.resume()
            courier.start()
            if not index.filled:
                threading.Thread(target=_fill, args=(objects, records, index), name="indexer", daemon=True).start()
            with sweeping(service, objects.clear_forgotten):
                yield LocalService(service, objects, _token(service, data / "token"))
        finally:
            executor.close()
            courier.stop()


def _records(workplace: Workplace) -> SQLiteRecords:
    try:
        return workplace.records()
    except NewerRecords as error:
        raise StartError(str(error)) from None
    except sqlite3.Error as error:
        raise StartError(f"The database records.sqlite in {workplace.data} cannot be opened ({error}).") from None


def _index(workplace: Workplace) -> SQLiteIndex:
    try:
        return workplace.index()
    except sqlite3.Error as error:
        raise StartError(
            f"The index search.sqlite in {workplace.data} cannot be opened ({error}). Delete it: it is made again."
        ) from None


def _fill(objects: DiskObjects, records: SQLiteRecords, index: SQLiteIndex) -> None:
    """Makes searchable what was transcribed before there was an index. If killed, the next start does it."""
    for owner in records.owners():
        rebuild(objects, records, index, owner)
    index.set_filled()


def _clear_work(objects: DiskObjects, records: SQLiteRecords) -> None:
    """Deletes the work files of jobs that were cancelled or deleted just before an earlier run was killed."""
    unfinished = {job.id for job in records.unfinished()}
    for job in {key.split("/")[1] for key in objects.keys(keys.WORK)} - unfinished:
        objects.delete(keys.work(job))


@contextlib.contextmanager
def _sole_user(data: Path) -> Iterator[None]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"Another service is using the folder {data}. Stop it, or take another folder: make serve DATA=..."
            ) from None
        yield


def _secret(path: Path) -> bytes:
    """The key that signs URLs: made once, so that URLs outlive a restart."""
    secret = _private_file(path, lambda: secrets.token_hex(SECRET_BYTES))
    if len(secret) != 2 * SECRET_BYTES:
        raise StartError(f"The file {path} is damaged. Delete it: URLs signed so far will then be refused.")
    return bytes.fromhex(secret)


def _token(service: Service, path: Path) -> str:
    """The token of this machine's own user. It is revoked by deleting its file and starting the service again."""

    def create() -> str:
        new = NewToken(owner=OWNER, name="this machine's own", scopes=list(Scope))
        return tokens.create(service.records, new, time.time(), id=OWNER).secret

    token = _private_file(path, create)
    if service.authenticate(f"Bearer {token}") is None:
        path.unlink()
        token = _private_file(path, create)
    return token


def _private_file(path: Path, make: Callable[[], str]) -> str:
    """What a file readable by its owner alone says; it is made if missing."""
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
            file.flush()
            os.fsync(descriptor)
        unfinished.rename(path)
    return path.read_text()
