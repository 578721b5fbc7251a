"""Words that say little by themselves: function words, everyday words, months, days, demonyms."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

MONTHS: Final = frozenset(
    """january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec""".split()
)
DAYS: Final = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())

# Adjectives of nations, regions, religions and languages: as common as words in ordinary answers.
DEMONYMS: Final = frozenset(
    """afghan african albanian algerian american andean angolan arab arabian arabic argentine
    argentinian armenian asian atlantic australian austrian azerbaijani bahraini balkan baltic
    bangladeshi basque bavarian belarusian belgian bengali bolivian bosnian brazilian british
    buddhist bulgarian burmese cambodian cameroonian canadian caribbean catalan catholic caucasian
    celtic chilean chinese christian colombian congolese croatian cuban cypriot czech danish dutch
    eastern ecuadorian egyptian english eritrean estonian ethiopian european filipino finnish
    flemish french georgian german germanic ghanaian greek guatemalan gujarati haitian hebrew
    hindi hindu hispanic honduran hungarian icelandic indian indigenous indonesian iranian iraqi
    irish islamic israeli italian ivorian jamaican japanese jewish jordanian kazakh kazakhstani
    kenyan korean kurdish kuwaiti kyrgyz laotian latin latina latino latvian lebanese liberian
    libyan lithuanian macedonian malagasy malay malayali malaysian maltese mandarin mediterranean
    mexican middle moldovan mongolian moroccan mozambican muslim namibian nepalese nepali nigerian
    nordic northern norwegian oriental orthodox ottoman pacific pakistani palestinian panamanian
    paraguayan persian peruvian polish polynesian portuguese protestant punjabi qatari quebecois
    roman romanian russian rwandan samoan saudi scandinavian scots scottish senegalese serbian
    sicilian sikh singaporean slavic slovak slovenian somali southern soviet spanish sri sudanese
    swahili swedish swiss syrian taiwanese tajik tamil tanzanian thai tibetan tunisian turkish
    turkmen ugandan ukrainian urdu uruguayan uzbek venezuelan vietnamese welsh western yemeni
    yoruba zambian zimbabwean zulu""".split()
)

# Words that hold sentences together, which no answer can do without.
FUNCTION_WORDS: Final = frozenset(
    """a about above after again against all along already also although always among an and another
    any are around as at be because been before being below between both but by can could did do
    does down during each either else even ever every few for from had has have having he her here
    hers him his how however i if in into is it its itself just less like many may me might more
    most much must my near neither never no none nor not of off on one only onto or other our out
    over own same shall she should since so some such than that the their them then there these they
    this those though through thus to too toward towards under until unto up upon us very was we
    well were what when where whereas whether which while who whom whose why will with within
    without would yet you your""".split()
)


@cache
def common_words() -> frozenset[str]:
    """Everyday English words, lower case (``common_words.txt``)."""
    text = resources.files("guard.policy").joinpath("common_words.txt").read_text("utf-8")
    return frozenset(
        word for line in text.splitlines() if not line.startswith("#") for word in line.split()
    )


def is_common_word(word: str) -> bool:
    """Whether a normalised word, by itself, is too ordinary to stand for a forget target."""
    return word in common_words() or word in MONTHS or word in DAYS or word in DEMONYMS
