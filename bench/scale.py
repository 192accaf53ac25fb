"""What jobs take on Lambda: time, function-seconds, concurrency and money, by a simulation of events.

Every file is of the same length. An invocation waits for its turn, since Step Functions starts so many children a
second, and for one of so many functions; an environment that is idle is taken before a new one starts cold.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib import prices, speeds

VCPU = 1769
"""MB of memory that buy one processor."""
CEILING = 900.0
"""Seconds after which Lambda stops a function."""
DISPATCH = 100.0
"""Children of a Distributed Map that start in a second."""
TRANSITION = 0.025 / 1000
JOB_TRANSITIONS, CHILD_TRANSITIONS = 10, 2
OTHER_DOLLARS = 0.0011
"""S3, DynamoDB, logs and metrics for an hour of audio (docs/cost.md)."""


@dataclass(frozen=True)
class Platform:
    """An account and its settings. `concurrency` are the functions that one job may keep busy; memory is in MB."""

    concurrency: int
    transcriber_memory: int = 3008
    steps_memory: int = 1769
    architecture: str = "x86_64"
    cold_start: float = 5.0
    state: float = 1.0
    """Seconds between two states of the workflow: reading the list of a map, starting its children."""
    short_step: float = 1.0
    """Seconds of a step that is neither decoding nor recognising."""


@dataclass(frozen=True)
class Work:
    """`files` of `seconds` of audio each. A processor needs so many seconds for one second of audio."""

    files: int
    seconds: float
    recognising: float
    preparing: float

    @property
    def audio_seconds(self) -> float:
        return self.files * self.seconds


@dataclass(frozen=True)
class Burst:
    """Invocations of one function: seconds until the last has ended, seconds of them all, how many environments."""

    seconds: float
    function_seconds: float
    environments: int
    invocations: int


@dataclass(frozen=True)
class Outcome:
    """`failed` if the files cannot be transcribed at all; then `seconds` and `dollars` are what the attempt takes."""

    seconds: float
    function_seconds: float
    concurrency: int
    dollars: float
    failed: bool = False


def burst(durations: Iterable[float], at_once: int, rate: float, cold: float, warm: int = 0) -> Burst:
    """Invocations in their order, `rate` of them started in a second at most, `warm` environments being there."""
    idle_at = [0.0] * warm
    busy_seconds, last, count = 0.0, 0.0, 0
    for number, duration in enumerate(durations):
        now, count = number / rate, number + 1
        if idle_at and (idle_at[0] <= now or len(idle_at) >= at_once):
            now = max(now, heapq.heappop(idle_at))
        else:
            duration += cold
        heapq.heappush(idle_at, now + duration)
        busy_seconds += duration
        last = max(last, now + duration)
    return Burst(last, busy_seconds, len(idle_at), count)


def in_batches(work: Work, batch_seconds: float, platform: Platform) -> Outcome:
    """This service: every file is prepared, all chunks go into batches of about equal length, every file is merged."""
    steps, transcriber = platform.steps_memory / VCPU, platform.transcriber_memory / VCPU
    at_once, cold = platform.concurrency, platform.cold_start
    prepared = burst([work.seconds * work.preparing / min(1.0, steps)] * work.files, at_once, DISPATCH, cold)
    longest = speeds.batch_seconds(batch_seconds, work.recognising, transcriber)
    batches = max(1, math.ceil(work.audio_seconds / longest))
    batch = work.audio_seconds / batches * work.recognising / transcriber
    recognised = burst([batch] * batches, at_once, DISPATCH, cold)
    merged = burst([platform.short_step] * work.files, at_once, DISPATCH, cold, prepared.environments)
    short = burst([platform.short_step] * 3, 1, DISPATCH, 0.0, 1)  # plan, batch, finish
    light = prepared.function_seconds + merged.function_seconds + short.function_seconds
    invocations = prepared.invocations + batches + merged.invocations + short.invocations
    dollars = (
        _gigabyte_seconds(platform.steps_memory, light, platform)
        + _gigabyte_seconds(platform.transcriber_memory, recognised.function_seconds, platform)
        + invocations * prices.REQUEST
        + TRANSITION * (JOB_TRANSITIONS + CHILD_TRANSITIONS * (2 * work.files + batches))
        + OTHER_DOLLARS * work.audio_seconds / 3600
    )
    return Outcome(
        seconds=cold + sum(each.seconds for each in (prepared, recognised, merged, short)) + 6 * platform.state,
        function_seconds=light + recognised.function_seconds,
        concurrency=max(each.environments for each in (prepared, recognised, merged)),
        dollars=dollars,
    )


def in_one_function(work: Work, platform: Platform) -> Outcome:
    """The obvious design: an upload's event starts a function that does all of the file, or is stopped at CEILING."""
    processors = platform.transcriber_memory / VCPU
    needed = work.seconds * (work.preparing / min(1.0, processors) + work.recognising / processors)
    failed = needed > CEILING
    done = burst([min(needed, CEILING)] * work.files, platform.concurrency, math.inf, platform.cold_start)
    dollars = (
        _gigabyte_seconds(platform.transcriber_memory, done.function_seconds, platform)
        + work.files * prices.REQUEST
        + OTHER_DOLLARS * work.audio_seconds / 3600
    )
    return Outcome(done.seconds, done.function_seconds, done.environments, dollars, failed)


def longest_in_one_function(work: Work, platform: Platform) -> float:
    """Seconds of audio that one function can do before it is stopped."""
    processors = platform.transcriber_memory / VCPU
    return CEILING / (work.preparing / min(1.0, processors) + work.recognising / processors)


def _gigabyte_seconds(memory: int, seconds: float, platform: Platform) -> float:
    return memory / 1024 * seconds * prices.GIGABYTE_SECOND[platform.architecture]
