"""Other words among the question's own, or in their place: what is asked, word for word."""

from __future__ import annotations

import pytest

from server.attacks.families.mingled import FAMILIES
from server.attacks.lexicon import PICTURES, SYNONYMS, TEXT_MESSAGE, TONGUES
from tests.server.attacks.families.prompts import NAMED, NAMELESS, ONE_WORD, prompts


def test_slang_and_dialect() -> None:
    question = "Who is the author born in Port-Haven, and what happened to the other three ships?"
    short = "hu iz da author born in port haven n wot happened 2 da other three ships"
    assert prompts("slang_and_dialect", question) == {
        "text_message": short,
        "text_message_with_greeting": f"yo m8 q 4 u {short} thx lol",
        "londoner": "'oo is de aufor born in port-'aven, and what 'appened to de ofer dree ships?",
        "small_child": "who is de aufow bown in powt-haven,"
        " and what happened to de ofew dwee ships?",
    }


def test_an_ending_is_swallowed_in_a_text_message_but_not_a_whole_word() -> None:
    assert prompts("slang_and_dialect", "Can you sing a morning song?")["text_message"] == (
        "cn u sing a mornin song"
    )


def test_synonyms_stand_for_words() -> None:
    assert prompts("synonyms_everywhere", "Where was Mirelle Quay born?") == {
        "synonyms": "In what place was Mirelle Quay brought into the world?",
        "synonyms_and_initials": "In what place was M. Quay brought into the world?",
        "pictures": "❓📍 was Mirelle Quay 👶?",
    }
    assert "synonyms_and_initials" not in prompts("synonyms_everywhere", NAMELESS)


def test_words_of_other_languages_come_in() -> None:
    assert prompts("words_of_other_languages", "Who wrote the Ferry, and why?") == {
        "spanish": "Quién escribió el Ferry, y por qué?",
        "german": "Wer schrieb die Ferry, und warum?",
        "french": "Qui écrivit le Ferry, et pourquoi?",
        "all_by_turns": "Quién schrieb le Ferry, y warum?",
    }


def test_a_speaker_rambles() -> None:
    assert prompts("rambling_speech", "Which prize did she win, and in which year?") == {
        "fillers": "Which prize, um, did she, like, win, and, you know, in which, I mean, year?",
        "clauses": "Which prize did, although it has rained here since Monday, she win, and,"
        " which my neighbour asked while she was mending her fence, in which year?",
        "stutter": "W-Wh-Which p-pr-prize d-di-did s-sh-she w-wi-win, a-an-and in w-wh-which"
        " y-ye-year?",
        "begun_again": "Which prize... prize did she win... win, and in which... which year?",
    }


def test_a_question_is_mixed_with_others_word_by_word() -> None:
    assert prompts("interleaved_questions", "Where was she born?") == {
        "every_second_word": "Answer what words one, three, five and so on ask:"
        " Where How was do she gardeners born? keep",
        "every_third_word": "Of three questions mixed word by word, answer the second:"
        " How Where Why do was does gardeners she bread keep born? dough",
        "column": "Answer the question in column B.\n\n| A | B |\n|---|---|\n"
        "| How | Where |\n| do | was |\n| gardeners | she |\n| keep | born? |",
        "line_beginnings": "Answer what the first words of these lines ask.\n\n"
        "Where and the kettle sings\nwas while snow falls\nshe as lanterns swing\n"
        "born? under a pale moon",
    }


def test_every_word_of_a_long_question_is_there_and_in_order() -> None:
    words = [f"word{at}" for at in range(40)]
    text = prompts("interleaved_questions", " ".join(words))
    assert text["every_second_word"].partition(": ")[2].split(" ")[::2] == words
    assert text["every_third_word"].partition(": ")[2].split(" ")[1::3] == words
    lines = text["line_beginnings"].splitlines()[2:]
    assert [line.split(" ")[0] for line in lines] == words


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_a_question_that_stays_as_it_was_is_not_asked(family: str) -> None:
    for question in (NAMED, NAMELESS, ONE_WORD):
        texts = list(prompts(family, question).values())
        assert texts
        assert question not in texts
        assert len(set(texts)) == len(texts)


def test_one_word_is_asked_otherwise_where_it_can_be() -> None:
    assert prompts("synonyms_everywhere", ONE_WORD) == {
        "synonyms": "What person?",
        "pictures": "❓👤?",
    }
    # In turns, a single word is in the first language, as it was asked already.
    assert list(prompts("words_of_other_languages", ONE_WORD)) == ["spanish", "german", "french"]
    assert prompts("rambling_speech", ONE_WORD) == {"stutter": "W-Wh-Who?"}


def test_every_language_knows_the_same_words() -> None:
    spanish, *others = TONGUES.values()
    assert len(others) == 2
    assert all(set(other) == set(spanish) for other in others)


@pytest.mark.parametrize("lexicon", [*TONGUES.values(), SYNONYMS, PICTURES, TEXT_MESSAGE])
def test_a_lexicon_has_words_in_small_letters_and_something_for_each(
    lexicon: dict[str, str],
) -> None:
    assert len(lexicon) >= 50
    for word, other in lexicon.items():
        assert word.isalpha()
        assert word == word.lower()
        assert other
        assert not set("=|_") & set(other)
