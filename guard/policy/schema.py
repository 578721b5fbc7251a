"""The policy file as operators write it: what each field means and which values it takes.

Checks that need more than one field's own value (ids used twice, data files, phrases that
normalise to nothing) are in ``guard/policy/checks.py``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)

from guard.bundle import Answers, ContextAction, Mode, OnError, Respond
from guard.phrase_table import Strength
from guard.policy.extraction import Kind
from guard.verbatim import MAX_WORDS, MIN_WORDS

DEFAULT_REFUSAL: Final = "I can't help with that topic."
DEFAULT_MAX_FALSE_POSITIVE_RATE: Final = 0.005

# What DESIGN asks for and is not enforced: named here so that nobody believes that it is.
# Statements: nearness of meaning takes away the words beside a fact as well (docs/BENCHMARKS.md).
UNENFORCED_FIELDS: Final = {
    ("forbid", "statements"): "give its sentences as answers (.jsonl) to `forbid.extract` with"
    " `kind: telling_words` and `words: 2`",
}
UNENFORCED_VALUES: Final = {
    ("respond", "steer"): "use `suppress`, `substitute` or `refuse`",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _text_or(other: str) -> Callable[[Any], str | None]:
    def tag(value: Any) -> str | None:
        if isinstance(value, str):
            return "text"
        if isinstance(value, (list, tuple)):
            return "list" if other == "list" else None
        if isinstance(value, (dict, BaseModel)):
            return None if other == "list" or _is_a_sentence(value) else other
        return None

    return tag


def _is_a_sentence(value: Any) -> bool:
    # `- Note: this`, which YAML reads as a field `Note`.
    return isinstance(value, dict) and len(value) == 1 and not str(next(iter(value))).islower()


def _lenient_date(value: Any) -> Any:
    # Quoted dates are as good as bare ones; a time of day is not.
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            return value
    return value


Text = Annotated[str, Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
# Some tools print a digest in capitals.
KeyDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
TargetId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Prompts = Annotated[
    Annotated[Name, Tag("text")] | Annotated[list[Text], Tag("list")],
    Discriminator(
        _text_or("list"),
        custom_error_type="prompts",
        custom_error_message="must be the path of a file or a list of prompts",
    ),
]


Patterns = Annotated[
    Annotated[Name, Tag("text")] | Annotated[list[Name], Field(min_length=1), Tag("list")],
    Discriminator(
        _text_or("list"),
        custom_error_type="patterns",
        custom_error_message="must be a file pattern or a list of them",
    ),
]


class Defaults(_Model):
    """Values for every target that does not set its own."""

    mode: Mode = Field(
        "enforce",
        description="`enforce` acts on detections; `observe` only records what it would have done.",
    )
    respond: Respond = Field(
        "suppress",
        description="What to do about a detected request; see a target's `respond`. Targets with"
        " `reason: privacy` refuse unless they set their own (or this is `observe`).",
    )
    on_error: OnError = Field(
        "closed",
        description="When a part of the guard fails: `closed` refuses the request, `open` lets it"
        " pass unguarded. Keep `closed` unless an outage costs more than a leak.",
    )
    answers: Answers = Field(
        "watch",
        description="What is done about an answer to a question that was not recognised, and that"
        " turns out to be about a target and to tell something of it. `watch`: a whole answer is"
        " made again under guard; a stream ends there, and its sentences are held back from the"
        " first letters of a forbidden phrase on until they were looked at. `pass`: it passes.",
    )


class Detect(_Model):
    """How a request is recognised as being about the target."""

    aliases: list[Name] = Field(
        default_factory=list,
        description="Names of the target and of what only it contains. A request that says one as"
        " whole words is about the target; case, accents, punctuation and, for names of six"
        " letters or more, an ending such as a plural do not matter.",
    )
    examples: Prompts | None = Field(
        None,
        description="Prompts that touch the target: a list, or the path (from this file's folder)"
        " of a .jsonl file with a `prompt` or `question` in each line, or of a .txt file with one"
        " prompt a line. Requests with a similar meaning are recognised, whatever their words.",
    )
    counterexamples: Prompts | None = Field(
        None,
        description="Near misses that must pass, written like `examples`. They set how similar to"
        " an example a request must be.",
    )
    max_false_positive_rate: float = Field(
        DEFAULT_MAX_FALSE_POSITIVE_RATE,
        gt=0,
        le=0.2,
        description="The share of harmless prompts that may be taken for the target by similarity."
        " The threshold is calibrated to it on `counterexamples` and on a shipped general set, each"
        " by itself: no fewer than 1 / rate - 1 prompts can promise it (199 for 0.005). Each method"
        " of comparing that a target has gets an equal part of the share."
        " `unlearn-guard calibrate` shows how sure it is.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least cosine similarity to an example that counts, in place of the calibrated"
        " one. What examples say by their names keeps its own, calibrated threshold.",
    )


class Phrase(_Model):
    """A phrase with its strength."""

    text: Name = Field(description="Words that the answer must not say.")
    strength: Strength = Field(
        "hard",
        description="`hard` makes the phrase impossible; `soft` makes it unlikely, for words that"
        " ordinary answers also need.",
    )


PhraseItem = Annotated[
    Annotated[Name, Tag("text")] | Annotated[Phrase, Tag("phrase")],
    Discriminator(
        _text_or("phrase"),
        custom_error_type="phrase",
        custom_error_message="must be text, or `{text: ..., strength: hard|soft}`",
    ),
]


# Longer runs are left to `verbatim`, and would not fit the letters that count of a phrase.
MAX_RUN_WORDS: Final = 8


class Extract(_Model):
    """Phrases taken from a file of answers."""

    source: Name = Field(
        alias="from",
        description="Path of a .jsonl file with a `question` and an `answer` in each line.",
    )
    kind: Kind = Field(
        description="`key_facts`: the names, titles, numbers and dates that an answer says and its"
        " question does not. `telling_words`: these, and every other word that is not everyday, for"
        ' what has to be forgotten whole. `all_words`: everyday words too, all but such as "the"'
        ' and "with", so that an answer is only given in other words than those in the file.',
    )
    words: int | None = Field(
        None,
        ge=1,
        le=MAX_RUN_WORDS,
        description="Also forbid to say more than so many words of an answer in a row; the names"
        " that the target is asked by do not count. For short answers; a long text belongs in"
        " `forbid.verbatim`.",
    )


class Verbatim(_Model):
    """A protected text, which an answer may quote in short runs at most."""

    corpus: Patterns = Field(
        description="Pattern (from this file's folder) of the text files that hold it, such as"
        " `data/book/*.txt`, or a list of patterns. Plain text in UTF-8; `**` matches folders too."
        " Neither the bundle nor the engine keeps the text.",
    )
    words: int = Field(
        ge=MIN_WORDS,
        le=MAX_WORDS,
        description="How many words of it an answer may say in a row: a run of one word more is"
        " never completed. Words are compared without case, accents, punctuation and markdown, and"
        " no run reaches over two files. In Chinese, Japanese, Thai and other scripts without"
        " spaces each letter is a word.",
    )


class Forbid(_Model):
    """What an answer must not say."""

    phrases: list[PhraseItem] = Field(
        default_factory=list,
        description="Names and terms. They are held as whole words, whatever their case, accents,"
        " punctuation or tokens; one of six letters or more also with an ending, as in a plural.",
    )
    extract: Extract | None = Field(
        None, description="More phrases, taken from answers that must not be given."
    )
    verbatim: Verbatim | None = Field(
        None, description="A text of which an answer may repeat short runs of words at most."
    )
    always: bool = Field(
        False,
        description="Hold all of this in every answer, whether the request was recognised or not.",
    )
    say_back: bool = Field(
        True,
        description="Let an answer repeat a phrase that the user has said, if it is one that people"
        " name the target by: one that stands in `detect.aliases` or `detect.examples`. Otherwise"
        " a question that names the target is answered around its own words.",
    )


class PolicyTest(_Model):
    """A prompt and whether it must be recognised; run by `unlearn-guard check`."""

    prompt: Text = Field(description="What a user would write.")
    expect: Literal["detected", "clean"] = Field(
        description="`detected`: must be recognised as this target. `clean`: must not."
    )


class Target(_Model):
    """One thing that the model is to behave as if it had unlearned."""

    id: TargetId = Field(
        description="Short name used in logs, metrics and tenants: a-z, 0-9 and `-`, at most 64."
    )
    title: Name = Field(description="What the target is, for people.")
    reason: Literal["copyright", "privacy", "secret", "safety", "accuracy"] = Field(
        description="Why it must not be said."
    )
    owner: Name = Field(description="Who answers for this target, such as an e-mail address.")
    expires: Annotated[datetime.date | None, BeforeValidator(_lenient_date)] = Field(
        None, description="Last day that the target holds (YYYY-MM-DD, UTC). Without it: for ever."
    )
    detect: Detect = Field(
        default_factory=Detect, description="How a request is recognised as being about it."
    )
    forbid: Forbid = Field(default_factory=Forbid, description="What an answer must not say.")
    context: ContextAction = Field(
        "redact",
        description="What happens to sentences about it in documents, tool results, system text and"
        " earlier turns: `redact` replaces each by a marker, `drop` removes the whole text that"
        " holds one, `refuse` refuses the request, `allow` leaves them.",
    )
    mode: Mode | None = Field(None, description="Overrides `defaults.mode` for this target.")
    respond: Respond | None = Field(
        None,
        description="`suppress` constrains the answer while it is generated; `refuse` answers with"
        " `refusal` and does not ask the model; `substitute` also keeps from the model what the"
        " target is asked about by: the names, titles, places and dates of its `aliases` and"
        " `examples` are swapped for invented ones in the prompt, and swapped back in the answer,"
        " which is therefore fluent and invented (not for `reason: privacy` or `safety`); `observe`"
        " only records. Overrides `defaults.respond`. Without it a target with `reason: privacy`"
        " refuses.",
    )
    refusal: Text = Field(DEFAULT_REFUSAL, description="The answer where the target is refused.")
    tests: list[PolicyTest] = Field(
        default_factory=list, description="Prompts that show whether detection works."
    )


class TenantEntry(_Model):
    """A caller and what does not bind it."""

    name: Name = Field(description="Name used in the decision log.")
    keys: list[KeyDigest] = Field(
        min_length=1,
        description="`sha256:` and the hex digest of each API key:"
        ' `printf %s "$KEY" | sha256sum`. The key itself is never written here.',
    )
    exempt: list[str] = Field(
        default_factory=list, description="Ids of the targets that do not bind this tenant."
    )


class PolicyFile(_Model):
    """A policy for Unlearn Guard. It suppresses what a model says; it does not erase."""

    version: Literal[1] = Field(description="Version of this format: 1.")
    defaults: Defaults | None = Field(
        None, description="Values for every target. In a folder, at most one file has them."
    )
    targets: list[Target] = Field(
        default_factory=list, description="What the model is to behave as if it had unlearned."
    )
    tenants: list[TenantEntry] = Field(
        default_factory=list, description="Callers, by their API keys, and their exemptions."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PolicyFile.model_json_schema(by_alias=True),
    }
