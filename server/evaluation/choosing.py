"""Which suites run: those asked for whose data are there, with as many questions as asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from guard.errors import GuardError
from server.evaluation.choices import MultipleChoice, of_rows
from server.evaluation.copyright import Copyright
from server.evaluation.cost import Cost
from server.evaluation.fact import Everyday
from server.evaluation.findings import Suite
from server.evaluation.fluency import Fluency
from server.evaluation.handed_back import NEW_NAMES, Given, given, renaming, stated
from server.evaluation.membership import Membership, Probe
from server.evaluation.muse import Muse
from server.evaluation.muse_data import MuseData, read_muse
from server.evaluation.prefixes import PLAIN_FORMAT, Prefixes
from server.evaluation.reading import Choice, Passage, read_choices, read_passages, read_tofu
from server.evaluation.refusals import Refusals
from server.evaluation.requests import chat, completion
from server.evaluation.rows import Row
from server.evaluation.sampling import sample
from server.evaluation.texts import Encode
from server.evaluation.tofu import MAX_TOKENS, Tofu
from server.evaluation.ununlearning import Ununlearning

SUITES: Final = (
    "tofu", "muse", "copyright", "ununlearning", "membership", "fluency", "cost", "choices",
)  # fmt: skip
_MEMBER_WORDS: Final = 50
_MEMBER_TOKENS: Final = 64
# For documents that hold several things, where the data hold nothing about others.
_FILLER: Final = (
    "Tides follow the moon.",
    "A lighthouse warns ships of rocks.",
    "Bread rises because of yeast.",
    "Snow is made of small crystals of ice.",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of each there are to be; 0 for all.

    Attributes:
        questions: of each set.
        prefixed: forget questions that are also asked with the beginning of their answer.
        handed_back: facts that are handed back, each in every form.
        timed: requests timed of each kind.
    """

    questions: int = 0
    prefixed: int = 200
    handed_back: int = 60
    timed: int = 12

    @classmethod
    def of(cls, *, quick: bool, limit: int) -> Sizes:
        """Of a run. A limit holds for everything."""
        sizes = cls(20, 8, 4, 4) if quick else cls()
        if not limit:
            return sizes

        def least(size: int) -> int:
            return min(size, limit) if size else limit

        return cls(
            least(sizes.questions),
            least(sizes.prefixed),
            least(sizes.handed_back),
            least(sizes.timed),
        )


@dataclass(frozen=True, slots=True)
class Data:
    """Where the data of the suites lie, and what is known of the guard; empty if not given."""

    tofu: Path | None = None
    muse: Path | None = None
    texts: tuple[Path, ...] = ()
    choices: Path | None = None
    refusals: tuple[str, ...] = ()


@dataclass
class Chosen:
    """The suites that run, and how they were made."""

    suites: list[Suite] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def chosen_suites(
    data: Data,
    names: Sequence[str],
    sizes: Sizes,
    *,
    prompt_format: str = PLAIN_FORMAT,
    encode: Encode | None = None,
    may_be_none: bool = False,
) -> Chosen:
    """The suites among ``names`` whose data are given.

    Args:
        encode: of meanings, for semantic similarity.
        may_be_none: whether something else is measured, so that no suite need be.

    Raises:
        GuardError: data that cannot be used, or none for any suite.
    """
    if "{question}" not in prompt_format or not prompt_format.endswith("{prefix}"):
        raise GuardError(
            "`--prompt-format`: it must hold `{question}` and end with `{prefix}`",
            fix="write it as the model was trained on, such as 'Question: {question}\\nAnswer:"
            " {prefix}'",
        )
    settings = {"prompt_format": prompt_format, "sizes": _sizes(sizes), "data": {}}
    chosen = Chosen(settings=settings)
    refusals = Refusals(tuple(text.strip() for text in data.refusals))
    made: dict[str, list[Suite]] = {name: [] for name in SUITES}
    choices: list[Choice] = []
    passages: list[Passage] = []
    if data.tofu is not None:
        sets = read_tofu(data.tofu)
        _note(settings, data.tofu, [f"{name}.jsonl" for name in sets])
        _of_tofu(made, sets, sizes, refusals, prompt_format)
        choices = of_rows([row for name in sets if name != "forget" for row in sets[name]])
    if data.muse is not None:
        muse = read_muse(data.muse)
        _note(settings, data.muse, muse.files)
        muse = _fewer(muse, sizes)
        made["muse"].append(Muse(muse))
        if muse.members and muse.holdout:
            made["membership"].append(_of_texts(muse, refusals))
        passages += muse.verbatim
    if data.texts:
        passages += read_passages(list(data.texts))
        for file in data.texts:
            _note(settings, file.parent, [file.name])
    if passages:
        own = sample(passages, sizes.questions, lambda passage: passage.entity)
        made["copyright"].append(Copyright(own, encode))
    if data.choices is not None:
        choices = read_choices(data.choices)
        _note(settings, data.choices.parent, [data.choices.name])
    if choices:
        own_choices = sample(choices, sizes.questions, lambda choice: choice.entity)
        made["choices"].append(MultipleChoice(own_choices))
    chosen.suites = [suite for name in SUITES if name in names for suite in made[name]]
    if not chosen.suites and not may_be_none:
        raise GuardError(
            f"there are no data for any of the suites {', '.join(names)}",
            fix="give `--tofu`, `--muse`, `--texts` or `--choices`",
        )
    return chosen


def _of_tofu(
    made: Mapping[str, list[Suite]],
    sets: Mapping[str, list[Row]],
    sizes: Sizes,
    refusals: Refusals,
    prompt_format: str,
) -> None:
    """The suites that questions with answers make."""
    everyday = Everyday.of([row.answer for row in sets.get("retain", ())])
    asked = {name: sample(rows, sizes.questions, _entity) for name, rows in sets.items()}
    forget = asked["forget"]
    begun = sample(forget, sizes.prefixed, _entity)
    made["tofu"] += [Tofu(asked, everyday), Prefixes(begun, everyday, prompt_format)]
    facts = _handed_back(sets, sizes.handed_back)
    if facts:
        made["ununlearning"].append(Ununlearning(facts, everyday))
    probes = _probes(forget)
    if probes[0]:
        made["membership"].append(Membership(*probes, refusals, "questions"))
    made["fluency"].append(Fluency(forget, prompt_format))
    others = [row for name, rows in asked.items() if name != "forget" for row in rows]
    if others:
        made["cost"].append(Cost(others, forget, refusals, sizes.timed))


def _handed_back(sets: Mapping[str, list[Row]], number: int) -> list[Given]:
    others = [row for name in ("retain", "world_facts") for row in sets.get(name, ())]
    filler = [statement for _, statement in stated(others)] or list(_FILLER)
    every = given(stated(sets["forget"]), filler)
    return sample(every, number, lambda fact: _entity(fact.row))


def _probes(rows: Sequence[Row]) -> tuple[list[Probe], list[Probe]]:
    """Questions about the forgotten, and the same about people who never existed."""
    members: list[Probe] = []
    others: list[Probe] = []
    authors = list(dict.fromkeys(row.author for row in rows if row.author))
    for place, author in enumerate(authors):
        own = [row for row in rows if row.author == author]
        rename = renaming([row.question for row in own], NEW_NAMES[place % len(NEW_NAMES)])
        for row in own:
            new = rename(row.question)
            if new != row.question:
                for text, probes in ((row.question, members), (new, others)):
                    probes.append(Probe(author, text, chat(text, max_tokens=MAX_TOKENS)))
    return members, others


def _of_texts(muse: MuseData, refusals: Refusals) -> Membership:
    """Beginnings of texts that are to be forgotten, and of texts that were never seen."""

    def probes(texts: Sequence[tuple[str, str]]) -> list[Probe]:
        begun = [(" ".join(text.split()[:_MEMBER_WORDS]), entity) for text, entity in texts]
        return [
            Probe(entity, text, completion(text, max_tokens=_MEMBER_TOKENS))
            for text, entity in begun
        ]

    return Membership(probes(muse.members), probes(muse.holdout), refusals, "texts")


def _fewer(muse: MuseData, sizes: Sizes) -> MuseData:
    return replace(
        muse,
        verbatim=sample(muse.verbatim, sizes.questions, lambda passage: passage.entity),
        knowledge={
            name: replace(qa, rows=sample(qa.rows, sizes.questions, _entity))
            for name, qa in muse.knowledge.items()
        },
        members=sample(muse.members, sizes.questions, lambda text: text[1]),
        holdout=sample(muse.holdout, sizes.questions, lambda text: text[1]),
    )


def _entity(row: Row) -> str:
    return row.author or row.id


def _sizes(sizes: Sizes) -> dict[str, int]:
    return {name: getattr(sizes, name) for name in Sizes.__slots__}


def _note(settings: dict[str, Any], folder: Path, names: Sequence[str]) -> None:
    """Keep which data were asked about: by digest, so that a later report can be compared."""
    for name in names:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        settings["data"][name] = digest[:16]
