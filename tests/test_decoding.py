"""What is written down of scores that a script gives: Whisper's rules, attempts, and ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from container.decoding import Bounds, Decoding, Said
from container.network import Past, Read, Sounds
from container.vocabulary import Vocabulary

TEXTS = [b" " if number == 220 else b"<%d>" % number for number in range(50_257)]
WORDS = Vocabulary(TEXTS, 51_864, multilingual=False)
LONG = Bounds(30.0, 384)

Script = Callable[[list[int]], dict[int, float]]
"""Scores of the tokens that may follow those that were read; all others have -20."""


def stamp(seconds: float) -> int:
    return WORDS.stamps + round(seconds / 0.02)


@dataclass
class Scripted:
    """A network that scores by scripts, one for each sound, which is known by its number."""

    scripts: Sequence[Script]
    vocabulary: Vocabulary = WORDS
    room: int = 220
    asked: list[list[int]] = field(default_factory=list)

    def nothing_read(self, sounds: int) -> Past:
        return Past([np.zeros((sounds, 1, 0), np.int64)], 0)

    def read(self, tokens: NDArray[np.int64], past: Past, sounds: Sounds) -> Read:
        if not past.length:
            self.asked.append(tokens[0, 0].tolist())
        whole = np.concatenate([past.parts[0], tokens], axis=2)
        scores = np.full((*whole.shape[:2], self.vocabulary.size), -20, np.float32)
        for place, number in enumerate(sounds.parts[0]):
            for attempt, read in enumerate(whole[place].tolist()):
                for token, score in self.scripts[int(number)](read[read.index(self.vocabulary.start) + 1 :]).items():
                    scores[place, attempt, token] = score
        return Read(scores, np.zeros(0, np.float32), Past([whole], whole.shape[2]))


def say(
    *scripts: Script,
    bounds: Bounds = LONG,
    prompt: Sequence[int] = (),
    temperatures: Sequence[float] = (0.0,),
    words: Vocabulary = WORDS,
) -> tuple[list[Said], Scripted]:
    network = Scripted(scripts, words)
    sounds = Sounds([np.arange(len(scripts), dtype=np.float32)])
    decoding = Decoding(network)  # type: ignore[arg-type]
    task = words.task("de", translate=False)
    return decoding.say(sounds, [bounds] * len(scripts), task, list(prompt), temperatures), network


def saying(*tokens: int) -> Script:
    """These tokens, whatever was read."""
    return lambda read: {tokens[len(read)] if len(read) < len(tokens) else WORDS.end: 10.0}


def test_what_is_likeliest_is_written_until_the_end() -> None:
    whole = [stamp(0), 11, 12, stamp(1.5), WORDS.end]
    (said,), _ = say(saying(*whole))
    assert said.tokens == whole
    assert said.probability == pytest.approx(0, abs=1e-3)
    assert not said.doubtful


@pytest.mark.parametrize("first", [WORDS.end, WORDS.space, WORDS.no_stamps, WORDS.no_speech, WORDS.translate, stamp(2)])
def test_what_cannot_be_first_is_not(first: int) -> None:
    def script(read: list[int]) -> dict[int, float]:
        return {11: 5.0, first: 10.0} if not read else {WORDS.end: 10.0}

    (said,), _ = say(script)
    assert said.tokens == [11, WORDS.end]


def test_stamps_come_in_pairs_and_in_order() -> None:
    def script(read: list[int]) -> dict[int, float]:
        match read:
            case []:
                return {stamp(0.4): 10.0}
            case [_]:  # A segment is open: no other stamp.
                return {stamp(0.6): 10.0, 11: 5.0}
            case [_, 11]:  # Not before the last one.
                return {stamp(0.2): 10.0, stamp(1.0): 5.0}
            case [_, 11, _]:  # A closed segment is followed by a stamp or the end, which it is not before.
                return {12: 10.0, stamp(0.9): 9.0, stamp(1.2): 5.0}
            case [_, 11, _, _]:
                return {12: 10.0}
            case _:
                return {WORDS.end: 10.0}

    (said,), _ = say(script)
    assert said.tokens == [stamp(0.4), 11, stamp(1.0), stamp(1.2), 12, WORDS.end]


def test_many_unlikely_stamps_outweigh_a_word() -> None:
    """OpenAI's rule: a stamp, if all together are likelier than each word."""

    def script(read: list[int]) -> dict[int, float]:
        if read != [stamp(0), 11]:
            return saying(stamp(0), 11, 0, WORDS.end)(read)
        return {12: 5.0, **{stamp(seconds): 4.0 for seconds in (1.0, 1.1, 1.2, 1.3)}}

    (said,), _ = say(script)
    assert said.tokens[2] == stamp(1.0)


@pytest.mark.parametrize(("seconds", "ends"), [(2.05, True), (2.2, False)])
def test_a_stamp_at_the_end_of_the_sound_ends_it(seconds: float, ends: bool) -> None:
    (said,), _ = say(saying(stamp(0), 11, stamp(2.0), stamp(2.0), 12), bounds=Bounds(seconds, 384))
    assert (said.tokens[-1] == stamp(2.0) and len(said.tokens) == 3) == ends


def test_no_more_is_said_than_anybody_could() -> None:
    (said,), _ = say(lambda read: {1000 + len(read): 10.0}, bounds=Bounds(1.0, 36))
    assert (len(said.tokens), said.whole, said.doubtful) == (37, True, False)


@pytest.mark.parametrize(("seconds", "kept", "stuck"), [(20.0, 102, False), (10.0, 102, True), (None, 220, True)])
def test_what_goes_on_and_on_is_kept_up_to_its_last_stamp(seconds: float | None, kept: int, stuck: bool) -> None:
    """And is tried again if that is early; if nothing better is found, without any stamp all of it is kept."""

    def once(read: list[int]) -> dict[int, float]:
        stamped = seconds is not None and len(read) in (100, 101)
        return {stamp(seconds or 0) if stamped else 1000 + len(read): 10.0}

    (said,), network = say(once, temperatures=(0.0, 0.2))
    assert len(said.tokens) == len(said.logarithms) == kept
    assert (said.stuck, said.doubtful, len(network.asked)) == (stuck, stuck, 2 if stuck else 1)


def test_what_loops_is_tried_again_warmer() -> None:
    """By chance, with the prompt as long as it is cold."""

    def script(read: list[int]) -> dict[int, float]:
        # Other words are nearly as likely each time: they are said only if it is warm.
        if len(read) < 40:
            return {11: 10.0, **{1000 * other + len(read): 9.5 for other in range(1, 5)}}
        return {WORDS.end: 10.0}

    (said,), network = say(script, prompt=[7, 8], temperatures=(0.0, 0.2, 0.6, 1.0))
    assert not said.loops
    assert len(set(said.tokens)) > 10
    prompted, bare = [WORDS.previous, 7, 8, WORDS.start], [WORDS.start]
    assert network.asked[:2] == [prompted, prompted]
    assert all(asked == bare for asked in network.asked[2:])


def test_what_is_unlikely_is_tried_again_unless_nobody_speaks() -> None:
    """All words are as likely as each other."""

    def unsure(read: list[int]) -> dict[int, float]:
        return {WORDS.end: 10.0} if len(read) == 6 else dict.fromkeys(range(1000, 1100), 5.0)

    def silent(read: list[int]) -> dict[int, float]:
        return {**unsure(read), **({} if read else {WORDS.no_speech: 15.0})}

    found, network = say(unsure, silent, temperatures=(0.0, 0.2))
    assert [said.doubtful for said in found] == [True, False]
    assert [said.nothing for said in found] == [False, True]
    assert len(network.asked) == 2


def test_whether_anybody_speaks_is_told_before_the_language() -> None:
    """After the task the token has no meaning."""
    words = Vocabulary([*TEXTS, b"<|endoftext|>"], 51_865, multilingual=True)

    def script(read: list[int]) -> dict[int, float]:
        match read:
            case []:
                return {words.no_speech: 10.0, words.transcribe: 9.0}
            case [_]:
                raise AssertionError("language and task are read together")
            case [_, _]:
                return {1000: 10.0}
            case _:
                return {words.end: 10.0}

    (said,), _ = say(script, words=words)
    assert said.no_speech == pytest.approx(0.73, abs=0.01)
    assert said.tokens == [1000, words.end]


def test_attempts_are_the_same_every_time() -> None:
    def script(read: list[int]) -> dict[int, float]:
        return {WORDS.end: 10.0} if len(read) == 40 else {11: 10.0, 12: 9.5, 1000 + len(read): 9.9}

    first, again = (say(script, temperatures=(1.0,))[0][0].tokens for _ in range(2))
    assert first == again


def test_sounds_end_one_after_the_other() -> None:
    """And those that are left go on as if they were alone."""
    scripts = [saying(*range(1000 * number, 1000 * number + length)) for number, length in ((1, 9), (2, 3), (3, 6))]
    found, _ = say(*scripts)
    alone = [say(script)[0][0].tokens for script in scripts]
    assert [said.tokens for said in found] == alone
    assert [len(tokens) for tokens in alone] == [10, 4, 7]
