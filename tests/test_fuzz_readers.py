"""Whatever bytes a file holds: what they say, or one InputError that names the file."""

import pytest
from click.testing import CliRunner
from conftest import load_script

fuzz_readers = load_script("fuzz_readers")


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz_readers.READERS)
def test_a_reader_survives_damaged_files(name):
    counts = fuzz_readers.fuzz(fuzz_readers.READERS[name], 200)
    assert counts[True] and counts[False]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["csv", "jsonl"])
@pytest.mark.parametrize("what", dict(fuzz_readers.LARGE))
def test_a_reader_survives_large_files(name, what):
    data = dict(fuzz_readers.LARGE)[what]()
    fuzz_readers.check(fuzz_readers.READERS[name], fuzz_readers.Valid(data))


def test_a_wrong_result_and_another_error_are_found(tmp_path):
    reader, valid = fuzz_readers.READERS["csv"], fuzz_readers.Valid(b"a,b\n1,2\n")
    assert fuzz_readers.check(reader, valid)
    with pytest.raises(AssertionError, match="expected"):
        fuzz_readers.check(reader, valid._replace(expected={"a": ["2"]}))
    broken = reader._replace(read=lambda path: {}["missing"])
    with pytest.raises(KeyError):
        fuzz_readers.check(broken, valid)


def test_the_command_prints_a_table():
    arguments = ["--examples", "5", "--no-large", "jsonl", "parquet"]
    result = CliRunner().invoke(fuzz_readers.main, arguments)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()] == [
        "reader",
        "jsonl",
        "parquet",
    ]
