"""View: what every page is given: the run that is looked at, its neighbours, the other pages."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import selection


@dataclass(frozen=True)
class View:
    """One session's look at one run."""

    root: Path  # the folder of all runs
    path: Path  # of the run that is looked at
    runs: Mapping[str, Path]  # all runs under the root, by name
    pages: Mapping[str, StreamlitPage] = field(default_factory=dict)  # by the path in their URL

    @property
    def name(self) -> str:
        """The run, as a command names it."""
        return shlex.quote(str(self.path))

    def link(self, page: str, label: str, *, trial: int | None = None) -> None:
        """A link to another page, with the selection and, if given, another trial."""
        if page in self.pages:  # a page that is tested alone has no others
            query = selection.link() | ({} if trial is None else {"trial": str(trial)})
            st.page_link(
                self.pages[page], label=label, icon=":material/arrow_forward:", query_params=query
            )
