"""Stand-ins to names in an answer on its way out, before the answer is scanned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from guard.runs import RunHit
from guard.stand_ins import Swap, SwapStream
from guard.stream import Scanner, StreamScan
from server.wire.json_text import unescape_json

_STRING: Final = re.compile(
    r'"(?P<said>(?:[^"\\]|\\.)*)(?:"(?P<key>\s*:)?|(?P<open>\\?\Z))', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class SwapBack:
    """How to swap back.

    Attributes:
        swap: from stand-in to name.
        too_long: pairs whose name alone is a longer run of a protected text than may be said. The
            user has said it, so it is let through, as no part of a run.
        json_swap: the others, for JSON, which is scanned as a whole.
    """

    swap: Swap
    too_long: frozenset[int]
    json_swap: Swap

    @classmethod
    def of(cls, table: Iterable[tuple[str, str]], scanner: Scanner) -> SwapBack:
        """Swap back those names that an answer may say.

        Args:
            table: stand-in, and the name that the user has said.
        """
        found = [(instead, name, _hit(scanner, name)) for instead, name in table]
        kept = [row for row in found if row[2] is None or isinstance(row[2], RunHit)]
        return cls(
            Swap([(instead, name) for instead, name, _ in kept]),
            frozenset(index for index, (_, _, hit) in enumerate(kept) if hit is not None),
            Swap([(instead, name) for instead, name, hit in kept if hit is None]),
        )

    def start(self, scan: StreamScan) -> SwapBackScan:
        """A text from its beginning, to be scanned as the user will read it."""
        return SwapBackScan(self, scan)

    def in_json(self, text: str) -> str:
        """A JSON text, whole or not, with the strings in it swapped; keys stay as they are."""
        if '"' not in text:
            return self.json_swap.apply(text)

        def swapped(match: re.Match[str]) -> str:
            said = unescape_json(match["said"])
            changed = self.json_swap.apply(said)
            if match["key"] or changed == said:
                return match[0]
            return json.dumps(changed, ensure_ascii=False)[: None if match["open"] is None else -1]

        return _STRING.sub(swapped, text)


def _hit(scanner: Scanner, name: str) -> object:
    scan = scanner.start()
    scan.feed(name)
    scan.flush()
    return scan.hit


class SwapBackScan:
    """A scan of a text whose stand-ins are swapped back."""

    def __init__(self, back: SwapBack, scan: StreamScan) -> None:
        self._too_long = back.too_long
        self._stream: SwapStream = back.swap.start()
        self._scan = scan

    def feed(self, text: str) -> str:
        """What the next piece clears for release."""
        return self._scanned(self._stream.pieces(text))

    def flush(self) -> str:
        """What the end of the text clears."""
        return self._scanned(self._stream.last_pieces()) + self._scan.flush()

    def _scanned(self, pieces: Sequence[tuple[str, int | None]]) -> str:
        return "".join(
            self._scan.feed(said, ends_runs=pair in self._too_long) for said, pair in pieces
        )
