import json
import platform
import re
import string

import numpy as np
import pytest
from factories import CONLLU, columns

from kerasrnn import InputError, Sentences, Vocabulary, load_sentences
from kerasrnn.data.kinds import format_of, kind_of
from kerasrnn.data.readers import token_tables
from kerasrnn.data.readers.sentence_files import read_tokens
from kerasrnn.data.sentences import WORD_LENGTH, pad_character_ids, pad_token_ids
from kerasrnn.evaluation import tagging_baseline, tagging_metrics


@pytest.fixture(scope="module")
def python():
    return load_sentences("python")


@pytest.mark.slow
def test_python_is_there_without_any_file(python):
    assert python.level == "char" and python.task == "tagger" and python.source == ("python",)
    assert list(python.sizes()) == ["training", "validation", "test"]
    assert 2_000_000 < sum(len(part.y) for part in python.parts().values()) < 10_000_000
    assert set(python.labels) == {
        *("comment", "keyword", "name", "number", "operator", "string", "whitespace")
    }
    assert "characters" in str(python) and "7 labels" in str(python)


@pytest.mark.slow
def test_python_sequences_are_whole_lines_of_unseen_files(python):
    for part in python.parts().values():
        assert max(map(len, part.tokens)) <= 1100 and part.lengths.mean() > 600
        assert all("".join(tokens).endswith("\n") for tokens in part.tokens[:100])
    train, test = ({"".join(t) for t in part.tokens} for part in (python.train, python.test))
    assert len(train & test) < 0.01 * len(test)
    words = "".join(token for tokens in python.test.tokens for token in tokens)
    keywords = np.flatnonzero(python.test.y == python.labels.index("keyword"))
    assert {"d", "e", "f", "r"} < {words[place] for place in keywords} < {*string.ascii_letters}


def test_english_ewt_is_loaded_as_it_is_published(ewt_folder):
    data = load_sentences(ewt_folder)
    assert data.sizes() == {"training": 12_544, "validation": 2_001, "test": 2_077}
    assert len(data.labels) == 17 and data.level == "word" and data.name == "ud-ewt"
    assert "254,818 words" in str(data)
    guesses = tagging_baseline(data.train.tokens, data.train.y, data.test.tokens, 17)
    metrics = tagging_metrics(data.test.y, guesses, data.test.lengths, data.labels)
    assert 0.85 < metrics["accuracy"] < 0.87  # what the most frequent tag gives on EWT


def test_one_file_is_cut_in_order(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(columns(*(f"w{i}/A x/B" for i in range(20))))
    data = load_sentences(path)
    assert data.name == "a" and data.source == (str(path),)
    assert [tokens[0] for tokens in data.train.tokens] == [f"w{i}" for i in range(16)]
    assert [tokens[0] for tokens in data.validation.tokens] == ["w16", "w17"]
    assert [tokens[0] for tokens in data.test.tokens] == ["w18", "w19"]
    assert load_sentences(path, validation_split=0).sizes() == {"training": 18, "test": 2}
    assert data.fingerprint() == load_sentences(*data.source, **data.options).fingerprint()
    assert data.fingerprint() != load_sentences(path, min_frequency=1).fingerprint()


def test_lines_of_words_with_tags_are_sentences(tmp_path):
    """As the Brown Corpus has them."""
    path, line = tmp_path / "brown.txt", "\tThe/at-tl 1/2/cd cup/nn is/bez half-full/jj ./.\n\n"
    path.write_text(line + line.lower() + line)
    assert format_of(path).said == "lines of word/TAG"
    data = load_sentences(str(path), validation_split=0, min_frequency=1)
    assert data.labels == (".", "at-tl", "bez", "cd", "jj", "nn")
    assert data.train.tokens[0] == ["The", "1/2", "cup", "is", "half-full", "."]
    assert data.test.tokens[0] == data.train.tokens[0]
    words = load_sentences(str(path), label="form", validation_split=0)
    assert "half-full" in words.labels
    path.write_text(line + "no tags here\n")
    with pytest.raises(InputError, match=r"brown.txt:3: a line unlike the others"):
        load_sentences(str(path))
    path.write_text("and/or he/she\nwent home\n" * 9)
    assert format_of(path).said == "text"


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ("train.txt valid.txt test.txt", (3, 4, 5)),
        ("contest-train.conll Dev.conll latest_test.conll", (3, 4, 5)),
        ("x-train-a.txt x-train-b.txt dev.txt", (6, 5, 1)),
        ("train.txt test.txt notes.txt", (2, 1, 4)),
        ("train.conll test.txt", (2, 1, 4)),
    ],
)
def test_files_are_the_parts_that_their_names_say(tmp_path, names, sizes):
    folder = tmp_path / "data-2.15"
    folder.mkdir()
    for number, name in enumerate(names.split(), 3):
        (folder / name).write_text(columns(*["a/A b/B"] * number))
    (folder / "readme.md").write_text("no data")
    data = load_sentences(folder)
    assert tuple(data.sizes().values()) == sizes and data.name == "data-2.15"
    if "notes" not in names:
        assert load_sentences(*map(folder.joinpath, names.split())).sizes() == data.sizes()


def test_a_folder_of_two_languages_is_two_datasets(tmp_path):
    line = "El DA O\nni\u00f1o NC B-PER\n. F O\n\n"  # no head is cut between two bytes of a file
    (tmp_path / "README").write_text("Which language?\n" * 9)
    for name in ("esp.train", "esp.testa", "esp.testb", "ned.train", "ned.testa"):
        (tmp_path / name).write_text(line * 4_000)
    with pytest.raises(InputError, match="several datasets .* found esp.train, ned.train; give"):
        load_sentences(tmp_path)
    data = load_sentences(tmp_path / "esp.train")
    assert data.sizes() == {"training": 4_000, "validation": 4_000, "test": 4_000}
    for path in tmp_path.glob("ned.*"):
        path.unlink()
    assert load_sentences(tmp_path).sizes() == data.sizes() and kind_of(tmp_path) == "sentences"


def test_parts_may_lie_in_folders_and_one_file_is_all(tmp_path):
    for number, part in enumerate(("train", "test"), 4):
        (tmp_path / "re3d" / part).mkdir(parents=True)
        sentences = columns(*["a/B-X b/O"] * number)
        (tmp_path / "re3d" / part / f"re3d-{part}.conll").write_text(sentences)
    assert kind_of(tmp_path / "re3d") == "sentences"
    assert load_sentences(tmp_path / "re3d").sizes() == {"training": 3, "validation": 1, "test": 5}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "wikigold.conll.txt").write_text(columns(*["a/I-ORG b/O"] * 20))
    (tmp_path / "one" / "LICENSE").write_text("CC-BY\n" * 9)
    assert kind_of(tmp_path / "one") == "sentences"
    assert sum(load_sentences(tmp_path / "one").sizes().values()) == 20


@pytest.mark.parametrize(
    ("train", "test", "warning"),
    [
        ("EU/B-ORG/0 is/O/0", "is/O/0 EU/O/1", "column 1 is .* column 2 of 3 as its label"),
        ("B-ORG/EU O/is", "O/is O/EU", "column 2 is .* column 1 of 2 as its label"),
    ],
)
def test_the_training_part_says_the_columns_of_all_parts(tmp_path, train, test, warning):
    for part, line in {"train": train, "valid": train, "test": test}.items():
        sentence = line.replace("/", "\t").replace(" ", "\n") + "\n\n"
        (tmp_path / f"{part}.txt").write_text(sentence * 9)
    assert kind_of(tmp_path) == kind_of(tmp_path / "train.txt") == "sentences"
    with pytest.warns(UserWarning) as said:
        data = load_sentences(tmp_path)
    assert len(said) == 1 and said[0].filename == __file__
    assert re.search(f"train.txt: {warning}; choose another with --label", str(said[0].message))
    assert data.labels == ("B-ORG", "O") and data.train.tokens[0] == ["EU", "is"]
    assert data.test.tokens[0] == ["is", "EU"] and set(data.test.y) == {1}
    again = load_sentences(*data.source, **data.options)  # without a warning
    assert again.fingerprint() == data.fingerprint()
    with pytest.warns(UserWarning, match=warning):
        assert load_sentences(tmp_path / "train.txt").fingerprint() == data.fingerprint()


TABLE = [
    "Sentence #,Word,POS,Tag",
    *("Sentence: 1,EU,NNP,B-ORG", ",says,VBZ,O", ',"""",``,O', ",null,NN,O"),
    *("Sentence: 2,No,UH,O", ",\xa0,NN,O", ",'s,POS,O"),
]
SENTENCES = [["EU", "says", '"', "null"], ["No", "'s"]]


@pytest.mark.parametrize("again", [False, True])
def test_tables_with_a_token_a_row_are_sentences(tmp_path, again):
    path = tmp_path / "train.csv"
    rows, last = [TABLE[0]], ""
    for row in TABLE[1:]:
        number, rest = row.split(",", 1)
        last = number or last
        rows.append(f"{last if again else number},{rest}")
    path.write_text("\n".join([TABLE[0], *(rows[1:] * 5)]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning) as said:
        data = load_sentences(path)
    said = {str(one.message).rpartition("/")[2] for one in said}
    assert "train.csv: the label is Tag; choose another with --label: POS" in said
    assert "train.csv: 5 rows without a token are left out" in said
    assert data.options["label"] == "Tag" and data.labels == ("B-ORG", "O")
    assert data.test.tokens == SENTENCES and data.train.tokens[:2] == SENTENCES
    with pytest.warns(UserWarning, match="rows without a token"):
        assert load_sentences(tmp_path, label="POS").labels[0] == "NN"
        assert read_tokens(path)[:2] == SENTENCES
        with pytest.raises(InputError, match="no such label column: found 'POSS'.* Tag or POS"):
            load_sentences(path, label="POSS")
    path.write_text("\n".join([*TABLE, *rows[1:] * 5]).replace("No", "Né"), "cp1252")
    assert kind_of(path) == "sentences"
    with pytest.raises(InputError, match="train.csv:6: not UTF-8: .*--encoding cp1252"):
        load_sentences(path, label="Tag")
    with pytest.warns(UserWarning, match="rows without a token"):
        assert load_sentences(path, label="Tag", encoding="cp1252").train.tokens[1][0] == "Né"
    path.write_text("\n".join(TABLE).replace("``,O", "``,"))
    with pytest.raises(InputError, match="train.csv:4: a token without a label"):
        load_sentences(path)
    path.write_text("\n".join([TABLE[0], *(f"{i},word,O," for i in (1, 1, 1, 2, 2))]))
    assert token_tables.find(path).labels == ("POS",)  # the other one is empty


def test_lists_of_tokens_and_labels_in_json_lines_are_sentences(tmp_path):
    path = tmp_path / "a.jsonl"
    row = {"id": "7", "tokens": ["EU", "says"], "pos_tags": [22, 42], "ner_tags": ["B-ORG", "O"]}
    path.write_text("\n".join(map(json.dumps, [row] * 9)))
    with pytest.warns(UserWarning, match="the label is ner_tags; .* --label: pos_tags"):
        data = load_sentences(path)
    assert data.labels == ("B-ORG", "O") and data.train.tokens[0] == ["EU", "says"]
    assert load_sentences(path, label="pos_tags").labels == ("22", "42")
    path.write_text("\n".join(map(json.dumps, [row] * 9 + [row | {"ner_tags": ["O"]}])))
    with pytest.raises(InputError, match="a.jsonl:10: no lists of tokens and ner_tags that are of"):
        load_sentences(path, label="ner_tags")


def test_the_last_column_is_the_label_where_it_says_anything(tmp_path):
    (tmp_path / "train.txt").write_text(columns(*["a/A b/O"] * 9))
    (tmp_path / "test.txt").write_text(columns(*["a/O b/O"] * 9))
    data = load_sentences(tmp_path)
    assert data.options["label"] is None and data.test.tokens[0] == ["a", "b"]
    assert {data.labels[y] for y in data.test.y} == {"O"}


def test_conllu_of_another_name_is_read_as_such(tmp_path):
    (tmp_path / "a.txt").write_text(f"{CONLLU}\n\n" * 9)
    assert load_sentences(tmp_path / "a.txt").labels == ("AUX", "PART", "PROPN", "SYM")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no sentences in the file"),
        (columns(*["a/A"] * 9), "only one label: found 'A'"),
        ("a b", "too few sentences to cut: found 1; expected 2 or more"),
        ("a", "a.txt:1: a line without a label"),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(tmp_path, text, message):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_sentences(path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="did you mean 'python'"):
        load_sentences("pyton")
    with pytest.raises(InputError, match="no such file"):
        load_sentences(tmp_path / "a.conllu")
    with pytest.raises(InputError, match="no file of the training part: found no .conllu"):
        load_sentences(tmp_path)
    with pytest.raises(InputError, match="no data to load"):
        load_sentences()
    with pytest.raises(InputError, match="validation split out of range"):
        load_sentences("python", validation_split=1)
    (tmp_path / "a.conllu").write_text("1")
    with pytest.raises(InputError, match="unknown label column"):
        load_sentences(tmp_path / "a.conllu", label="pos")
    (tmp_path / "b.conllu").write_text("1")
    with pytest.raises(InputError, match="found a.conllu, b.conllu; expected a name with 'train'"):
        load_sentences(tmp_path)


def test_only_words_and_characters_of_the_training_part_are_known(tmp_path):
    (tmp_path / "train.txt").write_text(columns("to/A to/A be/B", "or/B to/A", "eé/A be/B"))
    (tmp_path / "test.txt").write_text(columns("not/A be/B"))
    data = load_sentences(tmp_path, validation_split=0)
    assert data.vocabulary.tokens == ("<unk>", "to", "be")
    assert data.characters.tokens == ("<unk>", "o", "t", "e", "b")
    assert pad_token_ids(data.test.tokens, data.vocabulary).tolist() == [[1, 3]]
    assert load_sentences(tmp_path, min_frequency=1, max_vocabulary=2).vocabulary.tokens[1] == "to"


def test_padding_is_zero_and_unknown_is_one():
    vocabulary = Vocabulary(["a", "b"], padded=True)
    ids = pad_token_ids([["a"], ["b", "x", "a"], []], vocabulary)
    assert ids.tolist() == [[2, 0, 0], [3, 1, 2], [0, 0, 0]] and ids.dtype == "int32"
    letters = pad_character_ids([["ab"], ["b" * 99, "xa"]], vocabulary)
    assert letters.shape == (2, 2, WORD_LENGTH) and letters.dtype == "int32"
    assert letters[0, 0, :3].tolist() == [2, 3, 0] and not letters[0, 1].any()
    assert letters[1, 0].tolist() == [3] * WORD_LENGTH
    assert letters[1, 1, :3].tolist() == [1, 2, 0]
    assert pad_token_ids([], vocabulary).shape == (0, 0)


def test_a_batch_has_the_labels_of_its_sentences_and_weights_of_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(columns("a/A b/B c/C", "d/D", "e/B f/A", "a/A", "b/B"))
    batch = load_sentences(path, validation_split=0).train.take(np.array([2, 1, 0]))
    labels, weights = batch.targets()
    assert batch.tokens == [["e", "f"], ["d"], ["a", "b", "c"]] and len(batch) == 3
    assert labels.tolist() == [[1, 0, 0], [3, 0, 0], [0, 1, 2]] and labels.dtype == "int32"
    assert weights.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]] and weights.dtype == "float32"


def test_a_label_of_another_part_only_is_kept_and_named(tmp_path):
    (tmp_path / "train.txt").write_text(columns("a/A b/B"))
    (tmp_path / "test.txt").write_text(columns("c/A d/C", "e/C f/0"))
    said = f"^{tmp_path}: labels that the training part lacks count as wrong: '0' .1., 'C' .2.$"
    with pytest.warns(UserWarning, match=said):
        data = load_sentences(tmp_path, validation_split=0)
    assert data.labels == ("A", "B") and data.unseen_labels == ("0", "C")
    assert data.test.y.tolist() == [0, 3, 3, 2]


def test_two_sentences_leave_none_for_validation(tmp_path):
    (tmp_path / "a.conll").write_text(columns("a/A b/B", "a/A b/B"))
    with pytest.warns(UserWarning, match="the best epoch is chosen without one"):
        data = load_sentences(tmp_path / "a.conll")
    assert data.sizes() == {"training": 1, "test": 1}


def test_no_sentence_is_validated_on_that_is_tested():
    pairs = [[(f"w{i}", "A"), ("x", "B")] for i in range(100)]
    with pytest.raises(InputError, match="too few .* 2 or more, and some that are left to train"):
        Sentences.from_lists(pairs, validation_split=0.95)


def test_sentences_in_memory_are_those_of_a_file(tmp_path):
    pairs = [[(f"w{i}", "A"), ("x", "B")] for i in range(20)]
    path = tmp_path / "a.conll"
    path.write_text(columns(*(" ".join("/".join(pair) for pair in s) for s in pairs)))
    data = Sentences.from_lists(pairs)
    assert data.fingerprint() == load_sentences(path).fingerprint()
    assert data.source == () and data.name == "lists" and data.tokens.noun == "words"
    parts = Sentences.from_lists(pairs[:9], validation=pairs[9:12], test=pairs[12:], level="char")
    assert parts.sizes() == {"training": 9, "validation": 3, "test": 8} and parts.level == "char"


@pytest.mark.parametrize(
    ("sentence", "options", "message"),
    [
        (["a", "b"], {}, "lists, training sentence 0: not a labelled sentence"),
        ([("a", 1)], {}, "expected pairs of strings"),
        ([("", "A")], {}, "expected pairs of strings"),
        ([], {}, "not a labelled sentence"),
        ([("a", "A"), ("b", "B")], {"level": "line"}, "unknown level"),
        ([("a", "A"), ("b", "B")], {"min_frequency": 0}, "min_frequency out of range"),
        ([("a", "A"), ("b", "B")], {"max_vocabulary": 0}, "max_vocabulary out of range"),
    ],
)
def test_lists_that_cannot_be_trained_on_are_named(sentence, options, message):
    with pytest.raises(InputError, match=message):
        Sentences.from_lists([sentence] * 9, **options)


def test_what_comes_with_python_says_its_version(python, tmp_path):
    assert python.origin == f"Python {platform.python_version()}'s standard library"
    (tmp_path / "python").write_text(columns(*["a/A b/B"] * 9))
    assert load_sentences(tmp_path / "python").origin == ""
