"""What a program heard, as the programs' processes tell it to the benchmark: JSON on standard output."""

from pydantic import BaseModel


class Timed(BaseModel):
    """A word and when it is said to be spoken, in seconds."""

    start: float
    end: float
    text: str


class Heard(BaseModel):
    """`loading` are the seconds until the model was loaded, `recognising` those from the file to the last word."""

    text: str
    words: list[Timed] = []
    loading: float
    recognising: float
    figures: dict[str, float] = {}
