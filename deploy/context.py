"""The stage that a command is about, in the account that the credentials are for."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from deploy import stack
from deploy.settings import DeployError, Deployment, settings


@dataclass
class Context:
    stage: str

    @property
    def session(self) -> Any:
        return boto3.Session(region_name=self._settings.get("AWS_DEFAULT_REGION"))

    @property
    def deployment(self) -> Deployment:
        """Raises DeployError if it is not clear where to."""
        session = self.session
        if not session.region_name:
            raise DeployError("Say which region: AWS_DEFAULT_REGION=us-east-1 in .env or the environment.")
        account = session.client("sts").get_caller_identity()["Account"]
        wanted = self._settings.get("AWS_ACCT_ID")
        if wanted and wanted != account:
            raise DeployError(f"These credentials are for the account {account}, and AWS_ACCT_ID says {wanted}.")
        return Deployment(self.stage, account, session.region_name, self._settings)

    @property
    def unplaced(self) -> Deployment:
        """The deployment as far as it needs no AWS."""
        return Deployment(self.stage, self._settings.get("AWS_ACCT_ID", ""), "", self._settings)

    @property
    def outputs(self) -> dict[str, str]:
        return stack.outputs(self.session.client("cloudformation"), self.deployment.stack)

    @property
    def _settings(self) -> dict[str, str]:
        return settings(self.stage, os.environ, Path())
