import io

import pytest

from kerasrnn import InputError, load_corpus


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
    corpus = load_corpus("time-machine", classic=True, max_tokens=10_000, validation_split=0)
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
        ("  \n ", {"unit": "word"}, "empty text"),
        ("123 456", {"classic": True}, "empty text"),
        ("aaa", {}, "only one distinct token: found 3 times 'a'"),
        ("ab", {"unit": "line"}, "unknown unit of text"),
        ("ab", {"max_tokens": 0}, "max_tokens out of range"),
        ("ab", {"validation_split": 1}, "validation split out of range"),
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


@pytest.mark.parametrize("unit", ["char", "word"])
def test_independent_lines_end_each_with_a_token_of_its_own(tmp_path, unit):
    (tmp_path / "a.txt").write_bytes(b"one two\r\n\r\n three\nfour")
    corpus = load_corpus(tmp_path / "a.txt", unit=unit, lines=True, validation_split=0)
    assert corpus.vocabulary.tokens[:2] == ("<unk>", "\n")
    joint = "".join if unit == "char" else "|".join
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
    short = load_corpus(tmp_path / "a.txt", lines=True, validation_split=0.2, max_tokens=42)
    assert found(short.validation) == lines[4:10:5] and len(found(short.train)) == 8
