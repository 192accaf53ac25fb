"""How a job of 100,000 files is added, asked for, stopped, retried and deleted: `python -m bench.jobs`."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chalicelib import retention
from chalicelib.jobs import FileError, FileState
from chalicelib.requests import MAX_PAGE
from tests.serving import Served, serving_site

FILES = 100_000
# In seconds; the first two are promised, the others keep it pleasant.
BOUNDS = {"GET /jobs/<id>": 0.05, "POST /jobs with 1,000 files": 2.0, "a page": 3.0, "files in one state": 0.5}


@dataclass(frozen=True)
class Figures:
    """Seconds by what was done."""

    files: int
    taken: dict[str, float]

    @property
    def missed(self) -> list[str]:
        over = ((what, bound) for what, bound in BOUNDS.items() if self.taken[what] > bound)
        return [f"{what}: {self.taken[what]:.3f} s where {bound} s are allowed" for what, bound in over]

    def __str__(self) -> str:
        figures = (f"{what} {1000 * seconds:.1f} ms" for what, seconds in self.taken.items())
        return f"a job of {self.files:,} files: " + ", ".join(figures)


def measure(folder: Path, files: int) -> Figures:
    """Through HTTP, over real records and objects; the workflow alone is missing."""
    with serving_site(folder) as served:
        return _measure(served, files)


def _measure(served: Served, files: int) -> Figures:
    taken: dict[str, float] = {}

    def ask(method: str, path: str, **how: Any) -> Any:
        return served.ann.request(method, path, **how).raise_for_status()

    page = min(MAX_PAGE, files // 4)
    whole = {"files": _files(0, page)}
    taken["POST /jobs with 1,000 files"] = _seconds(lambda: ask("POST", "/jobs", json=whole))
    job = ask("POST", "/jobs", json={**whole, "sealed": False}).json()["id"]
    pages = []
    for start in range(page, files, page):
        body = {"files": _files(start, min(page, files - start)), "sealed": start + page >= files}
        pages.append(_seconds(lambda body=body: ask("POST", f"/jobs/{job}/files", json=body)))  # type: ignore[misc]
    taken["a page"] = statistics.median(pages)
    taken["the slowest page"] = max(pages)
    assert ask("GET", f"/jobs/{job}").json()["files_total"] == files
    taken["the last page again"] = _seconds(lambda: ask("POST", f"/jobs/{job}/files", json=body))
    _fail_some(served, job, files)
    taken["GET /jobs/<id>"] = _median(lambda: ask("GET", f"/jobs/{job}"))
    taken["files in one state"] = _median(lambda: ask("GET", f"/jobs/{job}/files?state=failed"))
    taken["cancel"] = _seconds(lambda: ask("POST", f"/jobs/{job}/cancel"))
    taken["GET /jobs/<id>, cancelled"] = _median(lambda: ask("GET", f"/jobs/{job}"))
    taken["retry"] = _seconds(lambda: ask("POST", f"/jobs/{job}/retry"))
    taken["delete"] = _seconds(lambda: ask("DELETE", f"/jobs/{job}"))
    assert served.ann.get(f"/jobs/{job}").status_code == httpx.codes.NOT_FOUND
    taken["sweep"] = _seconds(lambda: _sweep(served, job))
    return Figures(files, taken)


def _files(start: int, count: int) -> list[dict[str, Any]]:
    return [{"path": f"course {n // 1000}/week {n // 50}/{n} é.mp4", "size": n} for n in range(start, start + count)]


def _fail_some(served: Served, job: str, files: int) -> None:
    """One file of a hundred has failed, half are being worked at."""
    every = served.site.records.files(job, files)
    served.site.records.move_files(every[::2], FileState.TRANSCRIBING)
    failed = {"error": FileError(code="damaged", message="It is damaged.")}
    served.site.records.move_files(every[1::100], FileState.FAILED, failed)


def _sweep(served: Served, job: str) -> None:
    retention.sweep(served.site.service)
    assert served.site.records.files(job, 1) == []


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _median(action: Callable[[], object]) -> float:
    return statistics.median(_seconds(action) for _ in range(20))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), FILES)
    print(figures)
    if figures.missed:
        sys.exit("\n".join(figures.missed))


if __name__ == "__main__":
    main()
