"""Which targets' answers a sentence gives, under whatever name; for context, not for questions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Final

from classifiers.batching import BatchingEncoder
from guard.bundle import Bundle
from guard.errors import GuardError
from guard.normalise import normalise
from guard.policy.masking import without_names
from guard.statements import FactIndex

# A sentence that is less like every statement whose fact it tells, before any name is masked, is
# not masked and encoded again. Of renamed statements one in a hundred comes below 0.39.
LIKELY: Final = 0.25


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


class StatementMatcher:
    """Finds the statements of a bundle's targets in sentences.

    A sentence gives a statement where it tells one of its facts, and is as near to it, the names of
    both masked, as the target's threshold asks. Only sentences that tell a fact are encoded.

    Args:
        encoder: needed where the bundle has statements; must be the one that encoded them.
        today: the day by which targets expire; for tests.

    Raises:
        GuardError: the bundle needs an encoder that is not the one given.
    """

    def __init__(
        self,
        bundle: Bundle,
        encoder: BatchingEncoder | None,
        *,
        today: Callable[[], datetime.date] = _today,
    ) -> None:
        self._statements = bundle.statements
        self._ids = [target.id for target in bundle.targets]
        self._expiry = [target.expires for target in bundle.targets]
        self._facts = FactIndex(bundle.statements.facts)
        self._encoder = encoder
        self._today = today
        if len(bundle.statements) and (encoder is None or encoder.digest != bundle.encoder):
            raise GuardError(
                "the policy was compiled with another sentence encoder",
                fix="compile the policy again with this encoder",
            )

    def threshold(self, target: str) -> float:
        """The least similarity that counts for a target that has statements."""
        return self._statements.thresholds[self._ids.index(target)]

    async def find(
        self, sentences: Sequence[str], *, skip: frozenset[str] = frozenset()
    ) -> list[dict[str, float]]:
        """For each sentence, the targets that it gives a statement of, with the similarity.

        Args:
            skip: ids of targets that do not bind the caller. Expired targets never match.

        Raises:
            Exception: whatever failed; the caller must then not let the request pass.
        """
        found: list[dict[str, float]] = [{} for _ in sentences]
        if self._encoder is None or not len(self._statements):
            return found
        told = [sorted(self._facts.told(normalise(sentence))) for sentence in sentences]
        looked = [index for index, rows in enumerate(told) if rows]
        plain = await self._encoder.encode([sentences[index] for index in looked])
        wordings = {
            index: without_names(sentences[index])
            for index, vector in zip(looked, plain, strict=True)
            if (self._statements.vectors[told[index]] @ vector).max() >= LIKELY
        }
        vectors = await self._encoder.encode([text for own in wordings.values() for text in own])
        start = 0
        for index, own in wordings.items():
            rows = told[index]
            near = (vectors[start : start + len(own)] @ self._statements.vectors[rows].T).max(0)
            start += len(own)
            for row, score in zip(rows, near.tolist(), strict=True):
                owner = int(self._statements.targets[row])
                if score >= self._statements.thresholds[owner] and self._binds(owner, skip):
                    best = found[index].get(self._ids[owner], 0.0)
                    found[index][self._ids[owner]] = max(best, score)
        return found

    def _binds(self, target: int, skip: frozenset[str]) -> bool:
        expires = self._expiry[target]
        return self._ids[target] not in skip and (
            not expires or self._today() <= datetime.date.fromisoformat(expires)
        )
