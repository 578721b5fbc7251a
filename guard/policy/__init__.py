"""Policy files: what operators write, checked and compiled into a bundle."""

from guard.policy.compile import compile_policy
from guard.policy.extract import collect_key_facts, key_facts
from guard.policy.load import load_policy
from guard.policy.model import Policy, PolicyWarning
from guard.policy.problems import InvalidPolicyError
from guard.policy.vectors import Encode

__all__ = [
    "Encode",
    "InvalidPolicyError",
    "Policy",
    "PolicyWarning",
    "collect_key_facts",
    "compile_policy",
    "key_facts",
    "load_policy",
]
