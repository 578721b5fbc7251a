"""The last net: every channel of every choice of an answer, scanned before it leaves.

Whole answers and streams take the same way: a whole message is one delta and its end. Prose is
released as soon as no forbidden phrase can still begin in it. JSON (tool-call arguments, answers to
``response_format``) is held until it is whole, because its escapes can spell a phrase in letters
that only a parser shows; it is scanned as written and unescaped.

What prose hides in a code is looked for as it goes (``server/coded.py``), in JSON when it is whole.

Where the model was asked about stand-ins, they are swapped back first, so that what is scanned is
what the user gets to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guard.stream import Scanner, StreamScan
from server.coded import CodedScan, Hides
from server.swap_back import SwapBack, SwapBackScan
from server.wire.json_text import unescape_json
from server.wire.texts import TEXT_CHANNELS


@dataclass(frozen=True, slots=True)
class Hit:
    """A forbidden phrase was found: in which channel, of which target (index in the bundle)."""

    channel: str
    target: int


def find_in_json(scanner: Scanner, text: str) -> int | None:
    """Index of the target of the first phrase in a JSON text, as written or unescaped."""
    for form in (text, unescape_json(text)) if "\\" in text else (text,):
        found = find_in(scanner, form)
        if found is not None:
            return found
    return None


def find_in(scanner: Scanner, text: str) -> int | None:
    """Index of the target of the first phrase in a whole text."""
    scan = scanner.start()
    scan.feed(text)
    scan.flush()
    return None if scan.hit is None else scan.hit.target


@dataclass(slots=True)
class _HeldCall:
    """A tool call, gathered until it is complete."""

    id: str | None = None
    type: str = "function"
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def add(self, delta: dict[str, Any]) -> int:
        """Take a piece; returns how many characters of arguments it brought."""
        self.id = delta.get("id") or self.id
        function = delta.get("function") or {}
        self.name += function.get("name") or ""
        arguments = function.get("arguments") or ""
        self.arguments.append(arguments)
        return len(arguments)

    def released(self, index: int) -> dict[str, Any]:
        arguments = "".join(self.arguments)
        function = {"name": self.name, "arguments": arguments}
        return {"index": index, "id": self.id, "type": self.type, "function": function}


class ChoiceScan:
    """One choice of an answer on its way out.

    Args:
        scanner: the phrases of the targets in force.
        json_content: whether the content is JSON, to be held until it is whole.
        back: swaps stand-ins for the names that the user asked about.
        hides: finds what a text hides.
        whole: whether each channel comes in one piece: none of it leaves before all was read.

    Attributes:
        hit: what was found. Once set, nothing more is released.
        most_held: most characters that were held back at a time.
    """

    def __init__(
        self,
        scanner: Scanner,
        *,
        json_content: bool = False,
        back: SwapBack | None = None,
        hides: Hides | None = None,
        whole: bool = False,
    ) -> None:
        self.hit: Hit | None = None
        self.most_held = 0
        self._scanner = scanner
        self._json = {"content", "text"} if json_content else set()
        self._back = back
        self._hides = hides
        self._whole = whole
        self._coded: dict[str, CodedScan] = {}
        self._scans: dict[str, StreamScan] = {}
        self._swaps: dict[str, SwapBackScan] = {}
        self._held_json: dict[str, list[str]] = {}
        self._calls: dict[int, _HeldCall] = {}
        self._held = 0

    def feed(
        self, delta: dict[str, Any], channels: tuple[str, ...] = TEXT_CHANNELS
    ) -> dict[str, Any]:
        """The part of a delta that is cleared, with whatever it clears of earlier ones."""
        out: dict[str, Any] = {}
        if isinstance(delta.get("role"), str):
            out["role"] = delta["role"]
        for channel in channels:
            text = delta.get(channel)
            if isinstance(text, str) and self.hit is None:
                cleared = self._text(channel, text)
                if cleared or not text:
                    out[channel] = cleared
        if delta.get("tool_calls") and self.hit is None:
            self._hold_calls(delta["tool_calls"])
        self.most_held = max(self.most_held, self._held)
        return out

    def finish(self, channels: tuple[str, ...] = TEXT_CHANNELS) -> dict[str, Any]:
        """The end of the choice: what is cleared of all that was held back."""
        out: dict[str, Any] = {}
        for channel in channels:
            if self.hit is None and (text := self._end(channel)):
                out[channel] = text
        if self.hit is None and (calls := self._release_calls()):
            out["tool_calls"] = calls
        return out

    def _text(self, channel: str, text: str) -> str:
        self._held += len(text)
        if channel in self._json:
            self._held_json.setdefault(channel, []).append(text)
            return ""
        scan = self._scans.get(channel)
        if scan is None:
            scan = self._scans[channel] = self._scanner.start()
            if self._back is not None:
                self._swaps[channel] = self._back.start(scan)
            if self._hides is not None:
                self._coded[channel] = CodedScan(self._hides)
        way_out = self._swaps.get(channel, scan)
        cleared = way_out.feed(text) + (way_out.flush() if self._whole else "")
        self._held -= len(cleared)
        if channel in self._coded:
            coded = self._coded[channel]
            cleared = coded.flush(cleared) if self._whole else coded.feed(cleared)
        self._note(channel, scan)
        return cleared

    def _note(self, channel: str, scan: StreamScan) -> None:
        coded = self._coded.get(channel)
        if coded is not None and coded.hit is not None:
            self.hit = Hit(channel, coded.hit)
        elif scan.hit is not None:
            self.hit = Hit(channel, scan.hit.target)

    def _find(self, text: str) -> int | None:
        """Index of the target of the first phrase that a whole JSON text says or hides."""
        found = find_in_json(self._scanner, text)
        return self._hides(text) if found is None and self._hides is not None else found

    def _end(self, channel: str) -> str:
        if channel in self._held_json:
            text = self._json_swapped_back("".join(self._held_json.pop(channel)))
            found = self._find(text)
            if found is not None:
                self.hit = Hit(channel, found)
                return ""
            return text
        scan = self._scans.get(channel)
        if scan is None or self._whole:
            return ""
        cleared = self._swaps.get(channel, scan).flush()
        if channel in self._coded:
            cleared = self._coded[channel].flush(cleared)
        self._note(channel, scan)
        return cleared

    def _json_swapped_back(self, text: str) -> str:
        return text if self._back is None else self._back.in_json(text)

    def _hold_calls(self, deltas: list[dict[str, Any]]) -> None:
        for position, delta in enumerate(deltas):
            index = delta.get("index")
            call = self._calls.setdefault(
                index if isinstance(index, int) else position, _HeldCall()
            )
            self._held += call.add(delta)

    def _release_calls(self) -> list[dict[str, Any]]:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.arguments = [self._json_swapped_back("".join(call.arguments))]
            said = {
                "id": call.id or "",
                "name": call.name,
                "arguments": "".join(call.arguments),
            }
            for channel, text in said.items():
                found = self._find(text)
                if found is not None:
                    self.hit = Hit(f"tool_calls.{channel}", found)
                    return []
        return [call.released(index) for index, call in calls.items()]
