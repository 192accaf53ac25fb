"""Tokens, scopes and limits, through the real server, the command line and the authorizer that API Gateway asks."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import app
from chalicelib import limits, pages, platform, tokens
from chalicelib.access import NewToken, Scope
from chalicelib.aws import platform as aws_platform
from chalicelib.errors import Problem
from chalicelib.jobs import Job, Options
from chalicelib.limits import MemoryCounters
from chalicelib.requests import NewFile
from local.records import SQLiteRecords
from local.signing import base_url
from tests.serving import MISSING, Served, Site, assert_problem, client, serving_site

PUBLIC = {("GET", path) for path in ("/", "/assets/{name}", "/docs", "/health", "/openapi.json")}
ROUTES = sorted((method, path) for path, methods in app.routes.items() for method in methods)
ADMIN = {("POST", "/tokens"), ("GET", "/tokens"), ("DELETE", "/tokens/{token_id}")}
NOON = 1_795_000_000.0  # 2026-11-18


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


def with_token(served: Served, **settings: Any) -> httpx.Client:
    return client(served.url, served.site.token("ann", **settings))


def request(http: httpx.Client, method: str, path: str) -> httpx.Response:
    for parameter in ("{job_id}", "{token_id}"):
        path = path.replace(parameter, MISSING)
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    kind = "multipart/form-data" if "/audio/" in path else "application/json"
    headers = {"Content-Type": kind} if body else {}
    return http.request(method, path.replace("{n}", "0"), content=body, headers=headers)


def test_no_route_forgets_the_token_or_its_scope(served: Served) -> None:
    """Every route is refused without a token, and to a token of every scope but the needed one."""
    assert {route for route in ROUTES if app.routes[route[1]][route[0]].authorizer is None} == PUBLIC
    tokens = {scope: with_token(served, scopes=[scope]) for scope in Scope}
    for method, path in sorted(set(ROUTES) - PUBLIC):
        assert_problem(request(httpx.Client(base_url=served.url), method, path), 401)
        allowed = {scope for scope, http in tokens.items() if request(http, method, path).status_code != 403}
        assert len(allowed) == 1, (method, path, allowed)
        assert (Scope.ADMIN in allowed) == ((method, path) in ADMIN)
        if method not in ("GET", "HEAD"):
            assert Scope.READ not in allowed or path == "/jobs/estimate"
    refused = request(tokens[Scope.READ], "POST", "/jobs")
    assert_problem(refused, 403, "The token has not the scope 'write', which this request needs.")


def test_tokens_are_made_listed_and_revoked_over_http(served: Served) -> None:
    admin = with_token(served, scopes=["admin"])
    made = admin.post("/tokens", json={"owner": "carl", "name": "ci", "days": 2, "limits": {"files_per_job": 1}})
    assert made.status_code == HTTPStatus.CREATED, made.text
    token = made.json()
    assert token["webhook_secret"].startswith("whsec_")
    carl = client(served.url, token["token"])
    assert carl.get("/jobs").json() == {"jobs": [], "next": None}
    own = carl.get("/token").json()
    assert (own["owner"], own["name"], own["scopes"]) == ("carl", "ci", ["read", "write"])
    assert own["last_used_at"] is not None
    (listed,) = (one for one in admin.get("/tokens").json()["tokens"] if one["id"] == token["id"])
    assert listed == own
    assert "secret" not in json.dumps(listed)
    two = carl.post("/jobs", json={"files": [{"path": "a", "size": 1}, {"path": "b", "size": 1}]})
    assert_problem(two, 422, "files must hold no more than 1 a job, which is this token's limit")
    opened = carl.post("/jobs", json={"files": [{"path": "a", "size": 1}], "sealed": False}).json()
    another = carl.post(f"/jobs/{opened['id']}/files", json={"files": [{"path": "b", "size": 1}]})
    assert_problem(another, 422, "files must hold no more than 1 a job")
    assert admin.delete(made.headers["location"]).status_code == HTTPStatus.NO_CONTENT
    assert_problem(carl.get("/jobs"), 401)
    assert_problem(admin.delete(made.headers["location"]), 404)
    wrong = admin.post("/tokens", json={"owner": "", "scopes": [], "webhook": "http://a.example/"})
    assert {error["field"] for error in wrong.json()["errors"]} == {"owner", "scopes", "webhook"}


def test_requests_a_minute(served: Served) -> None:
    http = with_token(served, limits={"requests_per_minute": 3})
    while time.time() % 60 > 57:
        time.sleep(0.1)
    assert [http.get("/jobs").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = http.get("/jobs")
    assert_problem(refused, 429, "The token may make 3 requests a minute. Try again in ")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert served.ann.get("/jobs").status_code == 200


@pytest.fixture(params=["memory", "dynamodb"])
def counters(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryCounters()
    return aws_platform.records(request.getfixturevalue("aws_environment"))


def test_rates_begin_anew_each_minute(counters: Any) -> None:
    def refused(now: float) -> bool:
        try:
            limits.admit(counters, "t", ["read"], 2, Scope.READ, now)
        except Problem as problem:
            return problem.headers == {"Retry-After": "5"}
        return False

    assert [refused(now) for now in (55, 55, 55, 60, 60, 115)] == [False, False, True, False, False, True]


def job_of(token: str) -> Job:
    return Job(id=MISSING, owner="ann", options=Options(), created_at=0, size=0, counts={}, token=token)


@pytest.mark.parametrize(
    ("limit", "spent", "said"),
    [
        ({"audio_hours_per_month": 2}, {"audio_seconds": 7201}, "2.00 of its 2 hours of audio of this month"),
        ({"dollars_per_month": 0.5}, {"dollars": 0.6}, "0.60 of its 0.5 dollars of this month"),
    ],
)
def test_a_month_that_is_used_up(tmp_path: Path, limit: Any, spent: dict[str, float], said: str) -> None:
    records = SQLiteRecords(tmp_path / "records.sqlite")
    token = tokens.create(records, NewToken(owner="ann", limits=limit), NOON).token
    file = NewFile(path="a", size=1)
    assert limits.admit_job(records, token.id, [file], NOON) == records.token(token.id)
    limits.spend(records, job_of(token.id), NOON, **{name: amount / 2 for name, amount in spent.items()})
    limits.admit_job(records, token.id, [file], NOON)
    limits.spend(records, job_of(token.id), NOON, **{name: amount / 2 for name, amount in spent.items()})
    with pytest.raises(Problem) as refused:
        limits.admit_job(records, token.id, [file], NOON)
    assert refused.value.status == HTTPStatus.PAYMENT_REQUIRED
    assert said in refused.value.detail
    assert "begins on 2026-12-01" in refused.value.detail
    limits.admit_job(records, token.id, [file], NOON + 20 * 86400)


def test_a_job_takes_no_more_files_than_its_tokens_may_send(tmp_path: Path) -> None:
    site = Site.at(tmp_path)
    base_url.set("http://test")

    def token(**limits: Any) -> str:
        return tokens.create(site.records, NewToken.model_validate({"owner": "ann", "limits": limits}), 0).token.id

    def add(name: str, token: str | None, size: int = 1) -> HTTPStatus:
        try:
            pages.add(site.service, "ann", job, page(name, size), token)
        except Problem as problem:
            return problem.status
        return HTTPStatus.CREATED

    def page(name: str, size: int = 1) -> str:
        return json.dumps({"files": [{"path": name, "size": size}], "sealed": False})

    maker, other = token(audio_hours_per_month=1), token(files_per_job=4, largest_file=9)
    job = site.service.create_job("ann", page("a"), None, maker)["id"]
    assert [add("b", maker), add("c", other, 10), add("c", other)] == [201, 422, 201]
    limits.spend(site.records, job_of(maker), site.service.clock(), audio_seconds=3601)
    assert [add("d", maker), add("b", maker), add("d", other), add("d", None)] == [402, 201, 402, 402]
    tokens.revoke(site.records, maker)
    assert [add("d", maker), add("d", other), add("e", other), add("e", None)] == [401, 201, 422, 201]
    with pytest.raises(Problem) as refused:
        site.service.create_job("ann", page("a"), None, maker)
    assert refused.value.status == HTTPStatus.UNAUTHORIZED


def test_the_largest_file(tmp_path: Path) -> None:
    site = Site.at(tmp_path)
    token = tokens.create(site.records, NewToken.model_validate({"owner": "a", "limits": {"largest_file": 9}}), 0).token
    with pytest.raises(Problem, match=r"files\[1\].size must not be more than 9 bytes, which is this token's limit"):
        limits.admit_files(token, [NewFile(path="a", size=9), NewFile(path="b", size=10)], 2)


def test_the_last_use_is_written_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = SQLiteRecords(tmp_path / "records.sqlite")
    token = f"Bearer {tokens.create(records, NewToken(owner='ann'), 0).secret}"
    written: list[float] = []
    use = records.use_token

    def noted(id: str, now: float) -> None:
        written.append(now)
        use(id, now)

    monkeypatch.setattr(records, "use_token", noted)
    for now in (1, 2, 60.5, 61, 62, 500):
        assert tokens.authenticate(records, token, now)
    assert written == [1, 61, 500]


def test_the_authorizer_hands_on_what_the_routes_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As API Gateway calls it; what is not valid may reach nothing."""
    site = Site.at(tmp_path)
    monkeypatch.setattr(platform, "_provided", [site.service])
    secret = site.token("ann", limits={"requests_per_minute": 5}, scopes=["read"])
    event = {"type": "TOKEN", "methodArn": "arn:aws:execute-api:r:1:a/api/GET/jobs", "authorizationToken": "Bearer x"}
    authorize: Any = app.handler_map["bearer"]
    refused = authorize(event, None)["policyDocument"]["Statement"]
    assert [statement["Resource"] for statement in refused] == [[]]
    allowed = authorize({**event, "authorizationToken": f"Bearer {secret}"}, None)
    assert allowed["principalId"] == "ann"
    assert allowed["context"] == {"token": secret.partition(".")[0], "scopes": "read", "requests_per_minute": 5}


def transcriber(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "local.cli", "tokens", *arguments], capture_output=True, text=True)


def test_tokens_on_the_command_line(tmp_path: Path) -> None:
    site, data = Site.at(tmp_path), ["--data", str(tmp_path)]
    made = transcriber("create", *data, "--owner", "ann", "--name", "laptop", "--days", "30", "--scope", "read")
    assert made.returncode == 0, made.stderr
    assert made.stderr.startswith("Webhooks of its jobs are signed with whsec_")
    token = site.service.authenticate(f"Bearer {made.stdout.strip()}")
    assert token is not None
    assert (token.owner, token.name, token.scopes) == ("ann", "laptop", [Scope.READ])
    assert made.stdout.strip().partition(".")[2] not in "".join(map(str, site.records.tokens()))
    listed = json.loads(transcriber("list", *data, "--json").stdout)["tokens"]
    assert [(one["id"], one["owner"]) for one in listed] == [(token.id, "ann")]
    assert transcriber("revoke", *data, token.id).returncode == 0
    assert site.records.tokens() == []
    unknown = transcriber("revoke", *data, token.id)
    assert (unknown.returncode, unknown.stderr) == (1, "Error: There is no such token.\n")
    wrong = transcriber("create", *data, "--owner", "ann", "--days", "0", "--webhook", "https://127.0.0.1/")
    assert wrong.returncode == 1
    assert "days must be 1 or more" in wrong.stderr
    assert "webhook must name a host of the public internet" in wrong.stderr
    nowhere = transcriber("list", "--data", str(tmp_path / "none"))
    assert "There is no service in" in nowhere.stderr


def test_ids_of_listed_tokens_are_whole(tmp_path: Path) -> None:
    site = Site.at(tmp_path)
    secret = site.token("ann.lee@university.example", name="the laptop at home", scopes=list(Scope), days=3)
    assert f" {secret.partition('.')[0]} " in transcriber("list", "--data", str(tmp_path)).stdout
