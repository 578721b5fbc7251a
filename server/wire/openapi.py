"""What the proxy serves, as an OpenAPI document: made from the models that requests are checked by.

Fields that are refused whatever they hold are not in it (``server/wire/fields.py``).
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from guard.policy.schema import Target
from server.responses.request import ResponsesRequest
from server.wire.chat import ChatRequest
from server.wire.completions import CompletionRequest
from server.wire.pipeline import ContextRequest, DetectRequest

OPENAPI_PATH: Final = "/openapi.json"

_Bodies = dict[str, tuple[type[BaseModel], str]]
# By path: the model of the body, and what the endpoint does.
_GUARDED: Final[_Bodies] = {
    "/v1/chat/completions": (ChatRequest, "A chat completion, guarded."),
    "/v1/responses": (ResponsesRequest, "A response, guarded; nothing is stored."),
    "/v1/completions": (CompletionRequest, "A completion, guarded."),
    "/v1/guard/context": (ContextRequest, "What of some texts may go into a prompt."),
    "/v1/guard/detect": (DetectRequest, "Which targets texts or a conversation touch."),
}
_TARGETS: Final = "/admin/targets"
_ERRORS: Final = {
    400: "a field or the body cannot be used; `param` names it",
    401: "no API key, or an unknown one",
    403: "the admin API is off",
    404: "no such model or target",
    405: "not a method of this path",
    408: "the body did not arrive in time",
    409: "the policy folder does not allow the change",
    413: "the body is too long",
    415: "the body is not declared as JSON",
    422: "the model server refused the request",
    502: "the model server failed",
    503: "a part of the guard or the model server is missing; nothing was forwarded",
    504: "the model server took too long",
}
_ALWAYS: Final = (401, 405)
_OF_BODY: Final = (400, 408, 413, 415)
_OF_UPSTREAM: Final = (404, 422, 502, 503, 504)


def openapi() -> dict[str, Any]:
    """The document, as JSON types."""
    models = [model for model, _ in _GUARDED.values()] + [Target]
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = {**found.get("$defs", {}), "Error": _ERROR}
    paths: dict[str, Any] = {
        path: {"post": _operation(text, model, errors=(*_OF_BODY, *_OF_UPSTREAM), stream=True)}
        for path, (model, text) in _GUARDED.items()
    }
    paths["/v1/models"] = {"get": _operation("The models served.", errors=_OF_UPSTREAM)}
    paths["/v1/models/{model}"] = {
        "get": _operation("One of them.", errors=_OF_UPSTREAM),
        "parameters": [_in_path("model")],
    }
    paths[_TARGETS] = {
        "get": _operation("The targets in force.", errors=(403,)),
        "post": _operation(
            "Adds or replaces a target.", Target, ok=(200, 201), errors=(*_OF_BODY, 403, 409, 503)
        ),
    }
    paths[f"{_TARGETS}/{{target}}"] = {
        "get": _operation("One target.", errors=(403, 404)),
        "delete": _operation("Removes a target.", errors=(403, 404, 409, 503)),
        "parameters": [_in_path("target")],
    }
    paths["/healthz"] = {"get": _operation("Whether the process runs.")}
    paths["/readyz"] = {"get": _operation("Whether requests are guarded.", ok=(200, 503))}
    paths["/metrics"] = {"get": _operation("Prometheus' text format.", media="text/plain")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "unlearn-guard",
            "version": "1",
            "description": "An OpenAI-compatible API whose model behaves as if it had unlearned the"
            " targets of a policy. What it knows is suppressed, not erased.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def _operation(
    text: str,
    body: type[BaseModel] | None = None,
    *,
    ok: tuple[int, ...] = (200,),
    errors: tuple[int, ...] = (),
    stream: bool = False,
    media: str = "application/json",
) -> dict[str, Any]:
    content: dict[str, Any] = {media: {}}
    if stream:
        content["text/event-stream"] = {}
    responses: dict[str, Any] = {
        str(status): {"description": "as asked", "content": content} for status in ok
    }
    for status in sorted({*errors, *_ALWAYS}):
        schema = {"$ref": "#/components/schemas/Error"}
        responses[str(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": schema}},
        }
    made: dict[str, Any] = {"summary": text, "responses": responses}
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
