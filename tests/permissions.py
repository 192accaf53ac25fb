"""What the emulated AWS is asked for and by whom, in the terms of IAM, and what policies say to that.

The emulator lets everybody do everything. Here callers are told apart by their access keys.
"""

import functools
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote

import botocore.session
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from tests.aws import REGION

# The access key of whoever is told no other.
TESTS = "testing"
HERE = f"{REGION}:123456789012"
CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
# Of a bucket, and of an object: the method, the part of the query that tells operations apart, and the permission.
BUCKET = [
    ("GET", "versions", "ListBucketVersions"),
    ("GET", "uploads", "ListBucketMultipartUploads"),
    ("GET", "notification", "GetBucketNotification"),
    ("GET", "", "ListBucket"),
    ("HEAD", "", "ListBucket"),
    ("PUT", "notification", "PutBucketNotification"),
    ("DELETE", "", "DeleteBucket"),
]
OBJECT = [
    ("GET", "uploadId", "ListMultipartUploadParts"),
    ("GET", "", "GetObject"),
    ("HEAD", "", "GetObject"),
    ("PUT", "", "PutObject"),
    ("POST", "", "PutObject"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("DELETE", "", "DeleteObject"),
]
TRANSACTION = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


@dataclass(frozen=True)
class Call:
    """`who` needs the permission `action`, such as `s3:GetObject`, for the resource of an ARN."""

    who: str
    action: str
    resource: str


@dataclass(frozen=True)
class Asked:
    """A request to the emulator."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    target: str
    body: bytes

    @property
    def parameters(self) -> dict[str, Any]:
        """What the body says, for the services that speak JSON."""
        told: dict[str, Any] = json.loads(self.body or b"{}")
        return told


@contextmanager
def noted() -> Iterator[set[Call]]:
    """All that is asked for from now on, growing, but for what the tests themselves ask for."""
    calls: set[Call] = set()
    answer = DomainDispatcherApplication.__call__

    def heard(this: Any, environ: dict[str, Any], start_response: Any) -> Any:
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        signed = query.get("X-Amz-Credential", [""])[0]
        found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "") or f"Credential={signed}/")
        if found is not None and found[1] != TESTS:
            body = b""
            if found[2] != "s3" or "delete" in query:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = io.BytesIO(body)
            target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
            # Encoded as it came, since names of resources in a path may have slashes.
            path = environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0]
            asked = Asked(environ["REQUEST_METHOD"], path, query, target, body)
            calls.update(Call(found[1], action, resource) for action, resource in needed(found[2], asked))
        return answer(this, environ, start_response)

    with patch.object(DomainDispatcherApplication, "__call__", heard):
        yield calls


def needed(service: str, asked: Asked) -> Iterable[tuple[str, str]]:
    """The permissions that a request needs, and for what."""
    match service:
        case "s3":
            return _s3(asked)
        case "dynamodb":
            return _dynamodb(asked)
        case "lambda":
            return [_lambda(asked)]
        case "apigateway":
            return [(f"apigateway:{asked.method}", f"arn:aws:apigateway:{REGION}::{unquote(asked.path)}")]
        case "cloudformation" | "sts":
            told = parse_qs(asked.body.decode())
            (action,), name = told["Action"], told.get("StackName", [""])[0]
            arn = name if name.startswith("arn:") else f"arn:aws:cloudformation:{HERE}:stack/{name}/id"
            return [(f"{service}:{action}", arn)]
        case _:
            return [(f"{service}:{asked.target}", _named(service, asked.parameters))]


def _named(service: str, told: Mapping[str, Any]) -> str:
    match service:
        case "states":
            return str(told.get("stateMachineArn") or told.get("executionArn"))
        case "sqs":
            return f"arn:aws:sqs:{HERE}:{told['QueueUrl'].rpartition('/')[2]}"
        case "events":
            rule = told.get("Name") or told.get("Rule")
            return f"arn:aws:events:{HERE}:{f'rule/{rule}' if rule else 'event-bus/default'}"
        case "logs":
            return f"arn:aws:logs:{HERE}:log-group:{told.get('logGroupName', '')}:*"
        case "ecr":
            return f"arn:aws:ecr:{HERE}:repository/{told['repositoryName']}"
        case _:
            raise AssertionError(f"{service} is not known here")


def _s3(asked: Asked) -> Iterator[tuple[str, str]]:
    bucket, _, key = unquote(asked.path).lstrip("/").partition("/")
    if "delete" in asked.query:
        for doomed in re.findall(rb"<Object>(.*?)</Object>", asked.body, re.DOTALL):
            (name,) = re.findall(rb"<Key>(.*?)</Key>", doomed)
            action = "DeleteObjectVersion" if b"<VersionId>" in doomed else "DeleteObject"
            yield f"s3:{action}", f"arn:aws:s3:::{bucket}/{name.decode()}"
        return
    action = next(
        permission
        for method, part, permission in (OBJECT if key else BUCKET)
        if method == asked.method and (not part or part in asked.query)
    )
    yield f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def _dynamodb(asked: Asked) -> Iterator[tuple[str, str]]:
    told = asked.parameters
    if asked.target == "TransactWriteItems":
        for part in told["TransactItems"]:
            for kind, item in part.items():
                yield f"dynamodb:{TRANSACTION[kind]}", _table(item["TableName"])
    elif asked.target in ("BatchGetItem", "BatchWriteItem"):
        for table in told["RequestItems"]:
            yield f"dynamodb:{asked.target}", _table(table)
    else:
        index = f"/index/{told['IndexName']}" if "IndexName" in told else ""
        yield f"dynamodb:{asked.target}", _table(told["TableName"]) + index


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:{HERE}:table/{name}"


def _lambda(asked: Asked) -> tuple[str, str]:
    for method, path, operation in _operations("lambda"):
        if method == asked.method and (found := path.fullmatch(asked.path)):
            named = found.groupdict()
            if operation == "CreateFunction":
                named = asked.parameters
            name = unquote(named.get("FunctionName") or named.get("Resource") or "")
            arn = name if name.startswith("arn:") or not name else f"arn:aws:lambda:{HERE}:function:{name}"
            return f"lambda:{'InvokeFunction' if operation == 'Invoke' else operation}", arn or "*"
    raise AssertionError(f"{asked.method} {asked.path} is not known here")


@functools.cache
def _operations(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Methods, paths and names, those of the longest paths first."""
    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"{(\w+)\+?}", r"(?P<\1>[^/]+)", http["requestUri"].partition("?")[0])
        found.append((http["method"], re.compile(f"{path}/?"), name))
    return sorted(found, key=lambda operation: -len(operation[1].pattern))


def allows(policy: Mapping[str, Any], call: Call) -> bool:
    """Whether a policy without denials allows a call; conditions are taken to be met."""
    return any(
        any(matches(action, call.action) for action in listed(statement["Action"]))
        and any(matches(resource, call.resource) for resource in listed(statement["Resource"]))
        for statement in policy["Statement"]
    )


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None


def listed(one_or_more: Any) -> list[str]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]
