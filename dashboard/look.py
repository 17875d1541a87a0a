"""How it looks: the colours of both themes, safe for colour-blind eyes (Okabe and Ito 2008)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme."""

    ink: str
    muted: str
    paper: str
    searched: str
    random: str
    preset: str
    families: tuple[str, ...]  # of attention patterns, dense first


LIGHT = Palette(
    ink="#1f2328",
    muted="#6b7280",
    paper="#ffffff",
    searched="#0072B2",
    random="#E69F00",
    preset="#009E73",
    families=("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442"),
)
DARK = Palette(
    ink="#e6e9ee",
    muted="#9aa4b2",
    paper="#12161c",
    searched="#56B4E9",
    random="#E69F00",
    preset="#19C394",
    families=("#56B4E9", "#E69F00", "#19C394", "#CC79A7", "#D55E00", "#0072B2", "#F0E442"),
)

# Fixed text, nothing of a run's in it. Streamlit stacks columns below 640 px only, which
# leaves a chart and a table beside each other too narrow on a window of 900.
STYLE = """<style>
.stMainBlockContainer { padding-top: 3.2rem; padding-bottom: 3rem; max-width: 1680px; }
.stMain [data-testid="stMetricValue"] { font-size: 1.45rem; line-height: 1.5; }
.stSidebar .stText, .stMain .stText { font-family: inherit; white-space: pre-wrap; }
@media (max-width: 1180px) {
  .stMain .stHorizontalBlock { flex-wrap: wrap; }
  .stMain .stHorizontalBlock > .stColumn { min-width: min(100%, 330px); flex: 1 1 330px; }
}
@media (max-width: 1600px) {
  .stMainBlockContainer { padding-left: 2.2rem; padding-right: 2.2rem; }
}
</style>"""


def palette() -> Palette:
    """The colours of the theme that the reader's browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def apply_style() -> None:
    """Tighter margins, and columns that stack on narrow windows."""
    st.html(STYLE)


def family_colours(names: Iterable[str], colours: Palette) -> dict[str, str]:
    """A colour per pattern name: dense has the first, the others follow in alphabetic order.

    Seven are told apart by any eyes; a design with more patterns repeats them.
    """
    ordered = sorted(set(names) | {"dense"}, key=lambda name: (name != "dense", name))
    return {name: colours.families[i % len(colours.families)] for i, name in enumerate(ordered)}
