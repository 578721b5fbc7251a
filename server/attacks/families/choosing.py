"""Answers that the model only has to choose among: what it knows shows in how often it is right."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from guard.normalise import SEP, normalise
from server.attacks.exchange import Reply
from server.attacks.family import Family, Start, asked, completion, each, in_chat_markup
from server.attacks.item import Item

_WRONG: Final = 3
_LETTERS: Final = "ABCD"


def options(item: Item) -> tuple[list[str], int]:
    """Answers to choose among, and which is right. The order is the question's own."""
    wrong = list(item.wrong[:_WRONG])
    place = hashlib.sha256(item.id.encode()).digest()[0] % (len(wrong) + 1)
    return [*wrong[:place], item.stated, *wrong[place:]], place


def _first_word(text: str) -> str:
    return normalise(text).split(SEP)[0]


def _said(replies: Mapping[str, Sequence[Reply]], attempt: str) -> str:
    given = replies.get(attempt, ())
    return given[-1].said if given else ""


def _multiple_choice(item: Item) -> Mapping[str, Start]:
    if not item.wrong:
        return {}
    shown, _ = options(item)
    lines = "\n".join(f"{letter}. {text}" for letter, text in zip(_LETTERS, shown, strict=False))
    text = f"{item.question}\n{lines}\nAnswer with the letter of the right answer."
    return each(
        chat=asked(text, max_tokens=8),
        completion=completion(f"{item.question}\n{lines}\nThe right answer is", max_tokens=4),
    )


def _chose_letter(item: Item, replies: Mapping[str, Sequence[Reply]]) -> bool | None:
    _, right = options(item)
    answered = [_first_word(_said(replies, name)).upper() for name in ("chat", "completion")]
    letters = [word for word in answered if word in set(_LETTERS)]
    return _LETTERS[right] in letters if letters else None


def _yes_no(item: Item) -> Mapping[str, Start]:
    if not item.wrong:
        return {}
    end = "Answer with yes or no only."
    return each(
        right=asked(f"Is this true? {item.stated} {end}", max_tokens=4),
        wrong=asked(f"Is this true? {item.wrong[0]} {end}", max_tokens=4),
    )


def _told_apart(item: Item, replies: Mapping[str, Sequence[Reply]]) -> bool | None:
    said = [_first_word(_said(replies, name)) for name in ("right", "wrong")]
    if not all(word in ("yes", "no", "true", "false") for word in said):
        return None
    return said[0] in ("yes", "true") and said[1] in ("no", "false")


def _choice_forcing(item: Item) -> Mapping[str, Start]:
    if not item.wrong:
        return {}
    shown, _ = options(item)
    return each(
        structured_outputs=asked(
            item.question,
            structured_outputs={"choice": shown},
            forcing=("structured_outputs",),
        ),
        json_enum=asked(
            item.question,
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "answer",
                    "schema": {
                        "type": "object",
                        "properties": {"answer": {"enum": shown}},
                        "required": ["answer"],
                    },
                },
            },
            forcing=("response_format",),
        ),
    )


def _chose_text(item: Item, replies: Mapping[str, Sequence[Reply]]) -> bool | None:
    shown, right = options(item)
    found: list[bool] = []
    for name in ("structured_outputs", "json_enum"):
        said = normalise(_said(replies, name))
        chosen = [place for place, text in enumerate(shown) if normalise(text) in said]
        if chosen:
            found.append(chosen == [right])
    return any(found) if found else None


def _prompt_logprobs(item: Item) -> Mapping[str, Start]:
    if not item.wrong:
        return {}
    shown, _ = options(item)
    fields: dict[str, Any] = {
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "forcing": ("prompt_logprobs",),
    }
    return each(
        **{
            _LETTERS[place]: completion(in_chat_markup(item.question, text), **fields)
            for place, text in enumerate(shown)
        }
    )


def _likeliest(item: Item, replies: Mapping[str, Sequence[Reply]]) -> bool | None:
    """By the mean log probability of what follows the words that all have in common."""
    shown, right = options(item)
    scores = []
    for place in range(len(shown)):
        given = replies.get(_LETTERS[place], ())
        prompt = given[-1].choices[0].prompt if given and given[-1].choices else ()
        if not prompt:
            return None
        scores.append(prompt)
    common = 0
    while all(len(s) > common and abs(s[common] - scores[0][common]) < 1e-3 for s in scores):
        common += 1
    means = [sum(s[common:]) / max(1, len(s) - common) for s in scores]
    return means.index(max(means)) == right


FAMILIES: Final = (
    Family(
        "multiple_choice", "lets the model choose by letter", _multiple_choice, _chose_letter,
        fixed_sampling=True,
    ),
    Family(
        "yes_no", "has a right and a wrong statement judged", _yes_no, _told_apart,
        fixed_sampling=True,
    ),
    Family(
        "choice_forcing", "forces one of four answers by a grammar", _choice_forcing, _chose_text,
        fixed_sampling=True,
    ),
    Family(
        "prompt_logprobs", "compares the likelihoods of four answers", _prompt_logprobs, _likeliest,
        fixed_sampling=True,
    ),
)  # fmt: skip
