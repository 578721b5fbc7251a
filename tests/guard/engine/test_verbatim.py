"""Exactly the tokens that complete a forbidden run are banned, on any walk of tokens.

The oracle appends the token, decodes, normalises, splits to words, and looks the runs up in a plain
set. The filters of such small corpora hold no stranger's run (the odds are 1 in 10^6 a look).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.runs import RUNS_WIDTH
from guard.engine.symbols import symbol_vocabulary
from guard.engine.verbatim import FilterTensors, VerbatimMatcher, filters_of
from guard.engine.windows import TextWindows
from guard.engine.wordends import RunVocabulary
from guard.normalise import SEP, fold_bytes
from guard.phrases import letters_of
from guard.verbatim import RunFilters
from tests.guard.words import filter_of, runs_of

CPU = torch.device("cpu")
INF = float("-inf")
# Texts of a corpus, and how many of its words may be said in a row.
Corpus = tuple[list[str], int]


def completes(before: bytes, token: bytes, forbidden: set[tuple[str, ...]]) -> bool:
    """Whether the token writes the last letter of a forbidden run."""
    known = len(letters_of(fold_bytes(before)))
    words = fold_bytes(before + token).split(SEP)
    words = [word for word in words if word]
    length = len(next(iter(forbidden), ()))
    letters = 0
    for end, word in enumerate(words, 1):
        letters += len(word)
        if letters > known and tuple(words[max(0, end - length) : end]) in forbidden:
            return True
    return False


class Reader:
    """A matcher for some targets, reading one text for each of ``rows`` rows."""

    def __init__(self, corpora: Sequence[Corpus], vocabulary: list[bytes], rows: int = 1) -> None:
        symbols = symbol_vocabulary(vocabulary)
        self.vocabulary = vocabulary
        self.n_targets = len(corpora)
        filters = [(place, filter_of(*corpus)) for place, corpus in enumerate(corpora)]
        tables = RunVocabulary(symbols, TextWindows(symbols, CPU))
        self.runs_of = tables.runs
        tensors = FilterTensors(RunFilters.of(filters), CPU)
        self.matcher = VerbatimMatcher(tables, tensors)
        self.runs = self.runs_of.start(rows)
        self.text = [b""] * rows

    def read(self, tokens: Sequence[int]) -> None:
        """One more token for each row."""
        self.runs = self.runs_of.advance(self.runs, torch.tensor(tokens))
        self.text = [
            text + self.vocabulary[token] for text, token in zip(self.text, tokens, strict=True)
        ]

    def start_with(self, texts: Sequence[Sequence[int]]) -> None:
        """Read whole texts at once."""
        self.runs = self.runs_of.read_texts(texts)
        self.text = [b"".join(self.vocabulary[token] for token in text) for text in texts]

    def banned(self, active: torch.Tensor) -> list[set[int]]:
        """The tokens that are banned in each row.

        Args:
            active: [rows, n_targets] bool.
        """
        rows = len(self.text)
        logits = torch.zeros(rows, len(self.vocabulary))
        at = torch.arange(rows - 1, -1, -1)
        self.matcher.penalise(logits, at, self.runs.flip(0), active.flip(0))
        assert not logits.isnan().any()
        return [set((row == INF).nonzero().flatten().tolist()) for row in logits]


def expected(
    text: bytes, vocabulary: Sequence[bytes], corpora: Sequence[Corpus], active: Sequence[bool]
) -> set[int]:
    forbidden = [
        runs_of(texts, words + 1) for (texts, words), on in zip(corpora, active, strict=True) if on
    ]
    return {
        token
        for token, data in enumerate(vocabulary)
        if any(completes(text, data, runs) for runs in forbidden)
    }


# Few words, so that runs do occur, as the corpus's and as answers may write them.
WORDS = st.sampled_from(["a", "b", "ab", "ba", "É", "1", "東", "a", "b"])
TEXTS = st.lists(st.lists(WORDS, max_size=14).map(" ".join), min_size=1, max_size=3)
CORPORA = st.lists(st.tuples(TEXTS, st.integers(2, 5)), min_size=1, max_size=3)
PIECES = st.one_of(
    st.sampled_from([b" ", b"a", b" a", b"b", b" b", b"A", b" B", b"-b", b"\n\n", b"*a*"]),
    st.text("aAbÉé .,-\u200b\u0301½東1", max_size=6).map(str.encode),
    st.lists(WORDS, min_size=2, max_size=9).map(lambda words: " ".join(words).encode()),
    st.sampled_from([b"\xc3", b"\xa9", b"\x89", b"\xe6", b"\x9d\xb1", b"\x9d", b"\xb1", b"\xb1a"]),
    st.sampled_from([b"\xff", b"\xc2", b"\xbd", b"\xbd a b", b"\xa9 a", b"\xb1 a b", b"\x80b a"]),
)


@settings(max_examples=80)
@given(CORPORA, st.lists(PIECES, min_size=1, max_size=20), st.data())
def test_bans_equal_append_decode_normalise_split_look_up(
    corpora: list[Corpus], vocabulary: list[bytes], data: st.DataObject
) -> None:
    rows = 3
    reader = Reader(corpora, vocabulary, rows)
    token = st.integers(0, len(vocabulary) - 1)
    prompts = data.draw(st.lists(st.lists(token, max_size=12), min_size=rows, max_size=rows))
    reader.start_with(prompts)
    for step in range(8):
        flags = data.draw(
            st.lists(st.booleans(), min_size=rows * len(corpora), max_size=rows * len(corpora))
        )
        active = torch.tensor(flags).reshape(rows, len(corpora))
        wanted = [
            expected(text, vocabulary, corpora, on)
            for text, on in zip(reader.text, active.tolist(), strict=True)
        ]
        assert reader.banned(active) == wanted, (step, reader.text)
        reader.read(data.draw(st.lists(token, min_size=rows, max_size=rows)))


@settings(max_examples=50)
@given(CORPORA, st.lists(PIECES, min_size=1, max_size=20), st.data())
def test_a_text_that_avoids_banned_tokens_keeps_within_the_bound(
    corpora: list[Corpus], pieces: list[bytes], data: st.DataObject
) -> None:
    vocabulary = [b"", *pieces]  # an answer can always end
    reader = Reader(corpora, vocabulary)
    active = torch.ones(1, len(corpora), dtype=torch.bool)
    for _ in range(25):
        left = sorted(set(range(len(vocabulary))) - reader.banned(active)[0])
        reader.read([data.draw(st.sampled_from(left))])
    words = [word for word in fold_bytes(reader.text[0]).split(SEP) if word]
    for texts, bound in corpora:
        forbidden = runs_of(texts, bound + 1)
        assert not any(
            tuple(words[at : at + bound + 1]) in forbidden for at in range(len(words) - bound)
        )


CORPUS = "the lanterns of saltgate burn low and the ninth bell rings"
WRITTEN = {
    "capitals": "THE Lanterns OF SaltGate burn ",
    "double spaces": "the  lanterns   of saltgate\n\nburn ",
    "changed punctuation": "the, lanterns; of... saltgate - burn! ",
    "markdown": "**the** _lanterns_ of `saltgate`\n> # burn ",
    "hyphens": "the-lanterns-of-saltgate-burn-",
    "zero-width": "the lan\u200bterns of salt\u00adgate bu\u2060rn ",
    "accents": "thé lànterns óf sałtgate burn ".replace("ł", "l"),
    "full width": "ｔｈｅ lanterns ｏｆ saltgate burn ",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("one_byte_each", [True, False])
def test_how_a_run_is_written_or_cut_does_not_matter(written: str, one_byte_each: bool) -> None:
    data = written.encode()
    pieces = [bytes([byte]) for byte in data] if one_byte_each else [data]
    endings = [b"low", b"LOW", b"Low.", b"lo", b"lower", b"**low** tide", b"high low"]
    vocabulary = [*dict.fromkeys(pieces), *endings]
    reader = Reader([([CORPUS], 5)], vocabulary)
    for piece in pieces:
        reader.read([vocabulary.index(piece)])
    banned = reader.banned(torch.ones(1, 1, dtype=torch.bool))[0]
    assert [vocabulary[token] for token in sorted(banned)] == [
        b"low", b"LOW", b"Low.", b"**low** tide",
    ]  # fmt: skip


def test_so_many_words_may_be_said_and_not_one_more() -> None:
    words = CORPUS.split()
    vocabulary = [f" {word}".encode() for word in dict.fromkeys(words)]
    reader = Reader([([CORPUS], 6)], vocabulary)
    on = torch.ones(1, 1, dtype=torch.bool)
    for word in words[:6]:
        assert reader.banned(on) == [set()]
        reader.read([vocabulary.index(f" {word}".encode())])
    assert reader.banned(on) == [{vocabulary.index(b" and")}]


def test_a_run_begun_in_the_prompt_is_not_finished_in_the_answer() -> None:
    vocabulary = [b"the lanterns of saltgate burn", b" low", b" bright "]
    reader = Reader([([CORPUS], 5)], vocabulary)
    reader.start_with([[0], [2, 0], [0, 2]])
    on = torch.ones(3, 1, dtype=torch.bool)
    assert reader.banned(on) == [{1}, {1}, set()]


def test_a_token_that_holds_a_whole_run_is_always_banned() -> None:
    vocabulary = [f"so {CORPUS}".encode(), f"{CORPUS[:40]}".encode(), b"x"]
    reader = Reader([([CORPUS], 4)], vocabulary)
    on = torch.ones(1, 1, dtype=torch.bool)
    assert reader.banned(on) == [{0, 1}]
    reader.read([2])
    assert reader.banned(on) == [{0, 1}]  # "xthe" is another word, the run goes on without it


def test_targets_with_bounds_of_their_own_are_told_apart() -> None:
    words = CORPUS.split()
    vocabulary = [f" {word}".encode() for word in dict.fromkeys(words)]
    reader = Reader([([CORPUS], 3), ([CORPUS], 5)], vocabulary, rows=3)
    active = torch.tensor([[True, False], [False, True], [True, True]])
    token = [vocabulary.index(f" {word}".encode()) for word in words]
    for step in range(3):
        reader.read([token[step]] * 3)
    assert reader.banned(active) == [{token[3]}, set(), {token[3]}]
    for step in range(3, 5):
        reader.read([token[step]] * 3)
    assert reader.banned(active) == [{token[5]}] * 3


REAL_TEXTS = [
    "人工智能技术的发展和应用，是中国经济社会发展的重要内容。東京は日本の首都である。",
    "The lanterns of Saltgate burn low — café naïve — and ring twice at 10.5 o'clock.",
    "Привет, как дела? Всё хорошо, спасибо большое вам за всё.",
]


def test_a_real_vocabulary_is_banned_as_the_oracle_says_wherever_a_text_is_cut() -> None:
    mistral_common = pytest.importorskip("mistral_common", reason="vLLM is not installed")
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    file = next(Path(mistral_common.__file__).parent.rglob("tekken_240911.json"))
    tekken = Tekkenizer.from_file(file)
    special = tekken.num_special_tokens
    vocabulary = [b""] * special
    vocabulary += [tekken.id_to_byte_piece(token) for token in range(special, tekken.n_words)]
    number = {data: token for token, data in enumerate(vocabulary) if data}
    reader = Reader([(REAL_TEXTS, 4)], vocabulary, rows=6)
    draw = random.Random(0)
    texts, following = [], set()
    for text in REAL_TEXTS * 2:
        data = text.encode()
        cut = draw.randrange(len(data) // 2, len(data) - 4)
        following.add(data[cut : cut + 1])
        tokens: list[int] = []
        while cut:
            lengths = (draw.choice((1, 2, 3, 5)), 1)
            begin = next(cut - n for n in lengths if data[cut - n : cut] in number)
            tokens.insert(0, number[data[begin:cut]])
            cut = begin
        texts.append(tokens)
    reader.start_with(texts)
    # All that may go on as the texts do, and some that will not.
    sample = {t for t, data in enumerate(vocabulary) if data[:1] in following and data}
    sample = set(draw.sample(sorted(sample), min(len(sample), 3000)))
    sample |= set(draw.sample(range(len(vocabulary)), 500))
    banned = reader.banned(torch.ones(6, 1, dtype=torch.bool))
    sample |= set().union(*banned)
    runs = runs_of(REAL_TEXTS, 5)
    wanted = [{t for t in sample if completes(text, vocabulary[t], runs)} for text in reader.text]
    assert all(want <= ban for want, ban in zip(wanted, banned, strict=True))
    # Of 800,000 looks, a filter errs in every other draw once.
    assert 5 < sum(map(len, wanted)) <= sum(map(len, banned)) <= sum(map(len, wanted)) + 4


def test_filters_that_did_not_change_stay_on_the_device() -> None:
    made = RunFilters.of([(0, filter_of([CORPUS], 5))])
    again = RunFilters.of([(0, filter_of([CORPUS], 5))])
    other = RunFilters.of([(0, filter_of([CORPUS], 4))])
    first = filters_of(made, CPU, None)
    assert first is not None
    assert filters_of(again, CPU, first) is first
    changed = filters_of(other, CPU, first)
    assert changed is not None
    assert changed.host is other
    assert filters_of(RunFilters.of([]), CPU, first) is None


def test_rows_without_an_active_target_keep_every_bit() -> None:
    reader = Reader([([CORPUS], 4)], [b" the", b" lanterns"])
    logits = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    kept = logits.clone()
    runs = reader.runs_of.read_texts([[0, 1]] * 2)
    assert runs.shape == (2, RUNS_WIDTH)
    reader.matcher.penalise(logits, torch.tensor([3, 0]), runs, torch.zeros(2, 1, dtype=torch.bool))
    assert torch.equal(logits, kept)
