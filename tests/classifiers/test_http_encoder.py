from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response

from classifiers import BatchingEncoder, load_encoder
from classifiers.encoder import Encoder, SentenceEncoder
from classifiers.http_encoder import EncoderError, HttpEncoder
from tests.classifiers.embeddings import Answer, serving, vectors

KEY = "sk-of-the-encoder"


def by_length(body: dict[str, Any]) -> Response:
    return vectors([[3.0 * len(text), 4.0, 0.0] for text in body["input"]], order=-1)


def test_it_gives_the_vectors_of_the_encoder_behind_it(encoder: SentenceEncoder) -> None:
    def answer(body: dict[str, Any]) -> Response:
        return vectors((encoder.encode(body["input"]) * 7).tolist())

    texts = ["Who wrote the Harbor novels?", "How do I poach an egg?", "日本語の本"] * 50
    with serving(answer) as server:
        remote = load_encoder(server.name)
        np.testing.assert_allclose(remote.encode(texts), encoder.encode(texts), atol=1e-5)
        assert remote.encode([]).shape == (0, encoder.dimension)
        assert [len(body["input"]) for body in server.asked] == [1, 64, 64, 22]
        assert {body["model"] for body in server.asked} == {"mini"}


def test_rows_are_of_unit_length_and_in_the_order_of_the_texts() -> None:
    with serving(by_length) as server:
        rows = HttpEncoder(server.name).encode(["a", "bb", "ccc"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows[:, 0] / rows[:, 1], [0.75, 1.5, 2.25], atol=1e-5)


def test_the_digest_tells_address_model_and_dimension() -> None:
    with serving(by_length) as one, serving(by_length) as other:
        digest = HttpEncoder(one.name).digest
        assert len(digest) == 64
        assert HttpEncoder(one.name).digest == HttpEncoder(f"{one.url}/v1/#mini").digest == digest
        assert HttpEncoder(f"{one.url}/v1#maxi").digest != digest
        assert HttpEncoder(other.name).digest != digest
        one.answer = lambda body: vectors([[1.0, 2.0]] * len(body["input"]))
        assert HttpEncoder(one.name).digest != digest


def test_the_key_is_sent_and_in_no_error() -> None:
    with serving(by_length) as server:
        HttpEncoder(server.name, api_key=KEY)
        HttpEncoder(server.name)
        assert server.keys == [f"Bearer {KEY}", ""]
        server.answer = lambda _: JSONResponse({"error": KEY}, 401)
        with pytest.raises(EncoderError, match="answered 401") as caught:
            HttpEncoder(server.name, api_key=KEY)
    assert KEY not in str(caught.value)
    assert "UNLEARN_GUARD_ENCODER_API_KEY" in caught.value.fix


BAD: dict[str, tuple[Answer, str]] = {
    "no json": (lambda _: Response(b"<html>secret text</html>"), "embeddings"),
    "another shape": (lambda _: JSONResponse({"vectors": []}), "`data`"),
    "too few": (lambda body: vectors([[1.0, 2.0, 3.0]] * (len(body["input"]) - 1)), "vectors for"),
    "another length": (lambda body: vectors([[1.0, 2.0]] * len(body["input"])), "numbers"),
    "zeros": (lambda body: vectors([[0.0, 0.0, 0.0]] * len(body["input"])), "without a direction"),
    "not a number": (
        lambda _: Response(b'{"data": [{"index": 0, "embedding": [NaN, 1, 1]}]}'), "embeddings",
    ),
    "a failure": (lambda _: JSONResponse({"error": "secret text"}, 500), "answered 500"),
    "no such model": (lambda _: JSONResponse({"error": "secret text"}, 404), "answered 404"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_is_an_error_that_says_what_to_do_and_quotes_nothing(case: str) -> None:
    answer, said = BAD[case]
    with serving(by_length) as server:
        remote = HttpEncoder(server.name)
        server.answer = answer
        with pytest.raises(EncoderError) as caught:
            remote.encode(["secret text"])
    assert said in str(caught.value)
    assert caught.value.fix
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_a_passing_failure_is_tried_again() -> None:
    with serving(by_length) as server:
        remote = HttpEncoder(server.name)
        answers = [JSONResponse({}, 503)]
        server.answer = lambda body: answers.pop() if answers else by_length(body)
        assert len(remote.encode(["a", "b"])) == 2


def test_a_server_that_hangs_or_is_gone_is_an_error() -> None:
    def slow(body: dict[str, Any]) -> Response:
        time.sleep(1)
        return by_length(body)

    with serving(by_length) as server:
        remote = HttpEncoder(server.name, timeout_s=0.2)
        server.answer = slow
        with pytest.raises(EncoderError, match="ReadTimeout"):
            remote.encode(["a"])
        gone = server.name
    with pytest.raises(EncoderError, match="ConnectError"):
        HttpEncoder(gone)


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1#", "http://user:pass@127.0.0.1:9/v1#m"]
)
def test_an_address_without_a_model_or_with_a_password_is_refused(name: str) -> None:
    with pytest.raises(EncoderError, match="its address and its model") as caught:
        load_encoder(name)
    assert "pass@" not in str(caught.value)


async def test_batches_of_many_requests_go_out_together() -> None:
    with serving(by_length) as server:
        remote: Encoder = load_encoder(server.name)
        batching = BatchingEncoder(remote)
        rows = await batching.encode([f"text {n}" for n in range(200)])
        await batching.aclose()
        assert rows.shape == (200, 3)
        assert len(server.asked) <= 6
