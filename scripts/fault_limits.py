"""What a training needs taken away: its lock, the disk, permissions, memory."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from fault_tasks import Child, content, differences, run_task, start_or_resume

NOBODY = 65534
_ENDED = "ended with one line"
_WRITES = ("open", "half checkpoint", "half model", "replace", "link", "unlink")


def ended(result, wanted=(2,), says="") -> str:
    """What is wrong with the end of a process that is to say one line, or nothing."""
    code, _, err = result
    lines = err.strip().splitlines()
    if code not in wanted:
        return f"exit code {code}: {err[-300:]}"
    if not code:
        return ""
    if "Traceback" in err or not lines or not lines[-1].startswith("kerasrnn: "):
        return f"not one line: {err[-300:]}"
    return "" if says in lines[-1] else lines[-1]


def gone_on(task, run, whole) -> str:
    """What is wrong with a training that goes on to its end, or nothing."""
    if os.path.isdir(run) and not os.path.exists(run / "run.json"):
        shutil.rmtree(run)
    code, _, err = Child(start_or_resume(task, str(run)), run).wait()
    if code:
        return f"cannot go on: exit code {code}: {err[-300:]}"
    different = differences(whole, content(run))
    return f"differs in {different}" if different else ""


class Trials:
    """The whole training of a task, and what came of trials with it."""

    def __init__(self, task):
        self.task, self.counts, self.wrong = task, Counter(), []
        self.places, self.seconds = run_task(task, Path(f"whole-{task}"))
        self.whole, self.tried = content(Path(f"whole-{task}")), 0

    def new(self) -> Path:
        self.tried += 1
        return Path(f"run-{self.tried}-{self.task}")

    def note(self, what, bad):
        self.counts[f"{self.task}: {what}"] += 1
        if bad:
            self.wrong.append(f"{self.task} {what}: {bad}")
            print(self.wrong[-1], flush=True)

    def go_on(self, run):
        self.note("resumed to the same numbers", gone_on(self.task, run, self.whole))


def lock(trials: Trials, rng: random.Random):
    """Two trainings in one directory; then the first is killed."""
    run = trials.new()
    step = rng.randint(2, trials.places["step"] - 1)
    words = start_or_resume(trials.task, str(run))
    first = Child(words, run, "step", step, strike=lambda _: time.sleep(600))
    while not (run / "run.json").exists():
        time.sleep(0.1)
    time.sleep(trials.seconds)
    second = Child(start_or_resume(trials.task, str(run)), run).wait()
    trials.note("a second is refused", ended(second, says="another process is at work"))
    again = Child(["train", "digits", "-o", str(run), "-q"], run).wait()
    trials.note("a new one is refused", ended(again, says="go on with 'kerasrnn train --resume"))
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    trials.go_on(run)


def disk(trials: Trials, rng: random.Random):
    """A write fails as on a full disk; later there is space."""

    def full(_):
        raise OSError(28, "No space left on device")

    run, place = trials.new(), rng.choice([one for one in _WRITES if trials.places.get(one)])
    number = rng.randint(1, trials.places[place])
    words = start_or_resume(trials.task, str(run))
    result = Child(words, run, place, number, strike=full).wait()
    trials.note(f"no space at {place}: {_ENDED}", ended(result, (0, 2)))
    if result[0]:
        trials.go_on(run)


def small_disk(trials: Trials, rng: random.Random):
    """A file system of a few hundred KB, which is then made larger."""
    with mounted(rng.randrange(8, 400)) as (folder, grow):
        run = folder / "run"
        words = start_or_resume(trials.task, str(run))
        result = Child(words, run).wait()
        trials.note(f"a full file system: {_ENDED}", ended(result, (0, 2), "cannot"))
        grow()
        if result[0]:
            trials.go_on(run)


@contextmanager
def mounted(kilobytes: int):
    """A small file system, and a function that makes it large."""
    folder = Path("disk").resolve()
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder, lambda: subprocess.run([*mount[:3], "-o", "remount,size=64m", *mount[5:]])
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def permissions(trials: Trials, rng: random.Random):
    """The directory, or a file in it, may no longer be written or read."""
    run, step = trials.new(), rng.randint(2, trials.places["step"] - 1)

    def taken(_):
        os.chmod(run, 0o555)
        os.setuid(NOBODY)

    result = Child(start_or_resume(trials.task, str(run)), run, "step", step, strike=taken).wait()
    trials.note(f"a read-only directory: {_ENDED}", ended(result, says="Permission denied"))
    if not run.exists():
        return
    os.chmod(run, 0o755)
    file = rng.choice(sorted(run.iterdir()))
    mode = file.stat().st_mode
    os.chmod(file, 0)
    for owner in (run, *run.iterdir()):
        os.chown(owner, NOBODY, NOBODY)
    words = start_or_resume(trials.task, str(run))
    result = Child(words, run, user=NOBODY).wait()
    os.chmod(file, mode)
    if result[0]:
        trials.note(f"{file.name} unreadable: {_ENDED}", ended(result))
        trials.go_on(run)
    else:
        different = differences(trials.whole, content(run))
        trials.note("an unreadable file that is not needed", f"{different}" if different else "")


def memory(trials: Trials, rng: random.Random):
    """No more memory from some step on."""
    run, step = trials.new(), rng.randint(1, trials.places["step"] - 1)
    spare = rng.randrange(0, 64 << 20)

    def limited(_):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        size = pages * resource.getpagesize() + spare
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    result = Child(start_or_resume(trials.task, str(run)), run, "step", step, strike=limited).wait()
    if result[0] in (-signal.SIGABRT, -signal.SIGSEGV) or "OpenBLAS error" in result[2]:
        trials.note("out of memory: ended by a library, not by Python", "")
    else:
        trials.note(
            f"out of memory: {_ENDED}, or to the end", ended(result, (2,)) * bool(result[0])
        )
    if result[0]:
        trials.go_on(run)


def early(trials: Trials, rng: random.Random):
    """Ctrl-C while Python starts, TensorFlow is imported, data is read and the model is built."""
    run = trials.new()
    words = [sys.executable, "-m", "kerasrnn", *start_or_resume(trials.task, str(run))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(rng.uniform(0.5, 2 * trials.seconds))
    begun, was_running = time.monotonic(), process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    seconds = time.monotonic() - begun
    if was_running:
        bad = "" if process.returncode == 130 and "Traceback" not in err else err[-300:]
        trials.note("Ctrl-C at any time: exit code 130", bad and f"{process.returncode} {bad}")
        trials.note(f"obeyed within {2 ** max(0, int(seconds).bit_length())} s", "")
        trials.go_on(run)


FAULTS = {
    one.__name__.replace("_", "-"): one
    for one in (lock, disk, small_disk, permissions, memory, early)
}
