"""The verbs that look at runs and use models, from a run and from an export."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import invoke, refused

from kerasrnn import open_run


@pytest.mark.slow
def test_evaluate_prints_or_dumps_the_metrics_of_the_newest_run(trained):
    result = invoke("evaluate")
    assert result.stderr == "run runs/digits-classifier-1\n"
    assert invoke("evaluate", "--quiet").stderr == ""
    numbers = json.loads(invoke("evaluate", trained, "--json").stdout)
    assert f"{numbers['test']['accuracy']:.4f}" in result.stdout
    assert numbers.pop("run") == str(trained)
    assert json.loads((trained / "metrics.json").read_text()) == numbers


@pytest.mark.slow
def test_plot_writes_where_it_says(trained, workplace, monkeypatch):
    paths = ["runs/digits-classifier-1/accuracy.png", "runs/digits-classifier-1/loss.png"]
    assert invoke("plot").stdout.split() == paths
    assert json.loads(invoke("plot", "--json").stdout) == paths
    assert invoke("plot", trained, "-o", "both.svg").stdout == "both.svg\n"
    assert "<svg" in (workplace / "both.svg").read_text()
    monkeypatch.chdir(trained)
    assert "\na training    " in invoke("plot", ".", "--terminal").stdout
    shutil.copytree(trained, trained.parent / "other")
    names = [f"digits-classifier-1, {part}" for part in ("training", "validation")]
    text = invoke("plot", ".", "../other", "--terminal").stdout
    assert all(name in text for name in names)
    monkeypatch.chdir(workplace)
    result = invoke("plot", trained, trained, "--metric", "loss")
    assert result.stdout == f"{trained}/compare-loss.png\n"
    assert (trained / "compare-loss.png").exists()


@pytest.mark.slow
def test_plot_draws_what_several_runs_have_in_common(trained, writing):
    assert invoke("plot", trained, writing).stdout == f"{trained}/compare-loss.png\n"


def test_plot_show_opens_a_window(trained, monkeypatch):
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    assert invoke("plot", "--show").stdout == ""
    assert [ax.get_title() for ax in shown[0].axes] == ["Accuracy by epoch", "Loss by epoch"]


def test_plot_takes_the_newest_run_or_all_of_a_task(trained, writing):
    shutil.copytree(trained, trained.parent / "other")
    (trained.parent / "other" / "history.csv").write_text("epoch,loss\n1,two\n")
    result = invoke("plot", "--all", "--style", "dark", "--smooth", "0.5")
    assert result.stdout == "runs/compare-loss.png\n" and "other/history.csv" in result.stderr
    words = ["plot", "--all", "--metric"]
    assert invoke(*words, "val_accuracy", "-o", "one.svg", "-q").stdout == "one.svg\n"
    assert "no run with f1" in refused(*words, "f1").splitlines()[-1]
    assert invoke("plot", "--task", "generator", "--metric", "learning_rate").stdout == (
        "runs/text-generator-1/learning_rate.png\n"
    )
    assert "--all and --task are for" in refused("plot", trained, "--all")
    assert "no tagger in runs/" in refused("plot", "--all", "--task", "tagger")
    assert "smoothing out of range" in refused("plot", trained, "--smooth", "1")


def test_plot_draws_in_the_terminal_and_in_letters_where_it_is_piped(trained):
    text = invoke("plot", "--terminal", "--metric", "loss", "--metric", "sequences_per_second")
    lines = text.stdout.splitlines()
    assert lines[0] == "loss" and lines[17].startswith("a training")
    assert lines[18].startswith("b validation") and "best epoch" in lines[18]
    assert lines[19] == "sequences per second"
    assert text.stdout.isascii() and max(map(len, lines)) <= 80
    for words in (["--show"], ["--json"], ["-o", "a.png"]):
        assert "several places for pictures" in refused("plot", "--terminal", *words)
    assert "draws curves alone" in refused("plot", "--terminal", "--figure", "confusion")


def test_plot_draws_what_the_evaluation_left(trained, writing):
    words = ["plot", "runs/digits-classifier-1", "--figure"]
    path = "runs/digits-classifier-1/confusion.png"
    run = open_run(trained)
    left = {"confusion": {"labels": ["a", "b"], "counts": [[3, 1], [0, 2]]}}
    run.write_json({"metrics.json": run.metrics() | left})
    (trained / "confusion.png").unlink()
    assert invoke(*words, "confusion").stdout == f"{path}\n"
    assert (trained / "confusion.png").exists()
    assert invoke(*words, "confusion", "-o", "a.pdf", "--style", "dark").stdout == "a.pdf\n"
    assert "several pictures for one --output" in refused(
        *words, "confusion", "--figure", "curves", "-o", "a.png"
    )
    said = refused("plot", writing, "--figure", "confusion")
    assert said.endswith("draw for 'confusion': found positions, passages")
    (writing / "metrics.json").unlink()
    assert refused("plot", writing, "--figure", "confusion").endswith(
        f"run 'kerasrnn evaluate {writing}' first, which leaves what its task has"
    )
    assert "'colours' is not one of 'curves', 'confusion'" in refused(*words, "colours")
    assert refused(*words, "lengths").endswith("calibration, mistakes, labels")
    assert "runs: no run with blanks" in refused("plot", "--all", "--figure", "blanks")
    (trained / "metrics.json").write_text("{}")
    assert "metrics.json is damaged" in refused(*words, "confusion")


@pytest.mark.slow
def test_evaluate_renews_the_report_of_a_run_that_has_one(trained):
    page = trained / "report.html"
    page.write_text("old")
    invoke("evaluate", trained)
    assert "accuracy" in page.read_text()
    page.unlink()
    invoke("evaluate", trained)
    assert not page.exists()


def test_runs_lists_their_task_and_what_was_measured(trained, writing):
    shutil.copytree(trained, trained.parent / "bare")
    (trained.parent / "bare" / "metrics.json").unlink()
    by_name = {line.split()[0]: line for line in invoke("runs").stdout.splitlines()[1:]}
    assert (
        list(by_name)
        == [
            "runs/bare",
            "runs/digits-classifier-1",
            "runs/text-generator-1",
        ]
        or len(by_name) == 3
    )
    rows = {row["run"]: row for row in json.loads(invoke("runs", "--json").stdout)}
    digits, text = rows["runs/digits-classifier-1"], rows["runs/text-generator-1"]
    assert (digits["task"], digits["epochs"]) == ("classifier", 2)
    assert (digits["part"], digits["metric"]) == ("test", "accuracy")
    assert (digits["data"], digits["size"]) == ("digits", 1293) and digits["seconds"] > 0
    assert digits["parameters"] > 1000 and "  1,293  " in by_name[digits["run"]]
    assert by_name[digits["run"]].endswith(f"  test accuracy {digits['value']:.4f}")
    assert (text["part"], text["metric"]) == ("validation", "perplexity")
    assert by_name[text["run"]].endswith(f"  validation perplexity {text['value']:.4f}")
    assert rows["runs/bare"]["value"] is None and by_name["runs/bare"].endswith("  unfinished")


def test_a_broken_run_does_not_hide_the_others(trained):
    shutil.copytree(trained, trained.parent / "other")
    (trained.parent / "other" / "history.csv").write_text("epoch,loss\n1,two\n")
    result = invoke("runs")
    assert len(result.stdout.splitlines()) == 2 and "other/history.csv" in result.stderr


def test_predict_gives_a_row_for_each_sequence(trained, workplace):
    rows = list(csv.DictReader(io.StringIO(invoke("predict", trained, "digits").stdout)))
    assert len(rows) == 360 and set(rows[0]) == {"index", "label", "probability"}
    answers = json.loads(invoke("predict", "digits", "--json").stdout)  # with the newest run
    assert [answer["label"] for answer in answers] == [row["label"] for row in rows]
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    result = invoke("predict", trained, "digits", "-o", "out.csv")
    assert result.stdout == "" and result.stderr == "wrote out.csv\n"
    assert len((workplace / "out.csv").read_text().splitlines()) == 361


def test_the_model_is_named_first_or_the_newest_run(trained, workplace, monkeypatch):
    from kerasrnn.cli.common import split_model

    run, digits = "runs/digits-classifier-1", ["digits"]
    assert split_model([run, *digits]) == split_model((run, "digits")) == (run, digits)
    assert split_model(["./runs/typo", *digits]) == ("./runs/typo", digits)
    (workplace / "runs" / "new.csv").touch()
    assert split_model(["runs/new.csv"]) == (None, ["runs/new.csv"])
    monkeypatch.chdir(trained)
    assert split_model([]) == (None, []) and split_model([".", *digits]) == (".", digits)


def test_predictions_take_raw_input_and_any_batch(trained, workplace):
    from sklearn.datasets import load_digits

    images = load_digits().images.astype("uint8")
    np.savez("some.npz", x=images[:1])
    np.savez("others.npz", x=images[1:3])
    rows = invoke("predict", trained, "some.npz", "others.npz").stdout.splitlines()
    assert [row.split(",")[0] for row in rows] == ["index", "0", "1", "2"]


@pytest.mark.slow
def test_unequal_lengths_from_file_to_prediction(workplace, ragged):
    words = ["--epochs", "1", "--units", "4", "--cell", "simple", "--members", "1", "--quiet"]
    invoke("train", ragged, *words, "-o", "mine")
    rows = invoke("predict", "mine", ragged).stdout.splitlines()
    assert len(rows) == 61 and rows[1].split(",")[1] in ("up", "down")


SAMPLING = (
    "--max-length 9 --temperature 0.5 --top-k 3 --top-p 0.9 --repetition-penalty 1.1 --stop a "
    "--samples 2 --unknown skip --seed 3 --json"
)


def test_generate_prints_the_prompt_and_the_text_or_json(writing):
    result = invoke("generate", "--prompt", "abc", "--max-length", "9")
    assert result.stderr == "run runs/text-generator-1\n"
    assert len(result.stdout) == len("abc") + 9 + 1 and result.stdout.startswith("abc")
    answer = json.loads(invoke("generate", "--prompt", "abcX", *SAMPLING.split()).stdout)
    samples = answer.pop("samples")
    assert answer == {"run": "runs/text-generator-1", "prompt": "abcX", "seed": 3}
    assert len(samples) == 2 and not any("a" in text for text in samples)


def test_texts_are_no_table(writing):
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert f"no table: found {name}" in refused("predict", writing, "abc", "-o", name)
    assert invoke("predict", writing, "abc", "-o", "a.txt", "-q").output == ""


def test_generate_prints_each_piece_as_it_is_made(writing, monkeypatch):
    from kerasrnn import TextGenerator

    printed = []

    def stream(*_, **__):
        for piece in "de":
            printed.append(sys.stdout.buffer.getvalue())
            yield [piece]

    monkeypatch.setattr(TextGenerator, "stream", stream)
    assert invoke("generate", "--prompt", "abc").stdout == "abcde\n"
    assert printed == [b"abc", b"abcd"]


def test_generate_draws_a_new_seed_each_time_and_says_which(writing):
    words = ["generate", "--prompt", "abc", "--max-length", "40", "--json"]
    first, second = (json.loads(invoke(*words).stdout) for _ in range(2))
    assert first["seed"] != second["seed"] and first["samples"] != second["samples"]
    again = json.loads(invoke(*words, "--seed", first["seed"]).stdout)
    assert again == first


def test_generate_reads_its_prompt_from_standard_input(writing):
    words = ["generate", "--max-length", "5", "--seed", "1", "--prompt"]
    piped = invoke(*words, "-", text="abc\n").stdout  # without the line end of echo
    assert piped == invoke(*words, "abc").stdout


@pytest.mark.slow
def test_generate_searches_with_beams(writing):
    words = ["generate", "--prompt", "abc", "--max-length", "6", "--beams", "3", "--samples", "2"]
    best, second = invoke(*words).stdout.removesuffix("\n").split("\n---\n")
    assert best.startswith("abc") and second.startswith("abc") and best != second
    assert "seed" not in json.loads(invoke(*words, "--json").stdout)


@pytest.mark.slow
def test_lines_are_generated_without_a_prompt(workplace):
    (workplace / "names.txt").write_text("ada\nbob\ncleo\n" * 20)
    invoke("train", "names.txt", "--lines", "--units", "8", "--epochs", "1", "--quiet")
    assert len(invoke("generate", "--samples", "4").stdout.splitlines()) == 4


@pytest.mark.slow
def test_an_export_is_used_as_its_run_is(trained, workplace):
    result = invoke("export", "--no-check")
    assert result.stdout == "saved_models/digits-classifier-1\n"
    assert "model_card.md" in result.stderr
    models = (trained, "saved_models/digits-classifier-1")
    assert refused("evaluate", models[1]).endswith("an export, which knows no data; name DATA")
    tables = [invoke("predict", model, "digits").stdout.splitlines() for model in models]
    live, exported = ([row.split(",")[:2] for row in table] for table in tables)
    assert live == exported and len(live) == 361
    assert "exists already" in invoke("export", "--no-check", code=2).stderr
    words = ["export", "--overwrite", "--no-check", "--format", "saved_model", "--json", "-q"]
    result = invoke(*words)
    place = {"run": "runs/digits-classifier-1", "export": "saved_models/digits-classifier-1"}
    assert json.loads(result.stdout) == place and result.stderr == ""


@pytest.mark.slow
def test_an_exported_generator_writes_as_its_run_does(writing, workplace):
    invoke("export", "-o", "mine", "--no-check")
    words = ["--prompt", "abc", "--max-length", "12", "--temperature", "0"]
    assert invoke("generate", "mine", *words).stdout == invoke("generate", writing, *words).stdout
    assert invoke("predict", "mine", "abc").stdout.startswith("abc")


def test_info_says_versions_devices_and_folders(monkeypatch):
    monkeypatch.setenv("KERASRNN_DATA", "/some/where")
    facts = json.loads(invoke("info", "--json").stdout)
    assert {"kerasrnn", "python", "tensorflow", "keras", "numpy"} <= facts.keys()
    assert facts["KERASRNN_DATA"] == "/some/where" and facts["cache"].endswith("kerasrnn")
    assert facts["loop over time"] in ("native", "keras") and facts["reason"]
    assert facts["threads"] >= 1 and isinstance(facts["gpus"], list)
    lines = dict(line.split(None, 1) for line in invoke("info").stdout.splitlines())
    assert lines["tensorflow"] == facts["tensorflow"]


def test_info_says_why_there_is_no_native_loop(monkeypatch):
    from kerasrnn.engine import native

    monkeypatch.setattr(native, "library", lambda: None)
    facts = json.loads(invoke("info", "--json").stdout)
    assert facts["native operations"] is False and facts["loop over time"] == "keras"
    assert "no compiler at the installation" in facts["reason"]


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(trained):
    command = f"{sys.executable} -m kerasrnn predict {trained} digits | true"
    assert subprocess.run(command, shell=True, capture_output=True).stderr == b""
