"""The one service of this process: the local platform provides its own; elsewhere it is built on first use."""

from chalicelib.service import Service

_provided: list[Service] = []


def provide(service: Service) -> None:
    """Makes `service` the one that the API uses from now on."""
    _provided[:] = [service]


def service() -> Service:
    if not _provided:
        raise RuntimeError("No platform has provided a service: start the API with `transcriber serve`.")
    return _provided[0]
