"""What a token may use and has used: requests a minute, audio and money a month, sizes and numbers of files."""

import math
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from chalicelib.access import Scope, Token
from chalicelib.errors import Problem, unauthorized
from chalicelib.jobs import Job
from chalicelib.ports import Counters, Records
from chalicelib.requests import NewFile
from chalicelib.validation import field_error, wrong_fields

MINUTE = 60
HOUR = 3600
# How long a month's figures are kept after it, for whoever looks at them late.
KEEP_SECONDS = 40 * 24 * 3600
AUDIO, DOLLARS = "audio_seconds", "dollars"


class MemoryCounters:
    """`chalicelib.ports.Counters` of one process, forgotten when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, tuple[float, dict[str, float]]] = {}

    def count(self, key: str, amounts: Mapping[str, float], expires_at: float, now: float) -> dict[str, float]:
        with self._lock:
            if key not in self._counters:
                self._counters = {key: kept for key, kept in self._counters.items() if kept[0] > now}
            _, sums = self._counters.setdefault(key, (expires_at, {}))
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + amount
            return dict(sums)


def admit(
    counters: Counters, token: str, scopes: Collection[str], per_minute: int | None, needed: Scope, now: float
) -> None:
    """Raises Problem if a token (its id) has not the scope that a request needs, or has made too many requests."""
    if needed not in scopes:
        raise Problem(HTTPStatus.FORBIDDEN, f"The token has not the scope {needed.value!r}, which this request needs.")
    if per_minute is None:
        return
    window = math.floor(now / MINUTE)
    end = (window + 1) * MINUTE
    made = counters.count(f"requests#{token}#{window}", {"requests": 1}, end, now)
    if made["requests"] > per_minute:
        seconds = max(1, math.ceil(end - now))
        detail = f"The token may make {per_minute} requests a minute. Try again in {seconds} seconds."
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(seconds)})


def admit_job(records: Records, token_id: str | None, files: Sequence[NewFile], now: float) -> Token | None:
    """The token that makes a job of `files`. Raises Problem if a limit of it is reached; what runs already goes on."""
    token = _valid(records, token_id)
    if token is not None:
        admit_files(token, files, len(files))
        admit_work(records, token, now)
    return token


def admit_more(
    records: Records, job: Job, token_id: str | None, files: Sequence[NewFile], total: int, now: float
) -> None:
    """Raises Problem if a token may not add `files` to a job, which has `total` then, or the one that made it may not,
    towards whose month they count.
    """
    adds = _valid(records, token_id)
    made = None if job.token in (None, token_id) else records.token(job.token)
    for token in (adds, made):
        if token is not None:
            admit_files(token, files, total)
            admit_work(records, token, now)


def _valid(records: Records, id: str | None) -> Token | None:
    """The token of a request. Raises Problem if it was revoked after the request was let in."""
    token = None if id is None else records.token(id)
    if id is not None and token is None:
        raise unauthorized()
    return token


def admit_files(token: Token, files: Sequence[NewFile], total: int) -> None:
    """Raises Problem if one of `files` is too large for a token, or a job of `total` files is."""
    most, largest = token.limits.files_per_job, token.limits.largest_file
    if most is not None and total > most:
        raise wrong_fields(field_error("files", f"must hold no more than {most} a job, which is this token's limit"))
    if largest is not None:
        large = [n for n, file in enumerate(files) if file.size > largest]
        message = f"must not be more than {largest} bytes, which is this token's limit"
        if large:
            raise wrong_fields(*(field_error(f"files[{n}].size", message) for n in large))


def admit_work(records: Records, token: Token, now: float) -> None:
    """Raises Problem if the month's audio or money of a token is used up."""
    hours, dollars = token.limits.audio_hours_per_month, token.limits.dollars_per_month
    if hours is None and dollars is None:
        return
    use = used(records, token.id, now)
    begins = _month_end(now).strftime("%Y-%m-%d")
    if hours is not None and use[AUDIO] >= hours * HOUR:
        spent = f"{use[AUDIO] / HOUR:.2f} of its {hours:g} hours of audio"
    elif dollars is not None and use[DOLLARS] >= dollars:
        spent = f"{use[DOLLARS]:.2f} of its {dollars:g} dollars"
    else:
        return
    detail = f"The token has used {spent} of this month. The next month begins on {begins} (UTC)."
    raise Problem(HTTPStatus.PAYMENT_REQUIRED, detail)


def used(records: Records, token: str, now: float) -> dict[str, float]:
    """The audio seconds and the dollars that a token (its id) has used this month."""
    return {AUDIO: 0.0, DOLLARS: 0.0, **records.counted(_month_key(token, now))}


def spend(records: Records, job: Job | None, now: float, *, audio_seconds: float = 0, dollars: float = 0) -> None:
    """Counts towards the month of the token that made a job."""
    amounts = {name: amount for name, amount in ((AUDIO, audio_seconds), (DOLLARS, dollars)) if amount}
    if job is not None and job.token is not None and amounts:
        expires = _month_end(now).timestamp() + KEEP_SECONDS
        records.count(_month_key(job.token, now), amounts, expires, now)


def _month_key(token: str, now: float) -> str:
    return f"used#{token}#{datetime.fromtimestamp(now, UTC):%Y-%m}"


def _month_end(now: float) -> datetime:
    day = datetime.fromtimestamp(now, UTC)
    return datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
