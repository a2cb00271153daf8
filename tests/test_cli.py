import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

from kerasrnn import cli
from kerasrnn.cli import main

FAST = ["--epochs", "1", "--units", "4", "--cell", "simple", "--unidirectional"]


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def refused(*arguments):
    """The one line that a refused command prints."""
    result = invoke(*arguments, code=2)
    lines = result.stderr.strip().splitlines()
    assert result.stdout == "" and "Traceback" not in result.stderr
    return lines[-1]


@pytest.fixture
def trained(workplace, digit_run):
    """A copy of the shared run as runs/digits-classifier-1 of an empty folder."""
    run = workplace / "runs" / "digits-classifier-1"
    shutil.copytree(digit_run.path, run)
    return run


@pytest.fixture
def writing(workplace, text_run):
    """A copy of the shared generator as runs/text-generator-1 of an empty folder."""
    run = workplace / "runs" / "text-generator-1"
    shutil.copytree(text_run.path, run)
    return run


def test_train_stacked_from_nothing_to_the_next_commands(workplace):
    result = invoke("train", "--stacked", "--epochs", "2")
    assert "bidirectional_2" in result.stderr and "85,010" in result.stderr
    assert "epoch 2/2" in result.stderr
    for line in ("validation", "test", "baseline"):
        assert line in result.stdout
    assert "runs/digits-classifier-1" in result.stdout
    run = workplace / "runs" / "digits-classifier-1"
    assert (run / "loss.png").exists() and (run / "accuracy.png").exists()
    commands = [line.split() for line in result.stderr.splitlines() if "  kerasrnn " in line]
    assert [words[1] for words in commands] == ["predict", "evaluate", "plot"]
    for words in commands:
        invoke(*words[1:])


def test_evaluate_prints_or_dumps_the_metrics_of_the_newest_run(trained):
    result = invoke("evaluate")
    assert "run runs/digits-classifier-1" in result.stderr
    numbers = json.loads(invoke("evaluate", trained, "--json").stdout)
    assert f"{numbers['test']['accuracy']:.4f}" in result.stdout
    assert json.loads((trained / "metrics.json").read_text()) == numbers


def test_plot_writes_where_it_says(trained, workplace):
    assert invoke("plot").stdout.split() == [
        "runs/digits-classifier-1/accuracy.png",
        "runs/digits-classifier-1/loss.png",
    ]
    invoke("plot", trained, "--output", "both.svg")
    assert "<svg" in (workplace / "both.svg").read_text()
    result = invoke("plot", trained, trained, "--metric", "loss")
    assert result.stdout.strip().endswith("compare-loss.png")


def test_plot_show_opens_a_window(trained, monkeypatch):
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    assert invoke("plot", "--show").stdout == ""
    assert [ax.get_title() for ax in shown[0].axes] == ["Accuracy by epoch", "Loss by epoch"]


def test_predict_gives_a_row_for_each_sequence(trained, workplace):
    rows = list(csv.DictReader(io.StringIO(invoke("predict", trained, "digits").stdout)))
    assert len(rows) == 360 and set(rows[0]) == {"index", "label", "probability"}
    answers = json.loads(invoke("predict", trained, "digits", "--json").stdout)
    assert [answer["label"] for answer in answers] == [row["label"] for row in rows]
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    invoke("predict", trained, "digits", "--output", "out.csv")
    assert len((workplace / "out.csv").read_text().splitlines()) == 361


def test_predictions_take_raw_input_and_any_batch(trained, workplace):
    from sklearn.datasets import load_digits

    np.savez("some.npz", x=load_digits().images[:1].astype("uint8"))
    rows = invoke("predict", trained, "some.npz").stdout.splitlines()
    assert len(rows) == 2


def test_a_reader_that_leaves_early_is_no_error(trained):
    command = f"{sys.executable} -m kerasrnn predict {trained} digits | true"
    assert subprocess.run(command, shell=True, capture_output=True).stderr == b""


def test_unequal_lengths_from_file_to_prediction(workplace, ragged):
    invoke("train", ragged, *FAST, "--out", "mine", "--quiet")
    rows = invoke("predict", "mine", ragged).stdout.splitlines()
    assert len(rows) == 61 and rows[1].split(",")[1] in ("up", "down")


def test_runs_lists_them(trained, workplace):
    assert invoke("runs").stdout.splitlines()[1].startswith("runs/digits-classifier-1  20")
    (row,) = json.loads(invoke("runs", "--json").stdout)
    assert row["epochs"] == 2 and row["test_accuracy"] > 0


def test_a_broken_run_does_not_hide_the_others(trained):
    shutil.copytree(trained, trained.parent / "other")
    (trained.parent / "other" / "history.csv").write_text("epoch,loss\n1,two\n")
    result = invoke("runs")
    assert len(result.stdout.splitlines()) == 2 and "other/history.csv" in result.stderr


def test_no_runs_yet(workplace):
    assert "no runs here" in invoke("runs").stderr
    for verb in ("evaluate", "plot"):
        assert "no run in runs/" in refused(verb)


# Invocations that between them use every option, and what the run then says of it.
TRAINED = {
    "digits --units 4,3 --cell gru --unidirectional --go-backwards --dropout 0.5 --pooling max "
    "--functional --epochs 1 --batch-size 500 --optimizer sgd --learning-rate 0.01 --clip-norm 2 "
    "--seed 7 --validation-split 0.3 --out there/mine --quiet": {
        "units": [4, 3],
        "cell": "gru",
        "bidirectional": False,
        "go_backwards": True,
        "dropout": 0.5,
        "pooling": "max",
        "functional": True,
        "epochs": 1,
        "batch_size": 500,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "clip_norm": 2.0,
    },
    "text.txt --task generator --units 4 --cell simple --embedding 6 --epochs 1 --batch-size 2 "
    "--schedule cosine --unit word --classic --max-tokens 40 --min-frequency 2 --max-size 9 "
    "--steps 5 --sampling sequential --tied --sample-every 1 --prompt the --validation-split 0.3": {
        "embedding": 6,
        "tied": True,
        "schedule": "cosine",
        "steps": 5,
        "sampling": "sequential",
        "sample_every": 1,
        "prompt": "the",
    },
    "text.txt --lines --units 4 --cell simple --epochs 1 --seed 7": {
        "sampling": "random",
        "prompt": None,
        "bidirectional": False,
    },
    "--stacked --units 4 --epochs 1 --cell simple --bidirectional --json": {
        "units": [4, 4],
        "bidirectional": True,
        "functional": False,
    },
    "--layers 3 --units 4 --epochs 1 --cell simple --unidirectional --schedule plateau": {
        "units": [4, 4, 4],
        "schedule": "plateau",
    },
}
READ = ["evaluate --json", "plot --metric loss --output a.png", "plot --show", "runs --json"]
READ += ["predict runs/digits-classifier-1 digits --json --output a.json"]
WRITE = [
    "generate --prompt abc --length 9 --temperature 0.5 --top-k 3 --top-p 0.9 "
    "--repetition-penalty 1.1 --stop a --samples 2 --unknown skip --seed 3 --json",
    "generate --prompt abc --length 9",
    "generate --prompt abc --beams 3 --samples 2",
]


def test_every_option_is_described_with_its_default_and_tried_below():
    tried = {verb: "" for verb in main.commands} | {"train": " ".join(TRAINED)}
    infill = "infill --alternatives 3 --json --unknown unk"
    # these in tests of their own
    tried["train"] += " --mask-rate --mask-span --characters --no-characters --column"
    export = "export --output --format --overwrite --check --no-check"  # in test_export
    for line in (*READ, *WRITE, infill, export):
        tried[line.split()[0]] += " " + line
    for verb, command in main.commands.items():
        help_text = invoke(verb, "--help").output
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert option.help
            for name in (*option.opts, *option.secondary_opts):
                assert name in help_text and f" {name}" in f" {tried[verb]}", (verb, name)


@pytest.mark.parametrize("line", TRAINED)
def test_every_option_of_train_reaches_the_run(workplace, line):
    from kerasrnn import open_run

    (workplace / "text.txt").write_text("the cat and the dog.\nA dog and the cat!\n" * 20)
    result = invoke("train", *line.split())
    default = "runs/text-generator-1" if "text.txt" in line else "runs/digits-classifier-1"
    run = open_run("there/mine" if "--out" in line else default)
    options = json.loads((run.path / "run.json").read_text())["options"]
    assert {name: options[name] for name in TRAINED[line]} == TRAINED[line]
    assert (result.stderr == "") == ("--quiet" in line)
    if "--json" in line:
        assert json.loads(result.stdout)["run"] == str(run)
    said = run.info["data"]["options"]
    if "--seed" in line:
        assert run.info["seed"] == 7 and said.get("seed", 7) == 7
    if "--validation-split" in line:
        assert said["validation_split"] == 0.3
    if "--unit " in line:
        sizes = {"max_tokens": 40, "min_frequency": 2, "max_size": 9}
        said["validation_split"] = None
        assert said == {
            "unit": "word",
            "lines": False,
            "classic": True,
            "validation_split": None,
            **sizes,
        }
    if "--lines" in line:
        assert said["lines"] is True


@pytest.mark.parametrize("line", WRITE)
def test_every_option_of_generate_works(writing, line):
    result = invoke(*line.split())
    assert "run runs/text-generator-1" in result.stderr
    if "--json" in line:
        answer = json.loads(result.stdout)
        assert answer["prompt"] == "abc" and len(answer["samples"]) == 2
    elif "--beams" in line:
        assert result.stdout.count("---") == 1 and result.stdout.startswith("abc")
    else:
        assert len(result.stdout) == len("abc") + 9 + 1 and result.stdout.startswith("abc")


def test_a_generator_from_text_to_text(workplace):
    (workplace / "tale.txt").write_text("abcd efgh\n" * 200)
    words = ["--units", "16", "--cell", "gru", "--steps", "20", "--batch-size", "16"]
    result = invoke("train", "tale.txt", *words, "--epochs", "30", "--learning-rate", "0.02")
    assert re.search(
        r"loss \d.* perplexity \d.* bits_per_character .* [\d,]+ tokens/s", result.stderr
    )
    assert "200 training" not in result.stderr and "1,800 training" in result.stderr
    assert "\n---\n" in result.stderr  # a sample
    perplexity = re.search(r"^validation +\S+ +(\S+)", result.stdout, re.M)[1]
    assert float(perplexity) < 1.1 and "-gram" in result.stdout
    (command,) = [line for line in result.stderr.splitlines() if "kerasrnn generate" in line]
    assert shlex.split(command)[2:] == ["runs/tale-generator-1", "--prompt", "abcd efgh"]
    text = invoke(*shlex.split(command)[1:], "--temperature", "0", "--length", "21").stdout
    assert text == ("abcd efgh\n" * 4)[: 9 + 21] + "\n"
    metrics = json.loads(invoke("evaluate", "--json").stdout)
    assert f"{metrics['validation']['perplexity']:.4f}" == perplexity
    assert "perplexity.png" in invoke("plot").stdout


def test_an_infiller_from_text_to_text(workplace):
    (workplace / "tale.txt").write_text("abcd efgh\n" * 200)
    words = ["--units", "8", "--cell", "gru", "--steps", "20", "--batch-size", "16"]
    words += ["--mask-rate", "0.2", "--mask-span", "2", "--epochs", "20", "--learning-rate", "0.03"]
    result = invoke("train", "tale.txt", "--task", "infiller", *words)
    (command,) = [line for line in result.stderr.splitlines() if "kerasrnn infill" in line]
    assert shlex.split(command)[2:] == ["runs/tale-infiller-1", "abcd_efgh"]
    assert invoke(*shlex.split(command)[1:]).stdout == "abcd efgh\n"
    filled = ["infill", "runs/tale-infiller-1", "ab__ ef_h"]
    lines = invoke(*filled, "--alternatives", "3").stdout.splitlines()
    assert lines[0] == "abcd efgh" and len(lines) == 4 and lines[1].startswith("'c' 0.")
    answer = json.loads(invoke(*filled, "--json", "--unknown", "unk").stdout)
    assert answer["text"] == "abcd efgh"
    assert [[row["token"] for row in blank] for blank in answer["blanks"]] == [["c"], ["d"], ["g"]]
    assert "no blank in the text" in refused("infill", "runs/tale-infiller-1", "abcd")
    assert "another kind of run: found infiller; expected generator" in refused(
        "generate", "runs/tale-infiller-1"
    )
    assert "perplexity" in invoke("evaluate").stdout
    invoke("plot")


def test_a_tagger_from_files_to_labels(workplace):
    (workplace / "bank").mkdir()
    for part in ("train", "dev", "test"):
        rows = ["1\tI\tI\tPRON\tPRP", "2\tsaw\tsee\tVERB\tVBD", "3\tit\tit\tPRON\tPRP"]
        sentence = "# a comment\n" + "".join(row + "\t_" * 5 + "\n" for row in rows) + "\n"
        (workplace / "bank" / f"x-{part}.conllu").write_text(sentence * 20)
    fast = [*FAST, "--quiet", "--learning-rate", "0.1"]
    result = invoke("train", "bank", *fast, "--no-characters", "--column", "xpos")
    assert "baseline" in result.stdout and "runs/bank-tagger-1" in result.stdout
    lines = invoke("predict", "runs/bank-tagger-1", "I saw it\n\nit saw").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["I", "saw", "it", "", "it", "saw", ""]
    assert {line.split("\t")[1] for line in lines if line} <= {"PRP", "VBD"}
    (workplace / "text.txt").write_text("I saw it")
    blocks = json.loads(invoke("predict", "runs/bank-tagger-1", "text.txt", "--json").stdout)
    assert [row["token"] for row in blocks[0]] == ["I", "saw", "it"]
    piped = CliRunner().invoke(main, ["predict", "runs/bank-tagger-1", "-"], input="I saw")
    assert piped.stdout.startswith("I\t")
    lines = invoke("predict", "runs/bank-tagger-1", "bank/x-test.conllu").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["I", "saw", "it", ""] * 20
    assert "PRP" in invoke("evaluate").stdout
    result = invoke("train", "bank/x-train.conllu", *FAST, "--characters")
    (command,) = [line for line in result.stderr.splitlines() if "kerasrnn predict" in line]
    invoke(*shlex.split(command)[1:])
    (workplace / "bank" / "x-test.conllu").write_text("1\tI\tI\tNEW" + "\t_" * 6 + "\n")
    assert "x-test.conllu:1: a label that the training part lacks: found 'NEW'" in refused(
        "train", "bank"
    )
    (workplace / "bank" / "x-train.conllu").write_text("1\tI\tI\n")
    assert "x-train.conllu:1: " in refused("train", "bank")


def test_lines_are_generated_without_a_prompt(workplace):
    (workplace / "names.txt").write_text("ada\nbob\ncleo\n" * 20)
    invoke("train", "names.txt", "--lines", "--units", "8", "--epochs", "1", "--quiet")
    assert len(invoke("generate", "--samples", "4").stdout.splitlines()) == 4


@pytest.mark.parametrize("line", READ)
def test_every_option_of_the_other_verbs_works(trained, line):
    invoke(*line.split())


def test_choices_are_those_of_the_library():
    from kerasrnn.data.batches import SAMPLINGS
    from kerasrnn.models import CELLS, POOLINGS
    from kerasrnn.tasks import TASKS
    from kerasrnn.text import UNITS, UNKNOWN_CHOICES
    from kerasrnn.training import OPTIMIZERS, SCHEDULES

    choices = {
        p.name: p.type.choices
        for verb in (cli.train, cli.generate, cli.infill)
        for p in verb.params
        if hasattr(p.type, "choices")
    }
    assert choices == {
        "task": tuple(TASKS),
        "cell": tuple(CELLS),
        "pooling": POOLINGS,
        "optimizer": tuple(OPTIMIZERS),
        "schedule": SCHEDULES,
        "unit": UNITS,
        "sampling": SAMPLINGS,
        "unknown": UNKNOWN_CHOICES,
    }


def test_defaults_are_those_of_the_library():
    import inspect

    from kerasrnn import (
        build_classifier,
        build_generator,
        load,
        load_corpus,
        load_sentences,
        recurrent_stack,
        text,
    )
    from kerasrnn.options import DATA, MODEL
    from kerasrnn.tasks.generator import Writer, _check_sampling

    def library(*functions):
        return {
            name: parameter.default
            for function in functions
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }

    def same(table, known):
        shared = table.keys() & known.keys()
        assert {name: table[name] for name in shared} == {name: known[name] for name in shared}
        return len(shared)

    assert same(MODEL["classifier"], library(recurrent_stack, build_classifier)) == 7
    assert same(DATA["classifier"], library(load)) == 2
    assert same(DATA["tagger"], library(load_sentences)) == 4
    assert same(DATA["generator"], library(load_corpus, text.Vocabulary.__init__)) == 7
    same(
        {"embedding": MODEL["generator"]["embedding"], "bidirectional": False},
        library(build_generator),
    )
    parsed = cli.generate.make_context("generate", []).params
    assert same(parsed, library(Writer.stream, _check_sampling)) == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "digitz"], "unknown dataset: found 'digitz'; expected digits, mnist,"),
        (["train", "--units", "0"], "bad units: found"),
        (["train", "--units", "a"], "'a' is not a number or a list like 64,32"),
        (["train", "--units", "3,4", "--layers", "3"], "found 2 widths for 3 layers"),
        (["train", "--layers", "0"], "--layers out of range"),
        (["train", "--stacked", "--layers", "3"], "--stacked means --layers 2"),
        (["train", "--cell", "rnn"], "'rnn' is not one of 'lstm', 'gru', 'simple'"),
        (["train", "--go-backwards"], "reads both ways already"),
        (["train", "--seed", "-1"], "seed out of range: found -1"),
        (["train", "--epochs", "0"], "epochs out of range: found 0"),
        (["train", "--out", "runs"], "runs exists already"),
        (["train", "broken.npz"], "broken.npz: not an .npz or .npy file"),
        (["evaluate", "nowhere"], "no run at nowhere"),
        (["evaluate", "foreign"], "foreign is not a run"),
        (["plot", "--metric", "f1"], "no 'f1' in the history"),
        (["plot", "--output", "a.xyz"], "unknown picture format"),
        (["plot", "--output", "no/where/a.png"], "cannot write no/where/a.png: found No such file"),
        (["predict", "runs/digits-classifier-1", "absent.npz"], "no such file or folder"),
        (["predict", "runs/digits-classifier-1", "nothing"], "unknown dataset"),
        (["predict", "runs/digits-classifier-1", "wide.npy"], "do not fit the model"),
        (
            ["predict", "runs/digits-classifier-1", "digits", "--output", "foreign/x/a"],
            "cannot write",
        ),
        (["predict"], "Missing argument"),
        (["trian"], "No such command"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(trained, workplace, words, message):
    (workplace / "foreign").mkdir()
    (workplace / "broken.npz").write_bytes(b"PK broken")
    np.save(workplace / "wide.npy", np.zeros((2, 8, 9)))
    before = sorted(workplace.rglob("*"))
    assert message in refused(*words)
    assert sorted(workplace.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate"], "empty prompt: expected text to start from"),
        (["generate", "--prompt", "aXc"], "lacks tokens of the text: found 'X'"),
        (["generate", "--prompt", "a", "--temperature", "-1"], "temperature out of range"),
        (["generate", "--prompt", "a", "--top-p", "0"], "top_p out of range"),
        (["generate", "--prompt", "a", "--length", "0"], "length out of range"),
        (["generate", "--prompt", "a", "--beams", "2", "--seed", "1"], "--seed with --beams"),
        (["generate", "--prompt", "a", "--beams", "2", "--samples", "3"], "more samples than"),
        (["generate", "nowhere"], "no run at nowhere"),
        (
            ["predict", "runs/text-generator-1", "digits"],
            "another kind of run: found generator; expected classifier",
        ),
        (
            ["train", "text.txt", "--pooling", "max"],
            "generator has no such option: found pooling",
        ),
        (["train", "text.txt", "--bidirectional"], "a generator cannot read backwards"),
        (["train", "text.txt"], "a text shorter than a window: found 9 training tokens"),
        (["train", "text.txt", "--steps", "2", "--prompt", "X"], "lacks tokens of the text"),
        (["train", "empty.txt"], "empty.txt: empty text"),
        (["train", "same.txt"], "same.txt: only one distinct token: found 9 times 'a'"),
        (["train", "latin.txt"], "not UTF-8: found byte 0xe9 at offset 3"),
        (["train", "binary.txt"], "binary"),
        (["train", "shakespear"], "did you mean 'shakespeare'"),
        (["train", "digits", "mnist"], "several data sets for a classifier"),
        (["train", "digits", "--lines"], "the classifier has no such option: found lines"),
        (["train", "text.txt", "--schedule", "linear"], "'linear' is not one of"),
    ],
)
def test_bad_text_is_one_line_and_exit_code_2(writing, workplace, words, message):
    (workplace / "text.txt").write_text("abcdefghij")
    (workplace / "empty.txt").write_text("")
    (workplace / "same.txt").write_text("a" * 9)
    (workplace / "latin.txt").write_bytes("café".encode("latin-1"))
    (workplace / "binary.txt").write_bytes(bytes(range(256)))
    before = sorted(workplace.rglob("*"))
    assert message in refused(*words)
    assert sorted(workplace.rglob("*")) == before


def test_a_run_that_is_no_generator_or_lacks_its_vocabulary(trained, writing):
    assert "another kind of run: found classifier; expected generator" in refused(
        "generate", trained
    )
    (writing / "vocabulary.json").write_text('["<unk>", "a", "b"]')
    assert "does not match the model: found 3 tokens; expected" in refused(
        "generate", writing, "--prompt", "a"
    )
    (writing / "vocabulary.json").write_text('["a"]')
    assert "vocabulary.json: not a vocabulary" in refused("generate", writing, "--prompt", "a")
    (writing / "vocabulary.json").unlink()
    assert "missing file" in refused("generate", writing, "--prompt", "a")


def test_standard_input_is_trained_on_but_cannot_be_evaluated_again(workplace):
    text = "the cat sat on the mat\n" * 50
    words = ["train", "-", "--units", "4", "--cell", "simple", "--epochs", "1", "--quiet"]
    result = CliRunner().invoke(main, words, input=text)
    assert result.exit_code == 0 and "validation" in result.stdout
    assert "came from standard input" in refused("evaluate")


def test_too_large_a_model_is_refused(workplace, monkeypatch):
    from kerasrnn import training

    def too_large(*_, **__):
        raise MemoryError

    monkeypatch.setattr(training, "create_run", too_large)
    assert "out of memory; choose fewer --units" in refused("train")


def test_a_run_with_a_damaged_model_or_labels_is_refused(trained):
    (trained / "best.keras").write_bytes(b"PK")
    assert "not a .keras model file" in refused("evaluate")
    (trained / "best.keras").unlink()
    (trained / "labels.json").write_text('["a", "b"]')
    assert "found 2 labels; expected 10" in refused("predict", trained, "digits")


def test_completion_offers_runs_datasets_and_files(trained, workplace, monkeypatch):
    from click.shell_completion import ShellComplete

    completer = ShellComplete(main, {}, "kerasrnn", "_KERASRNN_COMPLETE")

    def offered(arguments, incomplete):
        return [item.value for item in completer.get_completions(arguments, incomplete)]

    assert offered([], "ev") == ["evaluate"]
    assert offered(["evaluate"], "ru") == ["runs/digits-classifier-1"]
    assert offered(["train"], "mn") == ["mnist"]
    assert offered(["train", "--cell"], "g") == ["gru"]


def test_ctrl_c_ends_with_130_and_a_usable_run(workplace):
    """A real process, interrupted from outside after its first epoch."""
    import signal

    process = subprocess.Popen(
        [sys.executable, "-m", "kerasrnn", "train", *FAST, "--epochs", "5000"],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait() == 130 and "Traceback" not in rest
    assert "stopped: runs/digits-classifier-1 holds" in rest
    invoke("plot")
    assert len(json.loads(invoke("runs", "--json").stdout)) == 1
