import io

import numpy as np
import pytest

from kerasrnn import Corpus, InputError, Vocabulary, load_corpus
from kerasrnn.data import corpora
from kerasrnn.data.corpora import encode_corpus
from kerasrnn.text import clean, tokens_of


def test_english_is_there_without_any_file():
    corpus = load_corpus("english")
    text = "".join(corpus.vocabulary.decode(corpus.train[:60]))
    assert "statement" in text and len(corpus.train) > 300_000
    assert len(corpus.validation) == pytest.approx(len(corpus.train) / 9, abs=1)
    assert corpus.fingerprint() == load_corpus("english").fingerprint()
    assert str(corpus).startswith("english: ") and "characters" in str(corpus)


def test_shakespeare_is_cut_as_its_publisher_does(text_folder):
    corpus = load_corpus("shakespeare")
    assert (len(corpus.train), len(corpus.validation)) == (1_003_854, 111_540)  # nanoGPT's
    assert len(corpus.vocabulary) == 1 + 65


def test_the_time_machine_as_its_book_cleans_it(text_folder):
    corpus = load_corpus(
        "time-machine", letters_only=True, max_corpus_tokens=10_000, validation_split=0
    )
    assert len(corpus.train) == 10_000 and len(corpus.validation) == 0
    assert "".join(corpus.vocabulary.decode(corpus.train[:31])) == "the time machine by h g wellsit"


def test_files_folders_and_standard_input(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("bb", encoding="utf-8")
    (tmp_path / "sub" / "c.txt").write_text("c😀", encoding="utf-8")
    (tmp_path / "a.log").write_bytes(b"\r\na")

    def text(*sources):
        corpus = load_corpus(*sources, validation_split=0)
        return "".join(corpus.vocabulary.decode(corpus.train))

    assert text(tmp_path) == "bbc😀"
    assert text(tmp_path / "a.log", tmp_path / "sub") == "\nac😀"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é!".encode())))
    assert text("-") == "é!"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "empty text"),
        ("  \n ", {"level": "word"}, "empty text"),
        ("123 456", {"letters_only": True}, "empty text"),
        ("aaa", {}, "only one distinct token: found 3 times 'a'"),
        ("ab", {"level": "line"}, "unknown level"),
        ("ab", {"max_corpus_tokens": 0}, "max_corpus_tokens out of range"),
        ("ab", {"validation_split": 1}, "validation split out of range"),
        ("ab", {"min_frequency": 0}, "min_frequency out of range"),
        ("ab", {"max_vocabulary": 0}, "max_vocabulary out of range"),
        ("ab", {"task": "tagger"}, "unknown task of a corpus: .*; expected generator or infiller"),
        ("ab", {"task": "infiller", "lines": True}, "independent lines for an infiller"),
        ("ab" * 10_000, {"level": "word"}, "only one distinct token: found 1 times '(ab){20}'$"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_named(tmp_path, content, options, message):
    path = tmp_path / "a.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_corpus(path, **options)


def test_an_unknown_text_is_named(tmp_path):
    with pytest.raises(InputError, match="did you mean 'shakespeare'"):
        load_corpus("shakespear")
    with pytest.raises(InputError, match="no .txt files"):
        load_corpus(tmp_path)
    with pytest.raises(InputError, match="no text to load"):
        load_corpus()


@pytest.mark.parametrize("level", ["char", "word"])
def test_independent_lines_end_each_with_a_token_of_its_own(tmp_path, level):
    (tmp_path / "a.txt").write_bytes(b"one two\r\n\r\n three\nfour")
    corpus = load_corpus(tmp_path / "a.txt", level=level, lines=True, validation_split=0)
    assert corpus.vocabulary.tokens[:2] == ("<unk>", "\n")
    joint = "".join if level == "char" else "|".join
    text = joint(corpus.vocabulary.decode(corpus.train))
    assert text.replace("|", " ") in ("one two\nthree\nfour\n", "one two \n three \n four \n")
    befores, ends = corpus.line_bounds(corpus.train)
    assert befores[0] == -1 and (befores[1:] == ends[:-1]).all() and len(ends) == 3


def test_lines_for_validation_come_from_everywhere(tmp_path):
    lines = [f"{number:03}" for number in range(100)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    corpus = load_corpus(tmp_path / "a.txt", lines=True, validation_split=0.2)

    def found(ids):
        return "".join(corpus.vocabulary.decode(ids)).split()

    assert found(corpus.validation) == lines[4::5]
    assert sorted(found(corpus.train) + found(corpus.validation)) == lines
    short = load_corpus(tmp_path / "a.txt", lines=True, validation_split=0.2, max_corpus_tokens=42)
    assert found(short.validation) == lines[4:10:5] and len(found(short.train)) == 8


def test_a_text_in_memory_is_read_as_that_of_a_file(tmp_path):
    text = "one two\nthree four five\n" * 5
    (tmp_path / "a.txt").write_text(text)
    for options in (
        {},
        {"level": "word", "min_frequency": 2, "max_vocabulary": 4, "max_corpus_tokens": 20},
        {"lines": True, "validation_split": 0.5},
        {"task": "infiller", "letters_only": True},
    ):
        corpus = Corpus.from_text(text, **options)
        assert corpus.fingerprint() == load_corpus(tmp_path / "a.txt", **options).fingerprint()
        assert corpus.source == () and corpus.origin == ""
    assert corpus.vocabulary.mask_id == 1 and corpus.vocabulary.line_end_id is None
    assert load_corpus("english").origin.startswith("Python 3.")


@pytest.mark.slow
@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("separator", [" ", ""])
def test_one_line_of_ten_megabytes(lines, separator):
    words = [f"w{i % 999:03}" for i in range(2_000_000)]
    text = separator.join(words) + " end"
    corpus = Corpus.from_text(text, level="word", lines=lines, validation_split=0)
    assert len(corpus.train) == (2_000_001 if separator else 2) + lines
    assert len(corpus.vocabulary) == (1_000 if separator else 2) + 1 + lines


OPTIONS = Corpus.from_text("ab").options
PIECES = ["the quick  bro", "wn fox\njumps\tover 😀 ", "the\n", "\nlazy d", "og"]


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("letters_only", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 4, 13])
def test_a_corpus_in_pieces_is_encoded_like_the_whole(level, letters_only, limit):
    whole, tokens = "".join(PIECES), tokens_of(level)
    lines = [clean(line) for line in whole.split("\n")] if letters_only else [whole]
    expected = [token for line in lines for token in tokens.split(line)][:limit]
    options = {"level": level, "letters_only": letters_only, "max_corpus_tokens": limit}
    vocabulary, ids = encode_corpus(lambda: iter(PIECES), OPTIONS | options)
    assert vocabulary == Vocabulary(expected)
    assert ids.tolist() == vocabulary.encode(expected) and ids.dtype == np.uint8


@pytest.mark.parametrize("level", ["char", "word"])
def test_rare_tokens_become_unknown(level):
    pieces, options = ["a b a c a b"], {"level": level, "min_frequency": 2}
    vocabulary, ids = encode_corpus(lambda: iter(pieces), OPTIONS | options)
    assert "c" not in vocabulary and 0 in ids.tolist()


def test_a_large_corpus_is_memory_mapped(monkeypatch):
    monkeypatch.setattr(corpora, "LARGE", 10)
    vocabulary, ids = encode_corpus(lambda: iter(PIECES), OPTIONS)
    assert isinstance(ids, np.memmap)
    assert "".join(vocabulary.decode(ids)) == "".join(PIECES)


@pytest.mark.parametrize("options", [{"lines": True}, {"letters_only": True}, {"level": "word"}])
def test_a_line_that_would_not_fit_the_memory_is_refused(monkeypatch, options):
    monkeypatch.setattr(corpora, "LONGEST", 10)
    pieces = ["a b\n", "twelve", "letters"]
    with pytest.raises(InputError, match="a line or word too long: found 13 characters"):
        encode_corpus(lambda: iter(pieces), OPTIONS | options)
