"""``kerasrnn train``: its options, and each task from data to the next command."""

import json
import re
import shlex

import pytest
from conftest import invoke

from kerasrnn import open_run

FAST = ["--epochs", "1", "--units", "4", "--cell", "simple", "--unidirectional"]

# Invocations that between them use most options, and what the run then says of them.
TRAINED = {
    "digits --units 4,3 --cell gru --unidirectional --go-backwards --dropout 0.5 --pooling max "
    "--functional --epochs 1 --batch-size 500 --optimizer sgd --learning-rate 0.01 --clip-norm 2 "
    "--seed 7 --validation-split 0.3 --output there/mine --quiet": {
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
    "text.txt --task generator --units 4 --cell simple --embedding-dim 6 --epochs 1 "
    "--batch-size 2 --schedule cosine --level word --letters-only --max-corpus-tokens 40 "
    "--min-frequency 2 --max-vocabulary 9 --sequence-length 5 --sampling sequential --tied "
    "--sample-every 1 --prompt the --validation-split 0.3": {
        "embedding_dim": 6,
        "tied": True,
        "schedule": "cosine",
        "sequence_length": 5,
        "sampling": "sequential",
        "sample_every": 1,
        "prompt": "the",
    },
    "text.txt --task generator --lines --units 4 --cell simple --epochs 1 --seed 7": {
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


@pytest.mark.slow
@pytest.mark.parametrize("line", TRAINED)
def test_every_option_of_train_reaches_the_run(workplace, line):
    (workplace / "text.txt").write_text("the cat and the dog.\nA dog and the cat!\n" * 20)
    result = invoke("train", *line.split())
    default = "runs/text-generator-1" if "text.txt" in line else "runs/digits-classifier-1"
    run = open_run("there/mine" if "--output" in line else default)
    options = json.loads((run.path / "run.json").read_text())["options"]
    assert {name: options[name] for name in TRAINED[line]} == TRAINED[line]
    assert (result.stderr == "") == ("--quiet" in line)
    if "--json" in line:
        assert json.loads(result.stdout) == {"run": str(run), **run.metrics()}
    asked = {word[2:].replace("-", "_") for word in line.split() if word.startswith("--")}
    given = {*run.info["given"]}
    assert asked & {*options} <= given and given - {"units", "bidirectional", "seed"} <= asked
    said = run.info["data"]["options"]
    if "--seed" in line:
        assert run.info["seed"] == 7 and said.get("seed", 7) == 7
    if "--validation-split" in line:
        assert said["validation_split"] == 0.3
    if "--level" in line:
        assert said | {"validation_split": None} == {
            "level": "word",
            "lines": False,
            "letters_only": True,
            "validation_split": None,
            "max_corpus_tokens": 40,
            "min_frequency": 2,
            "max_vocabulary": 9,
        }
    if "--lines" in line:
        assert said["lines"] is True


def next_commands(result):
    """The words of the commands that a training proposes."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("  kerasrnn ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.slow
def test_train_stacked_from_nothing_to_the_next_commands(workplace):
    result = invoke("train", "--stacked", "--epochs", "2")
    assert "bidirectional_2" in result.stderr and "85,010" in result.stderr
    assert "epoch 2/2" in result.stderr
    rows = [line.split()[0] for line in result.stdout.splitlines()]
    assert rows == ["loss", "validation", "test", "most", "1-nearest", "run"]
    assert result.stdout.endswith("  runs/digits-classifier-1\n")
    run = workplace / "runs" / "digits-classifier-1"
    assert (run / "loss.png").exists() and (run / "accuracy.png").exists()
    commands = next_commands(result)
    assert [words[0] for words in commands] == ["predict", "evaluate", "plot"]
    for words in commands:
        assert invoke(*words).stdout


@pytest.mark.slow
def test_a_generator_from_text_to_text(workplace):
    (workplace / "tale.txt").write_text("abcd efgh\n" * 200)
    words = ["--units", "16", "--cell", "gru", "--sequence-length", "20", "--batch-size", "16"]
    result = invoke("train", "tale.txt", *words, "--epochs", "30", "--learning-rate", "0.02")
    assert re.search(
        r"loss \d.* perplexity \d.* bits_per_character .* [\d,]+ tokens/s", result.stderr
    )
    assert "200 training" not in result.stderr and "1,800 training" in result.stderr
    assert "\n---\n" in result.stderr  # a sample
    perplexity = re.search(r"^validation +\S+ +(\S+)", result.stdout, re.M)[1]
    assert float(perplexity) < 1.1 and "-gram" in result.stdout
    generate = next_commands(result)[0]
    assert generate == ["generate", "runs/tale-generator-1", "--prompt", "abcd efgh"]
    text = invoke(*generate, "--temperature", "0", "--max-length", "21").stdout
    assert text == ("abcd efgh\n" * 4)[: 9 + 21] + "\n"
    metrics = json.loads(invoke("evaluate", "--json").stdout)
    assert f"{metrics['validation']['perplexity']:.4f}" == perplexity
    assert "perplexity.png" in invoke("plot").stdout


@pytest.mark.slow
def test_an_infiller_from_text_to_text(workplace):
    (workplace / "tale.txt").write_text("abcd efgh\n" * 200)
    words = ["--units", "8", "--cell", "gru", "--sequence-length", "20", "--batch-size", "16"]
    words += ["--mask-rate", "0.2", "--mask-span", "2", "--epochs", "20", "--learning-rate", "0.03"]
    result = invoke("train", "tale.txt", "--task", "infiller", *words)
    options = open_run("runs/tale-infiller-1").info["options"]
    assert (options["mask_rate"], options["mask_span"]) == (0.2, 2)
    infill = next_commands(result)[0]
    assert infill == ["infill", "runs/tale-infiller-1", "abcd_efgh"]
    assert invoke(*infill).stdout == "abcd efgh\n"
    lines = invoke("infill", "ab__ ef_h", "--alternatives", "3").stdout.splitlines()
    assert lines[0] == "abcd efgh" and len(lines) == 4 and lines[1].startswith("'c' 0.")
    words = ["infill", "runs/tale-infiller-1", "-", "--json", "--unknown", "unk"]
    answer = json.loads(invoke(*words, text="ab__ ef_h\n").stdout)
    assert answer["text"] == "abcd efgh"
    assert [[row["token"] for row in blank] for blank in answer["blanks"]] == [["c"], ["d"], ["g"]]
    assert invoke("predict", "abcd_efgh").stdout == "abcd efgh\n"


@pytest.mark.slow
def test_a_tagger_from_files_to_labels(workplace):
    (workplace / "bank").mkdir()
    for part in ("train", "dev", "test"):
        rows = ["1\tI\tI\tPRON\tPRP", "2\tsaw\tsee\tVERB\tVBD", "3\tit\tit\tPRON\tPRP"]
        sentence = "# a comment\n" + "".join(row + "\t_" * 5 + "\n" for row in rows) + "\n"
        (workplace / "bank" / f"x-{part}.conllu").write_text(sentence * 20)
    words = ["--quiet", "--learning-rate", "0.1", "--no-characters", "--label", "xpos"]
    result = invoke("train", "bank", *FAST, *words)
    assert "baseline" in result.stdout and "runs/bank-tagger-1" in result.stdout
    assert open_run("runs/bank-tagger-1").info["options"]["use_characters"] is False
    lines = invoke("predict", "I saw it\n\nit saw").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["I", "saw", "it", "", "it", "saw", ""]
    assert {line.split("\t")[1] for line in lines if line} <= {"PRP", "VBD"}
    (workplace / "text.txt").write_text("I saw it")
    blocks = json.loads(invoke("predict", "text.txt", "--json").stdout)
    assert [row["token"] for row in blocks[0]] == ["I", "saw", "it"]
    assert len(invoke("predict", "I saw it " * 100).stdout.splitlines()) == 301  # no file's name
    assert invoke("predict", "runs/bank-tagger-1", "-", text="I saw").stdout.startswith("I\t")
    invoke("predict", "I saw it", "-o", "words.png")
    assert (workplace / "words.png").read_bytes().startswith(b"\x89PNG")
    lines = invoke("predict", "bank/x-test.conllu").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["I", "saw", "it", ""] * 20
    assert re.search(r"^label +precision.*^PRP ", invoke("evaluate").stdout, re.M | re.S)
    result = invoke("train", "bank/x-train.conllu", *FAST, "--use-characters")
    assert open_run("runs/x-tagger-1").info["options"]["use_characters"] is True
    assert invoke(*next_commands(result)[0]).stdout.startswith("I\t")


@pytest.mark.slow
def test_columns_of_words_are_trained_on_as_they_are_meant(workplace):
    (workplace / "cols.txt").write_text("Peter NNP PER 1\nran VBD NONE 1\n. . NONE 4\n\n" * 20)
    assert "not prose: found 4 columns" in invoke("train", "cols.txt", *FAST, code=2).stderr
    for words in (["--label", "3"], ["--label", "2", "--task", "tagger"]):
        assert "-tagger-" in invoke("train", "cols.txt", *FAST, *words).stdout
    result = invoke("train", "cols.txt", *FAST, "--task", "generator", "--sequence-length", "8")
    assert "runs/cols-generator-1" in result.stdout


def test_standard_input_is_trained_on_but_cannot_be_evaluated_again(workplace):
    text = "the cat sat on the mat\n" * 50
    words = ["train", "-", "--units", "4", "--cell", "simple", "--epochs", "1", "--quiet"]
    assert "validation" in invoke(*words, text=text).stdout
    assert "came from standard input" in invoke("evaluate", code=2).stderr
