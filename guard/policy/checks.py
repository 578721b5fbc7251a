"""What one field's own type cannot say: rules over a target, and over all targets and tenants."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from guard.errors import PolicyError
from guard.normalise import SEP, normalise
from guard.phrases import PhraseSearch
from guard.policy.corpus import repeats
from guard.policy.lint import blank_fields, check_item
from guard.policy.model import Place, PolicyTarget, PolicyWarning
from guard.policy.schema import Phrase, TenantEntry
from guard.policy.words import is_common_word

# Letters and digits of a phrase or alias, below which it is refused, or warned of.
_TOO_SHORT: Final = 2
_RISKY: Final = 3

# Bound of `verbatim` below which runs stop being a text's own.
_FEW_WORDS: Final = 5
# Phrases of a target whose check is remembered; those of more take too much memory.
_REMEMBERED: Final = 100
# Phrases of one file: more take long to compile, in the proxy as in the engine.
MAX_EXTRACTED: Final = 100_000
_MARKED_UP: Final = frozenset(
    {
        ".csv", ".doc", ".docx", ".epub", ".htm", ".html", ".json", ".jsonl", ".odt", ".pdf",
        ".rtf", ".srt", ".tex", ".tsv", ".vtt", ".xml", ".yaml", ".yml",
    }
)  # fmt: skip
# Files that a warning names one by one.
_NAMED: Final = 3
# Of examples that one only repeats: what people ask is never so near.
_HARDLY_BELOW: Final = 0.95

Problem = PolicyError | PolicyWarning


def check_target(
    target: PolicyTarget, today: datetime.date, *, complete: bool = True
) -> Iterator[Problem]:
    """Problems within one loaded target; errors and warnings, in the order of its fields.

    Args:
        complete: whether all data files of the target could be read.
    """
    spec, place = target.spec, target.place
    if spec.expires is not None and spec.expires < today:
        yield place.at("expires").warning(
            f"expired on {spec.expires}: the target is no longer enforced",
            "set a later date, or remove the target",
        )
    detect = place.at("detect")
    for index, alias in enumerate(spec.detect.aliases):
        yield from _check_words(alias, detect.at("aliases", index), "alias")
        yield from check_item(alias, detect.at("aliases", index), "alias")
    yield from _check_detection(target)
    phrases = place.at("forbid", "phrases")
    for index, phrase in enumerate(spec.forbid.phrases):
        soft = isinstance(phrase, Phrase) and phrase.strength == "soft"
        text = phrase.text if isinstance(phrase, Phrase) else phrase
        yield from _check_words(text, phrases.at(index), "phrase", soft=soft)
        yield from check_item(text, phrases.at(index), "phrase")
    yield from _check_forbidding(target, complete)
    if target.respond == "substitute":
        yield from _check_substitution(target, complete)


def _check_words(text: str, place: Place, what: str, *, soft: bool = False) -> Iterator[Problem]:
    words = normalise(text)
    letters = len(words.replace(SEP, ""))
    if not letters:
        yield place.error(f"holds no letter or digit, so the {what} can never match", "correct it")
    elif letters < _TOO_SHORT:
        yield place.error(
            f"`{text}` is a single character, which stands in almost every text",
            f"write a longer {what}",
        )
    elif letters < _RISKY:
        yield place.warning(
            f"`{text}` is so short that it will stand in unrelated texts", f"write a longer {what}"
        )
    elif is_common_word(words) and not soft:
        effect = "flags harmless requests" if what == "alias" else "is missing from other answers"
        yield place.warning(
            f"`{text}` is an everyday word: as {_a(what)} it {effect}",
            "write a longer name" if what == "alias" else "write a longer phrase, or make it soft",
        )


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _check_detection(target: PolicyTarget) -> Iterator[Problem]:
    spec, detect = target.spec, target.place.at("detect")
    if not spec.detect.aliases and spec.detect.examples is None and not spec.forbid.always:
        yield detect.error(
            "has neither aliases nor examples, so no request is ever recognised",
            "add `detect.aliases` or `detect.examples`, or set `forbid.always: true`",
        )
    left = {name for name in ("examples", "counterexamples") if getattr(spec.detect, name) is None}
    yield from blank_fields(sorted(left & spec.detect.model_fields_set), detect)
    if (spec.detect.threshold or 0) >= _HARDLY_BELOW:
        yield detect.at("threshold").warning(
            "recognises little more than the examples themselves, letter by letter",
            "remove it: the threshold is calibrated then",
        )
    if spec.detect.examples is None:
        for name in ("counterexamples", "threshold"):
            if getattr(spec.detect, name) is not None:
                yield detect.at(name).warning(
                    "has no effect without `examples`", "add `detect.examples`, or remove it"
                )
    near = set(map(normalise, target.counterexamples))
    both = near & set(map(normalise, target.examples)) if near else near
    for prompt in sorted(both):
        yield detect.at("counterexamples").error(
            f"`{prompt[:80]}` is an example and a counterexample", "keep it in one of them"
        )


def _check_forbidding(target: PolicyTarget, complete: bool) -> Iterator[Problem]:
    spec, forbid = target.spec, target.place.at("forbid")
    left = {name for name in ("extract", "verbatim") if getattr(spec.forbid, name) is None}
    yield from blank_fields(sorted(left & spec.forbid.model_fields_set), forbid)
    hard = [p if isinstance(p, str) else p.text for p in spec.forbid.phrases
            if isinstance(p, str) or p.strength == "hard"]  # fmt: skip
    hard += target.extracted.facts
    verbatim = spec.forbid.verbatim
    if not spec.forbid.phrases and not target.extracted and verbatim is None:
        if spec.forbid.always:
            yield forbid.error("`always` has nothing to hold", "add `forbid.phrases`")
        elif target.respond in ("suppress", "substitute") and spec.forbid.extract is None:
            yield forbid.error(
                f"has nothing to forbid, so `{target.respond}` would hold nothing back",
                "add `forbid.phrases`, `forbid.extract` or `forbid.verbatim`, or set"
                " `respond: refuse`",
            )
    if verbatim is not None and verbatim.words < _FEW_WORDS:
        yield forbid.at("verbatim", "words").warning(
            f"runs of {verbatim.words + 1} words also stand in unrelated texts, whose answers will"
            " read oddly",
            f"allow at least {_FEW_WORDS} words, unless the corpus is small",
        )
    if complete and spec.forbid.extract is not None and not target.extracted:
        yield forbid.at("extract").error(
            "found no key facts in the answers", "check that the answers hold names or numbers"
        )
    if spec.forbid.always and spec.forbid.extract and spec.forbid.extract.kind == "all_words":
        yield forbid.at("extract", "kind").error(
            "`all_words` with `always` would take everyday words from every answer",
            "use `telling_words` or `key_facts`, or remove `always`",
        )
    if len(target.extracted) > MAX_EXTRACTED:
        yield forbid.at("extract", "from").error(
            f"{len(target.extracted)} phrases were found, and {MAX_EXTRACTED} can be held",
            "give a shorter file, or `forbid.verbatim`, which is made for long texts",
        )
    if said := _said(spec.refusal, tuple(hard)):
        yield target.place.at("refusal").error(
            f"the refusal itself says the forbidden phrase `{said}`", "word it without the phrase"
        )
    if target.verbatim is not None and repeats(target.verbatim, spec.refusal):
        yield target.place.at("refusal").error(
            f"the refusal itself repeats more than {target.verbatim.words} words of the corpus",
            "word it otherwise",
        )


def _said(text: str, phrases: tuple[str, ...]) -> str | None:
    """The first of some phrases that a text says, as it does."""
    if not text:
        return None
    # Every target is checked again at each edit of the policy, and few have changed.
    search = _searched if len(phrases) <= _REMEMBERED else _searched.__wrapped__
    return search(text, phrases)


@lru_cache(4096)
def _searched(text: str, phrases: tuple[str, ...]) -> str | None:
    found = PhraseSearch([words for words in map(normalise, phrases) if words]).search(text)
    return text[found[0].start : found[0].end] if found else None


def _check_substitution(target: PolicyTarget, complete: bool) -> Iterator[Problem]:
    spec = target.spec
    place = target.place if spec.respond is None else target.place.at("respond")
    if spec.reason in ("privacy", "safety"):
        harm = "about a real person" if spec.reason == "privacy" else "on a matter of safety"
        yield place.error(
            f"`substitute` has the model invent an answer, and one {harm} does harm of its own",
            f"set `respond: refuse` (or `suppress`) for a target with `reason: {spec.reason}`",
        )
    if not spec.forbid.say_back:
        yield target.place.at("forbid", "say_back").error(
            "without it an answer could not name what it was asked about, so `substitute` would"
            " answer about a stand-in",
            "remove `say_back: false`, or set `respond: suppress`",
        )
    if complete and not target.stand_ins:
        yield place.error(
            "no alias or example names anything that `substitute` could swap",
            "add names to `detect.aliases`, or set `respond: suppress`",
        )


def check_corpus(
    files: Sequence[Path], too_short: Sequence[Path], words: int, place: Place
) -> Iterator[PolicyWarning]:
    """Files of a corpus that are likely no plain text, and those of which nothing is held.

    Args:
        too_short: files of no more than ``words`` words.
        place: the policy field that names the files.
    """
    if too_short:
        shown = ", ".join(f"`{path.name}`" for path in too_short[:_NAMED])
        more = f" and {len(too_short) - _NAMED} more" if len(too_short) > _NAMED else ""
        yield place.warning(
            f"{len(too_short)} of {len(files)} files have no run of {words + 1} words, so nothing"
            f" of them is held: {shown}{more}",
            "give the texts themselves, or a smaller `words`; short texts can be `phrases`",
        )
    for path in files:
        if path.suffix.lower() in _MARKED_UP:
            yield place.warning(
                f"`{path}` is read as plain text, field names and markup included",
                "give the protected text alone, as a .txt file",
            )


def check_unique_ids(targets: Sequence[tuple[str, Place]]) -> Iterator[PolicyError]:
    """A target id used twice, in one file or in two."""
    first: dict[str, Place] = {}
    for target_id, place in targets:
        other = first.setdefault(target_id, place)
        if other is not place:
            yield place.at("id").error(
                f"`{target_id}` is also the id of the target at {other.source.file}:{other.line}",
                "give each target an id of its own",
            )


def check_tenants(
    tenants: Sequence[tuple[TenantEntry, Place]], target_ids: frozenset[str]
) -> Iterator[Problem]:
    """Names and keys used twice, and exemptions from targets that do not exist."""
    names: dict[str, Place] = {}
    keys: dict[str, str] = {}
    for tenant, place in tenants:
        if names.setdefault(tenant.name, place) is not place:
            yield place.at("name").error(
                f"`{tenant.name}` is the name of another tenant", "give each tenant its own name"
            )
        for index, key in enumerate(tenant.keys):
            owner = keys.setdefault(key, tenant.name)
            if owner != tenant.name:
                yield place.at("keys", index).error(
                    f"is also a key of tenant `{owner}`", "give each tenant keys of its own"
                )
        for index, target_id in enumerate(tenant.exempt):
            if target_id not in target_ids:
                known = ", ".join(f"`{known}`" for known in sorted(target_ids)) or "none"
                yield place.at("exempt", index).error(
                    f"no target has the id `{target_id}`", f"the targets are: {known}"
                )
