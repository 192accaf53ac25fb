"""What becomes of a step that nobody waits for any more."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger(__name__)

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Unwanted(Exception):
    """The job was cancelled, deleted or otherwise ended, so that nobody waits for this step."""


def unless_unwanted(nothing: Callable[[], Result]) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Lets a step that is no longer wanted end quietly, with `nothing()` as its result."""

    def decorate(step: Callable[Given, Result]) -> Callable[Given, Result]:
        @functools.wraps(step)
        def quietly(*arguments: Given.args, **named: Given.kwargs) -> Result:
            try:
                return step(*arguments, **named)
            except Unwanted as unwanted:
                logger.info("%s is not wanted: %s", step.__name__, unwanted)
                return nothing()

        return quietly

    return decorate


def none() -> None:
    return None
