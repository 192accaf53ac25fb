"""Nobody reaches what is another's, or learns that it is there: all routes of the API are walked, whichever there are.

A route is asked for a job of another owner and for a job that there is not, with every query and body that some route
wants; both answers must be the same. So a route has to look whose the job is before it looks at anything else.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from app import app
from chalicelib import keys
from chalicelib.jobs import FileState
from tests.serving import MISSING, Served, serving_site

QUERIES = ["", "?format=txt", "?limit=5", "?state=succeeded", "?q=secret"]
BODIES: list[Any] = [None, {}, {"files": [{"path": "x.mp4", "size": 1}]}, {"parts": [{"number": 1, "etag": "e"}]}]
# Values of a path's parameters, other than the job, that lead to something in Ann's job.
VALUES = {"n": "0", "version": keys.ORIGINAL}
# Routes whose parameters name something else than a job and what it has. They have tests of their own.
OTHERS = {"/assets/{name}", "/tokens/{token_id}"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str

    @property
    def parameters(self) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", self.path))

    def url(self, **values: str) -> str:
        return self.path.format(**VALUES, **values)


ROUTES = [Route(method, path) for path, methods in app.routes.items() for method in methods]
OF_JOBS = [route for route in ROUTES if route.parameters and route.path not in OTHERS]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture(scope="module")
def job(served: Served) -> str:
    """A job of Ann's in which there is all that a route may be asked for: media, a transcript, a file to upload."""
    created = served.job(3, 3)
    served.ann.put(created["files"][0]["upload"]["url"], content=b"abc").raise_for_status()
    file = served.site.records.file(created["id"], 0)
    assert file is not None
    served.site.records.move_file(file, FileState.SUCCEEDED)
    for format in ("txt", "json"):
        served.site.objects.put(keys.transcript(created["id"], "week1/0", format), b'{"segments": []}')
    recorded = served.site.records.job(created["id"])
    assert recorded is not None
    served.site.index.put(recorded, 0, [[(0.0, "a secret of week1")]])
    assert [hit["job"] for hit in served.ann.get("/search?q=secret").json()["hits"]] == [created["id"]]
    served.site.objects.put(keys.version(created["id"], 0, keys.ORIGINAL), b'{"segments": []}')
    return str(created["id"])


def told(response: httpx.Response, id: str) -> tuple[int, str, dict[str, str]]:
    """All of an answer but its date, with the job's id, which the caller knew, made the same."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status_code, response.text.replace(id, "ID"), headers


def test_the_walk_knows_every_parameter() -> None:
    for route in OF_JOBS:
        assert {"job_id"} <= route.parameters <= {"job_id", *VALUES}, f"tell {__file__} what to fill into {route.path}"
    assert len(OF_JOBS) >= 15
    assert {route.path for route in ROUTES} >= OTHERS


@pytest.mark.parametrize("route", OF_JOBS, ids=str)
def test_the_job_of_another_is_like_none(served: Served, job: str, route: Route) -> None:
    before = served.site.records.job(job), served.site.records.files(job, 10)
    statuses = set()
    for query, body in itertools.product(QUERIES, BODIES):
        answers = []
        for id in (job, MISSING):
            answer = served.bob.request(route.method, route.url(job_id=id) + query, json=body)
            answers.append(told(answer, id))
        assert answers[0] == answers[1]
        statuses.add(answers[0][0])
    assert statuses == {HTTPStatus.NOT_FOUND}
    assert (served.site.records.job(job), served.site.records.files(job, 10)) == before


@pytest.mark.parametrize("route", [route for route in OF_JOBS if "n" in route.parameters], ids=str)
def test_a_file_is_that_of_the_job_it_is_asked_of(served: Served, job: str, route: Route) -> None:
    """One's own job does not open the files of another's."""
    own = served.bob.post("/jobs", json={"files": [{"path": "own.mp4", "size": 9}]}).json()["id"]
    for n in ("1", "99", "-1", f"..%2F..%2F{job}%2Ffiles%2F0"):
        answer = served.bob.request(
            route.method, route.path.format(**{**VALUES, "job_id": own, "n": n}) + "?format=txt", json={}
        )
        assert answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY), answer.text
        assert "week1" not in answer.text


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.parameters], ids=str)
def test_lists_hold_what_is_ones_own(served: Served, job: str, route: Route) -> None:
    for query in ("", f"?cursor={job}&limit=5", "?label=a:b", "?state=succeeded", "?q=secret"):
        answer = served.bob.request(route.method, route.url() + query, json=None)
        assert "week1" not in answer.text
        assert f'"{job}"' not in answer.text


@pytest.mark.parametrize("route", OF_JOBS, ids=str)
def test_the_owner_is_told_of_a_missing_job_in_the_same_words(served: Served, route: Route) -> None:
    for client in (served.ann, served.bob):
        answer = client.request(route.method, route.url(job_id=MISSING) + "?format=txt", json={})
        assert answer.json()["detail"] == "There is no such job."


def test_without_a_token_every_route_but_those_for_all_is_closed(served: Served, job: str) -> None:
    for route in OF_JOBS:
        answer = httpx.request(route.method, served.url + route.url(job_id=job))
        assert answer.status_code == HTTPStatus.UNAUTHORIZED, route
