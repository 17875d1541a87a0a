"""Write what the docs take from the code: the README's tree and the command line reference.

python docs/generate.py           # write
python docs/generate.py --check   # exit 1 and name the file if one is out of date
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "evaluator", "controller", "results", "dashboard", "attnas")
ELSEWHERE = {
    "configs/": "YAML only; each says what it does, its cost and what to expect",
    "tests/": "one sentence per test, on small real objects",
    "benchmarks/": "the scripts behind every figure",
    "docs/": "how it works, decisions, and the log of what did not work",
    "runs/": "outputs, one folder per search (not in git)",
}
TREE_START, TREE_END = "<!-- tree -->", "<!-- /tree -->"
COMMANDS = (
    "init", "validate", "search", "resume", "status", "front", "parameters", "show", "compare",
    "note", "maps", "finetune", "prune", "measure", "report", "export", "dashboard", "presets",
    "tasks", "doctor", "schema",
)  # fmt: skip


def main() -> int:
    """Write both files, or compare them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    head, rest = readme.split(TREE_START)
    _, tail = rest.split(TREE_END)
    made = {
        ROOT / "README.md": f"{head}{TREE_START}\n```\n{tree()}\n```\n{TREE_END}{tail}",
        ROOT / "docs" / "cli.md": reference(),
    }
    stale = [
        path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run python docs/generate.py")
        return bool(stale)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


def tree() -> str:
    """Every module with the first sentence of its docstring."""
    lines: list[str] = []
    for package in PACKAGES:
        lines.append(
            f"{package}/{'':<{29 - len(package)}}{caption(ROOT / package / '__init__.py')}"
        )
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                name = str(path.relative_to(ROOT / package))
                lines.append(f"  {name:<28}{caption(path)}")
    lines += [f"{name:<30}{text}" for name, text in ELSEWHERE.items()]
    return "\n".join(lines)


def caption(path: Path) -> str:
    """The first line of a module's docstring, without its last full stop."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not doc:
        raise SystemExit(
            f"{path.relative_to(ROOT)} needs a docstring: the tree shows its first line"
        )
    return doc.splitlines()[0].rstrip(".")


def reference() -> str:
    """The help of every command."""
    parts = ["# Command line\n\nWritten by `python docs/generate.py` from `attnas --help`."]
    for command in ("", *COMMANDS):
        arguments = [command] if command else []
        text = (
            subprocess.run(
                [sys.executable, "-c", "from attnas.cli import main; main()", *arguments, "--help"],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"},
            )
            .stdout.replace("-c [", "attnas [")
            .replace("Usage: -c", "Usage: attnas")
        )
        trimmed = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append(f"## attnas {command}".rstrip() + f"\n\n```\n{trimmed}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
