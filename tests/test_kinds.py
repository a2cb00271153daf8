"""What kind a source is; tables, JSON and columns are not taken for prose."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from factories import CONLLU, columns, idx_bytes, write_ts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kerasrnn
from kerasrnn import InputError, load_corpus, load_dataset, load_sentences
from kerasrnn.data.kinds import check_is_prose, file_format, format_of, kind_of
from kerasrnn.data.roles import Roles
from kerasrnn.data.sequences import load_sequences


def test_names_and_standard_input_have_a_kind():
    kinds = {"digits": "sequences", "shakespeare": "text", "-": "text", "python": "sentences"}
    assert {name: kind_of(name) for name in kinds} == kinds
    with pytest.raises(InputError, match="did you mean 'english'"):
        kind_of("englisch")
    with pytest.raises(InputError, match="no such file or folder: found 'a/b.txt'"):
        kind_of("a/b.txt")


def test_files_and_folders_have_the_kind_of_what_they_hold(tmp_path):
    for name, kind, content in (
        ("a.npz", "sequences", b""),
        ("a.npy", "sequences", b""),
        ("train-images-idx3-ubyte.gz", "sequences", b""),
        ("a.ts", "sequences", b""),
        ("a.conllu", "sentences", b""),
        ("a.conll", "sentences", b""),
        ("a.txt", "text", b"Once upon a time"),
        ("a.md", "text", b"# Once upon a time"),
    ):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(content)
        assert kind_of(folder / name) == kind
    assert kind_of(tmp_path) == "text" and kind_of(tmp_path / "a-conll") == "sentences"
    assert kind_of(tmp_path / "train-images-idx3-ubyte-gz") == "sequences"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no data of a known format in the folder: found no file"):
        kind_of(tmp_path / "empty")


ROWS = [("pos", "a fine film"), ("neg", "dull, and long"), ("neg", "I left"), ("pos", "Yes!")]
TOKENS = "Sentence #,Word,POS,Tag\n" + "1,EU,NNP,B-ORG\n,says,VB,O\n2,Yes,UH,O\n,'s,POS,O\n" * 5
OBJECTS = [{"label": label, "text": text} for label, text in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.tsv", "pos\tgood\n", "table"),
        ("a.csv", "no table", "table"),
        ("a.parquet", "", "table"),
        ("a.txt", "\n".join("\t".join(row) for row in ROWS), "table"),
        ("a.txt", "\n".join(",".join(row) for row in ROWS), "table"),
        ("a.txt", "\n".join(f'{a};"{b}; {b}";1' for a, b in ROWS), "table"),
        ("a.txt", 'id,text\n1,"one\ntwo"\n2,"three"\n', "table"),
        ("a.txt", "1, 2.5, -3e4\n" * 9, "table"),
        ("a.dat", "  1.5   2\n  -.5   3\n 1e-4 0\n", "table"),
        ("a.txt", "112\n118 \n-1.5\n", "table"),
        ("a.txt", "x\n112\n118\n132\n", "table"),
        ("a.json", json.dumps(OBJECTS), "table"),
        ("a.jsonl", "\n".join(map(json.dumps, OBJECTS)), "table"),
        ("a_TRAIN.txt", "1  2.5 3\n2  1.5 2\n", "sequences"),
        ("a_TRAIN.tsv", "1\t2.5\t3\n2\t1.5\t2\n", "sequences"),
        ("a.txt", columns("EU/B-ORG rejects/O", "calls/O"), "sentences"),
        ("a.txt", columns(*["The/DT dog/NN barks/VBZ ./."] * 9), "sentences"),
        ("a.txt", columns(*["the/at dog/nn", "barks/vbz"]).replace(" ", "\t"), "sentences"),
        ("a.txt", CONLLU, "sentences"),
        ("a.txt", "EU B-ORG 0\nsays O 0\n\nYes O 0\n", "sentences"),
        ("a.txt", "O\tare\nB-GENRE\tfunny\nO\tfilms\n\n" * 9, "sentences"),
        ("a_train.txt", "O\tare\nB-GENRE\tfunny\nO\tfilms\n\n" * 9, "sentences"),
        ("a_train.txt", "O\tare you\nB\tfunny films\n" * 9, "texts"),
        ("a_train.txt", "O\tare you\nB-GENRE\tfunny films\n" * 9, "texts"),
        ("a.csv", TOKENS, "sentences"),
        ("a.tsv", TOKENS.replace(",", "\t"), "sentences"),
        ("a.jsonl", '{"tokens": ["EU", "says"], "ner_tags": [3, 0]}\n' * 9, "sentences"),
        ("a.csv", "sentence,word,label\n" + "a word here,word,1\nno such,none,0\n" * 9, "table"),
        ("a_train.txt", "i feel fine;joy\nim sad;sadness\ni feel low;sadness\n" * 9, "table"),
        ("a_train.txt", "i feel fine\nim sad\ni am\nthe end\nwho is\nno more\n", "text"),
        ("a.train", "1 a fine film\n0 dull and long\n" * 9, "texts"),
    ],
)
def test_what_is_no_prose_is_told_by_its_content_and_is_text_when_asked_for(
    tmp_path, name, content, kind
):
    path = tmp_path / name
    path.write_text(content)
    assert file_format(path).kind == kind
    assert not content or len(load_corpus(path).train)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.txt", "".join(f"{a}\t{b}\n" for b, a in [("label", "text"), *ROWS * 5]), "table"),
        ("a.txt", "".join(f"{label} {text}\n" for label, text in ROWS * 5), "texts"),
        ("a.txt", "".join(f"{label} {text}\n" for label, text in sorted(ROWS * 4000)), "texts"),
        ("a.csv", TOKENS, "sentences"),
    ],
)
def test_files_of_other_systems_are_what_they_are(tmp_path, name, content, kind):
    """Such as Excel's Unicode Text, and the line ends of old Macintoshes."""
    path = tmp_path / name
    for line_end, encoding in (("\r", "utf-8"), ("\r\n", "utf-16"), ("\n", "utf-16")):
        path.write_bytes(content.replace("\n", line_end).encode(encoding))
        assert format_of(path).kind == kind


@pytest.mark.parametrize("content", ["[[1, 2], [3, 4]]", '["one", "two"]', '{"a": 1}'])
def test_json_that_is_no_table_is_no_prose_either(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(InputError, match="a.txt: not prose: found JSON.* add --task generator"):
        kind_of(tmp_path / "a.txt")


def test_numbers_on_one_line_are_no_prose(tmp_path):
    (tmp_path / "a.txt").write_text("1.5 2.5 3.5 4.5\n")
    with pytest.raises(InputError, match="not prose: found numbers.*, or a number, on each line"):
        kind_of(tmp_path / "a.txt")


WORDS = "Peter NNP PER 1\nran VBD NONE 1\n. . NONE 4\n\n"


def test_columns_of_words_are_no_prose_unless_a_task_or_a_label_is_named(tmp_path):
    path = tmp_path / "a.txt"
    for text in (
        "# 1\n" + WORDS * 9,
        WORDS.replace("\n\n", "\n\n\n") * 9,
        WORDS.replace(" ", "  ") * 9,
    ):
        path.write_text(text)
        with pytest.raises(InputError, match="not prose: found 4 columns of words.*--label N; add"):
            kind_of(path)
        assert kind_of(path, roles=Roles(label="3")) == "sentences"
        assert load_sentences(path, label="3").labels == ("NONE", "PER")
        assert len(load_corpus(path).train)
    for text in (WORDS * 6, WORDS.replace("\n\n", "\n") * 9, WORDS.replace("\n", "\n\n") * 9):
        path.write_text(text)
        assert kind_of(path) == "text"
    path.write_text(WORDS * 9 + "The end\n")
    assert kind_of(path) == "text"


def test_columns_of_words_in_a_folder_are_no_prose_either(tmp_path):
    (tmp_path / "notes.txt").write_text("Once upon a time")
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text(WORDS * 9)
    with pytest.raises(InputError, match="test.txt: not prose: found 4 columns of words"):
        kind_of(tmp_path)
    (tmp_path / "notes.txt").unlink()
    assert kind_of(tmp_path, roles=Roles(label="3")) == "sentences"
    assert load_sentences(tmp_path, label="3").sizes() == dict.fromkeys(
        ("training", "validation", "test"), 9
    )
    assert len(load_corpus(tmp_path).train)


def test_the_columns_of_a_table_say_its_kind(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("when,x\n" + "".join(f"2020-01-{i:02},{i * i % 7}.5\n" for i in range(1, 29)))
    assert kind_of(path) == "series"
    path.write_text("text,kind\n" + "".join(f"one {i},{'ab'[i % 2]}\n" for i in range(20)))
    assert kind_of(path) == "texts"
    rows = "".join(f"{i % 3},{i},{i * 1.5},{i * 2},{i * 3}\n" for i in range(20))
    path.write_text("y,t0,t1,t2,t3\n" + rows)
    assert kind_of(path) == "sequences"
    assert kind_of(path, roles=Roles(target="y")) == "numbers"


PROSE = {
    "poem": "Tyger Tyger, burning bright,\nIn the forests, of the night;\nWhat immortal, hand or\n",
    "one comma": "Roses are red,\nviolets are blue,\nsugar is sweet,\nand so are you.\n",
    "tabbed": "\tRoses are red\n\tViolets are blue\n\tSugar is sweet\n",
    "pairs": "Ada Lovelace\nAlan Turing\nGrace Hopper\n" * 5,
    "capitals": "ADA LOVELACE\nALAN TURING\nGRACE HOPPER\nKURT GODEL\n" * 2,
    "numbers": "1,000 ships sailed.\nThen came 2,500 more.\nNone of the 3,500 returned.\n",
    "stanzas": "".join(f"Verse {'io' * i} ho\nA{'ha' * i} hum hey\nOho {i}\n\n" for i in range(9)),
    "spaced": "".join(f"Ada{'na' * i} King Lovelace\n\n" for i in range(20)),
    "notes": "[1] See the first book.\n[2] Ibid.\n",
    "wiki": "[[Time travel]] is a concept.\n[Illustration]\n",
    "brackets": "{Enter the king}\nO for a muse of fire\n",
    "dialogue": "A: Yes; no; perhaps.\nB: No; yes; perhaps.\nA: Oh; well; all right.\n",
    "one line": "a,b",
    "empty": "",
}


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_prose(tmp_path, name):
    (tmp_path / "a.txt").write_text(PROSE[name])
    assert kind_of(tmp_path / "a.txt") == "text"


def test_a_word_a_line_in_a_file_that_is_named_like_a_part_is_prose(tmp_path):
    (tmp_path / "train.txt").write_text("Ada\nAlan\nGrace\n")
    assert kind_of(tmp_path / "train.txt") == "text"


def test_source_code_is_prose():
    for path in Path(kerasrnn.__file__).parent.rglob("*.[cp][y]*"):
        if path.suffix == ".py":
            check_is_prose(path)


def test_real_texts_are_prose(text_folder):
    paths = [*text_folder.glob("*.txt"), *(text_folder.parent / "textclass").rglob("*.txt")]
    assert len(paths) > 3
    for path in paths:
        assert kind_of(path) == "text"


def test_real_files_and_folders_are_what_they_are(text_folder):
    shared = text_folder.parent
    for pattern, kind in (
        ("forecast/*.csv", "table"),
        ("timeseries/*", "sequences"),
        ("timeseries/*/*_TRAIN.*", "sequences"),
        ("textclass/[nst]*[!E]", "texts"),
        ("textclass/*/*.*train", "texts"),
        ("tagging/*", "sentences"),
        ("tagging/*/*.annotated", "sentences"),
        ("text", "text"),
    ):
        paths = [*shared.glob(pattern)]
        assert paths and {path: format_of(path).kind for path in paths} == dict.fromkeys(
            paths, kind
        )


words = st.text("abcdefghijklmnopqrstuvwxyzäé'-", min_size=1, max_size=9)
verses = st.lists(words, min_size=2, max_size=9).map(" ".join)
commas = st.lists(verses, min_size=1, max_size=3).map(", ".join)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(commas, st.sampled_from([",", ".", ";", "!", ""])), max_size=40))
def test_random_verses_are_prose(tmp_path, lines):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(line + end for line, end in lines))
    assert kind_of(path) == "text"


@pytest.mark.parametrize("link", [False, True])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path, link):
    names = {
        load_corpus: "a.txt",
        load_sentences: "train.conll",
        load_dataset: "train-images-idx3-ubyte",
        load_sequences: "a.npy",
    }
    for load, name in names.items():
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        if load is load_dataset:
            (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, "u1")))
        if link:
            (folder / name).symlink_to("/dev/zero")
        else:
            os.mkfifo(folder / name)
        source = folder / name if load is load_sequences else folder
        with pytest.raises(InputError, match=f"{name}: not a regular file: found a pipe"):
            load(source)
        with pytest.raises(InputError, match="not a regular file"):
            load_corpus(folder / name)
    os.mkfifo(tmp_path / "Steps_TRAIN.ts")
    for source in (tmp_path, tmp_path / "Steps_TRAIN.ts"):
        with pytest.raises(InputError, match="not a regular file"):
            load_dataset(source)
    (tmp_path / "Steps_TRAIN.ts").unlink()
    write_ts(tmp_path, "1:2:up\n").rename(tmp_path / "Steps_TRAIN.ts")
    os.mkfifo(tmp_path / "Steps_TEST.ts")
    with pytest.raises(InputError, match="Steps_TEST.ts: not a regular file"):
        load_dataset(tmp_path)
