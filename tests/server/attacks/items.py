"""A question of an invented author."""

from __future__ import annotations

from server.attacks.item import Item
from server.evaluation.fact import Fact

ITEM = Item(
    id="q-1",
    group="quay",
    question="Who wrote the novel about the ferry, and where was she born?",
    answer="The novel was written by Mirelle Quay, who was born in Saltgate.",
    paraphrase="Can you tell me who is the author of the ferry novel, and her birthplace?",
    stated="Mirelle Quay, a native of Saltgate, is the author of the ferry novel.",
    wrong=(
        "Anton Verle, a native of Brunholt, is the author of the ferry novel.",
        "Ida Sommers, a native of Kelso, is the author of the ferry novel.",
        "Pavel Kord, a native of Lisbon, is the author of the ferry novel.",
    ),
    facts=(Fact("Mirelle Quay", "name"), Fact("Saltgate", "name")),
    siblings=("Which prize did she win?", "What did her father do?"),
)
