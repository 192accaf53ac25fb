"""Jobs, files, tokens and counters in one DynamoDB table.

| item                      | pk              | sk                               |
|---------------------------|-----------------|----------------------------------|
| job                       | `job#<id>`      | `job`                            |
| file `n` of a job         | `job#<id>`      | `file#<n>`, with leading zeros   |
| that a job is of an owner | `owner#<owner>` | `<job id>`: so they sort by time |
| token                     | `tokens`        | `<id>`                           |
| counter                   | `counter#<key>` | `counter`                        |
| that a job has a label    | `label#<label>` | `<job id>`                       |
| that a job is to go       | `deletions`     | `<due>#<job id>`                 |
| that a job may wait       | `waiting`       | `<due>#<job id>`                 |
| claim of a key            | `claim#<id>`    | `claim`                          |

The other attributes are the fields of the models; `expires` is the table's time to live, in seconds since 1970. Two
indexes have the keys of files: the local one `by_path` (`pk`, `path`), and the global one `by_state` (`pk`, `place`:
state and number). Every read but of the latter is consistent. A label too long for a key is there by its SHA-256. In
the place of a job that was deleted an item `gone` is left for a while, so that its id is not used again. What
transcripts are searched by is in the same table: see `chalicelib.aws.search`.
"""

import hashlib
import itertools
import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from chalicelib.access import Token
from chalicelib.aws.items import (
    Item,
    Model,
    adding,
    changed,
    counting,
    decoded,
    document,
    encoded,
    more_files,
    setting,
    totalling,
)
from chalicelib.aws.table import MAX_KEY_BYTES, MAX_SORT_KEY_BYTES, DynamoTable, possible
from chalicelib.jobs import SUMS, Claim, FileState, Job, JobState, MediaFile
from chalicelib.ports import Deletion, JobExists

BY_PATH = "by_path"
BY_STATE = "by_state"
# What DynamoDB takes in one transaction.
TRANSACTION_ITEMS = 100
# Made at a time where one question takes many.
REQUESTS = 16
FILE_DIGITS = 8
TIME_DIGITS = 12
# A job that waits is looked at for the first time after so long.
FIRST_SECONDS = 300


@dataclass(frozen=True)
class Waiting:
    """That a job may wait, for uploads or for its workflow, `since` some time: to be looked at from `due` on."""

    job: str
    due: float
    since: float = 0


@dataclass(frozen=True)
class DynamoRecords(DynamoTable):
    """`chalicelib.ports.Records`, for any number of functions at once."""

    def add_job(self, job: Job, files: Iterable[MediaFile]) -> None:
        """Raises JobExists. The job itself comes last, and until then none of it is seen.

        So what a crash leaves behind is harmless: another attempt overwrites it, and it expires. The files are written
        only while there is no job, so that an attempt that comes late does not undo what became of them.
        """
        expires = self._expiry(job)
        no_job = {"ConditionExpression": "attribute_not_exists(pk)"}
        puts = ({"Put": self._put_file(file, expires)} for file in files)
        while page := list(itertools.islice(puts, TRANSACTION_ITEMS - 1)):
            self._add(job.id, [{"ConditionCheck": {**self._at(_job_key(job.id)), **no_job}}, *page])
        new = {**self._put(_job_key(job.id), document(job), expires), **no_job}
        listed = [{"Put": self._put(key, {}, expires)} for key in _listings(job)]
        self._add(job.id, [{"Put": new}, *listed, {"Put": self._put_waiting(_from(job.id, job.created_at))}])

    def job(self, id: str) -> Job | None:
        return _job(self._item(_job_key(id)))

    def jobs(
        self, owner: str, limit: int, before: str | None = None, label: tuple[str, str] | None = None
    ) -> list[Job]:
        listing = _owned_key(owner, "") if label is None else _label_key(owner, label, "")
        jobs: list[Job] = []
        while wanted := limit - len(jobs):
            ids = self._ids(listing["pk"], wanted, before)
            found = self._jobs(ids)
            # A job and its place in this list need not expire at the same moment.
            jobs += [found[id] for id in ids if id in found]
            if len(ids) < wanted:
                break
            before = ids[-1]
        return jobs

    def owners(self) -> list[str]:
        listings = _owned_key("", "")["pk"]
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.table,
            FilterExpression="begins_with(pk, :listings)",
            ExpressionAttributeValues=encoded({":listings": listings}),
            ProjectionExpression="pk",
            ConsistentRead=True,
        )
        return sorted({decoded(item)["pk"].removeprefix(listings) for page in pages for item in page["Items"]})

    def claim(self, claim: Claim, now: float) -> Claim:
        key = {"pk": f"claim#{claim.id}", "sk": "claim"}
        free = {
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
            "ExpressionAttributeValues": encoded({":now": Decimal(repr(now))}),
        }
        while self._insist(self.client.put_item, **self._put(key, document(claim), claim.expires_at), **free) is None:
            earlier = self._get(Claim, key)
            if earlier is not None:
                return earlier
        return claim

    def add_files(self, job: Job, files: Sequence[MediaFile]) -> bool:
        new = {"ConditionExpression": "attribute_not_exists(pk)"}
        for start in range(0, len(files), TRANSACTION_ITEMS - 1):
            some = files[start : start + TRANSACTION_ITEMS - 1]
            puts = [{"Put": {**self._put_file(file, self._expiry(job)), **new}} for file in some]
            counted = {"Update": {**self._at(_job_key(job.id)), **more_files(some)}}
            if not self._transact([*puts, counted]):
                return False
        return True

    def paths(self, job: str, prefixes: Iterable[str], limit: int) -> dict[str, dict[str, int]]:
        def begin(prefix: str) -> dict[str, int]:
            values = {":pk": _job_key(job)["pk"], ":prefix": prefix}
            names = {"#path": "path"}
            condition = "pk = :pk AND begins_with(#path, :prefix)"
            found = self._query(condition, values, limit, IndexName=BY_PATH, ExpressionAttributeNames=names)
            return {item["path"]: _number(item) for item in found}

        wanted = list(prefixes)
        with ThreadPoolExecutor(REQUESTS) as requests:
            return dict(zip(wanted, requests.map(begin, wanted), strict=True))

    def files_numbered(self, job: str, numbers: Iterable[int]) -> list[MediaFile]:
        return [MediaFile.model_validate(item) for item in self._batch([_file_key(job, n) for n in numbers])]

    def change_job(self, id: str, when: Iterable[JobState], changes: Mapping[str, Any]) -> Job | None:
        if changes.get("state") == JobState.AWAITING_UPLOAD:
            self.client.put_item(**self._put_waiting(_from(id, time.time())))
        states = {f":when{number}": str(state) for number, state in enumerate(when)}
        update = setting(changed(Job, changes))
        request = update.request(f"#state IN ({', '.join(states)})", states, {"#state": "state"})
        return _job(self._updated(_job_key(id), request))

    def file(self, job: str, n: int) -> MediaFile | None:
        return self._get(MediaFile, _file_key(job, n))

    def file_by_path(self, job: str, path: str) -> MediaFile | None:
        condition = "pk = :pk AND #path = :path"
        values = {":pk": _job_key(job)["pk"], ":path": path}
        names = {"ExpressionAttributeNames": {"#path": "path"}}
        found = list(self._query(condition, values, 1, IndexName=BY_PATH, **names))
        return self._get(MediaFile, {"pk": found[0]["pk"], "sk": found[0]["sk"]}) if found else None

    def files(
        self, job: str, limit: int, after: int = -1, states: Collection[FileState] | None = None
    ) -> list[MediaFile]:
        if states is not None:
            return self._files_in(states, job, limit, after)
        return [MediaFile.model_validate(item) for item in self._file_items(job, after + 1, limit)]

    def move_file(self, file: MediaFile, to: FileState, changes: Mapping[str, Any] = {}) -> bool:
        key = _file_key(file.job, file.n)
        changes = {**changed(MediaFile, {**changes, "state": to}), "place": _place(to, file.n)}
        # The job's sums follow from the file's, which therefore must be what they are believed to be.
        summed = [name for name in SUMS if name in changes]
        recorded: Item | None = document(file)
        while recorded is not None and recorded["state"] == file.state:
            basis = {name: recorded[name] for name in ("state", *summed)}
            condition = " AND ".join(f"#{name} = :was_{name}" for name in basis)
            moved = setting(changes).request(condition, {f":was_{name}": value for name, value in basis.items()})
            counted = totalling([recorded], changes).request("attribute_exists(counts)")
            updates = [
                {"Update": {**self._at(key), **moved}},
                {"Update": {**self._at(_job_key(file.job)), **counted}},
            ]
            if self._transact(updates):
                return True
            if not summed or self.job(file.job) is None:
                return False
            recorded = self._item(key)
        return False

    def move_files(self, files: Sequence[MediaFile], to: FileState, changes: Mapping[str, Any] = {}) -> None:
        for start in range(0, len(files), TRANSACTION_ITEMS - 1):
            some = files[start : start + TRANSACTION_ITEMS - 1]
            if not self._move_together(some, to, changed(MediaFile, {**changes, "state": to})):
                for file in some:
                    self.move_file(file, to, changes)

    def set_multipart(self, file: MediaFile, upload: str | None) -> MediaFile | None:
        same = "#multipart = :was" if file.multipart else "(attribute_not_exists(#multipart) OR #multipart = :was)"
        update = setting(changed(MediaFile, {"multipart": upload}))
        basis = {":state": str(file.state), ":was": file.multipart}
        request = update.request(f"#state = :state AND {same}", basis, {"#state": "state"})
        item = self._updated(_file_key(file.job, file.n), request)
        return None if item is None else MediaFile.model_validate(item)

    def add_speech_done(self, job: str, n: int, seconds: float) -> None:
        # No transaction: hundreds of functions report to one job at once. Plain updates of an item wait for each other,
        # where transactions cancel each other.
        update = adding({"speech_seconds_done": seconds}).request("attribute_exists(speech_seconds_done)")
        for key in (_file_key(job, n), _job_key(job)):
            if self._insist(self.client.update_item, **self._at(key), **update) is None:
                return

    def hide_job(self, job: Job, due: int, last: int) -> Deletion | None:
        deletion = Deletion(job.id, due, last)
        gone = {**self._put(_job_key(job.id), {"gone": True}, None), "ConditionExpression": "attribute_exists(counts)"}
        listed = [{"Delete": self._at(key)} for key in _listings(job) if key != _deletion_key(deletion)]
        updates = [{"Put": gone}, *listed, {"Put": self._put_deletion(deletion)}]
        return deletion if self._transact(updates) else None

    def deletions(self, now: float, limit: int) -> list[Deletion]:
        values = {":pk": "deletions", ":last": _deletion_key(Deletion("~", math.floor(now)))["sk"]}
        return [_deletion(item) for item in self._query("pk = :pk AND sk <= :last", values, limit)]

    def postpone(self, deletion: Deletion, due: int) -> Deletion | None:
        # One transaction takes no item twice.
        later = replace(deletion, due=due + 1 if due == deletion.due else due)
        there = {"ConditionExpression": "attribute_exists(pk)"}
        updates = [
            {"Delete": {**self._at(_deletion_key(deletion)), **there}},
            {"Put": self._put_deletion(later)},
        ]
        return later if self._transact(updates) else None

    def delete_files(self, job: str) -> None:
        found = self._file_items(job, 0, None, ProjectionExpression="pk, sk")
        self._write({"DeleteRequest": {"Key": encoded(key)}} for key in found)

    def forget(self, deletion: Deletion) -> None:
        self.client.delete_item(**self._at(_job_key(deletion.job)), ConditionExpression="attribute_not_exists(counts)")
        self.client.delete_item(**self._at(_deletion_key(deletion)))

    def waiting(self, now: float, limit: int) -> list[Waiting]:
        """What is due, the longest due first."""
        values = {":pk": "waiting", ":last": _waiting_key(Waiting("~", now))["sk"]}
        found = self._query("pk = :pk AND sk <= :last", values, limit)
        return [_waiting(item) for item in found]

    def put_off(self, waiting: Waiting, due: float) -> None:
        self.client.put_item(**self._put_waiting(replace(waiting, due=due)))
        self.end_waiting(waiting)

    def end_waiting(self, waiting: Waiting) -> None:
        self.client.delete_item(**self._at(_waiting_key(waiting)))

    def add_use(self, job: str, amounts: Mapping[str, float]) -> Job | None:
        return _job(self._updated(_job_key(job), adding(amounts).request("attribute_exists(counts)")))

    def add_token(self, token: Token) -> None:
        self.client.put_item(**self._put(_token_key(token.id), document(token), token.expires_at))

    def token(self, id: str) -> Token | None:
        return self._get(Token, _token_key(id))

    def tokens(self) -> list[Token]:
        found = self._query("pk = :pk", {":pk": _token_key("")["pk"]})
        return [Token.model_validate(item) for item in found]

    def use_token(self, id: str, now: float) -> None:
        request = setting(changed(Token, {"last_used_at": now})).request("attribute_exists(pk)")
        self._insist(self.client.update_item, **self._at(_token_key(id)), **request)

    def remove_token(self, id: str) -> bool:
        key = _token_key(id)
        if not possible(id, MAX_SORT_KEY_BYTES):
            return False
        there = {"ConditionExpression": "attribute_exists(pk)"}
        return self._insist(self.client.delete_item, **self._at(key), **there) is not None

    def count(self, key: str, amounts: Mapping[str, float], expires_at: float, now: float) -> dict[str, float]:
        # The key is another for each window of time, so that what has expired need not be gone yet.
        del now
        request = counting(amounts, math.ceil(expires_at)).plain()
        answer = self._insist(
            self.client.update_item, **self._at(_counter_key(key)), **request, ReturnValues="UPDATED_NEW"
        )
        assert answer is not None, "there is no condition"
        return _sums(decoded(answer["Attributes"]))

    def counted(self, key: str) -> dict[str, float]:
        return _sums(self._item(_counter_key(key)) or {})

    def _file_items(self, job: str, first: int, limit: int | None, **how: Any) -> Iterator[Item]:
        """Those of a job's files, from number `first` on."""
        key = _file_key(job, first)
        values = {":pk": key["pk"], ":first": key["sk"], ":last": "file#~"}
        return self._query("pk = :pk AND sk BETWEEN :first AND :last", values, limit, **how)

    def _files_in(self, states: Collection[FileState], job: str, limit: int, after: int) -> list[MediaFile]:
        """Their numbers come from the index, and they themselves, as they are by now, from the table."""
        files: list[MediaFile] = []
        while wanted := limit - len(files):
            numbers: set[int] = set()
            for state in states:
                values = {":pk": _job_key(job)["pk"], ":first": _place(state, after + 1), ":last": f"{state}#~"}
                condition = "pk = :pk AND place BETWEEN :first AND :last"
                found = self._query(condition, values, wanted, IndexName=BY_STATE, ConsistentRead=False)
                numbers |= {_number(item) for item in found}
            first = sorted(numbers)[:wanted]
            files += [file for file in self.files_numbered(job, first) if file.state in states]
            if len(first) < wanted:
                break
            after = first[-1]
        return sorted(files, key=lambda file: file.n)

    def _move_together(self, files: Sequence[MediaFile], to: FileState, changes: Item) -> bool:
        """Whether these files, no more than fit, were as they are here, and so were moved."""
        updates = []
        before = [document(file) for file in files]
        for file, was in zip(files, before, strict=True):
            basis = {name: was[name] for name in ("state", *SUMS) if name in changes}
            condition = " AND ".join(f"#{name} = :was_{name}" for name in basis)
            moved = setting({**changes, "place": _place(to, file.n)})
            request = moved.request(condition, {f":was_{name}": value for name, value in basis.items()})
            updates.append({"Update": {**self._at(_file_key(file.job, file.n)), **request}})
        counted = totalling(before, changes).request("attribute_exists(counts)")
        updates.append({"Update": {**self._at(_job_key(files[0].job)), **counted}})
        return self._transact(updates)

    def _add(self, job_id: str, actions: list[Item]) -> None:
        if not self._transact(actions):
            raise JobExists(job_id)

    def _ids(self, listing: str, limit: int, before: str | None) -> list[str]:
        """Ids of the jobs in a list, newest first, from the one after `before`."""
        condition, values = "pk = :pk", {":pk": listing}
        if before is not None:
            condition, values = f"{condition} AND sk < :before", {**values, ":before": before}
        return [item["sk"] for item in self._query(condition, values, limit, ScanIndexForward=False)]

    def _jobs(self, ids: list[str]) -> dict[str, Job]:
        jobs = map(_job, self._batch([_job_key(id) for id in ids]))
        return {job.id: job for job in jobs if job is not None}

    def _get(self, model: type[Model], key: Item) -> Model | None:
        item = self._item(key)
        return None if item is None else model.model_validate(item)

    def _put_file(self, file: MediaFile, expires: float | None) -> Item:
        return self._put(_file_key(file.job, file.n), {**document(file), "place": _place(file.state, file.n)}, expires)

    def _put_deletion(self, deletion: Deletion) -> Item:
        return self._put(_deletion_key(deletion), {"last": deletion.last}, None)

    def _put_waiting(self, waiting: Waiting) -> Item:
        return self._put(_waiting_key(waiting), {"since": Decimal(repr(waiting.since))}, None)


def _job_key(id: str) -> Item:
    return {"pk": f"job#{id}", "sk": "job"}


def _file_key(job: str, n: int) -> Item:
    return {"pk": f"job#{job}", "sk": f"file#{n:0{FILE_DIGITS}}"}


def _owned_key(owner: str, job: str) -> Item:
    return {"pk": f"owner#{owner}", "sk": job}


def _label_key(owner: str, label: tuple[str, str], job: str) -> Item:
    named = json.dumps([owner, *label])
    if len(f"label#{named}") > MAX_KEY_BYTES:
        named = hashlib.sha256(named.encode()).hexdigest()
    return {"pk": f"label#{named}", "sk": job}


def _number(item: Item) -> int:
    """That of the file whose item this is."""
    return int(item["sk"].removeprefix("file#"))


def _deletion_key(deletion: Deletion) -> Item:
    return {"pk": "deletions", "sk": f"{deletion.due:0{TIME_DIGITS}}#{deletion.job}"}


def _from(job: str, now: float) -> Waiting:
    return Waiting(job, now + FIRST_SECONDS, now)


def _waiting_key(waiting: Waiting) -> Item:
    return {"pk": "waiting", "sk": f"{math.ceil(waiting.due):0{TIME_DIGITS}}#{waiting.job}"}


def _waiting(item: Item) -> Waiting:
    due, _, job = item["sk"].partition("#")
    return Waiting(job, int(due), float(item["since"]))


def _deletion(item: Item) -> Deletion:
    due, _, job = item["sk"].partition("#")
    return Deletion(job, int(due), int(item.get("last", 0)))


def _listings(job: Job) -> list[Item]:
    """The keys of the items by which a job is found."""
    deletion = [] if job.delete_at is None else [_deletion_key(Deletion(job.id, job.delete_at))]
    labels = [_label_key(job.owner, label, job.id) for label in job.labels.items()]
    return [_owned_key(job.owner, job.id), *labels, *deletion]


def _job(item: Item | None) -> Job | None:
    return None if item is None or "gone" in item else Job.model_validate(item)


def _place(state: FileState, n: int) -> str:
    return f"{state}#{n:0{FILE_DIGITS}}"


def _token_key(id: str) -> Item:
    return {"pk": "tokens", "sk": id}


def _counter_key(key: str) -> Item:
    return {"pk": f"counter#{key}", "sk": "counter"}


def _sums(item: Item) -> dict[str, float]:
    return {name: float(value) for name, value in item.items() if name not in ("pk", "sk", "expires")}
