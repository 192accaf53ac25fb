"""One container of the function: an event becomes a step, its result keys and counts."""

import functools
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import prices, speeds
from chalicelib.aws import platform as aws
from chalicelib.aws.environment import VCPU_MEGABYTES, Environment, SettingError, require
from chalicelib.metering import Meter
from chalicelib.transcript import Batch, BatchChunk
from container import catalogue
from container.events import (
    BatchEvent,
    FailFileEvent,
    FailJobEvent,
    FileEvent,
    ItemsEvent,
    JobEvent,
    StepEvent,
)
from container.items import Items
from container.lanes import Lanes
from container.steps import Steps
from container.vad import SpeechDetector
from container.voices import Voices
from container.whole import Whole

VARIABLES = (
    *("MEDIA_BUCKET", "TRANSCRIPTS_BUCKET", "TABLE", "MODELS_DIR", "DEFAULT_MODEL", "BATCH_SECONDS"),
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
)
GAVE_UP = {"unprepared": "The file could not be read.", "unmerged": "The transcript could not be written."}


@dataclass(frozen=True)
class Done:
    """The result of an event, and how many seconds of audio were recognised for it."""

    result: dict[str, Any]
    audio_seconds: float = 0.0


class Function:
    """The steps over S3 and DynamoDB, with the models kept loaded between invocations."""

    def __init__(self, environment: Environment) -> None:
        """Raises SettingError if a variable of the environment is missing, or a bucket that one names."""
        require(environment, *VARIABLES)
        models, memory = Path(environment["MODELS_DIR"]), int(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        objects = aws.objects(environment)
        for name in ("MEDIA_BUCKET", "TRANSCRIPTS_BUCKET"):
            _require_bucket(objects.client, name, environment[name])

        def detector() -> SpeechDetector:
            return SpeechDetector(catalogue.path(catalogue.VAD, models))

        @functools.cache
        def voices() -> Voices:
            return Voices(catalogue.path(catalogue.VOICES, models))

        # Batches are made by a function of other memory than those that transcribe.
        transcribers = int(environment.get("TRANSCRIBE_MEMORY") or memory)

        def batch_seconds(model: str) -> float:
            wanted, processors = float(environment["BATCH_SECONDS"]), transcribers / VCPU_MEGABYTES
            return speeds.batch_seconds(wanted, speeds.processor_seconds(model), processors)

        self._memory = memory
        self._records = aws.records(environment)
        self._lanes = Lanes(models, os.cpu_count() or 1, memory * 2**20)
        self._steps = Steps(
            objects=objects,
            records=self._records,
            index=aws.index(environment),
            recogniser=self._lanes.recogniser,
            detector=detector,
            voices=voices,
            batch_seconds=batch_seconds,
            workers=1,
        )
        whole = Whole(self._lanes, detector, environment["DEFAULT_MODEL"])
        self._items = Items(objects.client, objects.media, objects.transcripts, whole)

    def run(self, event: StepEvent | ItemsEvent, time_left: Callable[[], float]) -> Done:
        """Runs an event; `time_left` gives the seconds until the function is stopped."""
        if isinstance(event, ItemsEvent):
            return self._run(event, time_left)
        price = prices.GIGABYTE_SECOND[platform.machine()]
        meter = Meter()
        try:
            return self._run(event, time_left)
        finally:
            # What fails costs the same.
            meter.count(self._records, event.job, self._memory / 1024, price, prices.REQUEST)

    def _run(self, event: StepEvent | ItemsEvent, time_left: Callable[[], float]) -> Done:
        match event:
            case JobEvent(step="plan"):
                return Done({"job": event.job, "files": len(self._steps.plan(event.job))})
            case FileEvent(step="prepare"):
                self._steps.prepare(event.job, event.file)
                return Done({"job": event.job, "file": event.file})
            case JobEvent(step="batch"):
                return Done({"job": event.job, "batches": len(self._steps.batch(event.job))})
            case BatchEvent():
                seconds = self._transcribe(event.job, event.batch, time_left)
                return Done({"job": event.job, "batch": event.batch.index}, seconds)
            case FileEvent(step="merge"):
                self._steps.merge(event.job, event.file)
                return Done({"job": event.job, "file": event.file})
            case JobEvent(step="finish"):
                self._steps.finish(event.job)
                return Done({"job": event.job})
            case FailFileEvent():
                message = f"{GAVE_UP[event.code]} {event.cause.sentence} Send the file again."
                self._steps.fail_file(event.job, event.file, event.code, message)
                return Done({"job": event.job, "file": event.file})
            case FailJobEvent():
                self._steps.fail_job(event.job, f"The job could not be finished. {event.cause.sentence} Send it again.")
                return Done({"job": event.job})
            case ItemsEvent():
                result = self._items.transcribe(event.Items, time_left)
                return Done(result, sum(item.get("Seconds", 0) for item in result["Items"]))
            case _:
                raise AssertionError(f"no step for {event}")

    def _transcribe(self, job: str, batch: Batch, time_left: Callable[[], float]) -> float:
        def part(chunks: list[BatchChunk]) -> float:
            return self._steps.transcribe(job, Batch(index=batch.index, chunks=chunks), time_left)

        recorded = self._records.job(job)
        if recorded is None or recorded.options.model is None:
            return 0.0  # The job was deleted.
        return sum(self._lanes.share(recorded.options.model, batch.chunks, part))


def _require_bucket(s3: Any, variable: str, bucket: str) -> None:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "404":
            raise SettingError(
                f"There is no bucket {bucket}, which {variable} names: deploy the stack again."
            ) from None
        if code == "403":
            raise SettingError(f"The role may not list the bucket {bucket} ({variable}).") from None
        raise
