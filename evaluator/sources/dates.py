"""Dates as people of seven countries write them, and the same dates as ISO 8601 has them.

Names of months and days are those of the Unicode CLDR, through Babel. Numbers alone, as in
4/7/1976, are left out: what an American means by them and what a Frenchman does differ. German's
04.07.1976 can be told by its dots.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

from babel.dates import format_date, format_skeleton

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl")
FORMS = ("medium", "long", "full", "short day")
FIRST, LAST = date(1900, 1, 1), date(2100, 12, 31)
DAYS = (LAST - FIRST).days + 1  # 73,414


def date_pairs(held_out: int, others: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """So many pairs of distinct days, and so many of any other days; the same ones each time."""
    draw = random.Random("dates/1")
    days = draw.sample(range(DAYS), DAYS)
    kept = [_pair(day, draw) for day in days[:held_out]]
    rest = days[held_out:]
    return kept, [_pair(draw.choice(rest), draw) for _ in range(others)]


def _pair(day: int, draw: random.Random) -> tuple[str, str]:
    when = FIRST + timedelta(day)
    return written_date(when, draw.choice(LANGUAGES), draw.choice(FORMS)), when.isoformat()


def written_date(when: date, language: str, form: str) -> str:
    """A date in one of the FORMS; `short day` is as in "Sun, Jul 4, 1976"."""
    if form == "short day":
        return format_skeleton("yMMMEd", when, locale=language)
    return format_date(when, form, locale=language)
