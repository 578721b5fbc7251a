"""``meaning``: can static vectors tell what a target's statements say from anything else?

The sentence encoder is distilled to one vector a word, or a token of the served tokenizer
(load_tests/static_vectors.py), and texts are scored by them (load_tests/meanings.py). Thresholds
are set on five authors and half of the unrelated texts, and judged on the rest. ``words`` counts,
for each way of forbidding, the words of each sort that it takes away. ``leaks`` answers the forget
questions greedily under the guard, with each way of forbidding more than key facts.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifiers import load_encoder
from classifiers.encoder import PACKAGE
from guard.normalise import normalise
from guard.policy.extract import collect_key_facts
from guard.policy.telling import telling_words
from load_tests import tofu
from load_tests.curve import precision_recall, threshold_for
from load_tests.figure import Figure, Measured, NotMeasurableError, Options, progress, work_folder
from load_tests.greedy import GreedyModel
from load_tests.meaning_leaks import Approach, At, Nearness, count_leaks, target_id
from load_tests.meanings import (
    Scored,
    StaticReader,
    Texts,
    WholeReader,
    judge,
    score,
)
from load_tests.paraphrases import words
from load_tests.static_vectors import Encode, Recipe, StaticVectors
from load_tests.word_choice import Scorer, by_sort, phrase_scorer, taken

RECIPES: Final = {
    "plain": Recipe(),
    "all units alike": Recipe(smoothing=0),
    "rare units more": Recipe(smoothing=1e-4),
    "not centred": Recipe(centred=False),
    "256 components": Recipe(components=256),
    "window of 8": Recipe(window=8),
    "window of 16": Recipe(window=16),
    "window of 32": Recipe(window=32),
}
_RECORDED: Final = "plain"
# Which of the operating points is recorded, and tried in the sampler.
_POINT: Final = 1
# Of the words of unrelated texts, what a threshold on single steps may take.
_WORD_SHARE: Final = 0.01
_RANKED_WORDS: Final = 30_000


class Words:
    """Texts by their words; the encoder's vocabulary is in the order of their frequency."""

    def __init__(self, encode: Encode, texts: Iterable[str], ranks: Mapping[str, int]) -> None:
        known = sorted({word for text in texts for word in words(text)})
        self._place = {word: place for place, word in enumerate(known)}
        self._encoded = encode(known)
        self._ranks = [ranks.get(word, _RANKED_WORDS) for word in known]

    def units(self, text: str) -> list[int]:
        return [self._place[word] for word in words(text)]

    def vectors(self, recipe: Recipe) -> StaticVectors:
        return StaticVectors.distil(self._encoded, self._ranks, _RANKED_WORDS, recipe)


class Tokens:
    """Texts by tokens of the served tokenizer, whose ids are in the order of their frequency."""

    def __init__(self, encode: Encode, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # Case is folded, as everywhere in the guard; many tokens differ in case and space alone.
        texts = [
            tokenizer.decode([token]).strip().casefold() or " " for token in range(len(tokenizer))
        ]
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        self._encoded = encode(list(distinct))[[distinct[text] for text in texts]]

    def units(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        return ids

    def vectors(self, recipe: Recipe) -> StaticVectors:
        size = len(self._encoded)
        return StaticVectors.distil(self._encoded, range(size), size, recipe)


def measure(options: Options) -> Measured:
    """Distil, score, count words; then answer with and without."""
    folder = work_folder("meaning")
    texts = Texts.load(options.limit)
    checkpoint, retain_only = tofu.model(), tofu.retain_only_model()
    encode = load_encoder().encode
    progress(f"encoding {len(texts.all())} texts")
    curves = {"encoder": score(WholeReader(encode, texts.all()), texts)}
    by_word = Words(encode, texts.all(), encoder_ranks())
    model = GreedyModel(checkpoint, folder / "bundles")
    progress("encoding the served vocabulary")
    by_token = Tokens(encode, model.tokenizer)
    for name, recipe in RECIPES.items():
        for kind, units in (("words", by_word), ("tokens", by_token)):
            reader = StaticReader(units.vectors(recipe), units.units)
            curves[f"{kind}, {name}"] = score(reader, texts, by_word=kind == "words")
    judged = {name: judge(scored) for name, scored in curves.items()}
    points = {name: found["points"][_POINT] for name, found in judged.items()}
    recorded = f"tokens, {_RECORDED}"
    _plot({name: curves[name] for name in ("encoder", f"words, {_RECORDED}", recorded)}, folder)
    details: dict[str, Any] = {
        "told_apart": judged,
        "words": _words_taken(by_word, texts, points[f"words, {_RECORDED}"]["threshold"]),
    }
    (folder / "meaning.json").write_text(json.dumps(details, indent=1))
    progress("written: meaning.json, meaning.svg; now the answers")
    vectors = by_token.vectors(RECIPES[_RECORDED])
    statements = {
        target_id(author): np.stack([vectors.whole(by_token.units(r.answer)) for r in rows])
        for author, rows in texts.rows.items()
    }
    trials = {
        name: Nearness(vectors, statements, model.vocab_size, way)
        for name, way in (("near", At(points[recorded]["threshold"])), ("nearer", Approach()))
    }
    details["leaks"] = count_leaks(model, retain_only, texts.rows, trials, folder, encode)
    (folder / "meaning.json").write_text(json.dumps(details, indent=1))
    return Measured(points[recorded]["recall"], len(curves[recorded].right), details)


def _words_taken(by_word: Words, texts: Texts, level: float) -> dict[str, dict[str, float]]:
    """Of each sort of words, the share that each way of forbidding takes; judged authors only."""
    vectors = by_word.vectors(RECIPES[_RECORDED])
    statements = {
        author: np.stack([vectors.whole(by_word.units(row.answer)) for row in rows])
        for author, rows in texts.rows.items()
    }

    def nearness(author: str, text: Sequence[str]) -> list[list[float]]:
        """[len(text), n_statements]"""
        units = by_word.units(" ".join(text))
        near: list[list[float]] = (vectors.running(units) @ statements[author].T).tolist()
        return near

    def at(author: str, text: Sequence[str]) -> list[float]:
        return [max(row) for row in nearness(author, text)]

    def step(author: str, text: Sequence[str]) -> list[float]:
        rows = np.array([[0.0] * len(statements[author]), *nearness(author, text)])
        gained: list[float] = np.diff(rows, axis=0).max(axis=1).tolist()
        return gained

    ways: dict[str, tuple[Scorer, float]] = {
        "static vectors: near a statement": (at, level),
        "static vectors: nearer by this word": (step, _step_threshold(step, texts)),
        "key facts": (phrase_scorer(_phrases(texts, telling=False)), 0.5),
        "key facts and telling words": (phrase_scorer(_phrases(texts, telling=True)), 0.5),
    }
    judged = {author: texts.rows[author] for author in texts.judged}
    return {
        name: taken(by_sort(scorer, judged, texts.unrelated[1]), threshold)
        for name, (scorer, threshold) in ways.items()
    }


def _step_threshold(step: Scorer, texts: Texts) -> float:
    rest = {a: rows for a, rows in texts.rows.items() if a not in texts.judged}
    scores = by_sort(step, rest, texts.unrelated[0])
    return threshold_for(scores["unrelated"], _WORD_SHARE)


def _phrases(texts: Texts, *, telling: bool) -> dict[str, list[str]]:
    """The phrases that the policy compiler takes from the gold answers."""
    found = {}
    for author, rows in texts.rows.items():
        pairs = [(row.question, row.answer) for row in rows]
        facts = [
            *collect_key_facts(pairs),
            *(telling_words([answer for _, answer in pairs]) if telling else ()),
        ]
        found[author] = list(dict.fromkeys(normalise(fact) for fact in facts))
    return found


def _plot(curves: Mapping[str, Scored], folder: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, places = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for name, scored in curves.items():
        for place, other in zip(places, (scored.unrelated, scored.wrong), strict=True):
            place.plot(*precision_recall(scored.right, other), label=name)
    for place, title in zip(places, ("unrelated text", "wrong answers"), strict=True):
        place.set(title=f"paraphrases against {title}", xlabel="recall", ylim=(0.45, 1.02))
    places[0].set(ylabel="precision, both sorts weighed alike")
    places[0].legend()
    figure.savefig(folder / "meaning.svg")


def encoder_ranks() -> dict[str, int]:
    """Ranks of words by frequency, from the packaged encoder's own list of word pieces."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise NotMeasurableError(f"needs the package {PACKAGE}")
    path = Path(spec.origin).parent / "model" / "vocab.txt"
    pieces = path.read_text(encoding="utf-8").splitlines()
    return {piece: rank for rank, piece in enumerate(p for p in pieces if p[:1].isalpha())}


FIGURE = Figure(
    name="meaning",
    what="paraphrases of protected statements that static vectors meet, at 0.5% of unrelated text",
    unit="recall",
    goal="recorded, with what it adds to the leak figures",
    run=measure,
)
