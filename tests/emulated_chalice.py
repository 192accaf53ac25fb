"""Makes the emulator take what the real `chalice deploy` sends and AWS takes: filters of notifications in any case,
Swagger 2.0, and integrations without a backend."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.apigateway.models import APIGatewayBackend
from moto.s3.responses import S3Response


@contextmanager
def taken() -> Iterator[list[dict[str, Any]]]:
    """Gives the descriptions of the API as they were sent, the latest one last."""
    sent: list[dict[str, Any]] = []
    parse, build = S3Response._notification_config_from_body, APIGatewayBackend._build_integration_args
    make, change = APIGatewayBackend.import_rest_api, APIGatewayBackend.put_rest_api

    def lower_case(this: Any) -> Any:
        body = this.body.decode() if isinstance(this.body, bytes) else this.body
        this.body = re.sub("<Name>(Prefix|Suffix)</Name>", lambda name: f"<Name>{name[1].lower()}</Name>", body)
        return parse(this)

    def integration(this: Any, *arguments: Any) -> Any:
        found = build(this, *arguments)
        return {**found, "uri": found["uri"] or "", "integration_method": found["integration_method"] or "POST"}

    def import_rest_api(this: Any, document: Any, fail_on_warnings: bool) -> Any:
        sent.append(document)
        return make(this, openapi(document), fail_on_warnings)

    def put_rest_api(this: Any, id: str, document: Any, fail_on_warnings: bool = False, mode: str = "merge") -> Any:
        sent.append(document)
        return change(this, id, openapi(document), fail_on_warnings=fail_on_warnings, mode=mode)

    with (
        patch.object(S3Response, "_notification_config_from_body", lower_case),
        patch.object(APIGatewayBackend, "_build_integration_args", integration),
        patch.object(APIGatewayBackend, "import_rest_api", import_rest_api),
        patch.object(APIGatewayBackend, "put_rest_api", put_rest_api),
    ):
        yield sent


def openapi(document: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in document.items() if name != "swagger"}
    return {**rest, "openapi": "3.0.1", "info": {"description": "", **document["info"]}}
