"""What a fact is, and the words that are too common to be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from guard.normalise import SEP, normalise

if TYPE_CHECKING:
    from rouge_score.tokenizers import DefaultTokenizer

Kind = Literal["title", "name", "number", "occupation", "subject", "theme"]
KINDS: Final[tuple[Kind, ...]] = ("title", "name", "number", "occupation", "subject", "theme")
# Kinds that are written in small letters, and said in any grammatical form.
SMALL: Final = frozenset({"occupation", "subject", "theme"})
_WORDS: Final = Path(__file__).parent / "words"
# A word that so many of the other authors' answers use tells nothing of one author.
EVERYDAY_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that an answer tells, as the answer writes it.

    Attributes:
        whole: it counts as whole words only, for its letters stand in the question as well
            ("Kuwait" in "Al-Kuwaiti").
    """

    text: str
    kind: Kind
    whole: bool = False

    @property
    def words(self) -> str:
        """Its normalised words."""
        return normalise(self.text)


@dataclass(frozen=True, slots=True)
class Everyday:
    """What answers about other authors say: words that give no author away.

    Attributes:
        words: normalised words that at least `EVERYDAY_SHARE` of the answers use.
        stems: stems of those that at least as many use in some form.
        lower: normalised words that some answer writes in small letters.
    """

    words: frozenset[str] = frozenset()
    stems: frozenset[str] = frozenset()
    lower: frozenset[str] = frozenset()

    @classmethod
    def of(cls, answers: Sequence[str]) -> Everyday:
        """Count over the answers about authors who are *not* to be forgotten."""
        least = max(2, EVERYDAY_SHARE * len(answers))

        def often(parts: Iterable[Iterable[str]]) -> frozenset[str]:
            uses = Counter(chain.from_iterable(set(each) for each in parts))
            return frozenset(part for part, count in uses.items() if count >= least)

        return cls(
            words=often(normalise(answer).split(SEP) for answer in answers),
            stems=often(map(stems, answers)),
            lower=frozenset(
                part
                for answer in answers
                for word in answer.split()
                if word[0].islower()
                for part in normalise(word).split(SEP)
            ),
        )


@lru_cache(maxsize=1)
def _tokenizer() -> DefaultTokenizer:
    # Of the extra `eval`, and the help of `attack` is asked for without it.
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Porter's stem of a normalised word, as ROUGE takes it; words of three letters as they are."""
    return "".join(_tokenizer().tokenize(word)) or word


def stems(text: str) -> list[str]:
    """The stems of a text's normalised words."""
    return [stem(word) for word in normalise(text).split(SEP) if word]


@lru_cache(maxsize=4)
def word_list(name: str) -> tuple[str, ...]:
    """The entries of ``words/NAME.txt``, normalised."""
    lines = (_WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(normalise(line) for line in lines if line and not line.startswith("#"))
