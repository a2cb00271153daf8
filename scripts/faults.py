"""Kill trainings, break their files and take away what they need, and see what is lost.

    python scripts/faults.py kills --number 100 --seed 0
    python scripts/faults.py all

Each command prints a table of what was done, and what was not as it should be; the exit code is 1
where there was something. The trainings are those of fault_tasks.py, in a temporary folder.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import click
import fault_corruptions
import fault_limits
from fault_tasks import (
    PLACES,
    TASKS,
    Child,
    content,
    differences,
    make_data,
    run_task,
    start_or_resume,
)

CODES = {"SIGKILL": [-9], "SIGTERM": [143, -15], "SIGINT": [130]}  # -15: before it trains
_MOST_KILLS = 4  # of one training


def report(title, counts, wrong):
    """Print a table of counts and a line for all that is wrong; gives whether nothing is."""
    print(f"\n{title}")
    for name, number in sorted(counts.items()):
        print(f"  {name:44} {number:6,}")
    print(f"  {'not as it should be':44} {len(wrong):6,}")
    for line in wrong:
        print(f"    {line}")
    sys.stdout.flush()
    return not wrong


# --- kills -------------------------------------------------------------------------------


class Whole:
    """The uninterrupted training of a task, how often each place was met, and its seconds."""

    def __init__(self, task):
        run = Path("whole") / task
        self.counts, self.seconds = run_task(task, run)
        self.content = content(run)


def kill(task, run, whole, rng):
    """Start or resume a run and end it somewhere: the signal, the place, what went wrong."""
    name = rng.choice([*CODES])
    place = rng.choice(["time", *(place for place in PLACES if whole.counts.get(place))])
    number = rng.randint(1, max(1, whole.counts.get(place, 1) // 2))
    seed = rng.randrange(1 << 30)
    process = Child(start_or_resume(task, run), run, place, number, name, seed=seed)
    if place == "time":
        time.sleep(rng.uniform(0, whole.seconds))
        os.kill(process.pid, signal.Signals[name])
    code, _, err = process.wait()
    lines = [line for line in err.strip().splitlines() if line]
    wrong = []
    if code not in (0, *CODES[name]):
        wrong.append(f"exit code {code}: {lines[-1:]}")
    if "Traceback" in err:
        wrong.append(f"a traceback: {lines[-1:]}")
    if os.path.isdir(run) and not os.path.exists(f"{run}/run.json"):
        shutil.rmtree(run)  # as its user would: there is nothing in it
    return (name, place) if code else None, wrong


@click.command()
@click.option("--number", default=100, help="Kills in all")
@click.option("--seed", default=0)
@click.option("--tasks", default=",".join(TASKS))
def kills(number, seed, tasks):
    """Kill trainings in random places, again and again, and resume them to their end."""
    rng, counts, wrong, done = random.Random(seed), Counter(), [], Counter()
    tasks = tasks.split(",")
    wholes, trained = {}, 0
    while done["kills"] < number:
        task = tasks[trained % len(tasks)]
        trained += 1
        whole = wholes.get(task) or wholes.setdefault(task, Whole(task))
        run, places = f"killed/{trained}-{task}", []
        wanted = rng.randint(2, _MOST_KILLS)
        while len(places) < wanted:
            struck, bad = kill(task, run, whole, rng)
            wrong += [f"{run} {struck}: {line}" for line in bad]
            if struck is None:
                break
            places.append(struck)
        if not os.path.exists(f"{run}/metrics.json"):
            code, _, err = Child(start_or_resume(task, run), run).wait()
            if code:
                wrong.append(f"{run} after {places}: {err[-300:]}")
                continue
        different = differences(whole.content, content(Path(run)))
        if different:
            wrong.append(f"{run} after {places} differs in {different[:9]}")
        elif not wrong:
            shutil.rmtree(run)
        done["kills"] += len(places)
        done["runs compared"] += 1
        counts.update(f"{name} in {place}" for name, place in places)
        counts.update(f"task {task}" for _ in places)
        print(f"{time.strftime('%H:%M:%S')} {run}: {places} {different or 'equal'}", flush=True)
    return report("kills", done | counts, wrong)


@click.command()
@click.option("--number", default=1000)
@click.option("--seed", default=0)
@click.option("--tasks", default=",".join(fault_corruptions.BROKEN))
def corruptions(number, seed, tasks):
    """Break files of runs and of exports, and ask the verbs."""
    return report("corruptions", *fault_corruptions.corruptions(number, seed, tasks.split(",")))


@click.group()
@click.option("--folder", type=Path, help="Where to work  [a temporary folder]")
def main(folder):
    """Faults of a training, and what is left."""
    import tempfile

    from kerasrnn import training  # noqa: F401 (TensorFlow, which children have then)

    "".encode("utf-32-le")  # loads it for the children that may not read Python's files

    folder = folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(exist_ok=True, parents=True)
    folder.chmod(0o755)  # for other users too
    os.chdir(folder)
    if not Path("tale.txt").exists():
        make_data(Path("."))


@main.result_callback()
def leave(fine, **_):
    sys.exit(0 if fine else 1)


def limit(name: str) -> click.Command:
    """The command of a fault of fault_limits.py."""
    fault = fault_limits.FAULTS[name]

    def run(number, seed, tasks):
        rng, counts, wrong = random.Random(seed), Counter(), []
        trials = [fault_limits.Trials(task) for task in tasks.split(",")]
        for trial in range(number):
            fault(trials[trial % len(trials)], rng)
        for one in trials:
            counts.update(one.counts)
            wrong += one.wrong
        return report(name, counts, wrong)

    options = [
        click.Option(["--number"], default=10, help="Trials"),
        click.Option(["--seed"], default=0),
        click.Option(["--tasks"], default="digits,carried"),
    ]
    return click.Command(name, params=options, callback=run, help=fault.__doc__)


for command in (kills, corruptions, *map(limit, fault_limits.FAULTS)):
    main.add_command(command)


@main.command("all")
@click.pass_context
def run_all(ctx):
    """All of them, each with its usual number."""
    return all([ctx.invoke(one) for name, one in main.commands.items() if name != "all"])


if __name__ == "__main__":
    main()
