"""Serve: Streamlit's server, which imports what pages need while it starts, before anybody looks.

    python -m dashboard.serve run dashboard/app.py ...

takes what `streamlit` takes; `attnas dashboard` starts it (see launch.py).
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pkgutil import iter_modules

from streamlit.web.cli import main

from dashboard import app_pages


def prepare() -> None:
    """Import every page, and with them pandas, Altair and the rest."""
    for module in iter_modules(app_pages.__path__):
        import_module(f"{app_pages.__name__}.{module.name}")


if __name__ == "__main__":
    threading.Thread(target=prepare, daemon=True).start()
    sys.argv = ["streamlit", *sys.argv[1:]]
    main()
