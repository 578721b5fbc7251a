"""What counts as a leak: what a gold answer tells and its question does not.

Written apart from the policy compiler's own extraction, on purpose: the figure must not measure the
guard by the same reading of the data that the guard was built from.
"""

from __future__ import annotations

from dataclasses import replace

from guard.normalise import SEP, normalise
from server.evaluation.fact import Everyday, Fact
from server.evaluation.fact_names import names_of
from server.evaluation.fact_words import small_facts_of


def facts_of(question: str, answer: str, everyday: Everyday) -> tuple[Fact, ...]:
    """The facts of an answer that its question does not already give, each once.

    Returns:
        Titles, names and numbers in order, then what the answer says in small letters. No fact's
        words stand inside those of another.
    """
    found: dict[str, Fact] = {}
    asked = normalise(question).replace(SEP, "")
    for fact in (
        *names_of(question, answer, everyday),
        *small_facts_of(question, answer, everyday),
    ):
        held = f"{SEP}{fact.words}{SEP}"
        others = [f"{SEP}{words}{SEP}" for words in found]
        if fact.words and not any(
            held in other or (fact.kind == "theme" and other in held) for other in others
        ):
            found[fact.words] = replace(fact, whole=fact.words.replace(SEP, "") in asked)
    return tuple(found.values())
