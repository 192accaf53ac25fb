"""The older pipeline's way: whole objects of the media bucket in, texts in the transcripts bucket, in the same tree."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import keys
from chalicelib.aws.objects import MISSING
from chalicelib.formats import render
from chalicelib.jobs import Format
from container.events import Item
from container.media import MediaError
from container.steps import OutOfTime
from container.whole import Whole

SOURCE_SECONDS = 3600
# What a text was heard in: `talk.mp4` and `talk.mov` have texts of their own, the second one's is `talk.mov.txt`.
SOURCE = "source-sha256"
NOT_MEDIA = ("not_media", "no_audio", "empty")


@dataclass(frozen=True)
class Items:
    """Transcribes listed objects; `client` is boto3's for S3."""

    client: Any
    media: str
    transcripts: str
    whole: Whole

    def transcribe(self, items: Sequence[Item], time_left: Callable[[], float]) -> dict[str, Any]:
        """What became of each item, in a word and a reason. What was done by an earlier call is not done again.

        Raises OutOfTime when the time does not suffice for all of them.
        """
        results: list[dict[str, Any]] = []
        for item in items:
            try:
                results.append({"Key": item.Key, **self._item(item.Key, time_left)})
            except OutOfTime:
                raise OutOfTime(
                    f"{len(results)} of {len(items)} items are done, and the time ended at {item.Key}. Send the items "
                    "again to go on; a file too long for one invocation has to be sent as a job."
                ) from None
        return {"Items": results}

    def _item(self, key: str, time_left: Callable[[], float]) -> dict[str, Any]:
        if key.endswith("/"):
            return skipped("It is a folder.")
        if PurePosixPath(key).name == keys.DONE:
            return skipped("It only says that a folder is complete.")
        uploaded, target = self._head(self.media, key), f"{PurePosixPath(key).with_suffix('')}.{Format.TXT}"
        if uploaded is None:
            return failed(f"There is no such object in the bucket {self.media}.")
        name = hashlib.sha256(key.encode()).hexdigest()
        written = self._head(self.transcripts, target)
        if written is not None and written["Metadata"].get(SOURCE, name) != name:
            target = f"{key}.{Format.TXT}"
            written = self._head(self.transcripts, target)
        if written is not None and written["LastModified"] >= uploaded["LastModified"]:
            return {"Result": "transcribed", "Transcript": target}
        source = self.client.generate_presigned_url(
            "get_object", Params={"Bucket": self.media, "Key": key}, ExpiresIn=SOURCE_SECONDS
        )
        try:
            transcript = self.whole.transcribe(source, time_left)
        except MediaError as error:
            if error.retryable:
                raise
            return skipped(error.message) if error.code in NOT_MEDIA else failed(error.message)
        text = render(transcript, Format.TXT)
        self.client.put_object(Bucket=self.transcripts, Key=target, Body=text, Metadata={SOURCE: name})
        return {"Result": "transcribed", "Transcript": target, "Seconds": round(transcript.duration, 3)}

    def _head(self, bucket: str, key: str) -> Any:
        """What S3 tells of an object, `None` if it is not there."""
        try:
            return self.client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise


def skipped(reason: str) -> dict[str, str]:
    return {"Result": "skipped", "Reason": reason}


def failed(reason: str) -> dict[str, str]:
    return {"Result": "failed", "Reason": reason}
