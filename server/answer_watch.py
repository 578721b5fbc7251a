"""The answers to questions that nobody recognised, looked at as prompts are.

Detection looks at what is asked, and a question can be put in words or codes that it does not know.
The answer then names what it is about. Where it says what is forbidden (``server/tell_signs.py``)
and that tells something of a target that is not in force (``server/telling.py``), its sentences are
detected in; if they are about that target, it tells what was to be forgotten. A whole answer is
then made again with the target in force (``server/request_path.py``). A stream ends there. It
passes word by word, but for sentences in which something that is told may be under way: these, and
all after one that has told something of anybody, are held back until they were looked at.

A name alone tells nothing. Codes are read in whole answers, not in streams, which have no sentences
then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, field, replace
from typing import Any, Final, ParamSpec, TypeVar

from pydantic_core import from_json

from classifiers import PlacedText, merge
from guard.context import split_sentences
from guard.decision import Detection
from guard.views import find_views
from server.active import ActivePolicy
from server.decisions import Cut, Decision
from server.release import choices_of, chunk_of
from server.sign_reading import SignReading
from server.sse import DONE, DONE_EVENT, SseDecoder, encode_event
from server.telling import Said
from server.wire.answers import FILTERED, Api, filtered_event, to_json
from server.wire.json_text import unescape_json
from server.wire.texts import COMPLETION_CHANNEL, TEXT_CHANNELS

# A sentence that has no end is looked at after so many characters.
LONGEST: Final = 600
# Characters that are read in every code beside the event loop.
LONG: Final = 4000
# Of what was said before, so many characters still count towards what is told.
RECENT: Final = 4000

P = ParamSpec("P")
T = TypeVar("T")

Detect = Callable[[Sequence[PlacedText]], Awaitable[list[tuple[Detection, ...]]]]


class AnswerWatch:
    """What the answer to one request tells of targets that are not in force for it.

    Args:
        detect: finds targets in texts, those excepted that are in force or do not bind the caller.
        skip: ids of these.
    """

    def __init__(
        self, policy: ActivePolicy, detect: Detect, skip: Collection[str] = frozenset()
    ) -> None:
        self._policy = policy
        self._detect = detect
        self._skip = frozenset(policy.index[target] for target in skip)

    @property
    def always(self) -> bool:
        """Whether any text may tell something of any target."""
        return self._policy.tell_signs.always

    def signs(self) -> SignReading:
        """A reading of one text that shows what it may tell something of, from its beginning."""
        return self._policy.tell_signs.start(self._skip)

    async def about(self, texts: Sequence[PlacedText]) -> tuple[Detection, ...]:
        """The targets that any of some texts is about."""
        forms = [replace(text, text=form) for text in texts for form in _forms(text.text)]
        found = merge(await self._detect(forms))
        return tuple(each for each in found if self._policy.watches(each.target))

    def tells(self, target: str, said: Iterable[Said]) -> bool:
        """Whether any of some texts tells something of a target, if it is about it."""
        telling = self._policy.telling(target)
        return any(telling.tells(each) for each in said)

    def told_of(self, near: Collection[int], texts: Iterable[str]) -> set[str]:
        """Those of some targets, given by their indices, that any of some texts tells something of.

        Only a text that is about one of them says that it was this one.
        """
        said = ready(texts) if near else []
        ids = (self._policy.bundle.targets[index].id for index in near)
        return {target for target in ids if self.tells(target, said)}

    async def told(self, body: bytes) -> tuple[Detection, ...]:
        """The targets that a whole answer, as it would leave, tells something of."""
        texts: list[PlacedText] = []
        for choice in from_json(body)["choices"]:
            said = _said(choice.get("message") or choice)
            texts += [
                PlacedText(f"choices[{choice['index']}].{channel}", text)
                for channel, text in said
                if text
            ]
        read = [text.text for text in texts]
        long = sum(map(len, read)) > LONG
        if self.always:
            about = await self.about(texts)
            if not about:
                return ()
            told = await self._beside(long, self._told_of_any, read, [d.target for d in about])
        else:
            told = await self._beside(long, self._told_in, read)
            about = await self.about(texts) if told else ()
        return tuple(each for each in about if each.target in told)

    @staticmethod
    async def _beside(long: bool, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What is asked; beside the event loop if it is about a long answer."""
        return await asyncio.to_thread(ask, *args, **kwargs) if long else ask(*args, **kwargs)

    def _told_in(self, texts: Sequence[str]) -> set[str]:
        """The targets that some texts, or what they say in codes, tell something of."""
        signs = self._policy.tell_signs
        read = ((text, signs.in_text(text, self._skip)) for text in _read(texts))
        return {target for text, near in read for target in self.told_of(near, [text])}

    def _told_of_any(self, texts: Sequence[str], targets: Sequence[str]) -> set[str]:
        """Those of some targets that some texts, or what they say in codes, tell something of."""
        said = ready(_read(texts))
        return {target for target in targets if self.tells(target, said)}


def ready(texts: Iterable[str]) -> list[Said]:
    """Some texts, as they are and as JSON, ready to be looked through."""
    return [Said(form) for text in texts for form in _forms(text)]


def _forms(text: str) -> tuple[str, ...]:
    """A text, and what a reader of JSON makes of it where it has escapes."""
    return (text, unescape_json(text)) if "\\" in text else (text,)


def _read(texts: Sequence[str]) -> list[str]:
    """Some texts, and what they say in codes."""
    return [*texts, *(view.text for text in texts for view in find_views(text))]


def _said(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(channel, text) of what a message or a delta says."""
    for channel in (*TEXT_CHANNELS, COMPLETION_CHANNEL):
        if isinstance(text := message.get(channel), str):
            yield channel, text
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        if name := function.get("name"):
            yield "tool_calls", f"\n{name} "
        # In a stream they come in pieces, which nothing may stand between.
        yield "tool_calls", function.get("arguments") or ""


@dataclass(slots=True)
class _Growing:
    """What one channel of a choice has said.

    Attributes:
        looked: how much of it was looked at.
        recent: where of that begins what still counts: well before what was looked at last.
        before: the sentence before that.
    """

    signs: SignReading
    text: str = ""
    looked: int = 0
    recent: int = 0
    before: str = ""

    @property
    def seen(self) -> str:
        """What was looked at, as far as it is recent."""
        return self.text[self.recent : self.looked]

    def complete(self, *, ended: bool) -> list[str]:
        """The sentences that have come to their end, each with the one before it."""
        rest = self.text[self.looked :]
        spans = split_sentences(rest)
        if not ended and spans and spans[-1].end - spans[-1].start < LONGEST:
            spans.pop()
        passages: list[str] = []
        for span in spans:
            sentence = rest[span.start : span.end]
            passages.append(self.before + sentence)
            self.before = sentence
        if spans:
            self.recent = max(0, self.looked - RECENT)
            self.looked += spans[-1].end
        return passages


@dataclass(slots=True)
class _Choice:
    """One choice of a stream.

    Attributes:
        told: targets that it tells something of, if it is about them; until there are any, it is
            not looked at.
        waiting: sentences to look at once there are.
        about: by target that it was found to be about, how.
        held: events that have not left.
        ended: no more will come of it.
        done: nothing more of it is to leave.
    """

    channels: dict[str, _Growing] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    waiting: list[PlacedText] = field(default_factory=list)
    about: dict[str, Detection] = field(default_factory=dict)
    held: deque[_Held] = field(default_factory=deque)
    ended: bool = False
    done: bool = False

    def say(self, channel: str, text: str, signs: Callable[[], SignReading]) -> None:
        """Take the next piece of what it says."""
        if channel not in self.channels:
            self.channels[channel] = _Growing(signs())
        growing = self.channels[channel]
        growing.text += text
        growing.signs.feed(text)

    @property
    def seen(self) -> list[str]:
        """What each channel has said and was looked at, as far as it is recent."""
        return [growing.seen for growing in self.channels.values()]

    def hold(self, event: bytes, channels: Collection[str]) -> None:
        """Keep an event that is the last of some channels by now."""
        self.held.append(_Held(event, {name: len(self.channels[name].text) for name in channels}))

    def released(self, *, all_of_it: bool) -> list[bytes]:
        """Take the events that may leave: those whose sentences were looked at, or all."""
        out: list[bytes] = []
        while self.held and (
            all_of_it
            or all(self.channels[name].looked >= end for name, end in self.held[0].ends.items())
        ):
            out.append(self.held.popleft().event)
        return out


@dataclass(frozen=True, slots=True)
class _Held:
    """An event that has not left, and how much each channel that it is of has said at its end."""

    event: bytes
    ends: dict[str, int]


class WatchedStream:
    """The events of one streamed answer, as they would leave, and where it has to end.

    Args:
        drain: whether to read to the end where every choice was ended, for what was used.
    """

    def __init__(self, watch: AnswerWatch, api: Api, decision: Decision, *, drain: bool) -> None:
        self._watch = watch
        self._api = api
        self._decision = decision
        self._drain = drain
        self._choices: dict[int, _Choice] = {}
        self._cut: dict[int, Cut] = {}

    async def events(self, source: AsyncIterator[bytes], *, choices: int) -> AsyncIterator[bytes]:
        """The events to send, up to and including the end of the stream."""
        async for event in source:
            async for out in self._passed(event):
                yield out
            # What a stream has used is told at its end, to who asked for it.
            if len(self._cut) >= choices and not self._drain and event != DONE_EVENT:
                yield DONE_EVENT
                break
        for index in self._cut:
            self._decision.finish[index] = FILTERED

    async def _passed(self, event: bytes) -> AsyncIterator[bytes]:
        data = SseDecoder().decode(event)[0].data
        chunk = {} if data == DONE else chunk_of(data)
        arrived = choices_of(chunk) if chunk else []
        for choice in arrived:
            own = self._choices.setdefault(choice["index"], _Choice())
            if own.done:
                continue
            said = list(_said(choice.get("delta") or choice))
            for channel, text in said:
                own.say(channel, text, self._watch.signs)
            speaking = {channel for channel, _ in said}
            own.hold(event if len(arrived) == 1 else _with(chunk, [choice]), speaking)
            if choice.get("finish_reason") is not None:
                own.ended = True
            for out in await self._looked_at(choice["index"], own, chunk, speaking):
                yield out
        if data == DONE:
            # An engine may leave out why a choice ended.
            for index, own in self._choices.items():
                if not own.done:
                    own.ended = True
                    for out in await self._looked_at(index, own, chunk):
                        yield out
        if not arrived:
            yield event

    async def _looked_at(
        self,
        index: int,
        own: _Choice,
        chunk: dict[str, Any],
        speaking: Collection[str] = (),
    ) -> list[bytes]:
        """Look at what a choice has said since the last time; the events that may leave now."""
        for channel, growing in own.channels.items():
            # Where another channel goes on, this one has come to an end, for now at least.
            passages = growing.complete(
                ended=own.ended or bool(speaking and channel not in speaking)
            )
            place = f"choices[{index}].{channel}"
            own.waiting += [PlacedText(place, passage, views=False) for passage in passages]
            if passages:
                own.told |= self._watch.told_of(growing.signs.take(growing.looked), own.seen)
        may_tell = bool(own.told) or self._watch.always
        if own.waiting and may_tell:
            looked, own.waiting = own.waiting, []
            told = await self._told(own, looked)
            if told is not None:
                own.done = True
                return [self._end(index, chunk, told)]
        own.done = own.ended
        under_way = any(growing.signs.under_way for growing in own.channels.values())
        return own.released(all_of_it=own.ended or not (may_tell or under_way))

    async def _told(self, own: _Choice, looked: Sequence[PlacedText]) -> Detection | None:
        """A target of which the choice tells something, now that more of it was looked at."""
        for each in await self._watch.about(looked):
            own.about.setdefault(each.target, each)
        seen = ready(own.seen) if own.about else []
        for target, found in own.about.items():
            counts = target in own.told or self._watch.always
            if counts and self._watch.tells(target, seen):
                return found
        return None

    def _end(self, index: int, chunk: dict[str, Any], told: Detection) -> bytes:
        self._decision.detections = merge([self._decision.detections, (told,)])
        channel = told.best.place.rpartition(".")[2]
        self._cut[index] = Cut(index, channel, told.target)
        self._decision.cuts.append(self._cut[index])
        self._decision.outcome = "cut"
        name = {"answer_id": self._decision.id, "model": self._decision.model}
        head = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        return filtered_event(self._api, **name, head=head, indices=[index])


def _with(chunk: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return encode_event(to_json({**chunk, "choices": choices}))
