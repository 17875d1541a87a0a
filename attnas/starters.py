"""Starter configurations: the files of configs/, found in a checkout or in the wheel."""

from __future__ import annotations

from pathlib import Path

STARTERS = {
    "lm": "lm.yaml",
    "quickstart": "quickstart.yaml",
    "classify": "classify.yaml",
    "digits": "digits.yaml",
    "translate": "translate.yaml",
}


def starter_text(task: str) -> str:
    """The commented YAML of a starter."""
    return (configs_folder() / STARTERS[task]).read_text(encoding="utf-8")


def configs_folder() -> Path:
    """configs/ beside this package in a checkout, inside it when installed from a wheel."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"
