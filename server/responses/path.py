"""A request for a response on its way: a chat is made of it, guarded and answered as any other.

Nothing is decided here. What leaves was released by ``server/request_path.py``; this tells it by
other names, and has errors and decisions speak of the request that came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from server.decisions import Decision
from server.errors import ApiError
from server.request_path import Answer, RequestPath, StreamedAnswer, WholeAnswer
from server.responses.answer import ResponseAnswer
from server.responses.chat import Places, as_chat
from server.responses.request import parse_responses
from server.sse import DONE, SseDecoder
from server.wire.answers import to_json

RESPONSES_PATH: Final = "/v1/responses"


@dataclass(frozen=True, slots=True)
class ResponsesPath:
    """What a request for a response needs on its way; one for the life of the app."""

    chats: RequestPath

    async def answer(self, authorization: str, body: bytes, decision: Decision) -> Answer:
        """Guard one request and answer it; ``decision`` records what was decided.

        Raises:
            ApiError: the request is refused or cannot be answered; nothing of an answer left.
        """
        self.chats.steps.policies.current.tenant(authorization)
        raw, request = parse_responses(body)
        chat, places = as_chat(request)
        try:
            answer = await self.chats.answer("chat", authorization, to_json(chat), decision)
        except ApiError as error:
            places.rename(error)
            raise
        finally:
            _rename(decision, places)
        made = ResponseAnswer(decision.id.removeprefix("gd_"), raw)
        if isinstance(answer, WholeAnswer):
            return WholeAnswer(made.whole(answer.body))
        return StreamedAnswer(_events(made, answer.events, decision), answer.aclose)


async def _events(
    made: ResponseAnswer, chat: AsyncIterator[bytes], decision: Decision
) -> AsyncIterator[bytes]:
    decoder = SseDecoder()
    yield made.begin()
    try:
        async for piece in chat:
            for sent in decoder.decode(piece):
                for event in [made.end()] if sent.data == DONE else made.chunk(sent.data):
                    yield event
    except ApiError as error:
        decision.outcome, decision.error = "failed", error.code
        yield made.fail(error.message)


def _rename(decision: Decision, places: Places) -> None:
    """Have the decision name texts by where they stand in the request."""
    decision.edits = tuple(replace(each, place=places.of(each.place)) for each in decision.edits)
    decision.detections = tuple(
        replace(
            found,
            evidence=tuple(replace(each, place=places.of(each.place)) for each in found.evidence),
        )
        for found in decision.detections
    )
