"""How the dashboard is started: the command, and a port that nothing else listens on."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

ADDRESS = "127.0.0.1"
APP = Path(__file__).with_name("app.py")

SETTINGS = {
    "server.address": ADDRESS,
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "type",
    "client.toolbarMode": "minimal",
    "theme.baseRadius": "small",
    "theme.headingFontSizes": '["1.75rem", "1.3rem", "1.05rem"]',
    "theme.light.primaryColor": "#0072B2",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f4f6f8",
    "theme.light.textColor": "#1f2328",
    "theme.dark.primaryColor": "#56B4E9",
    "theme.dark.backgroundColor": "#12161c",
    "theme.dark.secondaryBackgroundColor": "#1b212a",
    "theme.dark.textColor": "#e6e9ee",
}


def command(root: Path, port: int) -> list[str]:
    """The command that shows the runs under `root` at http://127.0.0.1:`port`."""
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    run = [sys.executable, "-m", "dashboard.serve", "run", str(APP), f"--server.port={port}"]
    return [*run, *settings, "--", str(root)]


def free_port(port: int) -> None:
    """Refuse a port that is taken, with the way out."""
    with socket.socket() as probe:
        # As the server itself does: a port whose last connections still close is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            other = port + 1 if port < 65535 else port - 1
            raise ValueError(
                f"port {port} is in use; stop what uses it or choose another with --port {other}"
            ) from None
