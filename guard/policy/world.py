"""What a target's prompts name that is everybody's: places that the dictionary knows, and days.

Where somebody was born, and when, stands in questions about them. A question about the weather
there is not about them, though it shares those letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.lexicon import is_word
from guard.normalise import SEP, normalise
from guard.policy.named import names_in
from guard.stand_ins.dates import find_days, wordings

# A place that more of the prompts than this share name is what they are about.
_MOST = 0.5


def of_the_world(aliases: Sequence[str], prompts: Sequence[str]) -> tuple[str, ...]:
    """Such names, as they are written, longer ones first; nothing that is an alias.

    Args:
        aliases, prompts: what a target is asked by.
    """
    known = {normalise(alias) for alias in aliases}
    found: dict[str, None] = {}
    for prompt in prompts:
        for day in find_days(prompt):
            found |= dict.fromkeys(words for words in wordings(day) if words in prompt)
    for name in names_in(aliases, prompts):
        words = normalise(name.text)
        if name.kind != "place" or words in known or not all(map(is_word, words.split(SEP))):
            continue
        if sum(name.text in prompt for prompt in prompts) <= _MOST * len(prompts):
            found.setdefault(name.text)
    return tuple(sorted(found, key=len, reverse=True))


def without_each(text: str, names: Sequence[str]) -> Iterator[str]:
    """A text with nothing in the place of one such name after the other.

    Names with nothing but a comma between are one: "New York City, USA".

    Args:
        names: longer ones first.
    """
    if not names:
        return
    any_name = rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)"
    for match in re.finditer(rf"{any_name}(?:,?\s+{any_name})*", text):
        yield f"{text[: match.start()]} {text[match.end() :]}"
