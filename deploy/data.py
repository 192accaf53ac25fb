"""The data that outlives a stack, and its end."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError


def delete(session: Any, names: Mapping[str, str]) -> None:
    """Deletes both buckets with all they hold, and the table, as far as they are there; `session` is boto3's."""
    for bucket in (names["MediaBucket"], names["TranscriptsBucket"]):
        _delete_bucket(session.client("s3"), bucket)
    dynamodb = session.client("dynamodb")
    with suppress(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.update_table(TableName=names["Table"], DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=names["Table"])
        dynamodb.delete_table(TableName=names["Table"])


def delete_repository(session: Any, name: str) -> None:
    ecr = session.client("ecr")
    with suppress(ecr.exceptions.RepositoryNotFoundException):
        ecr.delete_repository(repositoryName=name, force=True)


def _delete_bucket(s3: Any, bucket: str) -> None:
    try:
        # A bucket that was taken over may keep versions, and is not empty while there are any.
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            doomed = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in found]
            if doomed:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
