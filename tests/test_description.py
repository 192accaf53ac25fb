"""The API's description, as a document and as a page."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from app import app
from chalicelib import answers
from chalicelib.access import Limits
from chalicelib.description import openapi, reference
from chalicelib.description.routes import OPERATIONS
from chalicelib.jobs import Options
from tests.browsing import CHROMIUM, FLAGS, shoot
from tests.serving import Served, serving_site

ROUTES = {(method, path): entry for path, methods in app.routes.items() for method, entry in methods.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    answer = httpx.get(f"{served.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-encoding"] == "gzip"
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = operations(document)
    assert set(described) == set(ROUTES)
    for route, operation in described.items():
        assert operation["operationId"] == ROUTES[route].view_name
        assert bool(operation["security"]) == (ROUTES[route].authorizer is not None)
        parameters = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
        assert parameters == re.findall(r"{(\w+)}", route[1])


def test_errors_of_all_statuses_are_problems(document: dict[str, Any]) -> None:
    for route, operation in operations(document).items():
        refused = {status: told for status, told in operation["responses"].items() if int(status) >= 400}
        for status, told in refused.items():
            response = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}
            assert content["example"]["status"] == int(status)
        expected = {"500", "503"} | ({"401", "403", "429"} if operation["security"] else set())
        expected |= {"400", "408", "413", "415", "422"} if "requestBody" in operation else set()
        assert expected <= set(refused), route


def test_examples_are_what_their_schemas_say(document: dict[str, Any]) -> None:
    checked = 0
    for place in contents(document):
        if "example" in place:
            whole = {**place["schema"], "components": document["components"]}
            Draft202012Validator(whole).validate(place["example"])
            checked += 1
    assert checked > 70


def contents(part: Any) -> Iterator[dict[str, Any]]:
    """Everything that has a schema."""
    if isinstance(part, dict):
        if "schema" in part:
            yield part
        for inner in part.values():
            yield from contents(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from contents(inner)


def test_examples_of_requests_are_taken(served: Served, document: dict[str, Any]) -> None:
    for route, status in {("POST", "/jobs"): 201, ("POST", "/jobs/estimate"): 200}.items():
        ((_, content),) = operations(document)[route]["requestBody"]["content"].items()
        assert served.ann.post(route[1], json=content["example"]).status_code == status


def test_the_document_knows_the_models_and_where_it_is_served(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "servers" not in document
    for name in ("Options", "EstimateRequest"):
        assert schemas[name]["properties"]["model"]["anyOf"][0] == {"enum": ["base", "tiny.en"]}
    below = openapi.document("/api", "1.2.3", ("large",))
    assert below["servers"] == [{"url": "/api"}]
    assert below["info"]["version"] == "1.2.3"


def test_no_setting_is_left_out_of_an_answer() -> None:
    assert set(answers.ChosenOptions.__annotations__) == set(Options.model_fields)
    assert set(answers.TokenLimits.__annotations__) == set(Limits.model_fields)


def test_the_page_needs_nothing_else(served: Served) -> None:
    answer = httpx.get(f"{served.url}/docs")
    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert set(re.findall(r'(?:src|href)="([^#"][^"]*)"', answer.text)) == {"data:,", "openapi.json"}
    for group in OPERATIONS.values():
        for operation in group:
            assert f'<article id="{operation.name}">' in answer.text
    anchors = set(re.findall(r' id="([^"]+)"', answer.text))
    assert set(re.findall(r'href="#([^"]+)"', answer.text)) <= anchors


def test_what_is_described_cannot_become_markup() -> None:
    document = openapi.document("", "<script>alert(1)</script>", ("<img src=x>",))
    html = reference.page(json.loads(json.dumps(document))).body
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser(served: Served) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = chromium.new_page(viewport={"width": 1280, "height": 800})
        errors: list[str] = []
        requested: list[str] = []
        tab.on("console", lambda message: errors.append(message.text))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(f"{served.url}/docs")
        shoot(tab, "docs")
        for width in (390, 1280):
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.get_by_role("link", name="Correct a transcript").click()
        assert tab.get_by_role("heading", name="Correct a transcript").is_visible()
        assert tab.evaluate("getComputedStyle(document.querySelector('article:target')).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        chromium.close()
    assert errors == []
    assert requested == [f"{served.url}/docs"]
