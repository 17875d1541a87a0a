"""Serve: Streamlit's server, which prepares the first view while it starts, before anybody looks.

    python -m dashboard.serve run dashboard/app.py ...

takes what `streamlit` takes; `attnas dashboard` starts it (see launch.py).
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from streamlit.web.cli import main

from dashboard import app_pages
from results.errors import RunError


def prepare(root: Path) -> None:
    """Import every page, and with them pandas, Altair and the rest; read the run seen first.

    What takes longest of its start page is computed as well.
    """
    for module in iter_modules(app_pages.__path__):
        import_module(f"{app_pages.__name__}.{module.name}")
    from dashboard.frames.derived import summary_of
    from dashboard.frames.derived_progress import gains_of, growth_by_source_of
    from dashboard.frames.run_list import newest
    from dashboard.loading import open_run, runs_under

    with suppress(RunError):  # a page will say what is wrong
        if runs := runs_under(root):
            loaded = open_run(runs[newest(runs)])
            for computed in (summary_of, growth_by_source_of, gains_of):
                computed(loaded)


if __name__ == "__main__":
    threading.Thread(target=prepare, args=[Path(sys.argv[-1])], daemon=True).start()
    sys.argv = ["streamlit", *sys.argv[1:]]
    main()
