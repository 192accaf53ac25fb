"""The words that tokens make, their times, and the segments that words make."""

import pytest

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Span
from container.alignment import Token, segments
from container.guards import ALL


def tokens(*pieces: tuple[str, float]) -> list[Token]:
    return [Token(piece.encode(), 0.9, end) for piece, end in pieces]


def timed(heard: list[Token], *spans: tuple[float, float], end: float = 10.0) -> list[tuple[str, float, float]]:
    chunk = Chunk(start=0, end=end, speech=[Span(start=a, end=b) for a, b in spans])
    return [(w.text, w.start, w.end) for segment in segments(heard, chunk) for w in segment.words]


class TestWords:
    @pytest.mark.parametrize(
        ("pieces", "words"),
        [
            ([" As", "k", " not", ".", '"'], [" Ask", ' not."']),
            ([" he", ' "', "said", '"', "?"], [" he", ' "said"?']),
            ([" pre", "-", "pen", "ding"], [" pre-pending"]),
            ([" one", " -", " two"], [" one -", " two"]),
            (["你", "好", "。", "世", "界", "。"], ["你", "好。", "世", "界。"]),
            (["こん", "にちは", "。"], ["こん", "にちは。"]),
            ([" it", "'s", " 3", ".", "5", "%"], [" it's", " 3.5%"]),
            ([" ...", " -"], []),
        ],
    )
    def test_tokens_become_words(self, pieces: list[str], words: list[str]) -> None:
        heard = tokens(*((piece, float(n)) for n, piece in enumerate(pieces, 1)))
        assert [word for word, *_ in timed(heard, (0, 10))] == words

    def test_characters_split_between_tokens(self) -> None:
        data = " naïve 😀a".encode()
        heard = [Token(data[i : i + 1], 0.5 + i / 100, float(i)) for i in range(len(data))]
        assert "".join(word for word, *_ in timed(heard, (0, 20), end=20.0)) == " naïve 😀a"

    def test_a_broken_character_takes_nothing_with_it(self) -> None:
        heard = [Token(b" one", 1.0, 1.0), Token(b"\xe0\xb8", 1.0, 2.0), Token(b" two", 1.0, 3.0)]
        assert "".join(word for word, *_ in timed(heard, (0, 10))) == " one two"

    def test_a_pause_goes_between_the_words_it_is_nearest_to(self) -> None:
        heard = tokens((" one", 1.3), (" two", 2.1), (".", 4.9), (" three", 5.5), (" four", 6.2))
        assert timed(heard, (0.5, 2.2), (5.0, 6.4)) == [
            (" one", 0.5, 1.4),
            (" two.", 1.4, 2.2),
            (" three", 5.0, 5.6),
            (" four", 5.6, 6.4),
        ]

    def test_a_word_stays_before_a_pause_during_which_attention_rests_on_it(self) -> None:
        heard = tokens((" for", 7.13), (" you", 8.15), (" ask", 8.55), (" what", 8.85))
        assert timed(heard, (5.408, 7.648), (8.192, 10.592), end=11.0) == [
            (" for", 5.408, 7.13),
            (" you", 7.13, 7.648),
            (" ask", 8.192, 8.55),
            (" what", 8.55, 8.85),
        ]

    def test_a_word_that_finds_no_time_before_a_pause_follows_it(self) -> None:
        assert timed(tokens((" for", 7.64), (" a", 8.19), (" year", 8.6)), (5.5, 7.65), (8.1, 9.5)) == [
            (" for", 5.65, 7.65),
            (" a", 8.1, 8.19),
            (" year", 8.19, 8.6),
        ]

    def test_a_last_word_does_not_swallow_what_was_not_understood(self) -> None:
        assert timed(tokens((" one", 1.0)), (0.5, 8.0)) == [(" one", 0.5, 1.0)]

    def test_times_are_those_of_the_file_though_pauses_were_heard_in_part(self) -> None:
        """Of a pause of 30 s half a second is heard, of those of 0.8 and 0.3 s all."""
        spans = [(100.3, 101.0), (131.0, 132.0), (132.8, 133.5), (133.8, 134.5)]
        chunk = Chunk(start=100, end=135, speech=[Span(start=a, end=b) for a, b in spans], pause=0.5)
        heard = tokens((" one", 0.9), (".", 1.2), (" two", 2.4), (".", 2.9), (" Three", 3.95), (" four", 4.95))
        found = [(w.text, w.start, w.end) for segment in segments(heard, chunk) for w in segment.words]
        assert found == [
            (" one.", 100.3, 101.0),
            (" two.", 131.0, 132.0),
            (" Three", 132.8, 133.5),
            (" four", 133.8, 134.5),
        ]
        assert [segment.text for segment in segments(heard, chunk)] == ["one.", "two.", "Three four"]

    def test_attention_may_rest_until_the_next_word_has_begun(self) -> None:
        heard = tokens((" for", 7.31), (" you", 8.314), (",", 8.37), (" ask", 8.71), (" what", 9.01))
        spans = (5.408, 7.616), (8.192, 9.02)
        assert [start for _, start, _ in timed(heard, *spans)] == [5.408, 7.31, 8.192, 8.71]

    @pytest.mark.parametrize(("cough", "answer"), [(0.2, 0.3), (0.3, 0.6)])
    def test_a_sentence_of_one_word_is_not_put_on_a_cough_before_a_pause(self, cough: float, answer: float) -> None:
        spans = [(0.3, 2.3), (42.3, 42.3 + cough), (82.5, 85.0)]
        chunk = Chunk(start=0, end=85.3, speech=[Span(start=a, end=b) for a, b in spans], pause=0.4)
        begins = 3.1 + cough
        heard = tokens(
            (" All", 1.0), (" done", 2.25), (".", 2.6), (" Yes", begins + answer), (".", begins + answer + 0.1)
        )
        heard += tokens((" Next", begins + answer + 0.8), (" one", begins + 2.4), (".", begins + 2.5))
        found = {w.text: w.start for segment in segments(heard, chunk) for w in segment.words}
        assert found[" done."] < 2.3
        assert found[" Yes."] == 82.5

    def test_a_word_of_its_own_between_long_pauses_is_put_there(self) -> None:
        spans = [(0.3, 2.3), (42.3, 42.6), (82.5, 85.0)]
        chunk = Chunk(start=0, end=85.3, speech=[Span(start=a, end=b) for a, b in spans], pause=0.4)
        heard = tokens(
            (" All", 1.0), (" done", 2.25), (".", 2.6), (" Yes", 3.3), (".", 3.4), (" Next", 4.0), (" one", 5.7)
        )
        found = {w.text: w.start for segment in segments(heard, chunk) for w in segment.words}
        assert (found[" Yes."], found[" Next"]) == (42.3, 82.5)


class TestSegments:
    """Seconds of words: each lasts from the end of the one before it."""

    @pytest.mark.parametrize(
        ("pieces", "found"),
        [
            ([" One", ".", " Two", ",", " three", "?", " Four"], ["One.", "Two, three?", "Four"]),
            ([" Mr", ".", " Four", " p", ".", "m", ".", " then"], ["Mr. Four p.m. then"]),
            ([" [", "Music", "]", " Hello", "."], ["Hello."]),
            ([" Hello", ".", " (", "ap", "plause", ")", " Thanks", "."], ["Hello.", "Thanks."]),
            ([" ♪", " La", " la", " ♪", " Hello", "."], ["Hello."]),
            ([" It", " (", "that", " is", ")", " works", "."], ["It (that is) works."]),
            ([" *", "cough", "*"], []),
            ([" Hello", ".", " *", "cough", "*", " Thanks", "."], ["Hello.", "Thanks."]),
            ([" Call", ".", " (", "800", ")", " 555", "."], ["Call.", "(800) 555."]),
            ([" ♪", " so", " here", " is", " the", " news"], ["♪ so here is the news"]),
        ],
    )
    def test_each_is_a_sentence_that_somebody_says(self, pieces: list[str], found: list[str]) -> None:
        heard = tokens(*((piece, float(n)) for n, piece in enumerate(pieces, 1)))
        chunk = Chunk(start=0, end=20, speech=[Span(start=0, end=20)])
        assert [segment.text for segment in segments(heard, chunk)] == found

    def test_sounds_are_kept_on_request(self) -> None:
        chunk = Chunk(start=0, end=20, speech=[Span(start=0, end=20)])
        heard = tokens((" [", 1.0), ("Music", 2.0), ("]", 2.0), (" Hello", 3.0))
        assert [segment.text for segment in segments(heard, chunk, ALL - {Guard.SOUNDS})] == ["[Music] Hello"]

    def test_a_pause_of_a_second_ends_one(self) -> None:
        chunk = Chunk(start=0, end=9, speech=[Span(start=0, end=2), Span(start=2.9, end=5), Span(start=6, end=9)])
        heard = tokens((" one", 1.0), (" two", 2.0), (" three", 4.0), (" four", 5.0), (" five", 8.0))
        assert [segment.text for segment in segments(heard, chunk)] == ["one two three four", "five"]
