"""Kill trainings, break their files and take away what they need, and see what is lost.

    python scripts/faults.py kills --number 100 --seed 0
    python scripts/faults.py all

Each command prints a table of what was done, and what was not as it should be; the exit code is 1
where there was something. The trainings are those of fault_tasks.py, in a temporary folder.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import click
from fault_tasks import PLACES, TASKS, content, differences, make_data, start_or_resume

CHILD = Path(__file__).with_name("fault_tasks.py")
CODES = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}
_MOST_KILLS = 4  # of one training


def child(words, run, fault="- none 0 0", **settings):
    """A process that runs a command of kerasrnn and may end itself."""
    environment = os.environ | {"FAULT": fault, "FAULT_RUN": str(run)}
    command = [sys.executable, "-W", "ignore", str(CHILD), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **settings)


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
        self.run = Path("whole") / task
        process = child(start_or_resume(task, str(self.run)), self.run)
        process.stdout.readline()
        begun = time.monotonic()
        out, err = process.communicate()
        self.seconds = time.monotonic() - begun
        if process.returncode:
            raise click.ClickException(f"{task}: {err[-2000:]}")
        self.counts = json.loads(out.splitlines()[-1])
        self.content = content(self.run)


def kill(task, run, whole, rng):
    """Start or resume a run and end it somewhere: the signal, the place, what went wrong."""
    name = rng.choice([*CODES])
    place = rng.choice(["time", *(place for place in PLACES if whole.counts.get(place))])
    number = rng.randint(1, max(1, whole.counts.get(place, 1) // 2))
    process = child(
        start_or_resume(task, run), run, f"{name} {place} {number} {rng.randrange(1 << 30)}"
    )
    if place == "time":
        process.stdout.readline()
        time.sleep(rng.uniform(0, whole.seconds))
        process.send_signal(getattr(__import__("signal"), name))
    _, err = process.communicate()
    code = process.returncode
    lines = [line for line in err.strip().splitlines() if line]
    wrong = []
    if code not in (0, CODES[name]):
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
            process = child(start_or_resume(task, run), run)
            _, err = process.communicate()
            if process.returncode:
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


@click.group()
@click.option("--folder", type=Path, help="Where to work  [a temporary folder]")
def main(folder):
    """Faults of a training, and what is left."""
    import tempfile

    folder = folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(exist_ok=True, parents=True)
    os.chdir(folder)
    if not Path("tale.txt").exists():
        make_data(Path("."))


@main.result_callback()
def leave(fine, **_):
    sys.exit(0 if fine else 1)


for command in (kills,):
    main.add_command(command)

if __name__ == "__main__":
    main()
