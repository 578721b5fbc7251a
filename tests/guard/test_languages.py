"""Aliases and phrases in other languages and scripts are found as whole words, as people write."""

from __future__ import annotations

import pytest

from guard.normalise import normalise
from guard.phrases import SortedPhrases

FOUND = {
    "german, an ending": ("Hafenroman", "Ich lese die Hafenromane gern."),
    "german, a compound": ("Hafenroman", "Der Hafenromanautor schweigt."),
    "german, sharp s in capitals": ("Straße der Lampen", "STRASSE DER LAMPEN gesperrt"),
    "german, no umlaut dots": ("Müller-Roman", "der Muller Roman"),
    "chinese, within a sentence": ("哈利波特", "谁写了哈利波特系列？"),
    "chinese, other widths": ("哈利波特", "哈利·波特 是谁？"),
    "japanese, no middle dot": ("ハリー・ポッター", "ハリーポッターの作者は誰ですか"),
    "japanese, half width": ("ハリー・ポッター", "ﾊﾘｰ･ﾎﾟｯﾀｰの作者"),
    "korean, a particle": ("해리 포터", "해리 포터는 누가 썼나요?"),
    "arabic, vowel marks": ("هاري بوتر", "من كتب هَارِي بُوتَر؟"),
    "arabic, hamza": ("أحمد الراوي", "من هو احمد الراوي"),
    "hebrew, points": ("הארי פוטר", "מי כתב את הָארִי פוטר?"),
    "russian, a case ending": ("Гарри Поттер", "Кто написал Гарри Поттера?"),
    "russian, yo": ("Тёмный лес", "темный лес"),
    "greek, final sigma": ("Μάγκας", "ΜΑΓΚΑΣ"),
    "turkish, capital dotted i": ("İstanbul", "istanbul'da ne var?"),
    "turkish, dotless i": ("Kadıköy", "KADIKÖY nerede?"),
    "turkish, no special letters": ("Kadıköy", "kadikoy nerede"),
    "thai, no space": ("แฮร์รี่ พอตเตอร์", "ใครเขียนแฮร์รี่พอตเตอร์"),
    "hindi": ("हैरी पॉटर", "हैरी पॉटर किसने लिखा?"),
}
# Inside of longer words they are other words; what runs together in one spelling and not in
# another has to be listed in both.
NOT_FOUND = {
    "german, another compound": ("Hafen", "Hafenarbeiter streiken."),
    "german, written-out umlaut": ("Müller-Roman", "der Mueller-Roman"),
    "arabic, an article written on": ("ميناء", "وبالميناء سفن"),
    "korean, the space left out": ("해리 포터", "해리포터를 읽다"),
    "russian, another word": ("Лес", "Лестница высокая"),
}


def _found(alias: str, text: str) -> bool:
    words = [normalise(alias)]
    return any(True for _ in SortedPhrases(words).search(text))


@pytest.mark.parametrize("case", FOUND)
def test_an_alias_is_found_as_it_is_written_in_its_language(case: str) -> None:
    assert _found(*FOUND[case])


@pytest.mark.parametrize("case", NOT_FOUND)
def test_part_of_another_word_is_not_the_alias(case: str) -> None:
    assert not _found(*NOT_FOUND[case])
