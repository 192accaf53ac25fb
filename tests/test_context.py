"""What a recogniser is told of what was said before."""

import pytest

from chalicelib.transcript import Segment
from container.context import LONGEST, prompt


def said(*texts: str) -> list[Segment]:
    return [Segment(start=number, end=number + 1, text=text, words=[]) for number, text in enumerate(texts)]


def test_what_was_said_follows_what_was_asked_for() -> None:
    assert prompt("Photosynthesis, chloroplast.", said("Good morning.", "We begin.")) == (
        "Photosynthesis, chloroplast. Good morning. We begin."
    )
    assert prompt("", said("Good morning.")) == "Good morning."
    assert prompt("Chloroplast.", []) == "Chloroplast."
    assert prompt("", []) == ""


def test_the_end_counts_and_begins_with_a_word() -> None:
    words = [f"word{number}" for number in range(100)]
    found = prompt("", said(" ".join(words[:60]), " ".join(words[60:])))
    assert found == " ".join(words[-len(found.split()) :])
    assert LONGEST - len(" word70") <= len(found) <= LONGEST


@pytest.mark.parametrize("text", ["今日は良い天気ですね。" * 20, "über" * 80])
def test_characters_stay_whole(text: str) -> None:
    found = prompt("", said(text))
    assert text.endswith(found)
    assert LONGEST - 3 <= len(found.encode()) <= LONGEST


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, 900])
def test_what_was_asked_for_is_never_cut(length: int) -> None:
    asked = "x" * length
    assert prompt(asked, said("Good morning to all of you.")) == asked
