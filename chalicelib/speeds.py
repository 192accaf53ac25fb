"""How long Whisper's models take: processor seconds per second of speech, q8_0, on a 2-core AMD EPYC (docs/cost.md)."""

MEASURED = {"tiny": 0.035, "base": 0.064}
ESTIMATED = {"small": 0.49, "medium": 1.5, "large-v3-turbo": 1.6, "large-v1": 3.0, "large-v2": 3.0, "large-v3": 3.0}
"""By whisper.cpp, which took 0.148 for base, and the ratio of the models' sizes; not measured."""

PREPARING = 12 / 3600
"""Decoding, and finding the speech."""

BATCH_TIME = 600.0
"""Seconds that a batch may take by these figures: two thirds of what Lambda gives a function, for slower processors."""


def processor_seconds(model: str) -> float | None:
    """`None` for a model that is not one of Whisper's own. Those for English alone take as long as the others."""
    name = model.removesuffix(".en")
    return MEASURED.get(name, ESTIMATED.get(name))


def is_measured(model: str) -> bool:
    return model.removesuffix(".en") in MEASURED


def batch_seconds(wanted: float, speed: float | None, processors: float) -> float:
    """Audio of a batch: what is `wanted`, or less if processors that need `speed` seconds for one second would not do
    it in BATCH_TIME. `None` is a speed that nobody has told.
    """
    return min(wanted, BATCH_TIME * processors / speed) if speed else wanted
