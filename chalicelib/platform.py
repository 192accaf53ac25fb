"""The one service of this process: the local platform provides its own; on AWS it is built on first use."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from chalicelib.aws import environment
from chalicelib.service import Service

if TYPE_CHECKING:
    from chalicelib.aws.announcements import Announcements
    from chalicelib.aws.overlooked import Overlooked

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


@functools.cache
def announcements() -> Announcements:
    """What tells others of jobs on AWS, made on first use. Raises SettingError."""
    from chalicelib.aws import platform

    return platform.announcements(os.environ)


@functools.cache
def overlooked() -> Overlooked:
    """What finds uploads on AWS whose events were lost, made on first use. Raises SettingError."""
    environment.require(os.environ, *environment.API)
    from chalicelib.aws import platform

    return platform.overlooked(os.environ)
