"""AWS for functions in processes of their own: moto behind HTTP, with buckets, the table and an executing workflow.

Besides what `tests.aws` says, moto cannot add numbers in scientific notation, which DynamoDB takes; here it can. Lambda
functions are what `handlers` says under their names: given the event, they return the result or raise, and the name of
the exception is the error's name.
"""

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import boto3
import httpx
from moto.awslambda.models import LambdaFunction
from moto.cloudformation.models import CloudFormationBackend
from moto.core.config import default_user_config
from moto.dynamodb.models.dynamo_type import DDBType, DynamoType
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import resource_eval_s3 as reader
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval import (
    resource_eval_s3 as writer,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for

from tests import aws, emulator

Handler = Callable[[Any], Any]
parse = AmazonStateLanguageParser.parse


@dataclass
class Cloud:
    """An emulated account: the environment of a function in it, and what its functions do."""

    environment: dict[str, str]
    handlers: dict[str, Handler] = field(default_factory=dict)

    def add_function(self, name: str, handler: Handler) -> str:
        """Makes a function and returns its ARN."""
        self.handlers[name] = handler
        trust = {"RoleName": f"role-of-{name}", "AssumeRolePolicyDocument": "{}"}
        role = boto3.client("iam").create_role(**trust)["Role"]["Arn"]
        code = {"PackageType": "Image", "Code": {"ImageUri": "of/no:use"}, "Timeout": 900}
        function = boto3.client("lambda").create_function(FunctionName=name, Role=role, **code)
        return str(function["FunctionArn"])


@contextmanager
def emulated() -> Iterator[Cloud]:
    """An account that listens on HTTP, until the context ends."""
    with ExitStack() as stack:
        url = stack.enter_context(emulator.running())
        access = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": aws.REGION,
        }
        names = {"MEDIA_BUCKET": aws.MEDIA, "TRANSCRIPTS_BUCKET": aws.TRANSCRIPTS, "TABLE": aws.TABLE}
        cloud = Cloud({**access, **names})
        # The workflow's interpreter finds the other services by this variable.
        stack.enter_context(patch.dict("os.environ", {**access, "MOTO_PORT": url.rpartition(":")[2]}))
        stack.enter_context(patch.dict(default_user_config, {"stepfunctions": {"execute_state_machine": True}}))
        stack.enter_context(patch.object(DynamoType, "__add__", _add))
        stack.enter_context(patch.object(LambdaFunction, "invoke", _invoke(cloud.handlers)))
        client = _kept(boto_client_for)
        for interpreter in (lambda_eval_utils, reader, writer):
            stack.enter_context(patch.object(interpreter, "boto_client_for", client))
        stack.enter_context(patch.object(AmazonStateLanguageParser, "parse", staticmethod(_parsed)))
        # A search of the disk and hundreds of patterns for each request.
        found = functools.cache(DomainDispatcherApplication.get_backend_for_host)
        stack.enter_context(patch.object(DomainDispatcherApplication, "get_backend_for_host", found))
        stack.enter_context(aws.light_answers())
        stack.enter_context(aws.one_at_a_time())
        stack.enter_context(aws.light_transactions())
        s3 = boto3.client("s3")
        for bucket in (aws.MEDIA, aws.TRANSCRIPTS):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        boto3.client("dynamodb").create_table(**aws.RECORDS)
        yield cloud
        # moto has one account for the whole process.
        httpx.post(f"{access['AWS_ENDPOINT_URL']}/moto-api/reset").raise_for_status()


@contextmanager
def outputs_of_stacks() -> Iterator[None]:
    """moto forgets the outputs of stacks that are made by a change set."""
    execute = CloudFormationBackend.execute_change_set

    def executed(this: CloudFormationBackend, change_set_name: str, stack_name: str) -> None:
        execute(this, change_set_name, stack_name)
        (stack,) = this.describe_stacks(stack_name)
        stack._parse_template()
        stack.output_map = stack._create_output_map()

    with patch.object(CloudFormationBackend, "execute_change_set", executed):
        yield


def _parsed(definition: str) -> tuple[Any, Any]:
    """What the interpreter makes of a definition, whose text is parsed once, since that takes long."""
    tree = _tree(definition)
    return Preprocessor().visit(tree), tree


@functools.cache
def _tree(definition: str) -> Any:
    return parse(definition)[1]


def _kept(make: Any) -> Any:
    """Another client for each invocation would be a large part of all the emulator's work."""

    @functools.cache
    def client(region: str, service: str) -> Any:
        return make(region, service)

    return lambda region, service, state_credentials: client(region, service)  # noqa: ARG005


def _add(this: DynamoType, other: DynamoType) -> DynamoType:
    return DynamoType({DDBType.NUMBER: str(Decimal(this.value) + Decimal(other.value))})


def _invoke(handlers: dict[str, Handler]) -> Callable[..., bytes]:
    def invoke(this: LambdaFunction, body: bytes, _request: Any, response_headers: Any) -> bytes:
        try:
            answer = handlers[this.function_name](json.loads(body))
        except Exception as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
        return json.dumps(answer).encode()

    return invoke
