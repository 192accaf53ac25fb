"""What transcripts are searched by, made anew for a stage."""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.aws.objects import S3Objects
from chalicelib.aws.records import DynamoRecords
from chalicelib.aws.search import DynamoIndex
from chalicelib.indexing import rebuild

DAY_SECONDS = 24 * 3600


def rebuilt(session: Any, outputs: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The owners who have jobs, and how many transcripts of each are in the index by then; `session` is boto3's."""
    dynamodb, days = session.client("dynamodb"), int(outputs["TranscriptDays"])
    records = DynamoRecords(dynamodb, outputs["Table"])
    objects = S3Objects(session.client("s3"), outputs["MediaBucket"], outputs["TranscriptsBucket"])
    index = DynamoIndex(dynamodb, outputs["Table"], DAY_SECONDS * days or None)
    for owner in records.owners():
        yield owner, rebuild(objects, records, index, owner)
