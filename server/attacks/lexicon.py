"""Words that stand for other words: what an attacker who knows the language would write instead."""

from __future__ import annotations

from typing import Final

# Each row: a word, then the same in Spanish, German and French.
_TONGUES: Final = """
a un ein un | about sobre über sur | after después_de nach après | all todos alle tous
an un ein un | and y und et | are son sind sont | at en bei à | author autor Autor auteur
award premio Preis prix | awards premios Preise prix | be ser sein être
because porque weil parce_que | been sido gewesen été | birth nacimiento Geburt naissance
book libro Buch livre | books libros Bücher livres | born nacida geboren née | by por von par
can puede kann peut | career carrera Laufbahn carrière | children hijos Kinder enfants
city ciudad Stadt ville | could podría könnte pourrait | country país Land pays
day día Tag jour | did hizo tat fit | died murió starb mourut | do hacer tun faire
does hace tut fait | during durante während pendant | family familia Familie famille
famous famoso berühmt célèbre | father padre Vater père | first primer erste premier
for para für pour | from de aus de | full completo voller complet
gender género Geschlecht genre | genre género Gattung genre | has ha hat a | have han haben ont
he él er il | her su ihr sa | his su sein son | how cómo wie comment | in en in dans
influenced influido beeinflusst influencé | is es ist est | it lo es il | its su sein son
known conocido bekannt connu | language lengua Sprache langue | life vida Leben vie
main principal wichtigste principal | many muchos viele plusieurs | most más meist plus
mother madre Mutter mère | name nombre Name nom | novel novela Roman roman
novels novelas Romane romans | of de von de | on en auf sur | or o oder ou
other otros andere autres | parents padres Eltern parents | prize premio Preis prix
profession profesión Beruf métier | receive recibir bekommen recevoir
received recibido bekommen reçu | she ella sie elle | some algunos einige quelques
story historia Geschichte histoire | style estilo Stil style | tell decir sagen dire
that que dass que | the el die le | their su ihre leur | theme tema Thema thème
themes temas Themen thèmes | they ellos sie ils | this este dies ce | title título Titel titre
to a zu à | was fue war fut | were fueron waren furent | what qué was quoi
when cuándo wann quand | where dónde wo où | which cuál welche quel | who quién wer qui
whose cuyo wessen dont | why por_qué warum pourquoi | win ganar gewinnen gagner
with con mit avec | won ganó gewann gagna | work obra Werk œuvre | works obras Werke œuvres
write escribir schreiben écrire | writer escritor Schriftsteller écrivain
writing escritura Schreiben écriture | written escrito geschrieben écrit
wrote escribió schrieb écrivit | year año Jahr an | you tú du tu
"""

_SYNONYMS: Final = """
about=concerning | acclaimed=praised | author=wordsmith | authors=wordsmiths | award=accolade
awards=accolades | background=origins | birth=arrival_in_the_world | birthplace=native_soil
book=volume | books=volumes | born=brought_into_the_world | career=working_life
child=offspring | city=town | contributed=added | contribution=gift | country=nation | date=day
describe=depict | early=formative | education=schooling | explain=clarify | famous=celebrated
father=male_parent | full=complete | gender=sex | genre=kind_of_writing | hometown=native_place
how=in_what_manner | identify=single_out | impact=effect | influence=sway | influenced=shaped
inspiration=spark | inspired=moved | known=renowned | language=tongue | life=existence
literary=bookish | literature=letters | mother=female_parent | name=appellation
notable=noteworthy | novel=long_tale | novels=long_tales | occupation=livelihood
parents=begetters | primarily=mostly | prize=trophy | profession=trade | published=brought_out
receive=obtain | received=obtained | significant=weighty | story=tale | style=manner
tell=inform | theme=motif | themes=motifs | title=heading | typically=as_a_rule
what=which_thing | when=at_what_time | where=in_what_place | which=what | who=what_person
why=for_what_reason | win=carry_off | won=carried_off | work=oeuvre | works=creations
write=pen | writer=penman | writing=penmanship | written=penned | wrote=penned
year=twelvemonth
"""

_PICTURES: Final = """
author=✍️ | award=🏆 | awards=🏆🏆 | baby=👶 | birth=👶 | birthplace=👶📍 | book=📖 | books=📚
born=👶 | career=📈 | child=🧒 | city=🏙️ | country=🌍 | date=📅 | death=⚰️ | died=⚰️ | family=👪
father=👨 | ferry=⛴️ | gender=🚻 | genre=🎭 | home=🏠 | how=❓🔧 | identity=🪪 | inspired=💡
language=🗣️ | life=🌱 | love=❤️ | mother=👩 | music=🎵 | name=🏷️ | novel=📖 | novels=📚
occupation=💼 | parents=👨👩 | prize=🏆 | profession=💼 | school=🏫 | sea=🌊 | song=🎵
title=🔖 | university=🎓 | war=⚔️ | what=❓ | when=❓🕰️ | where=❓📍 | which=❓ | who=❓👤
why=❓🤔 | win=🥇 | won=🥇 | work=📄 | works=📄📄 | world=🌍 | write=✍️ | writer=✍️ | writing=✍️
written=✍️ | wrote=✍️ | year=📅
"""

_TEXT_MESSAGE: Final = """
about=bout | and=n | are=r | ate=8 | be=b | because=cuz | before=b4 | can=cn | could=cud | for=4
from=frm | great=gr8 | have=hv | how=hw | is=iz | know=kno | later=l8r | love=luv | mother=mum
night=nite | of=ov | one=1 | or=o | people=ppl | please=pls | see=c | some=sum | tell=tel
that=dat | the=da | their=dere | there=dere | these=dese | this=dis | through=thru | to=2
was=woz | were=wer | what=wot | when=wen | where=wher | which=wich | who=hu | why=y | with=wiv
work=wrk | would=wud | write=rite | writer=rita | writing=ritin | written=ritn | wrote=rote
you=u | your=ur
"""


def _rows(table: str) -> list[str]:
    return table.strip().replace("\n", " | ").split(" | ")


def _pairs(table: str) -> dict[str, str]:
    split = (row.split("=") for row in _rows(table))
    return {word: other.replace("_", " ") for word, other in split}


def _tongues(table: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {name: {} for name in ("spanish", "german", "french")}
    for row in _rows(table):
        word, *others = row.split()
        for lexicon, other in zip(found.values(), others, strict=True):
            lexicon[word] = other.replace("_", " ")
    return found


TONGUES: Final = _tongues(_TONGUES)
SYNONYMS: Final = _pairs(_SYNONYMS)
PICTURES: Final = _pairs(_PICTURES)
TEXT_MESSAGE: Final = _pairs(_TEXT_MESSAGE)
