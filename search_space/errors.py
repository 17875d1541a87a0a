"""What a user got wrong in a design, a space or a configuration, one sentence per problem."""

from __future__ import annotations

from dataclasses import dataclass


class DesignError(ValueError):
    """An illegal design: the message names the rule, the values and a legal alternative."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: the sentence and where it stands."""

    message: str
    file: str | None = None
    line: int | None = None  # counted from 1

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{place}: {self.message}" if place else self.message


class ConfigError(ValueError):
    """Every mistake found in one configuration, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file or "", p.line or 0))
        super().__init__("\n".join(str(problem) for problem in self.problems))
