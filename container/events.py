"""What the container function is asked to do: the workflow's steps, and the older pipeline's lists of objects."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from chalicelib.transcript import Batch


class Cause(BaseModel):
    """What Step Functions hands to a `Catch`; `Cause` is JSON where a function raised the error."""

    Error: str
    Cause: str = ""

    @property
    def sentence(self) -> str:
        """What happened, for people who know nothing of the machinery."""
        return SENTENCES.get(self.kind, "Something went wrong on our side.")

    @property
    def kind(self) -> str:
        """The error's name: that of the exception where the function died of one."""
        try:
            raised = json.loads(self.Cause)
        except ValueError:
            return self.Error
        named = raised.get("errorType") if isinstance(raised, dict) else None
        return named if isinstance(named, str) else self.Error


TOO_LONG = "It took longer than a function may run."
TOO_LARGE = "It needed more memory than the function has."
BUSY = "All functions of the account were busy for too long."
SENTENCES = {
    "Sandbox.Timedout": TOO_LONG,
    "States.Timeout": TOO_LONG,
    "OutOfTime": TOO_LONG,
    "Runtime.ExitError": TOO_LARGE,
    "Runtime.OutOfMemory": TOO_LARGE,
    "MemoryError": TOO_LARGE,
    "Lambda.TooManyRequestsException": BUSY,
    "TooManyRequestsException": BUSY,
    "States.ItemReaderFailed": "The workflow's own files could not be read.",
}


class JobEvent(BaseModel):
    step: Literal["plan", "batch", "finish"]
    job: str


class FileEvent(BaseModel):
    step: Literal["prepare", "merge"]
    job: str
    file: int


class BatchEvent(BaseModel):
    step: Literal["transcribe"]
    job: str
    batch: Batch


class FailFileEvent(BaseModel):
    step: Literal["fail_file"]
    job: str
    file: int
    code: Literal["unprepared", "unmerged"]
    cause: Cause


class FailJobEvent(BaseModel):
    step: Literal["fail_job"]
    job: str
    cause: Cause


class Item(BaseModel):
    """An object of the media bucket, as S3 lists it."""

    Key: str
    Size: int | None = None


class ItemsEvent(BaseModel):
    """The payload of the older pipeline."""

    Items: list[Item]


StepEvent = JobEvent | FileEvent | BatchEvent | FailFileEvent | FailJobEvent
STEP = TypeAdapter[StepEvent](Annotated[StepEvent, Field(discriminator="step")])


class BadEvent(Exception):
    """The event is none that the function knows; the message says why."""


def parse(event: Any) -> StepEvent | ItemsEvent:
    """Raises BadEvent."""
    try:
        if isinstance(event, dict) and "Items" in event:
            return ItemsEvent.model_validate(event)
        return STEP.validate_python(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "event"
        raise BadEvent(f"The event is not valid: {place}: {first['msg']}.") from None
