"""The API's description, as a document for programs and as a page for people.

It is loaded when it is asked for, since it would slow down every cold start.
"""

from typing import Any

from chalicelib.page import Asset
from chalicelib.settings import Settings


def document(settings: Settings, base: str) -> dict[str, Any]:
    """The OpenAPI document of a service that is at the path `base`."""
    from chalicelib.description import openapi

    return openapi.document(base, settings.version, tuple(sorted(settings.models)))


def page(settings: Settings, base: str) -> Asset:
    """The same to read."""
    from chalicelib.description import reference

    return reference.page(document(settings, base))
