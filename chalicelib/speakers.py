"""What the people who speak are called."""

from chalicelib.wording import clean, holds_words, width

MAX_CHARACTERS = 40
"""So that a name fits into a line of captions; characters of Chinese and the like count twice."""


def known_as(name: str) -> str:
    """`name` itself if it can stand before what somebody says in every format, else a ValueError that says why not."""
    if clean(name) != name:
        raise ValueError("must be on one line, without control characters, and without spaces but single ones inside")
    if not holds_words(name):
        raise ValueError("must hold a letter or a digit")
    if max(len(name), width(name)) > MAX_CHARACTERS:
        raise ValueError(
            f"must have no more than {MAX_CHARACTERS} characters (those of Chinese and the like count twice)"
        )
    return name
