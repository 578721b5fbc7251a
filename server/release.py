"""Answers on their way out: what is in force decides how much of one is rebuilt.

With nothing in force, the upstream's bytes pass as they are. With targets in force an answer is
rebuilt from its known fields only, probabilities left out (they name tokens that the guard kept
from being said), and every channel is scanned. A choice in which a forbidden phrase turns up ends
there with ``finish_reason`` ``content_filter``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json

from guard.bundle import Bundle
from guard.stream import Scanner
from server.active import ActiveSet
from server.answer_scan import ChoiceScan, find_in_json
from server.coded import Hides
from server.decisions import Cut, Decision
from server.errors import (
    ApiError,
    UpstreamAbandonedError,
    UpstreamFailedError,
    UpstreamRefusedError,
)
from server.sse import DONE, DONE_EVENT, ServerSentEvent, encode_event
from server.swap_back import SwapBack
from server.upstream import UpstreamAnswer, UpstreamStream, refused
from server.usage import StreamUsage
from server.wire.answers import FILTERED, Api, filtered_event, refusal_answer, to_json
from server.wire.parse import Request
from server.wire.texts import COMPLETION_CHANNEL, TEXT_CHANNELS

_log = logging.getLogger("unlearn_guard.release")

_HEAD: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
# Quotes inside a JSON string are escaped, so these match keys only.
_CHOICES_KEY: Final = re.compile(rb'"choices"\s*:')
_ENDING_KEY: Final = re.compile(rb'"finish_reason"\s*:\s*"|"usage"\s*:\s*\{')
_CHANNELS: Final[Mapping[Api, tuple[str, ...]]] = {
    "chat": TEXT_CHANNELS,
    "completions": (COMPLETION_CHANNEL,),
}


@dataclass(slots=True)
class Release:
    """How the answer to one request leaves.

    Attributes:
        scanner: of the targets in force; None when there are none.
        back: swaps stand-ins for the names that the user asked about; None where there are none.
        hides: finds what a text hides of the targets in force; None where there are no phrases.
        json_content: whether the content is to be JSON.
        may_be_empty: whether grammar and guard together may leave the engine nothing to say.
        usage: whether the client asked a stream for its usage, and for each chunk's.
    """

    api: Api
    bundle: Bundle
    decision: Decision
    scanner: Scanner | None
    back: SwapBack | None = None
    hides: Hides | None = None
    json_content: bool = False
    may_be_empty: bool = False
    usage: bool = False
    running_usage: bool = False
    _scans: dict[int, ChoiceScan] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        api: Api,
        request: Request,
        bundle: Bundle,
        active: ActiveSet,
        decision: Decision,
        back: SwapBack | None = None,
    ) -> Release:
        """How the answer to this request leaves, with these targets in force."""
        options = request.stream_options
        return cls(
            api,
            bundle,
            decision,
            active.scanner if active.any else None,
            back,
            active.hides if active.scanner.parts else None,
            json_content=request.wants_json and (active.scanner.active or back is not None),
            may_be_empty=request.has_grammar and active.scanner.active,
            usage=request.wants_usage,
            running_usage=bool(options and options.continuous_usage_stats),
        )

    def whole(self, answer: UpstreamAnswer) -> bytes:
        """The body to send for a whole answer."""
        self._count_tokens(answer.json.get("usage"))
        choices = choices_of(answer.json)
        if self.scanner is None:
            for choice in choices:
                self._finished(choice)
            return answer.body
        released = [self._whole_choice(choice) for choice in choices]
        return to_json(
            {
                **_kept(answer.json, _HEAD),
                "choices": released,
                "usage": answer.json.get("usage"),
            }
        )

    def nothing_left(self, choices: int) -> bytes:
        """The body to send where the engine gave up: vLLM throws all choices away with one."""
        self._give_up(range(choices))
        head = {"answer_id": self.decision.id, "model": self.decision.model, "text": ""}
        return refusal_answer(self.api, **head, choices=choices)

    def told(self, error: ApiError) -> ApiError:
        """An error as the client may read it: the model server's own words are scanned, too."""
        said = f"{error.message} {error.param or ''} {error.code}"
        if self.scanner is None or find_in_json(self.scanner, said) is None:
            return error
        status = error.http_status
        return UpstreamRefusedError(
            f"the model server refused the request (status {status}), for a reason that holds what"
            " this model must not say",
            status=status,
        )

    def _give_up(self, indices: Iterable[int]) -> None:
        _log.warning("%s: the answer's grammar left nothing that may be said", self.decision.id)
        self.decision.outcome = "cut"
        self.decision.finish.update(dict.fromkeys(indices, FILTERED))

    async def events(self, stream: UpstreamStream, *, choices: int) -> AsyncIterator[bytes]:
        """The encoded events to send for a stream, up to and including its end."""
        source = stream.events()
        passing = self._pass(source) if self.scanner is None else self._scan(source, choices)
        async for event in passing:
            yield event

    async def _pass(self, source: AsyncIterator[ServerSentEvent]) -> AsyncIterator[bytes]:
        async for event in source:
            data = event.data
            if data == DONE:
                break
            if not _CHOICES_KEY.search(data):
                raise _not_a_chunk(data)
            if _ENDING_KEY.search(data):
                chunk = chunk_of(data)
                self._count_tokens(chunk.get("usage"))
                for choice in choices_of(chunk):
                    self._finished(choice)
            yield encode_event(data)
        else:
            raise UpstreamFailedError("the model server ended the stream early")
        yield DONE_EVENT

    async def _scan(
        self, source: AsyncIterator[ServerSentEvent], choices: int
    ) -> AsyncIterator[bytes]:
        usage = StreamUsage()
        head: dict[str, Any] = {}
        try:
            async for event in source:
                if event.data == DONE:
                    break
                chunk = chunk_of(event.data)
                head = _kept(chunk, _HEAD)
                arrived = choices_of(chunk)
                usage.add(chunk, arrived)
                released = [out for c in arrived if (out := self._streamed_choice(c))]
                if released:
                    out = {**head, "choices": released}
                    if self.running_usage:
                        out["usage"] = chunk.get("usage")
                    yield encode_event(to_json(out))
                # Cancelling is only right once no choice is left for the client to wait for.
                if len(self._done) >= choices and self.decision.cuts:
                    break
            else:
                if len(self._done) < choices:
                    raise UpstreamFailedError("the model server ended the stream early")
        except UpstreamAbandonedError:
            if not self.may_be_empty:
                raise
            left = [index for index in range(choices) if index not in self._done]
            self._give_up(left)
            self._done.update(left)
            name = {"answer_id": self.decision.id, "model": self.decision.model}
            yield filtered_event(self.api, **name, head=head, indices=left)
        if len(self._done) < choices:
            raise UpstreamFailedError("the model server ended an answer without a reason")
        total = usage.total()
        self._count_tokens(total)
        if self.usage and total:
            yield encode_event(to_json({**head, "choices": [], "usage": total}))
        yield DONE_EVENT

    def _whole_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        scan = self._scan_of(choice, whole=True)
        channels = _CHANNELS[self.api]
        if self.api == "chat":
            message = choice.get("message")
            if not isinstance(message, dict):
                raise UpstreamFailedError("the model server sent a choice without a message")
        else:
            message = choice
        cleared = scan.feed(message, channels)
        for name, value in scan.finish(channels).items():
            cleared[name] = cleared.get(name, "") + value if isinstance(value, str) else value
        self._end(choice, scan)
        out: dict[str, Any] = {"index": choice["index"]}
        if self.api == "chat":
            for call in cleared.get("tool_calls", ()):
                del call["index"]  # it belongs to streams
            content = cleared.pop("content", "" if scan.hit else None)
            out["message"] = {
                "role": "assistant", "content": content, "refusal": None, **cleared
            }  # fmt: skip
        else:
            out["text"] = cleared.get(COMPLETION_CHANNEL, "")
        return {**out, **self._ending(choice, scan)}

    def _streamed_choice(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        """The part of a choice's chunk to send now, if any."""
        index = choice["index"]
        if index in self._done:
            return None
        scan = self._scan_of(choice)
        channels = _CHANNELS[self.api]
        delta = choice.get("delta") if self.api == "chat" else choice
        if not isinstance(delta, dict):
            raise UpstreamFailedError("the model server sent a chunk without a delta")
        cleared = scan.feed(delta, channels)
        finished = choice.get("finish_reason") is not None
        if finished and scan.hit is None:
            for name, value in scan.finish(channels).items():
                cleared[name] = cleared.get(name, "") + value if isinstance(value, str) else value
        self.decision.held_characters = max(self.decision.held_characters, scan.most_held)
        if finished or scan.hit is not None:
            self._done.add(index)
            self._end(choice, scan)
        elif not cleared:
            return None
        out: dict[str, Any] = {"index": index}
        if self.api == "chat":
            out["delta"] = cleared
        else:
            out["text"] = cleared.get(COMPLETION_CHANNEL, "")
        return {**out, **self._ending(choice, scan)}

    def _scan_of(self, choice: dict[str, Any], *, whole: bool = False) -> ChoiceScan:
        index = choice["index"]
        scan = self._scans.get(index)
        if scan is None:
            if self.scanner is None:
                raise RuntimeError("an answer is only scanned for targets in force")
            scan = ChoiceScan(
                self.scanner,
                json_content=self.json_content,
                back=self.back,
                hides=self.hides,
                whole=whole,
            )
            self._scans[index] = scan
        return scan

    def _ending(self, choice: dict[str, Any], scan: ChoiceScan) -> dict[str, Any]:
        if scan.hit is not None:
            return {"logprobs": None, "finish_reason": FILTERED}
        ending = {"logprobs": None, "finish_reason": choice.get("finish_reason")}
        stopped = choice.get("stop_reason")
        if stopped is not None:
            if self.back is not None and isinstance(stopped, str):
                stopped = self.back.swap.apply(stopped)
            ending["stop_reason"] = stopped
        return ending

    def _end(self, choice: dict[str, Any], scan: ChoiceScan) -> None:
        if scan.hit is None:
            self._finished(choice)
            return
        index = choice["index"]
        self.decision.finish[index] = FILTERED
        self.decision.outcome = "cut"
        target = self.bundle.targets[scan.hit.target].id
        self.decision.cuts.append(Cut(index, scan.hit.channel, target))

    def _finished(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.decision.finish[choice["index"]] = reason

    def _count_tokens(self, usage: object) -> None:
        if isinstance(usage, dict):
            self.decision.tokens = {
                name: usage[name] for name in _COUNTS if isinstance(usage.get(name), int)
            }


def _kept(value: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}


def chunk_of(data: bytes) -> dict[str, Any]:
    """A chunk of a stream.

    Raises:
        ApiError: it is none, or tells of an error.
    """
    try:
        value = from_json(data)
    except ValueError as error:
        raise UpstreamFailedError("the model server sent an event that is not JSON") from error
    if not isinstance(value, dict) or "choices" not in value:
        raise _not_a_chunk(data)
    return value


def _not_a_chunk(data: bytes) -> Exception:
    if b'"error"' in data:
        # vLLM reports what goes wrong after the first byte as an event of its own.
        return refused(_status(data), data)
    return UpstreamFailedError("the model server sent an event of an unknown shape")


def _status(data: bytes) -> int:
    try:
        code = from_json(data)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return 500
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def choices_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer or a chunk.

    Raises:
        UpstreamFailedError: they are not of the known shape.
    """
    choices = value.get("choices")
    if not isinstance(choices, list) or not all(
        isinstance(choice, dict) and isinstance(choice.get("index"), int) for choice in choices
    ):
        raise UpstreamFailedError("the model server sent an answer without `choices`")
    return choices
