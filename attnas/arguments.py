"""Arguments that several commands take."""

# typer reads the annotations at run time, so this module does without postponed ones.

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML configuration.")]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, name in runs/, or s3:// address.")
]
MaybeRun = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's folder, or its name; this machine if left out."),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Mend the run; what is damaged goes to quarantine/.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Start neither Ray nor NNI.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value: search.trials=8; may repeat.",
    ),
]
ChildOverrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override task, training or measuring: training.steps=200; may repeat.",
    ),
]
Where = Annotated[
    str | None, typer.Option(metavar="EXPR", help='Keep designs such as "kv_cache_bytes < 2e6".')
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster's address; `auto` finds the one here.")
]
TrialNumber = Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.")]
Trained = Annotated[int, typer.Argument(metavar="TRIAL", help="The trained trial's number.")]
NewName = Annotated[str | None, typer.Option(help="The new run's name under runs/.")]
