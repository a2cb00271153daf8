"""Run the native loops under the sanitizers of the C compiler, without TensorFlow.

    python scripts/sanitize.py

Builds ``tests/c/loops_driver.c`` with the loops of ``kerasrnn/engine/src`` twice, with ASan and
UBSan (memory, undefined behaviour) and with TSan (data races), and runs both. The exit status is 1
where one of them finds a fault. A sanitizer that the compiler lacks, or that does not run on this
machine, is skipped with a line that says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "kerasrnn" / "engine" / "src"
WITHOUT_TENSORFLOW = [
    path for path in sorted(SOURCES.glob("*.c")) if path.name not in ("ops.c", "tensorflow.c")
]
DRIVER = ROOT / "tests" / "c" / "loops_driver.c"
FLAGS = ["-g", "-Wall", "-Wextra", "-Wshadow", "-Wvla", "-Wno-psabi", "-pthread"]
BUILDS = {
    "ASan and UBSan": ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "TSan": ["-O1", "-fsanitize=thread"],  # which takes longer to run than to build
}
EMPTY = "int main(void) { return 0; }\n"


def compiler() -> str | None:
    """The C compiler: of the environment variable CC, or the first one at hand."""
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((path for path in map(shutil.which, filter(None, names)) if path), None)


def runs(cc: str, flags: list[str], folder: Path) -> bool:
    """Whether an empty program builds and runs with these flags."""
    source, program = folder / "empty.c", folder / "empty"
    source.write_text(EMPTY)
    command = [cc, *flags, str(source), "-o", str(program)]
    built = subprocess.run(command, capture_output=True).returncode == 0
    return built and subprocess.run([program], capture_output=True).returncode == 0


def check(cc: str, name: str, flags: list[str], folder: Path) -> bool:
    """Build and run the driver, print what came of it, and say whether all is well."""
    if not runs(cc, flags, folder):
        print(f"{name}: skipped: {cc} cannot build or run with {' '.join(flags)}")
        return True
    program = folder / "driver"
    sources = [str(path) for path in (DRIVER, *WITHOUT_TENSORFLOW)]
    command = [cc, *FLAGS, *flags, f"-I{SOURCES}", *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    print(f"{name}: {(done.stdout + done.stderr).strip()}")
    return done.returncode == 0


def main() -> int:
    """The exit status: 0 where nothing was found."""
    cc = compiler()
    if cc is None:
        print("skipped: no C compiler")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return int(not all([check(cc, *build, Path(folder)) for build in BUILDS.items()]))


if __name__ == "__main__":
    sys.exit(main())
