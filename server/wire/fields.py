"""What both APIs share of their requests: the allow-list's base, bounds, and refusals that explain.

A request field is in one of four groups:

* *forwarded*: on the model, and in its ``FORWARDED`` set;
* *accepted*: on the model only; it means nothing to the engine (``user``, ``metadata``) and stays;
* *refused*: in ``REFUSED``, because it could carry forbidden text around the guard. Its harmless
  values (null, the API's default) are taken out so that apps which always send them still work;
* *unknown*: everything else, a 400 that names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import FieldError, FieldRefusedError, RequestError, UnknownFieldError

MAX_CHOICES: Final = 64
MAX_STOPS: Final = 4
MAX_TOP_LOGPROBS: Final = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a field is refused, what to do instead, and the values that mean nothing."""

    why: str
    fix: str
    neutral: tuple[object, ...] = ()


_SINGLE_STEPS = "it steers single tokens past the guard"
_RAW_OUTPUT = "it returns tokens or text that the guard has not cleared"
_UNSEEN_PROMPT = "it changes the prompt after the guard has looked at it"
_ENGINE = "it is between the proxy and the engine"
_REMOVE = "leave it out"

REFUSED: Final[Mapping[str, Refusal]] = {
    "vllm_xargs": Refusal("it carries the guard's own plan to the engine", _REMOVE, ({},)),
    "allowed_token_ids": Refusal(_SINGLE_STEPS, _REMOVE),
    "bad_words": Refusal(_SINGLE_STEPS, "add a forget target to the policy instead", ([],)),
    "logit_bias": Refusal(_SINGLE_STEPS, _REMOVE, ({},)),
    "logits_processors": Refusal(_SINGLE_STEPS, _REMOVE, ([],)),
    "structured_outputs": Refusal(
        "it can force a forbidden text letter by letter", "use `response_format`"
    ),
    "guided_json": Refusal("it can force a forbidden text", "use `response_format`"),
    "guided_regex": Refusal("it can force a forbidden text", _REMOVE),
    "guided_choice": Refusal("it can force a forbidden text", _REMOVE),
    "guided_grammar": Refusal("it can force a forbidden text", _REMOVE),
    "guided_decoding_backend": Refusal(_ENGINE, _REMOVE),
    "guided_whitespace_pattern": Refusal("it can force a forbidden text", _REMOVE),
    "prompt_logprobs": Refusal("its figures come from the unguarded model", _REMOVE),
    "logprob_token_ids": Refusal(_SINGLE_STEPS, "use `top_logprobs`"),
    "echo": Refusal(_RAW_OUTPUT, "put the prompt before the answer yourself", (False,)),
    "return_token_ids": Refusal(_RAW_OUTPUT, _REMOVE, (False,)),
    "return_tokens_as_token_ids": Refusal(_RAW_OUTPUT, _REMOVE, (False,)),
    "return_token_offsets": Refusal(_RAW_OUTPUT, _REMOVE, (False,)),
    "return_prompt_text": Refusal(_RAW_OUTPUT, _REMOVE, (False,)),
    "return_mm_kwargs": Refusal(_RAW_OUTPUT, _REMOVE, (False,)),
    "include_stop_str_in_output": Refusal(_RAW_OUTPUT, "append the stop text yourself", (False,)),
    "prompt_embeds": Refusal("the guard cannot read embeddings", "send the prompt as text"),
    "prompt_token_ids": Refusal("the guard cannot read token ids", "send the prompt as text"),
    "continue_final_message": Refusal(
        "it makes the model go on from text that you wrote as its own", _REMOVE, (False,)
    ),
    "add_generation_prompt": Refusal(_UNSEEN_PROMPT, _REMOVE, (True,)),
    "add_special_tokens": Refusal(_UNSEEN_PROMPT, _REMOVE),
    "chat_template": Refusal(_UNSEEN_PROMPT, "set the template on the engine"),
    "chat_template_kwargs": Refusal(
        _UNSEEN_PROMPT, "set the template on the engine, and send documents as `documents`", ({},)
    ),
    "truncate_prompt_tokens": Refusal(_UNSEEN_PROMPT, "shorten the prompt yourself"),
    "truncation_side": Refusal(_UNSEEN_PROMPT, "shorten the prompt yourself"),
    "suffix": Refusal("text after the gap would not be guarded as context", _REMOVE, ("",)),
    "best_of": Refusal(
        "it makes answers that are thrown away unseen", "use `n`, which may equal it"
    ),
    # vLLM 0.32 makes a request of each beam, without `extra_args` (beam_search/online.py).
    "use_beam_search": Refusal(
        "the engine does not pass the guard's plan on to beams",
        "use `n` and `temperature`",
        (False,),
    ),
    "length_penalty": Refusal("it is for beam search, which is not guarded", _REMOVE, (1, 1.0)),
    "min_tokens": Refusal(
        "it keeps the model from stopping where the guard lets it only stop", _REMOVE, (0,)
    ),
    "stop_token_ids": Refusal(_SINGLE_STEPS, "use `stop`", ([],)),
    "skip_special_tokens": Refusal(_RAW_OUTPUT, _REMOVE, (True,)),
    "spaces_between_special_tokens": Refusal(_RAW_OUTPUT, _REMOVE, (True,)),
    "repetition_detection": Refusal(_ENGINE, _REMOVE),
    "watermarking": Refusal(_ENGINE, "set it on the engine", (False,)),
    "stream_interval": Refusal(_ENGINE, "set it on the engine"),
    "kv_transfer_params": Refusal(_ENGINE, _REMOVE, ({},)),
    "ec_transfer_params": Refusal(_ENGINE, _REMOVE, ({},)),
    "priority": Refusal(_ENGINE, "set priorities at your gateway", (0,)),
    "cache_salt": Refusal(_ENGINE, _REMOVE),
    "request_id": Refusal(_ENGINE, "read the `x-guard-decision` header of the answer"),
    "session_id": Refusal(_ENGINE, _REMOVE),
    "mm_processor_kwargs": Refusal("media cannot be guarded", "send text only", ({},)),
    "media_io_kwargs": Refusal("media cannot be guarded", "send text only", ({},)),
    "audio": Refusal("sound cannot be guarded", "send and ask for text only"),
    "modalities": Refusal("only text can be guarded", 'leave it out or send ["text"]', (["text"],)),
    "prediction": Refusal("the engine does not use it", _REMOVE),
    "web_search_options": Refusal("the engine does not search", _REMOVE),
    "functions": Refusal("it is the old form of tools", "use `tools`", ([],)),
    "function_call": Refusal("it is the old form of tools", "use `tool_choice`"),
}

_MEDIA: Final = "only text can be guarded"


class WireModel(BaseModel):
    """Strict and closed: no coercion, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StreamOptions(WireModel):
    """``include_obfuscation`` is accepted and means nothing here."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None

    def forwarded(self) -> dict[str, bool]:
        """What the engine is told of them."""
        given = {
            "include_usage": self.include_usage,
            "continuous_usage_stats": self.continuous_usage_stats,
        }
        return {name: value for name, value in given.items() if value is not None}


class JsonSchemaFormat(WireModel):
    """A JSON schema that the answer must follow."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(WireModel):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


Stop = Annotated[str, Field(min_length=1, max_length=256)]


class GuardedRequest(WireModel):
    """The fields that both APIs have in common."""

    FORWARDED: ClassVar[frozenset[str]] = frozenset(
        {
            "model", "n", "stop", "stream", "stream_options", "max_tokens", "temperature",
            "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
            "frequency_penalty", "seed", "ignore_eos", "response_format", "logprobs",
        }
    )  # fmt: skip

    model: Annotated[str, Field(min_length=1, max_length=512)]
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    ignore_eos: bool | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    verbosity: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream's last chunk must carry the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def wants_json(self) -> bool:
        """Whether the answer is to be JSON, in which characters may come escaped."""
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def has_grammar(self) -> bool:
        """Whether the engine may bind the answer to a grammar."""
        return self.wants_json


def check_format(request: GuardedRequest) -> None:
    """Refuse a format that the engine could not follow.

    Raises:
        FieldError: a JSON schema is announced and not there.
    """
    wanted = request.response_format
    if wanted is None or wanted.type != "json_schema":
        return
    param = "response_format.json_schema"
    if wanted.json_schema is not None:
        if wanted.json_schema.schema_ is not None:
            return
        param += ".schema"
    raise FieldError(f"`{param}` is missing; it is required", param=param)


def strip_refused(raw: dict[str, Any], refused: Mapping[str, Refusal] = REFUSED) -> None:
    """Take harmless values of refused fields out of ``raw``.

    Raises:
        FieldRefusedError: a refused field with any other value.
    """
    for name in [name for name in raw if name in refused]:
        refusal = refused[name]
        value = raw[name]
        same_as_n = name == "best_of" and _same(value, raw.get("n") or 1)
        if value is None or same_as_n or any(_same(value, item) for item in refusal.neutral):
            del raw[name]
        else:
            raise FieldRefusedError(
                f"`{name}` is not accepted: {refusal.why}; {refusal.fix}", param=name
            )


def _same(value: object, neutral: object) -> bool:
    # True == 1 in Python, not in JSON.
    return type(value) is type(neutral) and value == neutral


def refuse_media(value: object, param: str, texts: Collection[str] = ("text", "refusal")) -> None:
    """Refuse content parts other than text, which pydantic would only call invalid.

    Args:
        texts: the types of parts that are text.

    Raises:
        FieldRefusedError: a part that holds an image, sound or a file.
    """
    if not isinstance(value, list):
        return
    for index, part in enumerate(value):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind not in texts:
            raise FieldRefusedError(
                f"`{param}[{index}]` is of type `{kind[:40]}`, which is not supported:"
                f" {_MEDIA}; send text parts only",
                param=f"{param}[{index}]",
            )


def request_error(error: ValidationError, raw: object) -> RequestError:
    """The most telling of pydantic's complaints, as an answer to the client."""
    found = [
        (_path(detail["loc"], raw, missing=detail["type"] == "missing"), detail)
        for detail in error.errors(include_url=False, include_input=False)
    ]
    # A union reports each of its members; the one that got furthest into the value is meant, and of
    # those that got as far one that takes values of this type.
    (path, _), detail = max(
        found, key=lambda pair: (pair[0][1], not pair[1]["type"].endswith("_type"))
    )
    if detail["type"] == "extra_forbidden":
        return UnknownFieldError(
            f"unknown field `{path}`; leave it out, or check its spelling", param=path
        )
    if detail["type"] == "missing":
        return FieldError(f"`{path}` is missing; it is required", param=path)
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return FieldError(f"`{path}` {message[:1].lower()}{message[1:]}", param=path)


def _path(loc: tuple[int | str, ...], raw: object, *, missing: bool) -> tuple[str, int]:
    """The part of a pydantic location that is real in ``raw``, and its length."""
    path, length = "", 0
    value: object = raw
    for position, part in enumerate(loc):
        if isinstance(value, dict) and isinstance(part, str):
            last = missing and position == len(loc) - 1
            if part not in value and not last:
                continue
            path += f".{part}" if path else part
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            path += f"[{part}]"
            value = value[part] if part < len(value) else None
        else:
            continue
        length += 1
    return path, length
