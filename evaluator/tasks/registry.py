"""The tasks there are, by the name a configuration gives them."""

from __future__ import annotations

from evaluator.tasks.classify import CLASSIFY
from evaluator.tasks.digits import DIGITS
from evaluator.tasks.induction import INDUCTION
from evaluator.tasks.interface import TaskType
from evaluator.tasks.language_model import LM
from evaluator.tasks.listops import LISTOPS
from evaluator.tasks.masked_lm import MLM
from evaluator.tasks.own import OWN
from evaluator.tasks.recall import RECALL
from evaluator.tasks.selective_copy import COPYING
from evaluator.tasks.translate import TRANSLATE
from evaluator.tasks.vowels import VOWELS

TASKS: dict[str, TaskType] = {
    task.name: task
    for task in (
        LM,
        MLM,
        CLASSIFY,
        TRANSLATE,
        RECALL,
        COPYING,
        INDUCTION,
        LISTOPS,
        DIGITS,
        VOWELS,
        OWN,
    )
}
