"""The command line: what there is to type. Each command's work is in attnas/commands."""

# Nothing heavy is imported here, so that help is instant; typer reads the annotations at run
# time, so this module does without postponed ones.

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from attnas.arguments import (
    Address,
    AsJson,
    ChildOverrides,
    ConfigPath,
    MaybeRun,
    NewName,
    Overrides,
    Quick,
    Repair,
    RunName,
    Trained,
    TrialNumber,
    Where,
)
from attnas.failures import UsageError, explain, say

INTERRUPTED = 130  # what a shell gives for SIGINT

app = typer.Typer(
    name="attnas",
    help="Search attention designs, look at the trade-offs, export the one you choose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def init(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="lm, quickstart, classify, digits or translate.")
    ] = "lm",
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("attnas.yaml"),
) -> None:
    """Write a starter configuration, commented. Example: attnas init --to my.yaml"""
    from attnas.commands.configs import init_config

    init_config(task, to)


@app.command()
def validate(config: ConfigPath, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a configuration and show its space. Example: attnas validate configs/lm.yaml"""
    from attnas.commands.configs import validate_config

    validate_config(config, overrides or [], as_json)


@app.command()
def search(
    config: ConfigPath,
    name: Annotated[str | None, typer.Option(help="The run's name under runs/.")] = None,
    overrides: Overrides = None,
    address: Address = None,
    engine: Annotated[str | None, typer.Option(help="ray or serial.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and for how long; start nothing.")
    ] = False,
) -> None:
    """Search; safe to stop with Ctrl-C. Example: attnas search configs/quickstart.yaml"""
    sets = [*(overrides or []), *([f"engine.name={engine}"] if engine else [])]
    if dry_run:
        if address is not None:
            raise UsageError(
                "--dry-run tries a trial's parts on this machine, not on a cluster; leave out "
                "--address or --dry-run"
            )
        from attnas.commands.dry_run import say_what_would_happen

        say_what_would_happen(config, sets, name)
        return
    from attnas.commands.search import search_config

    search_config(config, name, sets, address)


@app.command()
def resume(run: RunName, address: Address = None) -> None:
    """Go on with a stopped or killed search. Example: attnas resume runs/lm"""
    from attnas.commands.search import resume_run

    resume_run(run, address)


@app.command()
def status(run: RunName, as_json: AsJson = False) -> None:
    """Where a search stands. Example: attnas status runs/lm"""
    from attnas.commands.look import show_status

    show_status(run, as_json)


@app.command()
def front(
    run: RunName,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """The Pareto table, with intervals and baselines. Example: attnas front runs/lm"""
    from attnas.commands.front import show_front

    show_front(run, where, as_json)


@app.command()
def parameters(
    run: RunName,
    metric: Annotated[
        str | None, typer.Option(help="A column; the objectives if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What the axes explain, what the front shares. Example: attnas parameters runs/lm"""
    from attnas.commands.parameters import show_parameters

    show_parameters(run, metric, as_json)


@app.command()
def show(
    run: RunName,
    trial: TrialNumber,
    as_json: AsJson = False,
) -> None:
    """One design in words and figures. Example: attnas show runs/lm 12"""
    from attnas.commands.look import show_trial

    show_trial(run, trial, as_json)


@app.command()
def compare(
    run: RunName,
    trials: Annotated[list[int], typer.Argument(metavar="TRIAL...", help="Two to eight numbers.")],
    every: Annotated[
        bool, typer.Option("--all", help="Also what is equal or within noise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Designs side by side, and what noise allows to say. Example: attnas compare runs/lm 3 12"""
    from attnas.commands.compare import compare_trials

    compare_trials(run, trials, every, as_json)


@app.command()
def note(
    run: RunName,
    trial: TrialNumber,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help='The note; "" removes it.')
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Give it this tag; may repeat.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="Take this tag away.")] = None,
    as_json: AsJson = False,
) -> None:
    """Note something of a trial, or tag it. Example: attnas note runs/lm 12 --tag promising"""
    from attnas.commands.note import note_trial

    note_trial(run, trial, text, tag or [], untag or [], as_json)


@app.command()
def maps(
    run: RunName,
    trial: TrialNumber,
    text: Annotated[str | None, typer.Option(help="Read this, where the task reads bytes.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Which held-out sequence of each part to read.")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Positions to read at most.")] = 512,
    as_json: AsJson = False,
) -> None:
    """What each head of a trained trial looks at. Example: attnas maps runs/lm 12"""
    from attnas.commands.maps import map_trial

    map_trial(run, trial, text, sample, length, as_json)


@app.command()
def finetune(
    run: RunName,
    trial: Trained,
    task: Annotated[
        str | None, typer.Option(help="A task's name, a YAML file with one, or your own .py.")
    ] = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Train the vocabulary alone, over frozen features.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Trainings, each its own seed.")] = 1,
    name: NewName = None,
    overrides: ChildOverrides = None,
) -> None:
    """Train a trial on, here or elsewhere. Example: attnas finetune runs/lm 12 --task classify"""
    from attnas.commands.finetune import finetune_trial

    finetune_trial(run, trial, task, frozen, seeds, name, overrides or [])


@app.command()
def prune(
    run: RunName,
    trial: Trained,
    steps: Annotated[int, typer.Option(min=1, help="Cuts, one after the other.")] = 4,
    retrain: Annotated[
        int | None,
        typer.Option(min=1, help="Optimizer steps after each; a fifth of the run's if left out."),
    ] = None,
    name: NewName = None,
    overrides: ChildOverrides = None,
) -> None:
    """Take the heads that matter least from a trial. Example: attnas prune runs/lm 12 --steps 6"""
    from attnas.commands.prune import prune_trial

    prune_trial(run, trial, steps, retrain, name, overrides or [])


@app.command()
def report(
    run: RunName,
    to: Annotated[
        Path | None, typer.Option(help="The folder to write into; the run's own if left out.")
    ] = None,
) -> None:
    """One HTML file about a run, and the same as Markdown. Example: attnas report runs/lm"""
    from attnas.commands.report import report_run

    report_run(run, to)


@app.command()
def measure(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...", help="Presets, .json files with a design, or RUN:TRIAL, RUN:front."
        ),
    ],
    config: Annotated[
        Path | None, typer.Option(help="A YAML configuration: its sizes, its grid.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, or the profile of one that is not here.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Latency, memory, and how sure. Example: attnas measure gqa mqa sliding-window"""
    from attnas.commands.measure import measure_designs

    measure_designs(what, config, device, overrides or [], as_json)


@app.command()
def export(
    run: RunName,
    to: Annotated[Path, typer.Option(help="The folder to write; must be new or empty.")],
    pick: Annotated[str, typer.Option(help="knee, best:OBJECTIVE, or a trial's number.")] = "knee",
    where: Where = None,
    weights: Annotated[str, typer.Option(help="trained or none.")] = "trained",
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Prove that it is the model measured.")
    ] = True,
) -> None:
    """Write a model that runs without attnas. Example: attnas export runs/lm --to out/"""
    from attnas.commands.export import export_run

    export_run(run, pick, where, to, weights, check)


@app.command()
def dashboard(
    runs: Annotated[
        str, typer.Argument(metavar="RUNS", help="The folder of runs, or its s3:// address.")
    ] = "runs",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on this machine.")] = 8501,
) -> None:
    """Look at runs in a browser. Example: attnas dashboard runs/"""
    from attnas.commands.dashboard import serve

    serve(runs, port)


@app.command()
def presets(as_json: AsJson = False) -> None:
    """The hand-designed baselines. Example: attnas presets"""
    from attnas.commands.configs import list_presets

    list_presets(as_json)


@app.command()
def tasks(
    as_json: AsJson = False,
    timed: Annotated[
        bool, typer.Option("--time/--no-time", help="Time a few steps of each, here.")
    ] = True,
) -> None:
    """What a design can be trained on, and what that costs here. Example: attnas tasks"""
    from attnas.commands.tasks import list_tasks

    list_tasks(as_json, timed)


@app.command()
def doctor(
    run: MaybeRun = None, repair: Repair = False, quick: Quick = False, as_json: AsJson = False
) -> None:
    """Check this machine, or a run; exits 4 on a problem. Example: attnas doctor runs/lm"""
    from attnas.commands.doctor import see_doctor

    see_doctor(run, repair, quick, as_json)


@app.command()
def schema() -> None:
    """The JSON schema of a configuration. Example: attnas schema > attnas.schema.json"""
    from attnas.commands.configs import print_schema

    print_schema()


def main() -> None:
    """Run a command; whatever goes wrong is one sentence and an exit code.

    0 done, 1 a defect of attnas, 2 usage, 3 configuration, 4 the search failed or `doctor` found a
    problem, 130 interrupted.
    """
    # The commands' part of typer moved between packages; its base class is found by name.
    refusals: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    try:
        code = app(standalone_mode=False)
    except refusals as error:
        say(f"{error.format_message()} (attnas --help lists the commands)")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        code = explain(error)
    if code == INTERRUPTED:
        print("interrupted; nothing that finished is lost", file=sys.stderr)
    sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)
