"""Which targets a text names: one automaton over the aliases of all targets."""

from __future__ import annotations

from guard.bundle import Bundle
from guard.phrases import PhraseAutomaton


class AliasMatcher:
    """Finds aliases as whole words, whatever their case, accents and punctuation."""

    def __init__(self, bundle: Bundle) -> None:
        pairs = [
            (alias, index)
            for index, target in enumerate(bundle.targets)
            for alias in target.aliases
        ]
        self._aliases = [alias for alias, _ in pairs]
        self._owners = [owner for _, owner in pairs]
        self._automaton = PhraseAutomaton(self._aliases)

    def named(self, text: str) -> frozenset[int]:
        """Indices of the targets that the text names."""
        if not self._aliases:
            return frozenset()
        found = self._automaton.search(text, self._aliases)
        return frozenset(self._owners[match.phrase] for match in found)
