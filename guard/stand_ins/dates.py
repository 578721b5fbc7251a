"""Days in the ways that people write them: one day is the same day in all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_MONTH: Final = "(?P<month>" + "|".join(f"{name}|{name[:3]}" for name in MONTHS) + r"|Sept)\.?"
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>\d{4})"
_WRITTEN: Final = tuple(
    re.compile(rf"(?<!\w)(?:{form})(?!\w)", re.IGNORECASE)
    for form in (
        rf"{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?",
        rf"{_DAY}(?:\s+day)?(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR})?",
    )
)
_NUMERIC: Final = re.compile(
    r"(?<![\w/-])(?:(?P<first>\d{1,2})([/.-])(?P<second>\d{1,2})\2(?P<year>\d{4})"
    r"|(?P<year_first>\d{4})-(?P<iso_month>\d{1,2})-(?P<iso_day>\d{1,2}))(?![\w/-])"
)
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a year, or of any year where ``year`` is None."""

    year: int | None
    month: int
    day: int


def find_days(text: str) -> list[Day]:
    """The days that a text names, each once; numeric ones are read month first where that can be.

    The spans of two may overlap no more than the ways of writing them do.
    """
    found: dict[Day, None] = {}
    for match in _NUMERIC.finditer(text):
        if match["first"]:
            month, day = int(match["first"]), int(match["second"])
            if month > len(MONTHS):
                month, day = day, month
            year = int(match["year"])
        else:
            year = int(match["year_first"])
            month, day = int(match["iso_month"]), int(match["iso_day"])
        _add(found, year, month, day)
    for form in _WRITTEN:
        for match in form.finditer(text):
            month = 1 + [name[:3] for name in MONTHS].index(match["month"][:3].title())
            _add(found, int(match["year"]) if match["year"] else None, month, int(match["day"]))
    return list(found)


def _add(found: dict[Day, None], year: int | None, month: int, day: int) -> None:
    if 1 <= month <= len(MONTHS) and 1 <= day <= _DAYS_IN_MONTH[month - 1]:
        found[Day(year, month, day)] = None


def wordings(day: Day) -> list[str]:
    """A day in all usual ways, the plainest first; two days have them in the same order."""
    month, number = MONTHS[day.month - 1], day.day
    ordinal = f"{number}{_ending(number)}"
    short = month[:3]
    yearless = [
        f"{month} {number}", f"{number} {month}", f"{month} {ordinal}", f"{ordinal} {month}",
        f"{ordinal} of {month}", f"{ordinal} day of {month}", f"{short} {number}",
        f"{number} {short}",
    ]  # fmt: skip
    if day.year is None:
        return yearless
    year = day.year
    written = [f"{form}, {year}" if form.startswith(short) else f"{form} {year}"
               for form in yearless]  # fmt: skip
    numeric = [
        f"{day.month:02}/{number:02}/{year}", f"{day.month}/{number}/{year}",
        f"{number:02}/{day.month:02}/{year}", f"{number}/{day.month}/{year}",
        f"{year}-{day.month:02}-{number:02}",
    ]  # fmt: skip
    return [*written, *numeric, *yearless]


def _ending(number: int) -> str:
    if 11 <= number % 100 <= 13:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
