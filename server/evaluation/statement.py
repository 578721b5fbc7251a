"""What a report must say of itself before any figure.

The SoK on LLM unlearning (arXiv 2506.09227) finds that evaluations mislead where they do not say
what is intended: to remove knowledge, or to suppress it. This names the intention, and against whom
it is meant to hold.
"""

from __future__ import annotations

from typing import Final

INTENTION: Final = (
    "Suppression, not removal. The guard keeps a model from saying what it knows, while it answers"
    " through this endpoint. The knowledge stays in the model's weights, whole: the figures of the"
    " unguarded model below are what anyone gets who reaches it without the guard."
)
THREAT_MODEL: Final = (
    "Meant to hold against somebody who sends any text through the guarded API and reads every"
    " answer. Not meant to hold against somebody who has the weights, who reaches the engine with"
    " a signing key, or who may change the policy.",
    "Questions here are asked plainly, in other words, with the answer's beginning, and with the"
    " fact handed back in the prompt. Evasions (encodings, forcing, multi-turn assembly) are"
    " measured by `unlearn-guard attack`, not here.",
    "That something is hidden is visible: a suppressed answer is often odd. The membership test"
    " says how visible.",
)
NOT_SHOWN: Final = (
    "That a fact is not said here does not show that it cannot be said: these are the questions of"
    " this data set, not all questions.",
    "Facts in words that share nothing with the gold answer are not counted as said. Meaning is"
    " measured (semantic similarity), but not judged.",
    "Privacy leakage by likelihoods (MUSE's `privleak`) is not applicable: `prompt_logprobs` skip"
    " the sampler's processors, so likelihoods taken through an endpoint are the unguarded"
    " model's, whatever guards it.",
)
