"""Settings of vLLM under which the sampler's word would not be the last; refused at start.

Each is one of vLLM 0.32, Model Runner V2. On V1 vLLM itself refuses to load any logits processor
beside speculative decoding (``vllm/v1/sample/logits_processor/__init__.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.errors import EngineUnsupportedError

if TYPE_CHECKING:
    from vllm.config import VllmConfig


def check_settings(config: VllmConfig) -> None:
    """Refuse what the guard cannot hold.

    Raises:
        EngineUnsupportedError: naming the setting.
    """
    model, speculative = config.model_config, config.speculative_config
    if model.is_diffusion:
        raise EngineUnsupportedError(
            "the model writes its tokens in any order, and the guard reads from left to right",
            fix="serve a model that is not a diffusion model",
        )
    if model.enable_trace_replay:
        raise EngineUnsupportedError(
            "`--enable-trace-replay` puts tokens of the request in the place of sampled ones",
            fix="leave it out",
        )
    if speculative is not None and speculative.rejection_sample_method == "synthetic":
        raise EngineUnsupportedError(
            "`rejection_sample_method` is `synthetic`, which accepts drafts unseen",
            fix="set it to `standard` or `block` in `--speculative-config`",
        )
