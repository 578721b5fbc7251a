"""Which answers refuse: by what the API says, by the policy's own texts, and by their wording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.evaluation.requests import Answer

# How models begin to refuse. Curly and straight apostrophes are alike.
_WORDING: Final = re.compile(
    r"^\W*(?:i['’]?m (?:really |very )?sorry|sorry[,.]|i apologi[sz]e|unfortunately[,]? i"
    r"|i (?:can['’]?t|cannot|can not|am unable|['’]?m unable|am not able|['’]?m not able|won['’]?t)"
    r" |i do(?:n['’]t| not) have (?:any )?(?:information|knowledge|access|details)"
    r"|i['’]m unable|i['’]m not able|as an ai\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Refusals:
    """What counts as one.

    Attributes:
        texts: whole refusals of the policy, as users read them.
    """

    texts: Sequence[str] = ()

    def holds(self, answer: Answer) -> bool:
        """Whether an answer refuses."""
        if answer.refused:
            return True
        text = answer.text.strip()
        return text in self.texts or _WORDING.match(text) is not None
