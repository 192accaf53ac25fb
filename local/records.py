"""Jobs, files, tokens and counters in one SQLite file."""

import secrets
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from chalicelib.access import Token
from chalicelib.jobs import SUMS, Claim, FileState, Job, JobState, MediaFile
from chalicelib.ports import Deletion, JobExists
from local.database import Database
from local.schema import migrate

DATABASE = "records.sqlite"
"""The name of the file in a folder of data."""

Model = TypeVar("Model", bound=BaseModel)

# They are no characters, and come in no text.
SURROGATES = range(0xD800, 0xE000)
# How many rows one deletion takes: others write meanwhile.
FILES_AT_ONCE = 5000


@dataclass(frozen=True)
class Delivery:
    """A message to the webhook of a job that ended at `since`, to be sent at `due`; seconds since 1970."""

    id: str
    job: str
    since: float
    due: float
    attempts: int


class SQLiteRecords:
    """`chalicelib.ports.Records` in the file `path`, for any number of threads and processes at once.

    `synchronous=FULL`: what a caller has been told (a job was created, an upload arrived) must outlive a power cut, and
    commits are few enough for an fsync each.

    Raises NewerRecords.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, "FULL")
        migrate(self._database)

    def add_job(self, job: Job, files: Iterable[MediaFile]) -> None:
        with self._database.transaction() as database:
            if self.job(job.id) is not None or self._deletion(job.id) is not None:
                raise JobExists(job.id)
            database.execute("INSERT INTO jobs (id, document) VALUES (?, ?)", (job.id, job.model_dump_json()))
            labels = ((job.owner, name, value, job.id) for name, value in job.labels.items())
            database.executemany("INSERT INTO labels (owner, name, value, job) VALUES (?, ?, ?, ?)", labels)
            if job.delete_at is not None:
                _put_deletion(database, Deletion(job.id, job.delete_at))
            _insert_files(database, files)

    def job(self, id: str) -> Job | None:
        return self._one(Job, "SELECT document FROM jobs WHERE id = ?", id)

    def jobs(
        self, owner: str, limit: int, before: str | None = None, label: tuple[str, str] | None = None
    ) -> list[Job]:
        if label is not None:
            return self._all(
                Job,
                "SELECT jobs.document FROM labels JOIN jobs ON jobs.id = labels.job WHERE labels.owner = ? "
                "AND name = ? AND value = ? AND labels.job < ? ORDER BY labels.job DESC LIMIT ?",
                *(owner, *label, before or "~", limit),
            )
        if before is None:
            return self._all(Job, "SELECT document FROM jobs WHERE owner = ? ORDER BY id DESC LIMIT ?", owner, limit)
        return self._all(
            Job,
            "SELECT document FROM jobs WHERE owner = ? AND id < ? ORDER BY id DESC LIMIT ?",
            owner,
            before,
            limit,
        )

    def owners(self) -> list[str]:
        query = "SELECT DISTINCT owner FROM jobs ORDER BY owner"
        return [owner for (owner,) in self._database.connection().execute(query)]

    def claim(self, claim: Claim, now: float) -> Claim:
        with self._database.transaction() as database:
            database.execute("DELETE FROM claims WHERE expires_at <= ?", (now,))
            earlier = self._one(Claim, "SELECT document FROM claims WHERE id = ?", claim.id)
            if earlier is None:
                row = claim.id, claim.model_dump_json(), claim.expires_at
                database.execute("INSERT INTO claims (id, document, expires_at) VALUES (?, ?, ?)", row)
            return earlier or claim

    def add_files(self, job: Job, files: Sequence[MediaFile]) -> bool:
        with self._database.transaction() as database:
            now = self.job(job.id)
            if now is None or now.sealed or now.state != JobState.AWAITING_UPLOAD or now.files != files[0].n:
                return False
            _insert_files(database, files)
            counts = {**now.counts, FileState.AWAITING_UPLOAD: now.count(FileState.AWAITING_UPLOAD) + len(files)}
            _write_job(database, _changed(now, {"counts": counts, "size": now.size + sum(file.size for file in files)}))
            return True

    def paths(self, job: str, prefixes: Iterable[str], limit: int) -> dict[str, dict[str, int]]:
        query = "SELECT path, n FROM files WHERE job = ? AND path >= ? AND path < ? ORDER BY path LIMIT ?"
        read = self._database.connection().execute
        return {prefix: dict(read(query, (job, prefix, _following(prefix), limit)).fetchall()) for prefix in prefixes}

    def files_numbered(self, job: str, numbers: Iterable[int]) -> list[MediaFile]:
        return [file for n in numbers if (file := self.file(job, n)) is not None]

    def unfinished(self) -> list[Job]:
        """Jobs whose workflow was started and has not ended, oldest first."""
        return self._all(
            Job,
            "SELECT document FROM jobs WHERE state IN (?, ?) ORDER BY id",
            JobState.QUEUED,
            JobState.RUNNING,
        )

    def awaiting(self) -> list[Job]:
        """Jobs that wait for uploads, oldest first."""
        return self._all(Job, "SELECT document FROM jobs WHERE state = ? ORDER BY id", JobState.AWAITING_UPLOAD)

    def change_job(self, id: str, when: Iterable[JobState], changes: Mapping[str, Any]) -> Job | None:
        with self._database.transaction() as database:
            job = self.job(id)
            if job is None or job.state not in when:
                return None
            changed = _changed(job, changes)
            if changed.webhook is not None and changed.state.final and not job.state.final:
                row = f"msg_{secrets.token_hex(16)}", id, time.time()
                database.execute("INSERT INTO deliveries (id, job, since, due) VALUES (?1, ?2, ?3, ?3)", row)
            return _write_job(database, changed)

    def file(self, job: str, n: int) -> MediaFile | None:
        return self._one(MediaFile, "SELECT document FROM files WHERE job = ? AND n = ?", job, n)

    def file_by_path(self, job: str, path: str) -> MediaFile | None:
        return self._one(MediaFile, "SELECT document FROM files WHERE job = ? AND path = ?", job, path)

    def files(
        self, job: str, limit: int, after: int = -1, states: Collection[FileState] | None = None
    ) -> list[MediaFile]:
        if states is None:
            return self._all(
                MediaFile, "SELECT document FROM files WHERE job = ? AND n > ? ORDER BY n LIMIT ?", job, after, limit
            )
        found = [
            file
            for state in states
            for file in self._all(
                MediaFile,
                "SELECT document FROM files WHERE job = ? AND state = ? AND n > ? ORDER BY n LIMIT ?",
                *(job, state, after, limit),
            )
        ]
        return sorted(found, key=lambda file: file.n)[:limit]

    def move_file(self, file: MediaFile, to: FileState, changes: Mapping[str, Any] = {}) -> bool:
        with self._database.transaction() as database:
            recorded = self.file(file.job, file.n)
            if recorded is None or recorded.state != file.state:
                return False
            moved = _changed(recorded, {**changes, "state": to})
            return self._write_files(database, [(recorded, moved)])

    def move_files(self, files: Sequence[MediaFile], to: FileState, changes: Mapping[str, Any] = {}) -> None:
        with self._database.transaction() as database:
            now = ((file, self.file(file.job, file.n)) for file in files)
            same = [found for file, found in now if found is not None and found.state == file.state]
            self._write_files(database, [(file, _changed(file, {**changes, "state": to})) for file in same])

    def set_multipart(self, file: MediaFile, upload: str | None) -> MediaFile | None:
        with self._database.transaction() as database:
            recorded = self.file(file.job, file.n)
            if recorded is None or (recorded.state, recorded.multipart) != (file.state, file.multipart):
                return None
            after = _changed(recorded, {"multipart": upload})
            row = after.model_dump_json(), after.job, after.n
            database.execute("UPDATE files SET document = ? WHERE job = ? AND n = ?", row)
            return after

    def add_speech_done(self, job: str, n: int, seconds: float) -> None:
        with self._database.transaction() as database:
            recorded = self.file(job, n)
            if recorded is not None:
                done = recorded.speech_seconds_done + seconds
                self._write_files(database, [(recorded, _changed(recorded, {"speech_seconds_done": done}))])

    def hide_job(self, job: Job, due: int, last: int) -> Deletion | None:
        with self._database.transaction() as database:
            if not database.execute("DELETE FROM jobs WHERE id = ?", (job.id,)).rowcount:
                return None
            return _put_deletion(database, Deletion(job.id, due, last))

    def deletions(self, now: float, limit: int) -> list[Deletion]:
        query = "SELECT job, due, last FROM deletions WHERE due <= ? ORDER BY due LIMIT ?"
        return [Deletion(*row) for row in self._database.connection().execute(query, (now, limit))]

    def postpone(self, deletion: Deletion, due: int) -> Deletion | None:
        with self._database.transaction() as database:
            if self._deletion(deletion.job) != deletion:
                return None
            return _put_deletion(database, replace(deletion, due=due))

    def delete_files(self, job: str) -> None:
        query = "DELETE FROM files WHERE job = ? AND n IN (SELECT n FROM files WHERE job = ? LIMIT ?)"
        deleted = FILES_AT_ONCE
        while deleted == FILES_AT_ONCE:
            with self._database.transaction() as database:
                deleted = database.execute(query, (job, job, FILES_AT_ONCE)).rowcount

    def forget(self, deletion: Deletion) -> None:
        with self._database.transaction() as database:
            database.execute("DELETE FROM deletions WHERE job = ?", (deletion.job,))

    def add_use(self, job: str, amounts: Mapping[str, float]) -> Job | None:
        with self._database.transaction() as database:
            recorded = self.job(job)
            if recorded is None:
                return None
            sums = {name: getattr(recorded, name) + amount for name, amount in amounts.items()}
            return _write_job(database, _changed(recorded, sums))

    def add_token(self, token: Token) -> None:
        with self._database.transaction() as database:
            row = token.id, token.model_dump_json()
            database.execute("INSERT OR REPLACE INTO tokens (id, document) VALUES (?, ?)", row)

    def token(self, id: str) -> Token | None:
        return self._one(Token, "SELECT document FROM tokens WHERE id = ?", id)

    def tokens(self) -> list[Token]:
        return self._all(Token, "SELECT document FROM tokens ORDER BY id")

    def use_token(self, id: str, now: float) -> None:
        with self._database.transaction() as database:
            token = self.token(id)
            if token is not None:
                used = _changed(token, {"last_used_at": now})
                database.execute("UPDATE tokens SET document = ? WHERE id = ?", (used.model_dump_json(), id))

    def remove_token(self, id: str) -> bool:
        with self._database.transaction() as database:
            return database.execute("DELETE FROM tokens WHERE id = ?", (id,)).rowcount > 0

    def count(self, key: str, amounts: Mapping[str, float], expires_at: float, now: float) -> dict[str, float]:
        with self._database.transaction() as database:
            database.execute("DELETE FROM counters WHERE expires_at <= ?", (now,))
            database.executemany(
                """INSERT INTO counters (key, name, amount, expires_at) VALUES (?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET amount = amount + excluded.amount""",
                ((key, name, amount, expires_at) for name, amount in amounts.items()),
            )
            return self.counted(key)

    def counted(self, key: str) -> dict[str, float]:
        return dict(self._database.connection().execute("SELECT name, amount FROM counters WHERE key = ?", (key,)))

    def deliveries(self, now: float) -> list[Delivery]:
        """What is due to be told to webhooks: an ended job of one adds to it in the transaction that ends it."""
        rows = self._database.connection().execute("SELECT * FROM deliveries WHERE due <= ? ORDER BY due", (now,))
        return [Delivery(*row) for row in rows]

    def put_off(self, delivery: Delivery, due: float) -> None:
        """After one more attempt."""
        with self._database.transaction() as database:
            row = due, delivery.attempts + 1, delivery.id
            database.execute("UPDATE deliveries SET due = ?, attempts = ? WHERE id = ?", row)

    def remove_delivery(self, delivery: Delivery) -> None:
        with self._database.transaction() as database:
            database.execute("DELETE FROM deliveries WHERE id = ?", (delivery.id,))

    def _write_files(self, database: sqlite3.Connection, changed: list[tuple[MediaFile, MediaFile]]) -> bool:
        """Writes files of one job, each before and after, and takes the changes over into the job's counts and sums.

        False, with nothing written, if there is no such job.
        """
        job = self.job(changed[0][0].job) if changed else None
        if job is None:
            return False
        rows = ((after.model_dump_json(), after.job, after.n) for _, after in changed)
        database.executemany("UPDATE files SET document = ? WHERE job = ? AND n = ?", rows)
        counts = Counter(job.counts)
        counts.update(after.state for _, after in changed)
        counts.subtract(before.state for before, _ in changed)
        sums = {
            name: getattr(job, name) + sum(getattr(after, name) - getattr(before, name) for before, after in changed)
            for name in SUMS
        }
        _write_job(database, _changed(job, {"counts": dict(counts), **sums}))
        return True

    def _deletion(self, job: str) -> Deletion | None:
        row = (
            self._database.connection().execute("SELECT job, due, last FROM deletions WHERE job = ?", (job,)).fetchone()
        )
        return None if row is None else Deletion(*row)

    def _one(self, model: type[Model], query: str, *parameters: object) -> Model | None:
        row = self._database.connection().execute(query, parameters).fetchone()
        return None if row is None else model.model_validate_json(row[0])

    def _all(self, model: type[Model], query: str, *parameters: object) -> list[Model]:
        rows = self._database.connection().execute(query, parameters).fetchall()
        return [model.model_validate_json(document) for (document,) in rows]


def _following(prefix: str) -> str:
    """The first of all texts that come after those that begin with `prefix`."""
    last = ord(prefix[-1])
    if last == sys.maxunicode:
        return _following(prefix[:-1])
    return prefix[:-1] + chr(SURROGATES.stop if last + 1 == SURROGATES.start else last + 1)


def _insert_files(database: sqlite3.Connection, files: Iterable[MediaFile]) -> None:
    rows = ((file.job, file.n, file.model_dump_json()) for file in files)
    database.executemany("INSERT INTO files (job, n, document) VALUES (?, ?, ?)", rows)


def _put_deletion(database: sqlite3.Connection, deletion: Deletion) -> Deletion:
    row = deletion.job, deletion.due, deletion.last
    database.execute("INSERT OR REPLACE INTO deletions (job, due, last) VALUES (?, ?, ?)", row)
    return deletion


def _write_job(database: sqlite3.Connection, job: Job) -> Job:
    database.execute("UPDATE jobs SET document = ? WHERE id = ?", (job.model_dump_json(), job.id))
    return job


def _changed(model: Model, changes: Mapping[str, Any]) -> Model:
    unknown = changes.keys() - type(model).model_fields.keys()
    if unknown:
        raise ValueError(f"{type(model).__name__} has no field {', '.join(sorted(unknown))}")
    return type(model).model_validate({**dict(model), **changes})
