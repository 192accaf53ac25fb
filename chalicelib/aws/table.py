"""What is kept in the DynamoDB table is read and written here, again and again where others are at the same items."""

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.items import Item, decoded, encoded
from chalicelib.jobs import Job

# What DynamoDB looks up, and writes, in one batch.
BATCH_KEYS = 100
BATCH_WRITES = 25
MAX_KEY_BYTES = 2048
MAX_SORT_KEY_BYTES = 1024

LOST = {"ConditionalCheckFailedException", "ConditionalCheckFailed"}
# Another writer is at the same item, or the table has to grow. (boto3 tries again by itself where a whole request is
# throttled, but not where one item is the reason for giving up a transaction.)
CONTENDED = {"TransactionConflictException", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
PATIENCE_SECONDS = 20.0
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


@dataclass(frozen=True)
class DynamoTable:
    """The table named `table`; `client` is boto3's for DynamoDB. Safe to use from any number of functions at once.

    What belongs to a job expires `keep_seconds` after the job was created, `None` for never.
    """

    client: Any
    table: str
    keep_seconds: float | None = None

    def _item(self, key: Item) -> Item | None:
        if not (possible(key["pk"]) and possible(key["sk"], MAX_SORT_KEY_BYTES)):
            return None
        answer = self.client.get_item(**self._at(key), ConsistentRead=True)
        return decoded(answer["Item"]) if "Item" in answer else None

    def _batch(self, items: list[Item]) -> Iterator[Item]:
        """Those of the items with these keys that there are, in any order."""
        keys = [encoded(key) for key in items]
        pauses = random_pauses()
        while keys:
            request = {self.table: {"Keys": keys[:BATCH_KEYS], "ConsistentRead": True}}
            answer = self.client.batch_get_item(RequestItems=request)
            yield from map(decoded, answer["Responses"][self.table])
            left_out = answer["UnprocessedKeys"].get(self.table, {}).get("Keys", [])
            keys = keys[BATCH_KEYS:] + left_out
            if left_out:
                time.sleep(next(pauses))

    def _query(self, condition: str, values: Item, limit: int | None = None, **how: Any) -> Iterator[Item]:
        """The first `limit` items that meet the condition, or all of them."""
        if not possible(values[":pk"]):
            return
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=encoded(values),
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
            **{"ConsistentRead": True, **how},
        )
        for page in pages:
            yield from map(decoded, page["Items"])

    def _write(self, requests: Iterable[Item]) -> None:
        """Makes any number of puts and deletions of whole items, without conditions."""
        rest = iter(requests)
        while page := list(itertools.islice(rest, BATCH_WRITES)):
            pauses = random_pauses()
            while page:
                answer = self.client.batch_write_item(RequestItems={self.table: page})
                page = answer["UnprocessedItems"].get(self.table, [])
                if page:
                    time.sleep(next(pauses))

    def _transact(self, actions: list[Item]) -> bool:
        """Does all of these in one transaction; False, with nothing done, if a condition is not met."""
        return self._insist(self.client.transact_write_items, TransactItems=actions) is not None

    def _updated(self, key: Item, update: Item) -> Item | None:
        """The item as it is after an update; `None` if its condition is not met."""
        answer = self._insist(self.client.update_item, **self._at(key), **update, ReturnValues="ALL_NEW")
        return None if answer is None else decoded(answer["Attributes"])

    def _insist(self, operation: Callable[..., Item], **request: Any) -> Item | None:
        """The answer, or `None` if a condition is not met; while others are at the same items, it is asked for again.

        No change is made twice, since a conflict means that none was made.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        pauses = random_pauses()
        while True:
            try:
                return operation(**request)
            except ClientError as error:
                codes = _codes(error)
                if codes & LOST:
                    return None
                if not codes & CONTENDED or time.monotonic() > deadline:
                    raise
            time.sleep(next(pauses))

    def _expiry(self, job: Job) -> float | None:
        return None if self.keep_seconds is None else job.created_at + self.keep_seconds

    def _put(self, key: Item, document: Item, expires: float | None) -> Item:
        return {"TableName": self.table, "Item": encoded({**document, **living(expires), **key})}

    def _at(self, key: Item) -> Item:
        return {"TableName": self.table, "Key": encoded(key)}


def living(expires: float | None) -> Item:
    """The attribute by which an item expires, if it does."""
    return {} if expires is None else {"expires": math.ceil(expires)}


def possible(key: str, most: int = MAX_KEY_BYTES) -> bool:
    """Whether there can be an item of this key; what callers of the API ask for may be anything."""
    try:
        return 0 < len(key.encode()) <= most
    except UnicodeEncodeError:
        return False


def _codes(error: ClientError) -> set[str]:
    """The error's code and, where a transaction was given up, the reasons of its parts."""
    reasons = error.response.get("CancellationReasons", [])
    return {error.response["Error"]["Code"], *(reason.get("Code", "None") for reason in reasons)}


def random_pauses() -> Iterator[float]:
    """Seconds to wait before the next attempts: growing, and random so that those who met do not meet again."""
    for attempt in itertools.count():
        yield random.uniform(0, min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**attempt))  # noqa: S311
