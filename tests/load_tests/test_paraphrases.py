from load_tests.paraphrases import Paraphrased

ROW = Paraphrased(
    author="a",
    question="What did Mirelle Quay's father do?",
    answer="Her father was a florist in Saltgate.",
    paraphrase="Mirelle Quay's father worked in Saltgate with other florists.",
    wrong=("Mirelle Quay's father worked in Saltgate with other librarians.",),
)


def test_what_both_wordings_say_and_no_wrong_answer_does_is_telling() -> None:
    assert ROW.telling == {"florist"}


def test_a_telling_word_is_found_in_any_grammatical_form() -> None:
    assert ROW.tells("Florists, in Saltgate!") == [True, False, False]


def test_short_words_tell_nothing() -> None:
    row = Paraphrased("a", "Where?", "It was in Rye.", "In Rye it was.", ("In Ely it was.",))
    assert row.tells("in Rye") == [False, False]
