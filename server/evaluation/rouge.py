"""ROUGE with stemming, in any script.

The usual tokenizer (rouge_score) takes every letter but a to z for a gap: two texts in Cyrillic
have no word at all, and no overlap. Here letters of other scripts are words, too, and each letter
is one in scripts that put no spaces. Texts in Latin letters score as with the usual one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

# Letters of scripts without spaces (Thai to Khmer, Han, kana), and Latin ones: with an accent they
# are gaps, as usual.
_ALONE: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_LATIN: Final = r"\u0000-\u02ff\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f\uff21-\uff5a"
_LETTER: Final = rf"[^\W_{_LATIN}{_ALONE}]"
_MARK: Final = r"[\u0300-\u036f\u0591-\u05c7\u064b-\u0655\u0900-\u0963\u0966-\u0dff]"
_TOKEN: Final = re.compile(rf"(?P<usual>[a-z0-9]+)|[{_ALONE}]|{_LETTER}(?:{_LETTER}|{_MARK})*")


class AnyScript:
    """A tokenizer as ``rouge_score`` takes one."""

    def __init__(self, usual: DefaultTokenizer) -> None:
        self._usual = usual

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, those in a to z stemmed."""
        found: list[str] = []
        for match in _TOKEN.finditer(text.lower()):
            found += self._usual.tokenize(match[0]) if match["usual"] else [match[0]]
        return found


@lru_cache(maxsize=1)
def scorer() -> RougeScorer:
    """Scores ROUGE-1 and ROUGE-L."""
    # Of the extra `eval`, and the help of `attack` is asked for without it.
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    words = AnyScript(DefaultTokenizer(use_stemmer=True))
    return RougeScorer(["rouge1", "rougeL"], tokenizer=words)
