"""The answers to questions that nobody recognised, looked at as prompts are.

Detection looks at what is asked, and a question can be put in words or codes that it does not know.
The answer then names what it is about. Each of its sentences is detected in; where a target is
found that is not in force, and the answer tells something of it (``server/telling.py``), it tells
what was to be forgotten. A whole answer is then made again with the target in force
(``server/request_path.py``). A stream ends there. All this only from the first sign on that
something may be told (``server/tell_signs.py``); from then on ``answers: hold`` holds each sentence
back until it was looked at. By ``watch`` a sentence passes word by word until names or letters show
a target in it, and what is left of it is held back then: what it told before that is out.

A name alone tells nothing. Codes are read in whole answers, not in streams, which have no sentences
then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic_core import from_json

from classifiers import PlacedText, merge
from guard.context import split_sentences
from guard.decision import Detection
from guard.views import find_views
from server.active import ActivePolicy
from server.decisions import Cut, Decision
from server.release import choices_of, chunk_of
from server.sse import DONE, DONE_EVENT, SseDecoder, encode_event
from server.tell_signs import SignReading
from server.wire.answers import FILTERED, Api, filtered_event, to_json
from server.wire.json_text import unescape_json
from server.wire.texts import COMPLETION_CHANNEL, TEXT_CHANNELS

# A sentence that has no end is looked at after so many characters.
LONGEST: Final = 600
# Characters that are read in every code beside the event loop.
LONG: Final = 4000
# Of what was said before, so many characters still count towards what is told.
RECENT: Final = 4000

Detect = Callable[[Sequence[PlacedText]], Awaitable[list[tuple[Detection, ...]]]]


class AnswerWatch:
    """What the answer to one request tells of targets that are not in force for it.

    Args:
        detect: finds targets in texts, those excepted that are in force or do not bind the caller.
        glimpse: the same, quickly and less surely.
        hold: whether nothing of a stream that may tell something leaves before it was looked at.
    """

    def __init__(
        self, policy: ActivePolicy, detect: Detect, glimpse: Detect, *, hold: bool
    ) -> None:
        self.hold = hold
        self._policy = policy
        self._detect = detect
        self._glimpse = glimpse

    def signs(self) -> SignReading:
        """A reading of one text that shows when it may tell something, from its beginning."""
        return self._policy.tell_signs.start()

    async def about(self, texts: Sequence[PlacedText]) -> tuple[Detection, ...]:
        """The targets that any of some texts is about."""
        forms = [replace(text, text=form) for text in texts for form in _forms(text.text)]
        found = merge(await self._detect(forms))
        return tuple(each for each in found if self._policy.watches(each.target))

    async def may_be_about(self, texts: Sequence[PlacedText]) -> bool:
        """Whether names and letters show a target in any of some unfinished texts."""
        found = merge(await self._glimpse(texts))
        return any(self._policy.watches(each.target) for each in found)

    def tells(self, target: str, text: str) -> bool:
        """Whether a text that is about a target tells something of it."""
        telling = self._policy.telling(target)
        return any(telling.tells(form) for form in _forms(text))

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
        about = await self.about(texts) if await self._may_tell(texts) else ()
        read = [t.text for t in texts]
        if about:
            read += [view.text for text in texts for view in find_views(text.text)]
        return tuple(each for each in about if any(self.tells(each.target, t) for t in read))

    async def _may_tell(self, texts: Sequence[PlacedText]) -> bool:
        """Whether some texts, or what they say in a code, may tell something of any target."""
        signs = self._policy.tell_signs

        def in_codes() -> bool:
            return any(signs.in_text(view.text) for text in texts for view in find_views(text.text))

        if any(signs.in_text(text.text) for text in texts):
            return True
        long = sum(len(text.text) for text in texts) > LONG
        return await asyncio.to_thread(in_codes) if long else in_codes()


def _forms(text: str) -> tuple[str, ...]:
    """A text, and what a reader of JSON makes of it where it has escapes."""
    return (text, unescape_json(text)) if "\\" in text else (text,)


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
        before: the sentence before that.
        glimpsed: at how much of it there was a glimpse.
    """

    signs: SignReading
    text: str = ""
    looked: int = 0
    before: str = ""
    glimpsed: int = 0

    @property
    def seen(self) -> str:
        """What was looked at, as far as it is recent."""
        return self.text[max(0, self.looked - RECENT) : self.looked]

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
        self.looked += spans[-1].end if spans else 0
        return passages

    def unfinished(self) -> str | None:
        """The sentence under way, if it has grown by a word since the last glimpse."""
        if " " not in self.text[max(self.looked, self.glimpsed) :]:
            return None
        self.glimpsed = len(self.text)
        return self.text[self.looked :]


@dataclass(slots=True)
class _Choice:
    """One choice of a stream.

    Attributes:
        about: by target that it was found to be about, how.
        signed: it may tell something of some target; until then it is not looked at.
        waiting: sentences to look at once it is.
        alert: the sentence under way may be about a target.
        held: events that have not left.
    """

    channels: dict[str, _Growing] = field(default_factory=dict)
    about: dict[str, Detection] = field(default_factory=dict)
    signed: bool = False
    waiting: list[PlacedText] = field(default_factory=list)
    alert: bool = False
    held: list[bytes] = field(default_factory=list)
    done: bool = False

    def say(self, channel: str, text: str, signs: Callable[[], SignReading]) -> None:
        """Take the next piece of what it says."""
        if channel not in self.channels:
            self.channels[channel] = _Growing(signs())
        growing = self.channels[channel]
        growing.text += text
        self.signed |= growing.signs.feed(text)


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
            own.held.append(event if len(arrived) == 1 else _with(chunk, [choice]))
            for channel, text in _said(choice.get("delta") or choice):
                own.say(channel, text, self._watch.signs)
            ended = choice.get("finish_reason") is not None
            for out in await self._looked_at(choice["index"], own, chunk, ended=ended):
                yield out
        if data == DONE:
            # An engine may leave out why a choice ended.
            for index, own in self._choices.items():
                if not own.done:
                    for out in await self._looked_at(index, own, chunk, ended=True):
                        yield out
        if not arrived:
            yield event

    async def _looked_at(
        self, index: int, own: _Choice, chunk: dict[str, Any], *, ended: bool
    ) -> list[bytes]:
        """Look at what a choice has said since the last time; the events that may leave now."""
        completed = [
            PlacedText(f"choices[{index}].{channel}", passage, views=False)
            for channel, growing in own.channels.items()
            for passage in growing.complete(ended=ended)
        ]
        own.waiting += completed
        looked: list[PlacedText] = []
        if own.signed:
            looked, own.waiting = own.waiting, []
        told = await self._told(own, looked)
        if told is not None:
            own.done = True
            return [self._end(index, chunk, told)]
        own.done = ended
        await self._glimpse(index, own, looked=bool(completed))
        hold = self._watch.hold and own.signed
        return _released(own, looked=bool(completed), hold=hold)

    async def _told(self, own: _Choice, looked: Sequence[PlacedText]) -> Detection | None:
        """A target of which the choice tells something, now that more of it was looked at."""
        if not looked:
            return None
        for each in await self._watch.about(looked):
            own.about.setdefault(each.target, each)
        for target, found in own.about.items():
            if any(self._watch.tells(target, each.seen) for each in own.channels.values()):
                return found
        return None

    async def _glimpse(self, index: int, own: _Choice, *, looked: bool) -> None:
        """Hold the sentence under way where it may be about a target."""
        if looked:
            own.alert = False
        if own.done or own.alert or own.about or self._watch.hold or not own.signed:
            return
        texts = [
            PlacedText(f"choices[{index}].{channel}", text, views=False)
            for channel, growing in own.channels.items()
            if (text := growing.unfinished()) is not None
        ]
        own.alert = bool(texts) and await self._watch.may_be_about(texts)

    def _end(self, index: int, chunk: dict[str, Any], told: Detection) -> bytes:
        self._decision.detections = merge([self._decision.detections, (told,)])
        channel = told.best.place.rpartition(".")[2]
        self._cut[index] = Cut(index, channel, told.target)
        self._decision.cuts.append(self._cut[index])
        self._decision.outcome = "cut"
        name = {"answer_id": self._decision.id, "model": self._decision.model}
        head = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        return filtered_event(self._api, **name, head=head, indices=[index])


def _released(own: _Choice, *, looked: bool, hold: bool) -> list[bytes]:
    """Take the events that may leave; the last one only showed where a sentence had ended."""
    if own.done or not (hold or own.about or own.alert):
        end = len(own.held)
    else:
        end = len(own.held) - 1 if looked else 0
    out = own.held[:end]
    del own.held[:end]
    return out


def _with(chunk: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return encode_event(to_json({**chunk, "choices": choices}))
