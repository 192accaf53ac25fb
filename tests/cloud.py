"""AWS for functions in processes of their own: moto behind HTTP, with buckets and the table.

Besides what `tests.aws` says, moto cannot add numbers in scientific notation, which DynamoDB takes; here it can.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from unittest.mock import patch

import boto3
from moto.dynamodb.models.dynamo_type import DDBType, DynamoType
from moto.server import ThreadedMotoServer

from tests import aws


@contextmanager
def cloud() -> Iterator[dict[str, str]]:
    """An account that listens on HTTP; what boto3 and the service's functions need in their environment."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": aws.REGION,
    }
    try:
        with patch.dict("os.environ", access), patch.object(DynamoType, "__add__", _add), aws._one_at_a_time():
            s3 = boto3.client("s3")
            for bucket in (aws.MEDIA, aws.TRANSCRIPTS):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
            boto3.client("dynamodb").create_table(**aws.RECORDS)
            yield {**access, "MEDIA_BUCKET": aws.MEDIA, "TRANSCRIPTS_BUCKET": aws.TRANSCRIPTS, "TABLE": aws.TABLE}
    finally:
        server.stop()


def _add(this: DynamoType, other: DynamoType) -> DynamoType:
    return DynamoType({DDBType.NUMBER: str(Decimal(this.value) + Decimal(other.value))})
