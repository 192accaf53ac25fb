"""The workflow as executions of a Step Functions state machine."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True)
class StepFunctions:
    """`chalicelib.ports.Workflow`: one execution per job of the state machine `arn`, named after the job.

    `client` is boto3's for Step Functions. A name can be used once in 90 days, so a job is never run twice.
    """

    client: Any
    arn: str

    def start(self, job: str) -> None:
        try:
            self.client.start_execution(stateMachineArn=self.arn, name=job, input=json.dumps({"job": job}))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise
