"""Every problem of a UCR or UEA archive at the defaults, beside published results: a table.

    python scripts/archive.py FOLDER --seeds 5 --output table.md
    python scripts/archive.py FOLDER --only GunPoint --only Coffee --runs runs/short -- --epochs 5

Each subfolder of FOLDER that holds labelled sequences is trained on with ``kerasrnn train`` and
the seeds 0, 1, …; what follows ``--`` goes to it. Each training is a process and a run of its own,
``RUNS/NAME-SEED``, and one that has its metrics.json is not trained again: the same command goes
on where it was stopped. What could not be trained is named at the end, with exit code 1.

All accuracies are percentages of the test part. Chance is its most frequent label; 1-NN is the
nearest neighbour by Euclidean distance, of metrics.json. The rank of a method is its place among
ours and the published ones, ties averaged, over the problems of which all have a number.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from kerasrnn import InputError, load_dataset
from kerasrnn.files import read_json, write_json, write_text
from kerasrnn.runs import Run, open_run

METHODS = ("LSTM-FCN", "InceptionTime", "ROCKET", "1-NN DTW")
HEADER = (
    *("problem", "train", "test", "length", "channels", "classes", "accuracy", "seconds"),
    *("chance", "1-NN", *METHODS),
)

# Accuracies in percent, in the order of METHODS, on the published training and test parts.
# LSTM-FCN: Karim et al. 2018, IEEE Access 6; github.com/titu1994/LSTM-FCN at 0f258c7,
#   Results/train_loss_old_datasets.csv, of the weights with the least training loss (table 1 of the
#   paper takes those best on the test part). 14 of its 85 problems are left out: the
#   accuracy is no whole number of today's test part, so they were other parts, of 2015.
#   JapaneseVowels: Karim et al. 2019, Neural Networks 116, LSTM-FCN, of two digits; MLSTM-FCN 1.00.
# InceptionTime: Ismail Fawaz et al. 2020, DMKD 34; github.com/hfawaz/InceptionTime,
#   results-InceptionTime-128.csv at 952d115; UEA: results-mts.csv at 0d623a3, since removed there.
# ROCKET: Dempster et al. 2020, DMKD 34; github.com/angus924/rocket at 36bd908,
#   results/results_ucr.csv, means of ten runs.
# 1-NN DTW: Dau et al. 2018, UCR archive, DataSummary.csv, "DTW (learned_w)", of the window chosen
#   on the training part. UEA: DTW of Bagnall et al. 2018, arXiv:1811.00075, as in results_uea.csv
#   of github.com/White-Link/UnsupervisedScalableRepresentationLearningTimeSeries (Franceschi et
#   al. 2019).
# ERing is left out: both sources give 13.3, below chance.
UCR = """\
ACSF1 – 92 88.6 62
Adiac 86.19 84.14 78.34 60.87
AllGestureWiimoteX – 79 79 71.71
AllGestureWiimoteY – 83.29 77.27 73
AllGestureWiimoteZ – 81.14 76.61 65.14
ArrowHead 89.71 84.57 81.43 80
Beef 80 70 83.33 66.67
BeetleFly 90 80 90 70
BirdChicken 95 95 90 70
BME – 99.33 100 98
Car 95 88.33 84.67 76.67
CBF 99.56 99.89 100 99.56
Chinatown – 98.54 98.25 95.34
ChlorineConcentration 80.34 87.66 81.45 65
CinCECGTorso 87.9 85.36 83.62 93.04
Coffee 100 100 100 100
Computers 83.6 79.6 76.12 62
CricketX 78.2 85.38 81.95 77.18
CricketY 77.69 85.13 85.23 75.9
CricketZ 81.8 86.15 85.59 74.62
Crop – 77.22 75.13 71.17
DiatomSizeReduction 94.44 93.46 96.99 93.46
DistalPhalanxOutlineAgeGroup – 73.38 75.9 62.59
DistalPhalanxOutlineCorrect – 78.26 76.96 72.46
DistalPhalanxTW – 68.35 71.87 63.31
DodgerLoopDay – 15 57.25 58.75
DodgerLoopGame – 85.51 87.32 92.75
DodgerLoopWeekend – 97.1 97.46 97.83
Earthquakes – 74.1 74.82 72.66
ECG200 87 93 90.6 88
ECG5000 94.33 94.09 94.72 92.51
ECGFiveDays 99.19 100 100 79.67
ElectricDevices 74.67 72.39 72.94 61.94
EOGHorizontalSignal – 59.39 63.9 47.51
EOGVerticalSignal – 47.51 54.14 47.51
EthanolLevel – 81.4 58.28 28.2
FaceAll 92.19 80.71 94.65 80.83
FaceFour 94.32 95.45 97.73 88.64
FacesUCR 93.61 97.12 96.14 91.22
FiftyWords 80.22 83.08 83.03 75.82
Fish 95.43 98.29 97.94 84.57
FordA – 96.14 94.44 69.09
FordB – 86.17 80.51 60.74
FreezerRegularTrain – 99.65 99.76 90.7
FreezerSmallTrain – 86.74 94.96 67.58
Fungi – 100 100 82.26
GestureMidAirD1 – 74.62 71.69 63.85
GestureMidAirD2 – 73.08 66.08 60
GestureMidAirD3 – 40 41.46 37.69
GesturePebbleZ1 – 92.44 90.58 82.56
GesturePebbleZ2 – 88.61 83.04 77.85
GunPoint 100 100 100 91.33
GunPointAgeSpan – 98.73 99.68 96.52
GunPointMaleVersusFemale – 99.37 99.84 97.47
GunPointOldVersusYoung – 96.51 99.11 96.51
Ham 73.33 71.43 72.57 60
HandOutlines – 95.41 94.24 86.22
Haptics 48.7 54.87 52.4 41.23
Herring 65.62 67.19 69.22 53.12
HouseTwenty – 97.48 96.39 94.12
InlineSkate 48.91 49.09 45.69 38.73
InsectEPGRegularTrain – 100 100 82.73
InsectEPGSmallTrain – 94.38 97.91 69.48
InsectWingbeatSound 65.66 63.89 65.68 58.48
ItalyPowerDemand 96.21 96.5 96.96 95.53
LargeKitchenAppliances 88.53 90.4 90.05 79.47
Lightning2 78.69 77.05 75.9 86.89
Lightning7 79.45 83.56 82.33 71.23
Mallat 97.31 95.52 95.59 91.43
Meat 98.33 93.33 94.83 93.33
MedicalImages 78.95 79.47 79.95 74.74
MelbournePedestrian – 91.39 90.44 81.55
MiddlePhalanxOutlineAgeGroup – 55.19 59.03 51.95
MiddlePhalanxOutlineCorrect – 81.79 83.85 76.63
MiddlePhalanxTW – 51.3 56.04 50.65
MixedShapesRegularTrain – 97.03 97.11 90.89
MixedShapesSmallTrain – 91.46 93.82 83.26
MoteStrain 92.97 88.66 91.46 86.58
NonInvasiveFetalECGThorax1 96.18 96.08 95.3 81.07
NonInvasiveFetalECGThorax2 95.67 96.39 96.91 87.1
OliveOil 73.33 83.33 91.67 86.67
OSULeaf 98.35 94.21 94.09 61.16
PhalangesOutlinesCorrect 82.75 84.97 83.43 76.11
Phoneme 32.49 34.12 27.99 22.73
PickupGestureWiimoteZ – 76 83 66
PigAirwayPressure – 54.33 9.52 9.62
PigArtPressure – 99.52 95.38 19.71
PigCVP – 96.15 93.41 15.87
PLAID – 94.41 90.26 83.43
Plane 100 100 100 100
PowerCons – 94.44 94 92.22
ProximalPhalanxOutlineAgeGroup 86.83 84.88 85.56 78.54
ProximalPhalanxOutlineCorrect 91.06 93.13 89.9 79.04
ProximalPhalanxTW – 77.56 81.66 75.61
RefrigerationDevices 52.27 51.73 53.73 44
Rock – 80 90 84
ScreenType 61.87 58.93 48.53 41.07
SemgHandGenderCh2 – 81.67 92.68 84.5
SemgHandMovementCh2 – 48.22 64.51 63.78
SemgHandSubjectCh2 – 82.44 88.11 80
ShakeGestureWiimoteZ – 90 89.8 84
ShapeletSim 98.33 95.56 100 70
ShapesAll 89.67 92.83 90.68 80.2
SmallKitchenAppliances 74.67 76 81.84 67.2
SmoothSubspace – 99.33 97.87 94.67
SonyAIBORobotSurface1 95.84 86.86 92.25 69.55
SonyAIBORobotSurface2 97.27 94.65 91.26 85.94
StarLightCurves 96.59 97.94 98.1 90.53
Strawberry – 98.38 98.14 94.59
SwedishLeaf 97.6 97.44 96.4 84.64
Symbols 98.29 98.09 97.43 93.77
SyntheticControl 98.67 99.67 99.97 98.33
ToeSegmentation1 98.25 96.49 96.84 75
ToeSegmentation2 90.77 93.85 92.38 90.77
Trace 25 100 100 99
TwoLeadECG 99.91 99.56 99.91 86.83
TwoPatterns 99.48 100 100 99.85
UMD – 98.61 99.24 97.22
UWaveGestureLibraryAll 95.78 95.2 97.54 96.57
UWaveGestureLibraryX 84.03 82.5 85.47 77.33
UWaveGestureLibraryY 75.6 76.72 77.4 69.91
UWaveGestureLibraryZ 76.49 76.41 79.19 67.78
Wafer 99.8 99.85 99.82 99.55
Wine 72.22 61.11 81.3 61.11
WordSynonyms 67.08 73.35 75.34 73.82
Worms – 77.92 74.03 53.25
WormsTwoClass – 79.22 79.74 58.44
Yoga 90.73 90.17 91.04 84.4
"""
UEA = """\
ArticularyWordRecognition – 98.67 – 98.7
AtrialFibrillation – 20 – 20
BasicMotions – 100 – 97.5
CharacterTrajectories – 99.72 – 98.9
Cricket – 98.61 – 100
DuckDuckGeese – 60 – 60
EigenWorms – 16.79 – 61.8
Epilepsy – 98.55 – 96.4
EthanolConcentration – 22.05 – 32.3
FaceDetection – 67.79 – 52.9
FingerMovements – 52 – 53
HandMovementDirection – 33.78 – 23.1
Handwriting – 70.94 – 28.6
Heartbeat – 75.12 – 71.7
InsectWingbeat – 15.57 – –
JapaneseVowels 99 99.19 – 94.9
Libras – 93.89 – 87
LSST – 37.79 – 55.1
MotorImagery – 52 – 50
NATOPS – 97.22 – 88.3
PEMS-SF – 79.77 – 71.1
PenDigits – 98.63 – 97.7
PhonemeSpectra – 39.37 – 15.1
RacketSports – 90.79 – 80.3
SelfRegulationSCP1 – 78.16 – 77.5
SelfRegulationSCP2 – 45.56 – 53.9
SpokenArabicDigits – 99.59 – 96.3
StandWalkJump – 13.33 – 20
UWaveGestureLibrary – 88.75 – 90.3
"""
PUBLISHED = {
    name.casefold(): [float("nan" if text == "–" else text) for text in texts]
    for name, *texts in map(str.split, (UCR + UEA).splitlines())
}


class Row(NamedTuple):
    """A problem of the table: what it is, and what its finished runs say; all in percent.

    facts: the columns up to the classes. accuracies: of each seed. seconds: of each training that
    this script timed. neighbour: NaN where it was not computed.
    """

    name: str
    facts: tuple
    accuracies: list[float]
    seconds: list[float]
    chance: float
    neighbour: float

    @property
    def compared(self) -> list[float]:
        """Our mean and the published accuracies, NaN where unknown, all of two digits."""
        return [round(float(np.mean(self.accuracies)), 2), *published(self.name)]


def published(name: str) -> list[float]:
    """The accuracies of ``METHODS`` on a problem, NaN where unknown."""
    return PUBLISHED.get(name.casefold(), [float("nan")] * len(METHODS))


def ranks(accuracies: np.ndarray) -> np.ndarray:
    """The rank of each method on each problem, 1 for the best, ties averaged.

    accuracies: (problems, methods).

    >>> ranks(np.array([[90.0, 80.0, 90.0]]))
    array([[1.5, 3. , 1.5]])
    """
    others, own = accuracies[:, None, :], accuracies[:, :, None]
    return (others > own).sum(2) + ((others == own).sum(2) + 1) / 2


def facts_of(folder: Path) -> tuple | None:
    """Training and test cases, length, channels and classes; None for no labelled sequences.

    Raises ``InputError`` where the files of a problem are there and cannot be read.
    """
    try:
        data = load_dataset(folder, validation_split=0)
    except InputError:
        if any(folder.glob("*_TRAIN.*")):
            raise
        return None
    if data.task != "classifier":
        return None
    lengths = set()
    for part in data.parts().values():
        lengths |= {part.x.shape[1]} if part.lengths is None else set(part.lengths.tolist())
    length = f"{min(lengths)}–{max(lengths)}" if len(lengths) > 1 else max(lengths)
    classes = len(data.labels + data.unseen_labels)
    return len(data.train), len(data.test), length, data.train.x.shape[2], classes


def train(folder: Path, seed: int, place: Path, options: tuple) -> str | None:
    """Train on a problem in a process of its own; returns what went wrong, or None."""
    shutil.rmtree(place, ignore_errors=True)
    command = [sys.executable, "-m", "kerasrnn", "train", str(folder), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "-o", str(place), "--quiet", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    ended = f"killed by signal {-done.returncode}" if done.returncode < 0 else "failed"
    return f"{ended}: {said[-1]}" if said else ended


def row_of(name: str, facts: tuple, runs: list[Run], seconds: list[float]) -> Row:
    """The row of a problem with finished runs."""
    metrics = [run.metrics() for run in runs]
    support = [label["support"] for label in metrics[0]["labels"].values()]
    neighbour = metrics[0]["baseline"].get("1-nearest neighbour", {}).get("accuracy", float("nan"))
    return Row(
        *(name, facts, [100 * found["test"]["accuracy"] for found in metrics], seconds),
        *(100 * max(support) / sum(support), 100 * neighbour),
    )


def table(rows: list[Row]) -> str:
    """The rows in Markdown, and the mean ranks."""
    lines = [HEADER, ["---"] * len(HEADER), *map(_cells, rows)]
    text = "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)
    compared = np.array([row.compared for row in rows]).reshape(len(rows), 1 + len(METHODS))
    known = compared[~np.isnan(compared).any(1)]
    if len(known):
        means = zip(("kerasrnn", *METHODS), ranks(known).mean(0), strict=True)
        said = ", ".join(f"{name} {mean:.2f}" for name, mean in means)
        text += f"\nMean rank over {len(known)} of {len(rows)} problems: {said}.\n"
    return text


def _cells(row):
    accuracy = f"**{np.mean(row.accuracies):.1f}**"
    if len(row.accuracies) > 1:
        accuracy += f" ± {np.std(row.accuracies):.1f}"
    seconds = f"{statistics.median(row.seconds):.0f}" if row.seconds else "–"
    known = (row.chance, row.neighbour, *published(row.name))
    shown = ("–" if np.isnan(value) else f"{value:.1f}" for value in known)
    return [row.name, *row.facts, accuracy, seconds, *shown]


class Archive:
    """The trainings of a folder of runs: resumed, and timed in archive.json."""

    def __init__(self, runs: Path, options: tuple):
        self.runs, self.options = runs, options
        self.file = runs / "archive.json"
        kept = read_json(self.file, dict) if self.file.exists() else {}
        if kept and kept["options"] != list(options):
            raise click.UsageError(
                f"the runs in {runs} are of the options {kept['options']}; choose another --runs"
            )
        self.seconds = kept.get("seconds", {})
        self.failures = []

    def problem(self, folder: Path, seeds: int) -> Row | None:
        """The row of a problem, trained on where it was not; None where there is none."""
        try:
            facts = facts_of(folder)
        except InputError as error:
            self._failed(folder.name, error)
            return None
        if facts is None:
            click.echo(f"{folder.name}: left out, no labelled sequences", err=True)
            return None
        places = [self.runs / f"{folder.name}-{seed}" for seed in range(seeds)]
        for seed, place in enumerate(places):
            if not (place / "metrics.json").exists():
                self._train(folder, seed, place)
        done = [place for place in places if (place / "metrics.json").exists()]
        seconds = [self.seconds[place.name] for place in done if place.name in self.seconds]
        return row_of(folder.name, facts, list(map(open_run, done)), seconds) if done else None

    def _train(self, folder, seed, place):
        start = time.perf_counter()
        error = train(folder, seed, place, self.options)
        seconds = time.perf_counter() - start
        if error:
            self._failed(place.name, error)
            return
        self.seconds[place.name] = round(seconds, 1)
        write_json(self.file, {"options": list(self.options), "seconds": self.seconds})
        accuracy = open_run(place).metrics()["test"]["accuracy"]
        click.echo(f"{place.name}: {accuracy:.1%}, {seconds:.0f} s", err=True)

    def _failed(self, name, error):
        self.failures.append(f"{name}: {error}")
        click.echo(self.failures[-1], err=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Trainings.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write the table to.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs/archive"),
    show_default=True,
    help="Folder of the runs.",
)
@click.option("--only", multiple=True, metavar="NAME", help="This problem; may be repeated.")
def main(folder, options, seeds, output, runs, only):
    """Train on every problem of FOLDER and print a table; OPTIONS are of kerasrnn train."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if not folders:
        raise click.UsageError(f"no folders in {folder}, which should hold one a problem")
    strange = set(only) - {path.name for path in folders}
    if strange:
        raise click.UsageError(f"no such problem in {folder}: {', '.join(sorted(strange))}")
    archive, rows = Archive(runs, options), []
    for path in folders:
        row = archive.problem(path, seeds) if not only or path.name in only else None
        if row:
            rows.append(row)
            if output:
                write_text(output, table(rows))
    click.echo(table(rows), nl=False)
    if archive.failures:
        click.echo("\nfailed:\n  " + "\n  ".join(archive.failures), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
