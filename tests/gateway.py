"""API Gateway, which the emulator has but cannot call functions with: HTTP to Lambda by the API's own description."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3

Answer = tuple[int, dict[str, list[str]], bytes]
STAGE = "api"


@dataclass(frozen=True)
class Gateway:
    """`description` is the Swagger document that was deployed."""

    description: dict[str, Any]

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(url)
        path = parts.path.removeprefix(f"/{STAGE}")
        for template, methods in self.description["paths"].items():
            parameters = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template), path)
            if parameters and method.lower() in methods:
                operation = methods[method.lower()]
                arn = f"arn:aws:execute-api:eu-central-1:123456789012:api/{STAGE}/{method}{path}"
                principal = self._principal(operation, headers, arn)
                if isinstance(principal, int):
                    return _refusal(principal)
                query = parse_qs(parts.query)
                event = {
                    "resource": template,
                    "path": path,
                    "httpMethod": method,
                    "headers": headers,
                    "multiValueHeaders": {name: [value] for name, value in headers.items()},
                    "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
                    "multiValueQueryStringParameters": query or None,
                    "pathParameters": {name: unquote(value) for name, value in parameters.groupdict().items()} or None,
                    "stageVariables": None,
                    "requestContext": {
                        "resourcePath": template,
                        "httpMethod": method,
                        "path": f"/{STAGE}{path}",
                        "stage": STAGE,
                        "authorizer": principal,
                        "identity": {"sourceIp": "127.0.0.1"},
                    },
                    **self._body(headers, body),
                }
                return _response(invoke(operation["x-amazon-apigateway-integration"]["uri"], event))
        return _refusal(403)

    def _body(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """As it is put into an event, which is text."""
        media = headers.get("Content-Type", "").partition(";")[0]
        if media in self.description["x-amazon-apigateway-binary-media-types"]:
            return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return {"body": body.decode() or None, "isBase64Encoded": False}

    def _principal(self, operation: dict[str, Any], headers: dict[str, str], arn: str) -> dict[str, Any] | int | None:
        """Who the authorizer says is asking; the status of the answer if nobody who may."""
        for name in (name for needed in operation.get("security", []) for name in needed):
            authorizer = self.description["securityDefinitions"][name]["x-amazon-apigateway-authorizer"]
            if "Authorization" not in headers:
                return 401
            request = {"type": "TOKEN", "methodArn": arn, "authorizationToken": headers["Authorization"]}
            said = invoke(authorizer["authorizerUri"], request)
            allowed = [one for statement in said["policyDocument"]["Statement"] for one in statement["Resource"]]
            if not any(fnmatchcase(arn, pattern) for pattern in allowed):
                return 403
            return {"principalId": said["principalId"], **said["context"]}
        return None


def invoke(uri: str, event: Any) -> Any:
    """The answer of the function in an integration's URI."""
    found = re.search(r"functions/(.+)/invocations", uri)
    assert found, uri
    answer = boto3.client("lambda").invoke(FunctionName=found[1], Payload=json.dumps(event))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def _refusal(status: int) -> Answer:
    return status, {"Content-Type": ["application/json"]}, b'{"message": "no"}'


def _response(answer: dict[str, Any]) -> Answer:
    headers = {name: [value] for name, value in answer["headers"].items()} | answer.get("multiValueHeaders", {})
    return answer["statusCode"], headers, answer["body"].encode()


@contextmanager
def serving(description: dict[str, Any]) -> Iterator[str]:
    """The URL of the API."""
    gateway = Gateway(description)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.title(): value for name, value in self.headers.items()}
            status, answered, content = gateway.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, values in answered.items():
                for value in values:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{STAGE}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
