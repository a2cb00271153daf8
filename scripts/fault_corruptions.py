"""Files of runs and exports broken by truncation and by flipped bits, and what the verbs say."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

from click.testing import CliRunner
from fault_tasks import Child, checked, content, differences, run_task, start_or_resume

BROKEN = ("digits", "texts", "tagger", "random", "infiller", "series")
INPUTS = {  # of predict
    "digits": "digits",
    "texts": "a great day",
    "tagger": "Ann saw Rome again",
    "infiller": "the c_t sat",
    "series": "series.csv",
}
DATA = {"digits": "digits", "texts": "texts.csv", "tagger": "tags.conll", "series": "series.csv"}
HALF = 0.6  # of the steps of a training that is then killed


def ask(words) -> tuple[int, str, str]:
    """Exit code, stdout with the digest of what was written to out*, and stderr of a command."""
    import keras

    from kerasrnn.cli import main

    keras.backend.clear_session()
    for path in Path().glob("out*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with warnings.catch_warnings():
        result = CliRunner().invoke(main, words)
    found = result.stdout
    for path in sorted([*Path().glob("out.*"), *Path().glob("out/examples.json")]):
        found += hashlib.sha256(path.read_bytes()).hexdigest()
    return result.exit_code, found, result.stderr


def verbs_of_run(task, run, unfinished):
    """The commands that are tried on a run, by name; how often is their weight."""
    yield "evaluate", 3, ["evaluate", run, "--json"]
    if task != "random":  # whose prediction is another every time
        yield "predict", 4, ["predict", run, INPUTS[task]]
    yield "plot", 2, ["plot", run, "-o", "out.png"]
    yield "runs", 2, ["runs", "--json"]
    yield "export", 1, ["export", run, "--no-check", "-o", "out"]
    if task == "random":
        yield "generate", 4, ["generate", run, "--prompt", "the ", "--seed", "1"]
    if unfinished:
        yield "resume", 5, ["train", "--resume", run, "-q"]


def verbs_of_export(task, export):
    if task != "random":
        yield "predict", 4, ["predict", export, INPUTS[task]]
    if task in DATA:
        yield "evaluate", 2, ["evaluate", export, DATA[task], "--json"]
    if task == "random":
        yield "generate", 4, ["generate", export, "--prompt", "the ", "--seed", "1"]


class Place:
    """A directory to break and what is said of it as long as it is whole."""

    def __init__(self, path: Path, verbs, finished: dict | None = None):
        self.path, self.finished = path, finished
        self.copy = Path("copies") / path
        shutil.copytree(path, self.copy)
        self.verbs = {name: (weight, words) for name, weight, words in verbs}
        self.answers = {}
        for name, (_, words) in self.verbs.items():
            self.answers[name] = ask(words)
            if self.answers[name][0]:
                raise RuntimeError(f"{words}: {self.answers[name]}")
            self.mend()
        self.files = [path for path in self.copy.rglob("*") if path.suffix != ".png"]
        self.unread = Counter()  # how often a file was damaged that a verb does not read
        self.files = [path.relative_to(self.copy) for path in self.files if path.is_file()]

    def mend(self):
        shutil.rmtree(self.path)
        shutil.copytree(self.copy, self.path)

    def trial(self, rng) -> tuple[str, str, str, str, str]:
        """Break a file and ask: the file, the damage, the verb, what came of it, what is wrong."""
        file = rng.choice(self.files)
        damage = break_file(self.path / file, rng)
        weights = [
            weight / (1 + 20 * self.unread[file, name]) for name, (weight, _) in self.verbs.items()
        ]
        (name,) = rng.choices([*self.verbs], weights)
        code, found, said = ask(self.verbs[name][1])
        outcome, wrong = self.judge(name, str(file), code, found, said)
        self.unread[file, name] += code == 0
        self.mend()
        return str(file), damage, name, outcome, wrong

    def judge(self, name, file, code, found, said):
        """What came of a command, and what is wrong with that, or nothing."""
        lines = said.strip().splitlines()
        if "Traceback" in said or code not in (0, 2):
            return "a traceback or internal error", f"exit code {code}: {said[-300:]}"
        if code == 2:
            bad = "" if lines and lines[-1].startswith("kerasrnn: ") else said[-300:]
            named = Path(file).name in said or "checksums.json" in said or "signature.json" in said
            return "refused, the file named" if named else "refused", bad
        if name == "runs" and found != self.answers[name][1] and str(self.path) in said:
            return "left out and named", ""
        if name == "resume":
            return self.judge_resumed(lines)
        same = found == self.answers[name][1]
        return "the right answer", "" if same else f"another answer: {found[-200:]} {said}"

    def judge_resumed(self, lines):
        different = differences(self.finished, content(self.path))
        fell = any("going on from the checkpoint before it" in line for line in lines)
        how = "resumed from the checkpoint before" if fell else "resumed"
        return f"{how}, to the same numbers", f"differs in {different}" if different else ""


def break_file(path: Path, rng: random.Random) -> str:
    """Cut a file or change bits of it; says which."""
    whole = bytearray(path.read_bytes())
    damage = rng.choice(["truncated", "one bit", "one bit", "many bits", "zeros", "emptied"])
    if damage == "truncated":
        whole = whole[: rng.randrange(len(whole))]
    elif damage == "emptied":
        whole = b""
    elif damage == "zeros":  # as a lost sector
        begin = rng.randrange(len(whole))
        end = min(len(whole), begin + 512)
        if not any(whole[begin:end]):
            begin, end = 0, 1
        whole[begin:end] = bytes(end - begin)
    else:
        for _ in range(1 if damage == "one bit" else 40):
            whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    path.write_bytes(whole)
    return damage


def make_places(tasks) -> list[Place]:
    """A finished run, an unfinished one and an export of each task."""
    places = []
    for task in tasks:
        whole, half, export = (Path(f"{kind}/{task}") for kind in ("runs", "runs/half", "exports"))
        half = Path(f"runs/half-{task}")
        counts, _ = run_task(task, whole)
        step = int(HALF * counts["step"])
        code, *_ = Child(start_or_resume(task, str(half)), half, "step", step).wait()
        if code != -signal.SIGKILL:
            raise RuntimeError(f"{task} was not killed: exit code {code}")
        finished = content(whole)
        places += [
            partial(Place, whole, [*verbs_of_run(task, str(whole), False)]),
            partial(Place, half, [*verbs_of_run(task, str(half), True)], finished),
            partial(Place, export, [*verbs_of_export(task, str(export))]),
        ]
        checked(whole)
    for task in tasks:  # from here on this process uses TensorFlow
        if code := ask(["export", f"runs/{task}", "--no-check", "-o", f"exports/{task}"])[0]:
            raise RuntimeError(f"export of {task}: exit code {code}")
    return [make() for make in places]


def _say(line):
    print(line, flush=True)


def corruptions(number: int, seed: int, tasks=BROKEN, say=_say) -> tuple[Counter, list[str]]:
    """Break so many files; gives counts of what was done, and what was wrong."""
    rng, counts, wrong = random.Random(seed), Counter(), []
    places = make_places(tasks)
    for trial in range(number):
        place = rng.choice(places)
        file, damage, verb, outcome, bad = place.trial(rng)
        counts.update([f"file {Path(file).name}", damage, f"verb {verb}", f"-> {outcome}"])
        if bad:
            wrong.append(f"{place.path}/{file} {damage}, {verb}: {bad}")
            say(wrong[-1])
        if trial % 50 == 49:
            say(f"{trial + 1} corruptions, {len(wrong)} wrong, {dict(counts)}")
    return counts, wrong
