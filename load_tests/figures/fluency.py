"""``fluency``: how guarded answers read, against those of a model that never knew the authors.

Scores the transcripts that ``tofu-leak`` keeps; asks no engine. The judge of perplexity is the
demo model as it came, unguarded, which has seen neither set of authors: to it an invented name and
a remembered one are equally new. The unguarded TOFU model would be no fair judge. It knows the
gold answers by heart, so it finds whatever a guarded answer keeps of them all but certain, and an
honest invention surprising; its verdict is told beside.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from load_tests import stack, tofu
from load_tests.figure import Figure, Measured, NotMeasurableError, Options, work_folder
from load_tests.lexicon import Lexicon, build
from load_tests.rubble import distinct_share, repeated_share, rubble
from load_tests.surprise import Perplexity, Question, Reader, Token
from load_tests.transcripts import Transcript, Transcripts

OURS: Final = "guard"
REFERENCE: Final = "retain_only"
BESIDE: Final = {"forget": ("bad_words", "substitute"), "forget_sampled": ("substitute",)}
SETS: Final = tuple(BESIDE)
GOAL: Final = 1.1


@dataclass(frozen=True, slots=True)
class Fluency:
    """How a set of answers reads.

    Attributes:
        perplexity: under the judge, each answer after its question.
        repeated: word 4-grams of an answer that repeat an earlier one; percent, mean over answers.
        distinct: of all word pairs of all answers, how many are different, percent.
        rubble: answers that hold any, percent.
        but_names: answers that hold any other than a torn name, percent.
        by_form: how many answers hold each form of it.
        unended: answers that the limit of tokens ended, percent.
    """

    perplexity: Perplexity
    repeated: float
    distinct: float
    rubble: float
    but_names: float
    by_form: dict[str, int]
    unended: float


def measure(options: Options) -> Measured:
    """Read and score the kept answers; write what was found in each beside them."""
    folder = Path(options.folder) if options.folder else work_folder("tofu-leak")
    kept = Transcripts(folder)
    asked = {what: _arms(kept, what) for what in SETS}
    if not asked["forget"]:
        raise NotMeasurableError(
            f"needs answers of the arms {OURS} and {REFERENCE}, and {folder} has none: "
            "run tofu-leak first"
        )
    judge = Reader(stack.demo_model(), folder / "read-by-base.jsonl")
    knowing = Reader(tofu.model(), folder / "read-by-tofu.jsonl")
    lexicon = build(stack.demo_model(), _good_texts())
    details: dict[str, Any] = {}
    for what, arms in asked.items():
        if not arms:
            continue
        scored: dict[str, Fluency] = {}
        for arm, questions in arms.items():
            read = judge.read(questions, f"{arm}, {what}")
            scored[arm] = score(questions, read, lexicon)
            _tell(folder / f"{arm}-{what}.rubble.jsonl", questions, read, lexicon)
        details[what] = {
            "goals": _goals(scored[OURS], scored[REFERENCE]),
            "arms": {arm: asdict(fluency) for arm, fluency in scored.items()},
            "perplexity_by_the_model_that_knows": {
                arm: asdict(Perplexity.of(knowing.read(arms[arm], f"{arm}, {what}, knowing")))
                for arm in ((OURS, REFERENCE) if what == "forget" else ())
            },
            "made": {arm: kept.told(arm) for arm in arms},
        }
    goals = details["forget"]["goals"]
    return Measured(
        value=max(goal["ratio"] for goal in goals.values() if goal["ratio"] is not None),
        n=len(asked["forget"][OURS]),
        details=details,
    )


def _arms(kept: Transcripts, what: str) -> dict[str, list[Question]]:
    """The arms to compare on a set; empty where ours or the reference is not kept.

    Raises:
        NotMeasurableError: they were asked different questions.
    """
    wanted = (OURS, REFERENCE, *BESIDE[what])
    arms = {arm: questions for arm in wanted if (questions := _questions(kept.read(arm, what)))}
    if OURS not in arms or REFERENCE not in arms:
        return {}
    if [q.question for q in arms[OURS]] != [q.question for q in arms[REFERENCE]]:
        raise NotMeasurableError(
            f"needs {OURS} and {REFERENCE} asked the same questions; of {what} they were not"
        )
    return arms


def score(
    questions: Sequence[Question], read: Sequence[Sequence[Token]], lexicon: Lexicon
) -> Fluency:
    """How answers read.

    Args:
        read: the tokens of each answer with their surprisal.
    """
    forms: Counter[str] = Counter()
    broken = but_names = 0
    for question, tokens in zip(questions, read, strict=True):
        found = {find.form for find in _rubble(question, tokens, lexicon)}
        forms.update(found)
        broken += bool(found)
        but_names += bool(found - {"torn name"})
    answers = [question.answer for question in questions]
    return Fluency(
        perplexity=Perplexity.of(read),
        repeated=_percent(sum(map(repeated_share, answers)), len(answers)),
        distinct=_percent(distinct_share(answers), 1),
        rubble=_percent(broken, len(answers)),
        but_names=_percent(but_names, len(answers)),
        by_form=dict(forms.most_common()),
        unended=_percent(sum(not question.ended for question in questions), len(answers)),
    )


def _goals(ours: Fluency, reference: Fluency) -> dict[str, dict[str, Any]]:
    """Each component over the reference's, distinct word pairs the other way round."""
    ratios = {
        "perplexity_median": _ratio(ours.perplexity.median, reference.perplexity.median),
        "perplexity_of_mean": _ratio(ours.perplexity.of_mean, reference.perplexity.of_mean),
        "repeated_4_grams": _share_ratio(ours.repeated, reference.repeated),
        "one_over_distinct_2": _share_ratio(reference.distinct, ours.distinct),
        "rubble": _share_ratio(ours.rubble, reference.rubble),
        "rubble_but_names": _share_ratio(ours.but_names, reference.but_names),
    }
    return {
        name: {"ratio": ratio, "goal": GOAL, "met": ratio is not None and ratio <= GOAL}
        for name, ratio in ratios.items()
    }


def _share_ratio(ours: float, reference: float) -> float | None:
    """Of percentages: less than a point more, two answers of 200, counts as alike."""
    ratio = _ratio(ours, reference)
    return min(1.0, ratio or 1.0) if ours < reference + 1 else ratio


def _ratio(ours: float, reference: float) -> float | None:
    """None where the reference has nothing of what ours has."""
    if reference:
        return round(ours / reference, 3)
    return None if ours else 1.0


def _rubble(question: Question, tokens: Sequence[Token], lexicon: Lexicon) -> Any:
    return rubble(question.question, question.answer, tokens, ended=question.ended, lexicon=lexicon)


def _tell(
    file: Path, questions: Sequence[Question], read: Sequence[Sequence[Token]], lexicon: Lexicon
) -> None:
    with file.open("w", encoding="utf-8") as out:
        for question, tokens in zip(questions, read, strict=True):
            found = [[find.form, find.text] for find in _rubble(question, tokens, lexicon)]
            mean = sum(token.nats for token in tokens) / max(1, len(tokens))
            row = {
                "answer": question.answer,
                "rubble": found,
                "perplexity": round(math.exp(mean), 2),
            }
            out.write(json.dumps(row) + "\n")


def _questions(transcript: Transcript | None) -> list[Question]:
    """The first answer to each question; empty where nothing is kept."""
    if transcript is None:
        return []
    return [
        Question(row.question, answer.texts[0], answer.finish[0] == "stop")
        for row, answer in zip(transcript.rows, transcript.answers, strict=True)
    ]


def _good_texts() -> list[str]:
    """Texts that are good English: all questions, and the answers that are not to be forgotten."""
    kept: tuple[tofu.Set, ...] = ("retain", "real_authors", "world_facts")
    return [
        *(row.answer for name in kept for row in tofu.load(name)),
        *(row.question for name in kept for row in tofu.load(name)),
        *(row.question for row in tofu.load("forget")),
    ]


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


FIGURE = Figure(
    name="fluency",
    what="how guarded answers read beside a retain-only model's: the worst of perplexity, "
    "repetition and rubble",
    unit="ratio",
    goal="<= 1.1",
    run=measure,
)
