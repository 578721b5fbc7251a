"""A sentence encoder behind an OpenAI-compatible ``/v1/embeddings`` endpoint.

For those who run one already (vLLM, TEI, llama.cpp, a cloud's), or who need a language or a size
that the packaged encoder does not have. What a text's vector is, the server alone knows; it is
asked at start, and identified by its address, its model's name and the length of its vectors. A
server that has another model behind the same name makes thresholds mean nothing: name models by
version.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Annotated, Final

import httpx
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import GuardError

Rows = npt.NDArray[np.float32]

KEY_VARIABLE: Final = "UNLEARN_GUARD_ENCODER_API_KEY"
# Texts in one request; servers take at least so many.
_BATCH: Final = 64
# Requests at a time.
_PARALLEL: Final = 4
_CONNECT_S: Final = 5.0
# Tries of a request that got no answer, or 429 or 5xx, and the wait before the second.
_TRIES: Final = 2
_PAUSE_S: Final = 0.2
# Of an answer: far more than any encoder's vectors of a batch take as JSON.
_MAX_BYTES: Final = 64 << 20
_SHORTEST: Final = 1e-6


class EncoderError(GuardError):
    """The encoder's server did not give what was asked for."""


class _Embedding(BaseModel):
    model_config = ConfigDict(extra="ignore")

    index: int
    embedding: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(min_length=1)


class _Embeddings(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: list[_Embedding]


class HttpEncoder:
    """An encoder that is asked over HTTP.

    Args:
        name: address of the API, up to and with ``/v1``, ``#``, and the model's name there.
        api_key: sent as a bearer token; never in an error or a log.
        timeout_s: longest wait for an answer.
        transport: what carries requests; for tests.

    Attributes:
        digest: of address, model and dimension.
        dimension: length of a vector.

    Raises:
        EncoderError: it cannot be asked, or does not answer in vectors.
    """

    parallel = _PARALLEL

    def __init__(
        self,
        name: str,
        *,
        api_key: str = "",
        timeout_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url, _, self._model = name.partition("#")
        self._url = url.rstrip("/")
        if not self._model or "@" in self._url:
            raise EncoderError(
                "a sentence encoder behind HTTP is named by its address and its model",
                fix="write `--encoder http://127.0.0.1:8002/v1#MODEL`, and a key, if it needs one,"
                f" into `{KEY_VARIABLE}`",
            )
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S)),
            limits=httpx.Limits(max_connections=_PARALLEL),
            transport=transport,
            trust_env=False,
        )
        self.dimension = 0
        self.dimension = self.encode(["dimension"]).shape[1]
        named = f"{self._url}\0{self._model}\0{self.dimension}"
        self.digest = hashlib.sha256(f"http\0{named}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Rows:
        """Encode texts, each at most a window long; from any number of threads.

        Returns:
            [n, d] float32, rows of unit length, whatever the server scales them to.

        Raises:
            EncoderError: some text got no vector, or one that cannot be compared.
        """
        batches = [self._ask(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        return np.concatenate(batches) if batches else np.zeros((0, self.dimension), np.float32)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, texts: Sequence[str]) -> Rows:
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        for last in range(_TRIES - 1, -1, -1):
            try:
                answer = self._client.post(f"{self._url}/embeddings", json=body)
            except httpx.HTTPError as error:
                if last:
                    time.sleep(_PAUSE_S)
                    continue
                raise self._error(
                    f"did not answer ({type(error).__name__})", "start it, or correct `--encoder`"
                ) from error
            if last and (answer.status_code == 429 or answer.status_code >= 500):
                time.sleep(_PAUSE_S)
                continue
            break
        if answer.status_code != 200:
            raise self._error(f"answered {answer.status_code}", _fix(answer.status_code))
        if len(answer.content) > _MAX_BYTES:
            raise self._error("answered more than vectors can be", "check the address")
        return self._rows(answer.content, len(texts))

    def _rows(self, content: bytes, expected: int) -> Rows:
        try:
            data = _Embeddings.model_validate_json(content).data
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "the body"
            raise self._error(
                f"did not answer as `/v1/embeddings` does (`{where}`)",
                "give the address of an OpenAI-compatible API, up to and with `/v1`",
            ) from None  # its text quotes the body
        if sorted(each.index for each in data) != list(range(expected)):
            raise self._error(f"gave {len(data)} vectors for {expected} texts", "check the server")
        lengths = {len(each.embedding) for each in data}
        if len(lengths) != 1 or (self.dimension and lengths != {self.dimension}):
            raise self._error(
                f"gave vectors of {sorted(lengths)} numbers, before of {self.dimension}",
                "restart the proxy if the server has another model now",
            )
        ordered = sorted(data, key=lambda each: each.index)
        rows = np.array([each.embedding for each in ordered], np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (norms > _SHORTEST).all() or not np.isfinite(norms).all():
            raise self._error("gave a vector without a direction", "check the server's model")
        unit: Rows = (rows / norms).astype(np.float32)
        return unit

    def _error(self, problem: str, fix: str) -> EncoderError:
        return EncoderError(f"the sentence encoder at `{self._url}` {problem}", fix=fix)


def _fix(status: int) -> str:
    if status in (401, 403):
        return f"set `{KEY_VARIABLE}` to a key that it takes"
    if status == 404:
        return "check the address (up to and with `/v1`) and, after `#`, the model's name"
    return "see the server's log"
