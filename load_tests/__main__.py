"""``python -m load_tests``: list the figures, measure one, or load the real stack."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict

from load_tests.figure import Figure, NotMeasurableError, Options

# Module of each, imported when it is asked for.
FIGURES = {
    "first-answer": "first_answer",
    "tofu-leak": "tofu_leak",
    "fluency": "fluency",
    "identity": "identity",
    "views-cost": "views_cost",
    "throughput": "throughput",
    "phrase-scale": "phrase_scale",
    "standing-scale": "standing_scale",
    "gpu-step": "gpu_step",
    "verbatim": "verbatim",
    "meaning": "meaning",
    "ununlearning": "ununlearning",
    "attack": "attack",
    "fuzz": "fuzz",
    "unnamed-leak": "unnamed_leak",
    "answer-watch": "answer_watch",
    "answer-cost": "answer_cost",
    "faults": "faults",
    "detect-seen": "detect_seen",
    "detect-unseen": "detect_unseen",
    "detect-unnamed": "detect_unnamed",
    "detect-general": "detect_general",
    "detect-towards": "detect_towards",
    "detect-languages": "detect_languages",
    "detect-latency": "detect_latency",
    "target-live": "target_live",
    "index-scale": "index_scale",
    "eval": "eval",
}


def figure(name: str) -> Figure:
    """The figure of that name."""
    module = importlib.import_module(f"load_tests.figures.{FIGURES[name]}")
    found: Figure = module.FIGURE
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the last line of a measured figure is one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m load_tests", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*FIGURES, "load"], help="what to run")
    defaults = Options()
    for option, text in (
        ("limit", "at most so many prompts of each set, 0 for all (a recorded figure takes all)"),
        ("samples", "answers a question at temperature 1"),
        ("repeats", "timed runs of each arm"),
        ("restarts", "fresh engines of each kind"),
    ):
        parser.add_argument(f"--{option}", type=int, default=getattr(defaults, option), help=text)
    for option, text in (
        ("arms", "of tofu-leak: only these arms, comma-separated; the others' answers are kept"),
        ("sets", "of tofu-leak and eval: only these sets, comma-separated"),
    ):
        parser.add_argument(f"--{option}", type=_names, default=(), help=text)
    parser.add_argument("--folder", default="", help="of transcripts, for tofu-leak and fluency")
    parser.add_argument(
        "--rescore", action="store_true", help="of tofu-leak: count kept transcripts, ask no model"
    )
    chosen = parser.parse_args(arguments)
    if chosen.name is None:
        for name in FIGURES:
            each = figure(name)
            print(f"{each.name:14} {each.what} [{each.unit}]; goal: {each.goal}")
        print(f"{'load':14} users of every kind on the real stack, with locust")
        return 0
    if chosen.name == "load":
        from load_tests.load import run

        return run()
    options = Options(**{name: getattr(chosen, name) for name in Options.__dataclass_fields__})
    asked = figure(chosen.name)
    try:
        measured = asked.run(options)
    except NotMeasurableError as error:
        print(f"{chosen.name} {error}", file=sys.stderr)
        return 2
    details = measured.details
    if options != defaults:
        details = {"not_the_recorded_setting": asdict(options), **details}
    print(
        json.dumps(
            {
                "name": asked.name,
                "value": measured.value,
                "unit": asked.unit,
                "goal": asked.goal,
                "n": measured.n,
                "details": details,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
