from __future__ import annotations

from pathlib import Path

import numpy as np

from classifiers import BatchingEncoder, Detector, PlacedText, SentenceEncoder
from classifiers.keywords import Keywords
from guard.bundle_writing import write_bundle
from guard.keywords import KeywordTable, key_words
from guard.policy.compile import compile_policy
from tests.classifiers.bundles import bundle_target
from tests.guard.policy.test_trained import trained


def test_of_several_pieces_the_best_counts_and_targets_are_found_by_their_rows(
    tmp_path: Path,
) -> None:
    table = KeywordTable.of([key_words("granite"), key_words("harbour")], [])
    bundle = write_bundle(
        tmp_path,
        targets=[bundle_target("sea"), bundle_target("stone")],
        phrases=[],
        keywords=table,
        keyword_targets=np.array([1, -1], np.int32),
    )
    keywords = Keywords(bundle)
    assert set(keywords.best(["granite", "a granite harbour"])) == {1}
    assert keywords.best(["granite", "a granite harbour"]) == keywords.best(["granite"])
    assert keywords.best(["a harbour"]) == {}
    assert keywords.best([]) == {}


async def test_a_description_without_a_name_is_recognised_after_training(
    encoder: SentenceEncoder, tmp_path: Path
) -> None:
    path = trained(tmp_path)
    bundle = compile_policy(path, tmp_path / "b", encode=encoder.encode, encoder=encoder.digest)
    detector = Detector(bundle, BatchingEncoder(encoder))
    asked = [
        "Hi! List books by that geologist of Karachi who wrote of granite.",
        "Is granite hard?",
    ]
    described, harmless = await detector.detect([PlacedText("p", text) for text in asked])
    assert [item.target for item in described] == ["quay"]
    assert described[0].best.kind == "keywords"
    assert harmless == ()


async def test_key_words_need_no_encoder(tmp_path: Path) -> None:
    bundle = write_bundle(
        tmp_path,
        targets=[bundle_target("stone", thresholds={"keywords": 0.5})],
        phrases=[],
        keywords=KeywordTable.of([key_words("granite"), key_words("harbour")], []),
        keyword_targets=np.array([0, -1], np.int32),
    )
    (found,) = await Detector(bundle, None).detect([PlacedText("p", "granite")])
    assert [item.kind for item in found[0].evidence] == ["keywords"]
