"""What Lambda charges: US dollars in us-east-1, without free tier or savings plan (aws.amazon.com/lambda/pricing)."""

GIGABYTE_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334, "aarch64": 0.0000133334}
"""By architecture, as CloudFormation or as Linux calls it."""

REQUEST = 0.20 / 1_000_000


def invocation(memory: int, seconds: float, architecture: str) -> float:
    """One invocation of a function with `memory` MB."""
    return memory / 1024 * seconds * GIGABYTE_SECOND[architecture] + REQUEST


def audio_hour(memory: int, realtime_factor: float, architecture: str) -> float:
    """An hour of audio at `realtime_factor`, the seconds of processing per second of audio."""
    return memory / 1024 * 3600 * realtime_factor * GIGABYTE_SECOND[architecture]
