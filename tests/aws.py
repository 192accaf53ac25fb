"""AWS for tests, emulated by moto within the process.

What it does not prove: nothing of a presigned request is enforced (so tests look at what is signed); requests are
never throttled, and transactions never meet (so tests let the client raise what AWS would); reads are always
consistent; reading an object while it is overwritten breaks, where S3 gives the old one; roles permit everything; S3
calls what is missing 404 even for a role that may not list the bucket.
"""

import copy
import functools
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DDBType, DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from chalicelib.aws.records import BY_PATH, BY_STATE

REGION = "eu-central-1"
MEDIA, TRANSCRIPTS, TABLE = "media-of-tests", "transcripts-of-tests", "records"
MACHINE = {
    "name": "transcribe",
    "definition": '{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}',
    "roleArn": "arn:aws:iam::123456789012:role/workflow",
}
RECORDS = {
    "TableName": TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "path", "place")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "LocalSecondaryIndexes": [
        {
            "IndexName": BY_PATH,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "path", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": BY_STATE,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "place", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


@contextmanager
def emulated() -> Iterator[dict[str, str]]:
    """An account with the buckets, the table and the state machine. Gives the environment that the functions have."""
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    with (
        patch.dict("os.environ", {**credentials, "AWS_DEFAULT_REGION": REGION}),
        mock_aws(),
        light_answers(),
        one_at_a_time(),
        light_transactions(),
        _exact_sums(),
    ):
        s3 = boto3.client("s3")
        for bucket in (MEDIA, TRANSCRIPTS):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        boto3.client("dynamodb").create_table(**RECORDS)
        machine = boto3.client("stepfunctions").create_state_machine(**MACHINE)
        yield {
            "MEDIA_BUCKET": MEDIA,
            "TRANSCRIPTS_BUCKET": TRANSCRIPTS,
            "TABLE": TABLE,
            "STATE_MACHINE_ARN": machine["stateMachineArn"],
            "MODELS": "tiny.en:english,base:multilingual",
        }


@contextmanager
def _exact_sums() -> Iterator[None]:
    """moto cannot add numbers with exponents."""

    def add(one: DynamoType, other: DynamoType) -> DynamoType:
        return DynamoType({DDBType.NUMBER: str(Decimal(one.value) + Decimal(other.value))})

    with patch.object(DynamoType, "__add__", add):
        yield


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """moto undoes a transaction by putting the whole table back: with it, what other threads wrote meanwhile."""
    answer, lock = DynamoHandler.call_action, threading.Lock()

    @functools.wraps(answer)
    def locked(*arguments: Any) -> Any:
        with lock:
            return answer(*arguments)

    with patch.object(DynamoHandler, "call_action", locked):
        yield


@contextmanager
def light_answers() -> Iterator[None]:
    """moto looks for each of the ten types of DynamoDB in every value of an item, under six names each: a third of all
    that it does. The values have their final form already.
    """
    serialize = BaseJSONSerializer._serialize_type_structure

    def serialized(this: BaseJSONSerializer, into: dict[str, Any], value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and type(value) is dict and "B" not in value:
            into[key] = value
        else:
            serialize(this, into, value, shape, key)

    with patch.object(BaseJSONSerializer, "_serialize_type_structure", serialized):
        yield


@contextmanager
def light_transactions() -> Iterator[None]:
    """moto copies the whole table for each part of a transaction, to put it back should that fail: half a second for a
    job of 300 files. Here it copies the items that the transaction names, and what is undone is the same.

    So tests tell nothing of how long transactions take, which they would not have told either way.
    """
    transact = models.DynamoDBBackend.transact_write_items
    named: list[dict[str, Any]] = []

    def transacted(this: models.DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        named[:] = [part.get("Key") or part["Item"] for item in transact_items for part in item.values()]
        transact(this, transact_items)

    def copied(what: Any) -> Any:
        if not isinstance(what, Table):
            return copy.deepcopy(what)
        table = copy.copy(what)
        table.items = defaultdict(dict, {hash: dict(items) for hash, items in what.items.items()})
        assert table.range_key_attr is not None
        for key in named:
            hash, range = DynamoType(key[table.hash_key_attr]), DynamoType(key[table.range_key_attr])
            if range in table.items[hash]:
                table.items[hash][range] = copy.deepcopy(table.items[hash][range])
        return table

    with (
        patch.object(models.DynamoDBBackend, "transact_write_items", transacted),
        patch.object(models, "copy", SimpleNamespace(copy=copy.copy, deepcopy=copied)),
    ):
        yield
