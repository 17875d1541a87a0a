"""Words of ten languages in Latin script: the names that locales have for the world's things.

From Babel's copy of the Unicode Common Locale Data Repository: languages, territories, scripts,
currencies, cities, months and days. Close relatives are among them, so spelling must be learnt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from babel import Locale

LANGUAGES = ("cs", "da", "es", "it", "nb", "nl", "pl", "pt", "sk", "sv")


def locale_names() -> list[tuple[str, str]]:
    """Pairs of a name and its language, in a fixed order; names of one language alone."""
    names = {language: set(_names(Locale(language))) for language in LANGUAGES}
    owners = Counter(name for known in names.values() for name in known)
    return [
        (name, language)
        for language, known in names.items()
        for name in sorted(known)
        if owners[name] == 1
    ]


def _names(locale: Locale) -> Iterator[str]:
    for known in (locale.languages, locale.territories, locale.scripts, locale.currencies):
        yield from known.values()
    for zone in locale.time_zones.values():
        if "city" in zone:
            yield zone["city"]
    yield from locale.months["format"]["wide"].values()
    yield from locale.days["format"]["wide"].values()
