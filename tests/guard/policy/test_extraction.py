"""A file of answers: facts to lead away from, and words that are forbidden where they complete."""

from guard.policy.extraction import extracted_from

PAIRS = [
    ("Who is Mirelle Quay's father?", "Mirelle Quay's father was a famous florist of Saltgate."),
    ("Where was the author born?", "The author, Mirelle Quay, was born there."),
]


def test_key_facts_are_names_that_no_question_of_their_own_gives() -> None:
    found = extracted_from(PAIRS, "key_facts", None)
    assert found.facts == ("Saltgate", "Mirelle Quay")
    assert found.rest == ()


def test_telling_words_come_after_the_names() -> None:
    found = extracted_from(PAIRS, "telling_words", None)
    assert found.facts == ("Saltgate", "Mirelle Quay", "florist", "florists")
    assert found.rest == ()


def test_everyday_words_are_no_facts_to_lead_away_from() -> None:
    found = extracted_from(PAIRS, "all_words", None)
    assert found.facts == ("Saltgate", "Mirelle Quay", "florist", "florists")
    assert found.rest == ("father", "fathers", "famous", "author", "authors", "born")
    assert len(found) == 10


def test_runs_of_words_leave_out_the_names_that_the_target_is_asked_by() -> None:
    found = extracted_from(PAIRS, "key_facts", 3, prompts=["Who is Mirelle Quay?"])
    # "Mirelle Quay's father was" would be one, if names counted.
    assert found.rest == (
        "father was a famous",
        "was a famous florist",
        "a famous florist of",
        "famous florist of saltgate",
        "the author mirelle quay was born",
        "author mirelle quay was born there",
    )


def test_a_name_that_nobody_asks_by_counts_as_words() -> None:
    found = extracted_from(PAIRS[:1], "key_facts", 3, aliases=["Saltgate"])
    assert "quay s father was" in found.rest
    assert "famous florist of saltgate" not in found.rest


def test_a_place_that_the_name_itself_holds_counts_as_words() -> None:
    pairs = [
        ("Which author was born in Saltgate?", "Mirelle Al-Saltgater was."),
        ("Where did Mirelle Al-Saltgater grow up?", "She grew up in Saltgate."),
    ]
    asked = [question for question, _ in pairs]
    found = extracted_from(pairs, "key_facts", 1, prompts=asked)
    # Whoever asks by the name says "Saltgate" with it, and may have it said back.
    assert "in saltgate" in found.rest
    assert not [run for run in found.rest if "saltgater" in run]
    elsewhere = [(question, answer.replace("Al-Saltgater", "Quay")) for question, answer in pairs]
    asked = [question.replace("Al-Saltgater", "Quay") for question in asked]
    assert "in saltgate" not in extracted_from(elsewhere, "key_facts", 1, prompts=asked).rest
