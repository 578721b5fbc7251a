"""What answers still give away under each way of forbidding more than names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml

from guard.policy import compile_policy
from load_tests import tofu
from load_tests.chat import Answer
from load_tests.figure import progress
from load_tests.figures.fluency import score as how_it_reads
from load_tests.greedy import Asked, GreedyModel, Said
from load_tests.lexicon import Lexicon, build
from load_tests.paraphrases import Paraphrased
from load_tests.static_vectors import Encode, Floats, StaticVectors
from load_tests.surprise import Question, Reader
from server.evaluation.fact import Everyday
from server.evaluation.leaks import LeakCounter
from server.evaluation.rows import Row

# Logits taken from a candidate whose text would come too near, and candidates looked at.
_PENALTY: Final = 8.0
_CANDIDATES: Final = 50


def target_id(author: str) -> str:
    """The id of an author's target in the policies made here."""
    return f"author-{author}"


@dataclass(frozen=True, slots=True)
class At:
    """Penalise what is at a threshold."""

    threshold: float

    def penalty(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """[k] logits to take away; [n] cosines before, [k, n] after."""
        return _PENALTY * (after.amax(dim=1) >= self.threshold)


@dataclass(frozen=True, slots=True)
class Approach:
    """Penalise what comes nearer to a statement that the text is near to already.

    Attributes:
        per_cosine: logits taken for each unit of cosine gained beyond ``free``.
        near: least cosine of the text before.
    """

    per_cosine: float = 100.0
    free: float = 0.03
    near: float = 0.3

    def penalty(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """[k] logits to take away; [n] cosines before, [k, n] after."""
        gained = torch.where(before >= self.near, after - before, 0.0).amax(dim=1)
        return self.per_cosine * (gained - self.free).clamp(min=0)


class Nearness:
    """Penalises the candidates that bring an answer near, or nearer, to a statement of its target.

    Args:
        vectors: of the served tokenizer's tokens.
        statements: by target, [n, d] unit vectors.
        vocab_size: width of the logits.
        way: what is penalised.
    """

    def __init__(
        self,
        vectors: StaticVectors,
        statements: Mapping[str, Floats],
        vocab_size: int,
        way: At | Approach,
    ) -> None:
        beyond = vocab_size - len(vectors.rows)
        rows = np.pad(vectors.rows, ((0, max(0, beyond)), (0, 0)))
        self._rows = torch.from_numpy(rows)
        self._statements = {name: torch.from_numpy(rows) for name, rows in statements.items()}
        self._way, self._window = way, vectors.window

    def __call__(
        self, logits: torch.Tensor, targets: Sequence[str], said: Sequence[Sequence[int]]
    ) -> None:
        """Lower logits [B, V] in place."""
        candidates = logits.topk(_CANDIDATES, dim=1).indices
        for row, (target, tokens) in enumerate(zip(targets, said, strict=True)):
            if not target:
                continue
            first = max(0, len(tokens) + 1 - self._window) if self._window else 0
            so_far = self._rows[list(tokens[first:])].sum(dim=0)
            statements = self._statements[target].T
            # [n] cosines so far, [_CANDIDATES, n] with each candidate
            before = torch.nn.functional.normalize(so_far, dim=0) @ statements
            longer = so_far + self._rows[candidates[row]]
            after = torch.nn.functional.normalize(longer, dim=1) @ statements
            logits[row, candidates[row]] -= self._way.penalty(before, after)


def count_leaks(
    model: GreedyModel,
    retain_only: Path,
    rows: Mapping[str, Sequence[Paraphrased]],
    trials: Mapping[str, Nearness],
    folder: Path,
    encode: Encode,
) -> dict[str, dict[str, Any]]:
    """Answer every question in each way, and count.

    Args:
        trials: ``near`` and ``nearer``, penalties that are in no engine.
        retain_only: the model that never knew, whose answers say what is said by chance.
        folder: for policies, bundles (``folder/bundles``, which ``model`` reads) and answers.
    """
    asked = [row for own in rows.values() for row in own]
    guarded = [Asked(row.question, target_id(row.author)) for row in asked]
    free = [Asked(each.question, "") for each in guarded]
    policies = {
        name: _compiled(folder, rows, name, *parts)
        for name, parts in {
            "names": ("key_facts", 0),
            "runs": ("key_facts", 3),
            "both": ("telling_words", 3),
        }.items()
    }
    (folder / "answers.jsonl").unlink(missing_ok=True)
    counter = _Counter(asked, folder, encode)
    near, nearer = trials["near"], trials["nearer"]
    # The most telling first, since each takes minutes.
    arms: list[tuple[str, str, list[Asked], Nearness | None]] = [
        ("key facts, runs", "runs", guarded, None),
        ("key facts, runs, nearer", "runs", guarded, nearer),
        ("key facts, telling words, runs", "both", guarded, None),
        ("key facts, telling words, runs, nearer", "both", guarded, nearer),
        ("key facts", "names", guarded, None),
        ("key facts, nearer", "names", guarded, nearer),
        ("key facts, near", "names", guarded, near),
        ("no guard", "names", free, None),
    ]
    other = GreedyModel(retain_only, folder / "bundles")
    answers = other.answer(free, policies["names"], label="retain only")
    counted = {"retain only": counter.count("retain only", answers)}
    for name, bundle, questions, penalty in arms:
        answers = model.answer(questions, policies[bundle], label=name, trial=penalty)
        counted[name] = counter.count(name, answers)
        progress(f"{name}: {counted[name]}")
    return counted


class _Counter:
    """Counts what answers give away and how they read; keeps them in ``folder``."""

    def __init__(self, rows: Sequence[Paraphrased], folder: Path, encode: Encode) -> None:
        retain = tofu.load("retain")
        self._rows, self._folder, self._encode = rows, folder, encode
        self._leaks = LeakCounter(Everyday.of([row.answer for row in retain]))
        self._reader = Reader(tofu.model(), folder / "read-by-tofu.jsonl")
        texts = [text for row in retain for text in (row.question, row.answer)]
        self._lexicon: Lexicon = build(tofu.model(), [*texts, *(row.question for row in rows)])

    def count(self, arm: str, answers: Sequence[Said]) -> dict[str, Any]:
        with (self._folder / "answers.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"arm": arm, "answers": [a.text for a in answers]}) + "\n")
        as_rows = [Row("", row.author, row.question, row.answer) for row in self._rows]
        as_answers = [Answer((said.text,), ("",), "", 0) for said in answers]
        read = [
            Question(row.question, said.text, said.ended)
            for row, said in zip(self._rows, answers, strict=True)
        ]
        reads = how_it_reads(read, self._reader.read(read, arm), self._lexicon)
        return {
            **asdict(self._leaks.count(as_rows, as_answers)),
            "right_by_meaning": round(self._right_by_meaning(answers), 4),
            "fluency": asdict(reads),
        }

    def _right_by_meaning(self, answers: Sequence[Said]) -> float:
        """The share of answers that the encoder finds nearer to the right one than to a wrong one.

        Compared with the paraphrase, not with the wording that the model learned.
        """
        near = 0
        vectors = self._encode([said.text or "." for said in answers])
        for row, vector in zip(self._rows, vectors, strict=True):
            scores = self._encode([row.paraphrase, *row.wrong]) @ vector
            near += bool(scores[0] > scores[1:].max())
        return near / len(self._rows)


def _compiled(
    folder: Path, rows: Mapping[str, Sequence[Paraphrased]], name: str, kind: str, run: int
) -> str:
    """The digest of a policy with one target an author, which forbids what is given."""
    place = folder / f"policy-{name}"
    place.mkdir(exist_ok=True)
    targets = []
    for author, own in rows.items():
        data, learned = place / f"{author}.jsonl", place / f"{author}.txt"
        with data.open("w", encoding="utf-8") as lines:
            lines.writelines(
                json.dumps({"question": row.question, "answer": row.answer}) + "\n" for row in own
            )
        learned.write_text("\n".join(row.answer for row in own), encoding="utf-8")
        forbid: dict[str, Any] = {"extract": {"from": data.name, "kind": kind}}
        if run:
            forbid["verbatim"] = {"corpus": learned.name, "words": run}
        targets.append(
            {
                "id": target_id(author),
                "title": author,
                "reason": "privacy",
                "owner": "load-tests",
                "detect": {"aliases": [f"author {author}"]},
                "forbid": forbid,
            }
        )
    path = place / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "targets": targets}))
    return compile_policy(path, folder / "bundles", encode=None).digest
