"""The report's arms differ in nothing but the guard, and raw prompts are what the model knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guard.policy import load_policy
from load_tests.figures.eval import _KEYS, CHATML, INVENTED, with_tenants


def test_one_tenant_is_guarded_and_one_is_exempt_from_all(tmp_path: Path) -> None:
    import shutil

    policy = shutil.copytree(INVENTED, tmp_path / "policy") / "policy.yaml"
    loaded = load_policy(with_tenants(policy))
    every = [target.spec.id for target in loaded.targets]
    exempt = {tenant.name: list(tenant.exempt) for tenant in loaded.tenants}
    assert exempt == {"guarded": [], "unguarded": every}
    assert _KEYS["guarded"] not in policy.read_text()


def test_raw_prompts_are_the_demo_models_own_template(demo_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(demo_model))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who?"}], tokenize=False, add_generation_prompt=True
    )
    assert CHATML.replace("{question}", "Who?").replace("{prefix}", "") == asked
