"""What is written down of scores that a script gives: Whisper's rules, attempts, and ends."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from container.decoding import Decoding, Said
from container.network import Past, Read, Sounds
from container.vocabulary import Vocabulary

TEXTS = [b" " if number == 220 else b"<%d>" % number for number in range(50_257)]
WORDS = Vocabulary(TEXTS, 51_864, multilingual=False)
MOST = 384
SCORES = 51_865

Script = Callable[[list[int]], dict[int, float]]
"""Scores of the tokens that may follow those that were read; all others have -20."""


@dataclass
class Scripted:
    """A network that scores by scripts, one for each sound, which is known by its number."""

    scripts: Sequence[Script]
    vocabulary: Vocabulary = WORDS
    room: int = 220
    asked: list[list[int]] = field(default_factory=list)
    heads: list[list[list[list[int]]]] = field(default_factory=list)
    texts: list[int] = field(default_factory=list)
    """How many of each sound were read at a time."""

    def said(self, read: list[int]) -> list[int]:
        """What was read after the start, but for the order to write no stamps."""
        return [token for token in read[read.index(self.vocabulary.start) + 1 :] if token != self.vocabulary.no_stamps]

    def nothing_read(self, sounds: int) -> Past:
        return Past([np.zeros((sounds, 1, 0), np.int64)], 0)

    def read(self, tokens: NDArray[np.int64], past: Past, sounds: Sounds) -> Read:
        if not past.length:
            self.asked.append(tokens[0, 0].tolist())
            self.heads.append(tokens.tolist())
        self.texts.append(tokens.shape[1])
        whole = np.concatenate([past.parts[0], tokens], axis=2)
        scores = np.full((*whole.shape[:2], SCORES), -20, np.float32)
        for place, number in enumerate(sounds.parts[0]):
            for attempt, read in enumerate(whole[place].tolist()):
                for token, score in self.scripts[int(number)](self.said(read)).items():
                    scores[place, attempt, token] = score
        attention = np.full((*whole.shape[:2], 1, 1), whole.shape[2], np.float32)
        return Read(scores, attention, Past([whole], whole.shape[2]))


def say(
    *scripts: Script,
    most: int = MOST,
    prompts: Sequence[list[int]] = (),
    temperatures: Sequence[float] = (0.0,),
    words: Vocabulary = WORDS,
) -> tuple[list[Said], Scripted]:
    network = Scripted(scripts, words)

    def listen(numbers: list[int]) -> Sounds:
        return Sounds([np.array(numbers, np.float32)])

    decoding = Decoding(network)  # type: ignore[arg-type]
    task = words.task("de", translate=False)
    return decoding.say(listen, [most] * len(scripts), task, prompts or [[]] * len(scripts), temperatures), network


def test_each_sound_has_its_own_prompt() -> None:
    """What is said after it, in two sounds at once, and in the one that is doubtful when it is heard again."""

    def doubtful(read: list[int]) -> dict[int, float]:
        return dict.fromkeys(range(11, 61), 0.0) | {WORDS.end: 5.0 if len(read) > 2 else 0.0}

    _, network = say(saying(11, 12), doubtful, prompts=[[7, 8], [5, 6]], temperatures=(0.0, 0.2))
    heads = [[[WORDS.previous, *prompt, WORDS.start]] for prompt in ([7, 8], [5, 6])]
    assert network.heads == [heads, heads[1:]]


def saying(*tokens: int) -> Script:
    """These tokens, whatever was read."""
    return lambda read: {tokens[len(read)] if len(read) < len(tokens) else WORDS.end: 10.0}


def test_what_is_likeliest_is_written_until_the_end() -> None:
    whole = [11, 12, WORDS.end]
    (said,), _ = say(saying(*whole))
    assert said.tokens == whole
    assert said.probability == pytest.approx(0, abs=1e-3)
    assert not said.doubtful


@pytest.mark.parametrize(
    "first", [WORDS.end, WORDS.space, WORDS.no_stamps, WORDS.no_speech, WORDS.translate, SCORES - 1]
)
def test_what_cannot_be_first_is_not(first: int) -> None:
    def script(read: list[int]) -> dict[int, float]:
        return {11: 5.0, first: 10.0} if not read else {WORDS.end: 10.0}

    (said,), _ = say(script)
    assert said.tokens == [11, WORDS.end]


def test_no_stamps_are_written() -> None:
    (said,), _ = say(lambda read: {SCORES - 1: 10.0, **saying(11, 12)(read)})
    assert said.tokens == [11, 12, WORDS.end]
    assert said.probability == pytest.approx(0, abs=1e-3), "of the tokens that may be"


def test_what_is_likelier_as_a_whole_is_found() -> None:
    """The first word is less likely, and all after it certain."""

    def script(read: list[int]) -> dict[int, float]:
        if not read:
            return {11: 6.0, 12: 5.0}
        if read[0] == 11 and len(read) < 4:
            return {100 * len(read) + other: 5.0 for other in range(2)}
        return {WORDS.end: 10.0} if len(read) == 4 else {13 + len(read): 10.0}

    (said,), network = say(script)
    assert said.tokens == [12, 14, 15, 16, WORDS.end]
    assert said.probability == pytest.approx(math.log(1 / (1 + math.e)) / 5, abs=1e-3)
    assert [shares.tolist() for shares in said.attention] == [[[2.0 + number]] for number in range(5)]
    assert max(network.texts) == 3, "more than three are not gone on with"


def test_what_is_said_counts_and_not_in_how_many_tokens() -> None:
    """Of two ways to write the same the likelier one, also if the other one has many tokens that are certain. Of two
    that say more and less, the one with the likelier letters.
    """

    def script(first: int, likely: float, second: int, rest: int) -> Script:
        """One token and the end, or a less likely one and some that are certain."""

        def scores(read: list[int]) -> dict[int, float]:
            if not read:
                return {first: likely, second: 0.0}
            return {WORDS.end: 10.0} if read[0] == first or len(read) > rest else {40 + len(read): 10.0}

        return scores

    texts = [*TEXTS]
    texts[11], texts[12], texts[13] = b" one two three four five", b" one", b" one"
    for number, text in enumerate((b" two", b" three", b" four", b" five"), start=41):
        texts[number] = text
    words = Vocabulary(texts, 51_864, multilingual=False)
    same, more = say(script(11, 0.5, 12, 4), script(13, 0.5, 12, 4), words=words)[0]
    assert same.tokens == [11, WORDS.end]
    assert more.tokens == [12, 41, 42, 43, 44, WORDS.end]


TALE = b" once upon a time there was a poor shoemaker who had no more leather than for a single pair of shoes"


@pytest.mark.parametrize(
    ("first", "rest", "end", "whole"),
    [
        (TALE, b" in the evening he cut it and then he went to bed and fell asleep", 0.5, True),
        (TALE, b" maybe", 0.5, False),
        (b" yes", b" of course I do", 2.0, False),
    ],
    ids=["nearly as likely", "less likely for each letter", "a short answer"],
)
def test_what_is_left_out_is_not_likelier_for_that_alone(first: bytes, rest: bytes, end: float, whole: bool) -> None:
    """Nor what is added. The end is likelier than the rest, by this logarithm."""
    texts = [*TEXTS]
    texts[11], texts[12] = first, rest
    words = Vocabulary(texts, 51_864, multilingual=False)
    likely = {11: 1.5, 13: 0.0}, {12: 0.0, WORDS.end: end}, {WORDS.end: 10.0}
    (said,), _ = say(lambda read: likely[len(read)] if read[:1] != [13] else likely[2], words=words)
    assert said.tokens == ([11, 12, WORDS.end] if whole else [11, WORDS.end])


@pytest.mark.parametrize(
    ("texts", "scores", "best"),
    [
        ({11: b" \xe2\x99\xaa", 12: b" oh"}, {11: 2.0, 12: 0.0}, 11),
        # The mean of its two tokens would be doubtful.
        ({11: b" 123", 12: b" 1"}, {11: 0.2, 12: 0.0, **dict.fromkeys(range(100, 116), -0.01)}, 12),
    ],
    ids=["no letters at all", "doubtful"],
)
def test_likelier_letters_are_not_everything(texts: dict[int, bytes], scores: dict[int, float], best: int) -> None:
    def script(read: list[int]) -> dict[int, float]:
        if not read:
            return scores
        return {40 + len(read): 10.0} if read[0] == 12 and best == 12 and len(read) < 5 else {WORDS.end: 10.0}

    pieces = [*TEXTS]
    for number, text in {**texts, 41: b"-", 42: b"2", 43: b"-", 44: b"3"}.items():
        pieces[number] = text
    (said,), network = say(script, words=Vocabulary(pieces, 51_864, multilingual=False), temperatures=(0.0, 0.2))
    assert said.tokens[0] == best
    assert len(network.asked) == 1, "nothing was tried again"


def test_what_is_far_less_likely_is_not_gone_on_with() -> None:
    (said,), network = say(lambda read: {11 + len(read): 10.0, 30: 7.4} if len(read) < 5 else {WORDS.end: 10.0})
    assert said.tokens == [11, 12, 13, 14, 15, WORDS.end]
    assert set(network.texts) == {1}


def parting(*texts: tuple[float, list[int]]) -> Script:
    """One of these texts, told by its first token, with these scores of that; then the same for all."""
    rest = list(range(1000, 1020))

    def script(read: list[int]) -> dict[int, float]:
        if not read:
            return {text[0]: score for score, text in texts}
        began = next(text for _, text in texts if text[0] == read[0])
        return saying(*began, *rest)(read)

    return script


@pytest.mark.parametrize(("other", "one"), [([12], True), ([12, 13, 14, 15], True), ([12, 13, 14, 15, 16], False)])
def test_texts_that_are_the_same_from_there_on_are_one(other: list[int], one: bool) -> None:
    """Also if the less likely one has some words more, and is behind."""
    (said,), network = say(parting((6.0, [11]), (5.0, other)))
    assert said.tokens == [11, *range(1000, 1020), WORDS.end]
    assert 2 in network.texts
    assert (set(network.texts[-12:]) == {1}) == one


def test_an_end_counts_where_it_is_likeliest() -> None:
    """Not where three texts may end, each not probably, though they are shorter and so likelier than the whole."""

    def script(read: list[int]) -> dict[int, float]:
        if len(read) == 40:
            return {WORDS.end: 10.0}
        return {1000 + len(read): 10.0, **({WORDS.end: 8.0} if len(read) in (8, 16, 24) else {})}

    (said,), _ = say(script)
    assert said.tokens == [*range(1000, 1040), WORDS.end]


def test_what_could_be_said_after_an_end_must_not_become_much_less_likely() -> None:
    def script(read: list[int]) -> dict[int, float]:
        if len(read) < 3:
            return {1000 + len(read): 10.0}
        return {WORDS.end: 6.0, 1003: 5.0} if len(read) == 3 else {100 * len(read) + other: 5.0 for other in range(2)}

    (said,), network = say(script)
    assert said.tokens == [1000, 1001, 1002, WORDS.end]
    assert len(network.texts) == 8


def test_an_end_that_comes_early_is_no_better_than_what_is_said_after_it() -> None:
    """By the mean of all words, as OpenAI has it: the end is likelier than the rest, and the rest is certain."""

    def script(read: list[int]) -> dict[int, float]:
        return {1000 + len(read): 10.0, WORDS.end: {10: 10.2, 20: 20.0}.get(len(read), 0.0)}

    (said,), _ = say(script)
    assert said.tokens == [*range(1000, 1020), WORDS.end]


def test_a_word_is_not_said_again_if_another_is_likelier() -> None:
    (said,), network = say(lambda read: {9: 5.2 if len(read) < 3 else 5.0, **saying(9, 9, 9, 20, 21)(read)})
    assert said.tokens == [9, 9, 9, 20, 21, WORDS.end]
    assert set(network.texts) == {1}


def test_sounds_with_fewer_texts_are_as_if_alone() -> None:
    """Each has texts that part, at other words and for longer or shorter."""
    scripts = [
        saying(11, 12, 13, 14),
        parting((5.0, [50, 51, 52]), (5.5, [60])),
        parting((5.5, [70, 71]), (5.0, [80]), (5.2, [90, 91, 92, 93])),
        lambda read: {2000 + 10 * len(read): 6.0, 2001 + 10 * len(read): 5.5} if len(read) < 9 else {WORDS.end: 10.0},
    ]
    found, _ = say(*scripts)
    alone = [say(script)[0][0] for script in scripts]
    assert [said.tokens for said in found] == [said.tokens for said in alone]
    assert [said.logarithms for said in found] == [pytest.approx(said.logarithms) for said in alone]


def test_what_is_stuck_is_stopped() -> None:
    (said,), network = say(lambda _: {11: 10.0})
    assert (said.loops, len(said.tokens), len(network.texts)) == (True, 65, 66)


def test_a_list_of_numbers_is_not_stuck() -> None:
    """A comma after each: the last tokens look like a loop for a while."""
    whole = [token for number in range(30) for token in (1000 + number, 13)] + list(range(2000, 2015))
    (said,), network = say(saying(*whole), temperatures=(0.0, 0.2))
    assert said.tokens == [*whole, WORDS.end]
    assert len(network.asked) == 1


def test_what_was_listened_to_for_each_token_is_kept() -> None:
    """The scripted attention tells how much was read."""
    (said, other), _ = say(saying(11, 12), saying(13))
    assert [shares.tolist() for shares in said.attention] == [[[2.0]], [[3.0]], [[4.0]]]
    assert len(other.attention) == len(other.tokens) == 2


def test_no_more_is_said_than_anybody_could() -> None:
    (said,), _ = say(lambda read: {1000 + len(read): 10.0}, most=36)
    assert (len(said.tokens), said.doubtful) == (37, False)


def test_what_finds_no_room_is_kept() -> None:
    """What comes after it is heard in another pass."""
    (said,), network = say(lambda read: {1000 + len(read): 10.0}, temperatures=(0.0, 0.2))
    assert len(said.tokens) == len(said.logarithms) == len(said.attention) == 220
    assert (said.doubtful, len(network.asked)) == (False, 1)


def test_what_loops_is_tried_again_warmer() -> None:
    """By chance, with the prompt as long as it is cold."""

    def script(read: list[int]) -> dict[int, float]:
        # Other words are nearly as likely each time: they are said only if it is warm.
        if len(read) < 40:
            return {11: 10.0, **{1000 * other + len(read): 9.5 for other in range(1, 5)}}
        return {WORDS.end: 10.0}

    (said,), network = say(script, prompts=[[7, 8]], temperatures=(0.0, 0.2, 0.6, 1.0))
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


@pytest.mark.parametrize("lengths", [(9, 3, 6), (3, 6, 9), (3, 9, 6), (3, 3, 6)])
def test_sounds_end_one_after_the_other(lengths: tuple[int, ...]) -> None:
    """And those that are left go on as if they were alone."""
    scripts = [saying(*range(1000 * number, 1000 * number + length)) for number, length in enumerate(lengths, start=1)]
    found, _ = say(*scripts)
    alone = [say(script)[0][0].tokens for script in scripts]
    assert [said.tokens for said in found] == alone
    assert tuple(len(tokens) - 1 for tokens in alone) == lengths
