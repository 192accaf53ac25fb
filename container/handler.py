"""The image's entry point for Lambda: events in, logs, metrics and traces out."""

import functools
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging import utils
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib import prices
from container import events
from container.events import BatchEvent, FailFileEvent, FailJobEvent, FileEvent, ItemsEvent, StepEvent
from container.function import Done, Function

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: Any, context: Any) -> dict[str, Any]:
    """Runs one event of `container.events`. Any error is raised: whoever invoked the function tries again."""
    with _scratch(), _costed(context):
        parsed = events.parse(event)
        _correlate(parsed)
        started = time.monotonic()
        done = _function().run(parsed, lambda: context.get_remaining_time_in_millis() / 1000)
        _measure(parsed, done, time.monotonic() - started)
        logger.info("done", extra={"result": done.result})
        return done.result


@functools.cache
def _function() -> Function:
    """Built by the first event of a container, kept for the others."""
    logging.getLogger("container")
    utils.copy_config_to_registered_loggers(logger, include={"container"}, log_level=logging.INFO)
    return Function(os.environ)


def _correlate(event: StepEvent | ItemsEvent) -> None:
    """Puts the job, file and batch on every line of the log and on the trace."""
    keys: dict[str, str | int]
    match event:
        case ItemsEvent():
            keys = {"step": "items", "items": len(event.Items)}
        case BatchEvent():
            keys = {"step": event.step, "job": event.job, "batch": event.batch.index}
        case FileEvent() | FailFileEvent():
            keys = {"step": event.step, "job": event.job, "file": event.file}
        case _:
            keys = {"step": event.step, "job": event.job}
    logger.append_keys(**keys)
    for key, value in keys.items():
        tracer.put_annotation(key, str(value))
        metrics.add_metadata(key, value)
    if isinstance(event, FailFileEvent | FailJobEvent):
        logger.error("given up", extra={"cause": event.cause.model_dump()})


def _measure(event: StepEvent | ItemsEvent, done: Done, seconds: float) -> None:
    if done.audio_seconds:
        metrics.add_metric("AudioSeconds", MetricUnit.Seconds, done.audio_seconds)
        metrics.add_metric("RealtimeFactor", MetricUnit.NoUnit, seconds / done.audio_seconds)
    if isinstance(event, FailFileEvent):
        metrics.add_metric("FilesFailed", MetricUnit.Count, 1)
    if isinstance(event, FailJobEvent):
        metrics.add_metric("JobsFailed", MetricUnit.Count, 1)


@contextmanager
def _costed(context: Any) -> Iterator[None]:
    """Reports what the invocation costs, in US dollars, whether it succeeds or not."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - started
        cost = prices.invocation(int(context.memory_limit_in_mb), seconds, platform.machine())
        metrics.add_metric("Cost", MetricUnit.NoUnit, cost)


@contextmanager
def _scratch() -> Iterator[None]:
    """An empty folder for temporary files, gone afterwards with all that an invocation, or a killed one, put there."""
    folder = Path(tempfile.gettempdir(), "transcribe")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    was, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = was
        shutil.rmtree(folder, ignore_errors=True)
