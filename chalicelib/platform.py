"""The one service of this process: the local platform provides its own; on AWS it is built on first use."""

import os

from chalicelib.aws import environment
from chalicelib.service import Service

_provided: list[Service] = []


def provide(service: Service) -> None:
    """Makes `service` the one that the API uses from now on."""
    _provided[:] = [service]


def service() -> Service:
    """Raises SettingError if none was provided and the environment is not that of a function on AWS."""
    if not _provided:
        environment.require(os.environ, *environment.API)
        # Only now: one machine has no boto3, and a slow import would be part of every cold start.
        from chalicelib.aws import platform

        provide(platform.service(os.environ))
    return _provided[0]
