"""The API's description as one page for people: plain HTML, nothing to load, no script."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from chalicelib.page import Asset, headers

STYLE = Path(__file__).with_suffix(".css").read_text()
CODE = re.compile(r"`([^`]+)`")

Content = str | Element
Schema = Mapping[str, Any]


def page(document: Mapping[str, Any]) -> Asset:
    """The page about an OpenAPI document as `chalicelib.description.openapi` makes it."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Asset(_page(json.dumps(document)), headers("text/html; charset=utf-8", policy))


@functools.lru_cache(maxsize=2)
def _page(described: str) -> str:
    document = json.loads(described)
    html = _e("html", _head(document), _body(document), lang="en")
    return "<!doctype html>\n" + tostring(html, encoding="unicode", method="html")


def _e(tag: str, *content: Content | Iterable[Content], **attributes: str) -> Element:
    """An element; `class_` is its class."""
    element = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    for given in content:
        for item in [given] if isinstance(given, str | Element) else given:
            if isinstance(item, Element):
                element.append(item)
            elif len(element):
                element[-1].tail = (element[-1].tail or "") + item
            else:
                element.text = (element.text or "") + item
    return element


def _head(document: Schema) -> Element:
    return _e(
        "head",
        _e("meta", charset="utf-8"),
        _e("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _e("meta", name="color-scheme", content="light dark"),
        _e("title", f"API of the {document['info']['title'].lower()}"),
        _e("link", rel="icon", href="data:,"),
        _e("style", STYLE),
    )


def _body(document: Schema) -> Element:
    info = document["info"]
    groups = {tag["name"]: list(_operations(document, tag["name"])) for tag in document["tags"]}
    links = [_e("li", name, _e("ul", map(_to_operation, operations))) for name, operations in groups.items()]
    others = [("#webhooks", "Webhooks"), ("#errors", "Errors"), ("#types", "Types")]
    links += [_e("li", _link(*other)) for other in others]
    about = [_e("p", _text(paragraph)) for paragraph in info["description"].split("\n\n")]
    version = _e(
        "p", f"Version {info['version']}. For programs, in OpenAPI 3.1: ", _link("openapi.json", "openapi.json")
    )
    token = _e("p", _text(document["components"]["securitySchemes"]["token"]["description"]))
    return _e(
        "body",
        _e("nav", _e("h2", "Contents"), _e("ul", links), aria_label="Contents"),
        _e(
            "main",
            _e("header", _e("h1", info["title"]), about, token, version),
            (
                _e("section", _e("h2", name), (_operation(*operation) for operation in operations))
                for name, operations in groups.items()
            ),
            _webhooks(document),
            _errors(document),
            _types(document),
        ),
    )


def _operations(document: Schema, group: str) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == [group]:
                yield method.upper(), path, operation


def _to_operation(described: tuple[str, str, Schema]) -> Element:
    _, _, operation = described
    return _e("li", _link(f"#{operation['operationId']}", operation["summary"]))


def _operation(method: str, path: str, operation: Schema) -> Element:
    scopes = [scope for needed in operation["security"] for scope in needed["token"]]
    answers = {status: told for status, told in operation["responses"].items() if "$ref" not in told}
    refused = [status for status in operation["responses"] if status not in answers]
    return _e(
        "article",
        _e("h3", operation["summary"]),
        _e("p", _e("code", _e("b", method), f" {path}"), class_="route"),
        _e("p", _text(operation["description"])) if "description" in operation else [],
        _e("p", "Needs the scope ", _e("code", scopes[0]), ".") if scopes else _e("p", "Needs no token."),
        _parameters(operation["parameters"]) if "parameters" in operation else [],
        _request(operation["requestBody"]) if "requestBody" in operation else [],
        *(_answer(status, told) for status, told in answers.items()),
        _e("p", "Errors: ", _listed(_link(f"#error-{status}", status) for status in refused)),
        id=operation["operationId"],
    )


def _parameters(parameters: list[Schema]) -> Element:
    rows = (
        (
            _e("code", one["name"]),
            f"{one['in']}, " + ("required" if one["required"] else "optional"),
            _kind(one["schema"]),
            _text(one["description"]),
        )
        for one in parameters
    )
    return _table(("Parameter", "Where", "Type", "Meaning"), rows)


def _request(request: Schema) -> list[Element]:
    ((media, content),) = request["content"].items()
    needed = "" if request.get("required", True) else ", which may be left out"
    return [
        _e("h4", "Request"),
        _e("p", _kind(content["schema"]), f" as {media}{needed}"),
        _example(content["example"]),
    ]


def _answer(status: str, told: Schema) -> list[Element]:
    said = [_e("h4", "Answer ", _e("code", status)), _e("p", _text(told["description"]))]
    for media, content in told.get("content", {}).items():
        said.append(_e("p", _kind(content["schema"]), f" as {media}"))
        if "example" in content:
            said.append(_example(content["example"]))
    if "headers" in told:
        rows = ((_e("code", name), _text(header["description"])) for name, header in told["headers"].items())
        said.append(_table(("Header", "Meaning"), rows))
    return said


def _webhooks(document: Schema) -> Element:
    told = [message["post"] for message in document["webhooks"].values()]
    return _e(
        "section",
        _e("h2", "Webhooks"),
        (
            _e("article", _e("h3", one["summary"]), _e("p", _text(one["description"])), _request(one["requestBody"]))
            for one in told
        ),
        id="webhooks",
    )


def _errors(document: Schema) -> Element:
    described = [_e("h2", "Errors")]
    for response in document["components"]["responses"].values():
        ((media, content),) = response["content"].items()
        status = str(content["example"]["status"])
        described.append(
            _e(
                "article",
                _e("h3", _e("code", status), f" {content['example']['title']}"),
                _e("p", _text(response["description"]), " ", _kind(content["schema"]), f" as {media}"),
                _example(content["example"]),
                id=f"error-{status}",
            )
        )
    return _e("section", described, id="errors")


def _types(document: Schema) -> Element:
    schemas = sorted(document["components"]["schemas"].items())
    return _e("section", _e("h2", "Types"), (_type(name, schema) for name, schema in schemas), id="types")


def _type(name: str, schema: Schema) -> Element:
    about = _e("p", _text(schema.get("description", "")))
    if "properties" not in schema:
        return _e("article", _e("h3", name), about, _e("p", _kind(schema)), id=f"type-{name}")
    rows = (
        (
            _e("code", field),
            "" if field in schema.get("required", ()) else "optional",
            _kind(told),
            _text(told.get("description", "")),
        )
        for field, told in schema["properties"].items()
    )
    return _e("article", _e("h3", name), about, _table(("Field", "", "Type", "Meaning"), rows), id=f"type-{name}")


def _kind(schema: Schema) -> Iterator[Content]:
    """What a value may be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield _link(f"#type-{name}", name)
    elif "anyOf" in schema:
        yield from _between([list(_kind(option)) for option in schema["anyOf"]], " or ")
    elif "const" in schema:
        yield _e("code", json.dumps(schema["const"]))
    elif "enum" in schema:
        yield from _between([[_e("code", str(value))] for value in schema["enum"]], ", ")
    elif "items" in schema:
        yield "list of "
        yield from _kind(schema["items"])
        yield _limits(schema)
    elif schema.get("type") == "object":
        yield "map of names"
        if isinstance(schema.get("additionalProperties"), Mapping):
            yield " to "
            yield from _kind(schema["additionalProperties"])
    else:
        yield schema.get("format", schema.get("type", "anything")) + _limits(schema)
    if schema.get("default") not in (None, [], {}, "") and not isinstance(schema["default"], Mapping):
        yield "; default "
        yield _e("code", json.dumps(schema["default"]))


LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}


def _limits(schema: Schema) -> str:
    said = [words.format(schema[name]) for name, words in LIMITS.items() if name in schema]
    return f" ({', '.join(said)})" if said else ""


def _text(text: str) -> list[Content]:
    """`text`, in which there may be `code`."""
    pieces = CODE.split(text)
    return [_e("code", piece) if index % 2 else piece for index, piece in enumerate(pieces)]


def _listed(links: Iterable[Content]) -> Iterator[Content]:
    yield from _between([[link] for link in links], ", ")


def _between(items: list[list[Content]], separator: str) -> Iterator[Content]:
    for index, item in enumerate(items):
        if index:
            yield separator
        yield from item


def _link(href: str, text: str) -> Element:
    return _e("a", text, href=href)


def _example(example: Any) -> Element:
    return _e("pre", _e("code", json.dumps(example, indent=2, ensure_ascii=False)), tabindex="0")


def _table(titles: tuple[str, ...], rows: Iterable[tuple[Content | Iterable[Content], ...]]) -> Element:
    head = _e("thead", _e("tr", (_e("th", title, scope="col") for title in titles)))
    body = _e("tbody", (_e("tr", (_e("td", cell) for cell in row)) for row in rows))
    return _e("div", _e("table", head, body), class_="table", tabindex="0")
