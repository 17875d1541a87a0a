"""Outcomes: what became of trials, in a reader's words.

A trial that is on its way between rungs is no outcome yet, and one that was measured and given back
to the strategy is neither a failure nor stopped in its training.
"""

from __future__ import annotations

import pandas as pd

NOT_TRAINED = "measured, not trained"  # how the reason begins of a trial that was given back
GIVEN_BACK, ON_THE_WAY = "given back", "on the way"


def in_words(state: str, reason: str | None) -> str:
    """The word for how a trial ended."""
    return GIVEN_BACK if state == "pruned" and (reason or "").startswith(NOT_TRAINED) else state


def given_back(frame: pd.DataFrame) -> pd.Series[bool]:
    """Marks trials that ended, so far, when their costs were measured; none without reasons."""
    if "reason" not in frame:
        return pd.Series(False, index=frame.index)
    reasons = frame["reason"].astype("string").str.startswith(NOT_TRAINED).fillna(False)
    return frame["state"].eq("pruned") & reasons.astype(bool)


def outcome_counts(frame: pd.DataFrame) -> dict[str, int]:
    """How many trials came to what, the commonest first, those on their way last."""
    words = frame["state"].astype(str).mask(given_back(frame), GIVEN_BACK)
    counts = {str(word): int(n) for word, n in words.value_counts().items()}
    between = counts.pop("passed", 0)
    return counts | ({ON_THE_WAY: between} if between else {})
