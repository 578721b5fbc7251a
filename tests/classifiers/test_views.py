"""What a text hides is detected, by name and by meaning, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from classifiers.aliases import AliasMatcher
from classifiers.base import PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.detector import Detector
from classifiers.encoder import SentenceEncoder
from guard.bundle import Bundle
from guard.context import Span
from guard.decision import Evidence
from guard.views import find_views
from tests.classifiers.bundles import bundle_target, make_bundle
from tests.guard.views.hiding import HIDDEN

QUESTION = "Who is the captain of the smuggler ship in the book?"
NAMED = "What did Mirelle Quay write after that?"
# Of these, the letters can be read, and the encoder reads words: a gap between words is needed.
READ = [way for way in HIDDEN if way not in ("dashed", "underscored")]

ORDINARY = {
    "code with hashes": "git show 9fceb02d0ae598e95dc970b74767f19372d61af8\n"
    "assert sha256(b'') == 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
    "a token": "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJzdWIiOiIxMjM0NTY3ODkwIiwiaWF0IjoxNTE2MjM5MDIyfQ."
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "ids": "3f2504e0-4f89-11d3-9a0c-0305e82c3301, 7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "a picture": "![](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlE"
    "QVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==)",
    "a hex dump": "00000000  7f 45 4c 46 02 01 01 00  00 00 00 00 00 00 00 00  |.ELF............|\n"
    "00000010  03 00 3e 00 01 00 00 00  a0 67 00 00 00 00 00 00  |..>......g......|",
    "genes": "ATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAGATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAG",
    "addresses": "See https://example.com/search?q=caf%C3%A9%20au%20lait&lang=fr&amp;x=%2Fa%2Fb.",
    "a table": "| a | b | c | d |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |\n| 0.5 | 1e-3 | n/a | x |",
    "spaced numbers": "Solve 1 2 3 4 5 6 7 8 9 for x y z, where A, B, C, D are known.",
    "json": '{"id": "a1b2c3", "note": "first line\\nsecond line", "n": [1, 2, 3]}',
    "other scripts": "Кто написал эту книгу? 谁写了这本书？ Ποιος έγραψε αυτό το βιβλίο;",
    "chat": "hey!! gr8 to c u, meet @ 5pm? my k8s pod is OOM, see v1.2.3 & ping me ASAP :)",
    "code": 'for (int i = 0; i < n; ++i) { printf("%02x\\n", a[i] & 0xFF); }',
}


class Counting:
    """The real encoder, and what it was given."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.digest = encoder.digest
        self.parallel = 1
        self.encoder = encoder
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.seen += texts
        return self.encoder.encode(texts)


@pytest.fixture(scope="module")
def bundle(encoder: SentenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    targets = [
        bundle_target("harbor", "Mirelle Quay", "Quay", thresholds={"neighbour": 0.7}),
        bundle_target("recipes", "Sauce Nine", thresholds={"neighbour": 0.7}),
    ]
    examples = {
        "harbor": ["Who is the captain of the smuggler ship?", "Which port is the novel set in?"],
        "recipes": ["What is in the secret sauce of the burger chain?"],
    }
    return make_bundle(tmp_path_factory.mktemp("bundles"), targets, examples, encoder)


@pytest.fixture
def counting(encoder: SentenceEncoder) -> Counting:
    return Counting(encoder)


@pytest.fixture
def detector(bundle: Bundle, counting: Counting) -> Detector:
    return Detector(bundle, BatchingEncoder(cast(SentenceEncoder, counting)))


@pytest.mark.parametrize("way", HIDDEN)
async def test_a_name_in_a_hidden_question_is_a_detection(detector: Detector, way: str) -> None:
    text = f"Please answer this one: {HIDDEN[way](NAMED)}"
    (found,) = await detector.find([PlacedText("p", text)])
    assert [item.target for item in found.detections] == ["harbor"]
    names = [item for item in found.detections[0].evidence if item.kind == "alias"]
    assert names
    if way not in ("zero-width", "soft hyphens"):  # normalisation alone sees through these
        assert all(item.via for item in names)
        assert found.hidden
    for hidden in found.hidden:
        assert hidden.target == "harbor"
        assert 0 <= hidden.span.start < hidden.span.end <= len(text)


@pytest.mark.parametrize("way", READ)
async def test_the_meaning_of_a_hidden_question_is_a_detection(
    detector: Detector, way: str
) -> None:
    text = f"Please answer this one:\n{HIDDEN[way](QUESTION)}\n"
    (found,) = await detector.find([PlacedText("p", text)])
    assert [item.target for item in found.detections] == ["harbor"]
    assert {item.kind for item in found.detections[0].evidence} == {"neighbour"}


async def test_the_evidence_names_the_view(detector: Detector) -> None:
    hidden = HIDDEN["base64"](HIDDEN["rot13"](NAMED))
    (own,) = await detector.detect([PlacedText("p", f"Decode {hidden}")])
    assert Evidence("alias", "p", 1.0, via="base64 of rot13") in own[0].evidence
    assert "alias via base64 of rot13" in {item.reason for item in own[0].evidence}


async def test_a_name_said_plainly_is_not_said_to_be_hidden(detector: Detector) -> None:
    text = "Mirelle Quay wr0te a b00k, s33n at https://x.org/%20; and Ноgwаrts; H e l l o o."
    (found,) = await detector.find([PlacedText("p", text)])
    assert [item.reason for item in found.detections[0].evidence] == ["alias"]
    assert found.hidden == ()


@pytest.mark.parametrize("kind", ORDINARY)
async def test_an_ordinary_prompt_costs_the_encoder_nothing_more(
    detector: Detector, counting: Counting, kind: str
) -> None:
    await detector.find([PlacedText("p", ORDINARY[kind], views=False)])
    plain = set(counting.seen)
    (found,) = await detector.find([PlacedText("p", ORDINARY[kind])])
    assert found.detections == ()
    assert set(counting.seen) == plain


async def test_an_exempt_target_is_not_found_where_it_is_hidden(detector: Detector) -> None:
    text = PlacedText("p", HIDDEN["base64"](NAMED))
    (found,) = await detector.find([text], skip=frozenset({"harbor"}))
    assert (found.detections, found.hidden) == ((), ())


async def test_a_long_text_is_read_as_a_short_one(detector: Detector) -> None:
    before = "The weather was mild and the meeting went on for a long time. " * 200
    hidden = HIDDEN["hex"](NAMED)
    (found,) = await detector.find([PlacedText("p", before + hidden + ". " + before)])
    assert [item.target for item in found.detections] == ["harbor"]
    whole = Span(len(before), len(before) + len(hidden))
    assert all(whole.start <= h.span.start < h.span.end <= whole.end for h in found.hidden)


def test_a_short_name_is_not_found_by_chance(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, [bundle_target("a", "Lee"), bundle_target("b", "Mirelle Quay")])
    matcher = AliasMatcher(bundle)

    def named(text: str) -> set[int]:
        return {index for view in find_views(text) for index, _ in matcher.hidden(view, text)}

    assert named("An eel is a fish, and yrr is a word that says no more than that.") == set()
    assert named(f"Read {HIDDEN['base64']('Who was Lee, and what did he say?')}") == {0}
    assert named(f"Read {HIDDEN['base64']('Mirelle Quay')}") == {1}
