"""Tables of any format: columns as they are written, or the line of what is wrong."""

import csv
import gzip
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from kerasrnn import InputError
from kerasrnn.data.readers import delimited, json_lines, text_files
from kerasrnn.data.readers.dialects import lines_above
from kerasrnn.data.readers.tables import open_table
from kerasrnn.data.readers.text_files import read_lines
from kerasrnn.data.writers import FORMATS, csv_lines, table_writer, write_table


@pytest.fixture
def write(tmp_path):
    """Write a file and give its path."""

    def to(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def columns(table):
    """All columns as strings."""
    found = {name: [] for name in table.columns}
    for batch in table.batches():
        for name in found:
            found[name] += table.strings(batch, name)
    return found


def numbers(table, column):
    return table.numbers(table.head(), column).tolist()


def times(table, column):
    return [str(time)[:19] for time in table.times(table.head(), column)]


ROWS = {"text": ["one, two", 'a "b"', "c\u0085d"], "label": ["up", None, "down"]}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.tab", "a.txt", "a.csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_separator_line_ends_and_quotes_are_found(write, name, separator, ends):
    lines = ["text,label", '"one, two",up', '"a ""b""",', '"c\u0085d",down']
    text = ends.join([*(line[::-1].replace(",", separator, 1)[::-1] for line in lines), ""])
    data = text.encode("utf-8-sig")
    table = open_table(write(gzip.compress(data) if "gz" in name else data, name))
    assert columns(table) == ROWS
    assert table.header and table.name == "a"


def test_only_the_columns_asked_for_are_read_in_their_order(write):
    table = open_table(write("a,b,c\n1,2,3\n"))
    batch = next(table.batches(["c", "a"]))
    assert batch.to_pydict() == {"c": ["3"], "a": ["1"]}
    with pytest.raises(InputError, match=r"a.csv: no such column: found 'labl'; .*"):
        table.batches(["labl"])
    with pytest.raises(InputError, match="did you mean 'label'"):
        open_table(write("text,label\na,b\n")).batches(["lable"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("date,OT\n2016-07-01,3.5\n", ("date", "OT")),
        ("text,label\nso it was,up\nand then,down\nup and away,up\nno,down\n", ("text", "label")),
        ("3,so it was\n1,and then\n", ("1", "2")),  # the class first, without a header
        ('"3","Wall St.","so it was"\n"1","Oil","and then"\n', ("1", "2", "3")),
        ("1.5,2\n3,4\n", ("1", "2")),
        (
            ",0,1,2\n0,.5,.5,.5\n1,.5,.5,.5\n",
            ("column 1", "0", "1", "2"),
        ),  # as pandas writes an array
        ("label,1,2,3\nup,.5,.5,.5\n", ("label", "1", "2", "3")),
        (",a\n0,1\n", ("1", "a")),
        ("0,1,2\n.5,.25,1.0\n", ("0", "1", "2")),
        ("1,2,3\n5,1,9\n", ("1", "2", "3")),
        ("up,1,2,3\ndown,5,1,9\nup,1,1,1\n", ("1", "2", "3", "4")),
        ("Smith,English\nBrown,English\nMurphy,Irish\nKelly,Irish\n", ("1", "2")),
        ("Datum;Wert\n01.02.2020;1,5\n", ("Datum", "Wert")),
        ("a\n", ("a",)),
    ],
)
def test_a_header_is_found_where_one_is(write, text, names):
    table = open_table(write(text))
    assert table.columns == names
    assert table.head().num_rows == text.count("\n") - table.header


def test_a_header_may_be_said_to_be_there_or_not(write):
    path = write("a,b\nc,d\n")
    assert open_table(path, header=True).columns == ("a", "b")
    table = open_table(path, header=False)
    assert columns(table) == {"1": ["a", "c"], "2": ["b", "d"]} and not table.header


def test_two_columns_of_one_name_are_refused(write):
    with pytest.raises(InputError, match="a.csv: two columns of one name: found 'b'"):
        open_table(write("a,b,b\n1,2,3\n"))


def test_quotes_of_a_tsv_may_mean_themselves(write):
    table = open_table(write('" it said\t1\nand " so\t0\n" no " "\t1\nfin "\t0\n', "a.tsv"))
    assert "quotes as they are" in table.description
    assert columns(table)["1"][0] == '" it said'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n"x\ny",1\n1,2,3\n', "a.csv:4: a row with another number of fields: found 3; exp"),
        ('a,b\n1,2\n3,"x\n4,5\n', "a.csv:3: quotes that never close"),
        ('a,b\n1,"x"y\n', 'a.csv:2: text after closing quotes: found \'"x"y'),
        ('a,b\n1,2\n3,"x""y\n', "a.csv:3: quotes that never close"),
        ('a,b\n1,"x\n2,"y"\n', "a.csv:2: text after closing quotes"),
        ('a;b\n1;x\n2;"x"y\n', "a.csv:3: text after closing quotes"),
        ("a\n1\n\n2\n", 'a.csv:3: an empty line in a table of one column; write ""'),
        ("", "a.csv: an empty table"),
        ("\n\n", "a.csv: an empty table"),
        ('\r\n"', "a.csv:2: quotes that never close"),
        ("a,b\n1,\0\n", "a.csv:2: not a text file: found a zero byte at offset 6"),
    ],
)
def test_a_defect_is_named_with_its_line(write, text, message):
    with pytest.raises(InputError, match=message):
        columns(open_table(write(text), header=True))


def test_empty_lines_between_rows_and_at_the_end_are_no_rows(write):
    table = open_table(write("\na,b\n\n1,2\r\n\r\n3,4\n\n\n"))
    assert columns(table) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.line(1).endswith("a.csv:6")
    assert columns(open_table(write('a\n1\n""\n2\n\n'))) == {"a": ["1", None, "2"]}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_rows_of_separators_alone_at_the_end_are_no_rows(write, ends):
    rows = ["a;b;c", "1;2;", ";;", '"x;";"', ';;";', ";;", "; ;", ""]
    assert columns(open_table(write(ends.join(rows)), header=True)) == {
        "a": ["1", None, "x;"],
        "b": ["2", None, f"{ends};;"],
        "c": [None, None, None],
    }
    table = open_table(write(ends.join([*rows, ";;"]).replace(";", "\t"), "a.tsv"), header=True)
    assert len(columns(table)["a"]) == 3


def test_a_header_may_have_an_empty_name_too_many_or_lack_that_of_the_first_column(write):
    table = open_table(write("id,name,\n7,one\n8,two\n"))
    assert columns(table) == {"id": ["7", "8"], "name": ["one", "two"]}
    with pytest.warns(UserWarning, match="a.csv: a name less than columns; the first one has none"):
        table = open_table(write('"x" "y"\n"1" 1.5 "b"\n"2" 2.5 "c"\n'.replace(" ", ",")))
    assert columns(table) == {"1": ["1", "2"], "x": ["1.5", "2.5"], "y": ["b", "c"]}


@pytest.mark.parametrize("gap", ["", ",", " , "])
@pytest.mark.parametrize("line", ["Sales in Rome", '"Sales, in Rome"', "Sales in Rome,"])
def test_a_line_below_an_empty_one_at_the_end_is_a_footer(write, monkeypatch, gap, line):
    monkeypatch.setattr(delimited, "_CHUNK", 16)
    rows = "month,sales\n" + "".join(f"2020-{i:02},{i}\n" for i in range(1, 13))
    table = open_table(write(f"{rows}{gap}\n{line}\n"))
    with pytest.warns(UserWarning, match="the last line is left out: 'Sales,? in Rome'"):
        assert columns(table)["sales"] == [str(i) for i in range(1, 13)]
    with pytest.raises(InputError, match="a.csv:14: a row with another number of fields"):
        columns(open_table(write(f"{rows}Sales in Rome\n")))


SALES = "month,sales\n" + "".join(f"2020-{i:02},{i}\n" for i in range(1, 13))


@pytest.mark.parametrize("piece", [1, 30, 1 << 20])
@pytest.mark.parametrize(
    ("above", "number"),
    [
        ("Sales in Rome\n", 1),
        ('"Sales, in Rome",\n\n', 2),
        ("# made by a, b, c\n# unit: kg\n", 2),
        ("Category: All\r\n\r\n", 2),
    ],
)
def test_titles_and_comments_above_a_table_are_left_out(write, monkeypatch, piece, above, number):
    monkeypatch.setattr(delimited, "_CHUNK", piece)
    path = write(above + SALES)
    with pytest.warns(UserWarning, match=f"a.csv: left out above the table: {number} line"):
        table = open_table(path)
    assert table.columns == ("month", "sales") and numbers(table, "sales") == [*range(1, 13)]
    assert table.line(3) == f"{path}:{number + 5}"


@pytest.mark.parametrize(
    "text",
    [
        SALES,
        "#,x\n" + "1,2\n" * 20,  # a name
        ",x\n" + "1,2\n" * 20,  # none
        "2020-01,\n2020-02,\n" + "2020-03,7\n" * 20,  # missing values
        "one,\n" * 20 + "two,2\n",
        '"a\nname",x\n' + "1,2\n" * 20,
        "text,label\n" + '"two\nlines, at most",x\n' * 20,
        "Sales in Rome\n" + "1,2\n" * 3,  # too few rows to say so
    ],
)
def test_nothing_else_is_left_out_above_a_table(text):
    assert lines_above(text.encode()) == 0


def test_units_of_money_and_percent_are_no_part_of_a_number(write):
    table = open_table(write("a;b;c\n$1.50;5%;3 €\n-$2;-1.5 %;4€\n;0%;5 €\n"))
    assert np.array_equal(numbers(table, "a"), [1.5, -2, np.nan], equal_nan=True)
    assert numbers(table, "b") == [5, -1.5, 0] and numbers(table, "c") == [3, 4, 5]
    for other in ("5 kg", "5", "£5"):
        table = open_table(write(f"a;b\n$1;2\n{other};3\n"), header=True)
        with pytest.raises(InputError, match="a.csv:2: no number in column 'a': found '\\$1'"):
            numbers(table, "a")


NUMBERS = np.array([[1.5, -2e-7], [3, 4], [0.25, 1e9]])


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_numbers_between_blanks_are_a_table(write, tmp_path, monkeypatch, piece):
    monkeypatch.setattr(delimited, "_HEAD", piece)
    monkeypatch.setattr(delimited, "_CHUNK", piece)
    path = tmp_path / "a.txt"
    for options in ({}, {"fmt": "%12.3e"}, {"newline": "\r\n"}, {"delimiter": "  \t "}):
        np.savetxt(path, NUMBERS, **options)
        table = open_table(path)
        assert not table.header and np.allclose(numbers(table, "2"), NUMBERS[:, 1])
    np.savetxt(path, NUMBERS[:, 0])
    assert numbers(open_table(path), "1") == [1.5, 3, 0.25]
    path.write_text("day  x\n2020-01-02 1\n2020-01-03   NaN \n2020-01-04 3")
    assert np.isnan(numbers(open_table(path), "x")[1])
    assert times(open_table(path), "day")[2] == "2020-01-04T00:00:00"


def test_comments_above_numbers_are_names_where_they_have_as_many_words(tmp_path):
    path = tmp_path / "a.dat"
    np.savetxt(path, NUMBERS, header="of 2020\nx y")
    table = open_table(path)
    assert table.columns == ("x", "y") and numbers(table, "x") == [1.5, 3, 0.25]
    assert table.line(1) == f"{path}:4"
    np.savetxt(path, NUMBERS, header="of the year 2020")
    assert open_table(path).columns == ("1", "2")


@pytest.mark.parametrize(
    ("begin", "found"),
    [
        (b"PK\x03\x04\x14", "a ZIP archive, as workbooks of Excel are; save it as CSV"),
        (b"\xd0\xcf\x11\xe0", "an old document of Office"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_what_is_no_table_at_all_is_named(write, begin, found):
    with pytest.raises(InputError, match=f"a.csv: not a text file: found {found}"):
        open_table(write(begin + b"\x00\xff" * 99))


def test_a_row_larger_than_a_piece_is_read_and_one_beyond_all_bounds_is_refused(write, monkeypatch):
    monkeypatch.setattr(delimited, "_CHUNK", 64)
    rows = [["a", "b"], *([f"{n}\n" * n, str(n)] for n in range(1, 100))]
    path = write("")
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    table = open_table(path)
    assert columns(table) == {"a": [row[0] for row in rows[1:]], "b": [row[1] for row in rows[1:]]}
    lines = path.read_text().split("\n")
    assert lines[int(table.line(50).rsplit(":", 1)[1]) - 1] == '"51'
    monkeypatch.setattr(delimited, "LONGEST", 100)
    with pytest.raises(InputError, match=r"a.csv:\d+: quotes that never close"):
        columns(table)


@pytest.mark.parametrize("header", ["text;label\n", ""])
def test_the_first_rows_may_be_larger_than_the_head(write, header):
    text = "a, b\n" * 1_000_000
    table = open_table(write(header + f'"{text}";up\n"{text}c";down\n'))
    assert [[text, text + "c"], ["up", "down"]] == list(columns(table).values())
    assert table.header == bool(header)


def test_batches_are_small_however_large_the_file(write, tmp_path):
    text = "a" * 100_000
    write("a,b\n" + "1.5,text\n" * 1_500_000)
    write((json.dumps({"a": 1.5, "b": text}) + "\n") * 400, "a.jsonl")
    table = pa.table({"a": np.arange(400), "b": [text + str(n) for n in range(400)]})
    parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        sizes = [batch.nbytes for batch in open_table(tmp_path / name).batches()]
        assert len(sizes) > 2 and max(sizes) < 2e7


def test_missing_values_are_nan(write):
    words = ["1", '""', "NA", "N/A", "NaN", "nan", "null", "None", "?", "-", " -2.5e3 ", "+.5"]
    table = open_table(write("a,b\n" + "".join(f"{word},x\n" for word in words)), header=True)
    found = numbers(table, "a")
    assert [found[0], *found[-2:]] == [1, -2500, 0.5] and all(map(math.isnan, found[1:-2]))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,5", "2", "-0,25"], [1.5, 2, -0.25]),
        (["1.234,5", "1.234", "2"], [1234.5, 1234, 2]),
        (["1.234.567", "1,5", "3"], [1234567, 1.5, 3]),
        (["1,234.5", "1,234", "2"], [1234.5, 1234, 2]),
        (["1.5", "2.25", "3"], [1.5, 2.25, 3]),
        (["1.234", "2.5", "3"], [1.234, 2.5, 3]),
        (["1,234.5", "1,234", "-12,345,678"], [1234.5, 1234, -12345678]),
    ],
)
def test_decimal_commas_and_thousands_are_found(write, cells, expected):
    table = open_table(write("a;b\n" + "".join(f"{cell};x\n" for cell in cells)))
    assert numbers(table, "a") == expected
    assert ("decimal commas" in table.description) == ("1,5" in cells or "1.234,5" in cells)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1,234", "5,678"], "a.csv:2: .*column 'a': found '1,234'; .* thousands without"),
        (["1,5", "1.234"], "a.csv:3: .*found '1.234'"),
        (["1.5", "2,5"], "a.csv:3: .*found '2,5'"),
        (["1", "inf"], "a.csv:3: no number in column 'a': found 'inf'; expected a finite number"),
        (["1", "-Infinity"], "a.csv:3: .*found '-Infinity'"),
        (["1", "1e999"], "a.csv:3: .*found '1e999'"),
        (["1", "", "NAN"], "a.csv:4: .*found 'NAN'"),
        (["1", "1_0"], "a.csv:3: .*found '1_0'"),
        (["1", "0x10"], "a.csv:3: .*found '0x10'"),
        (["1", "5%"], "a.csv:3: .*found '5%'"),
        (['"1\n"', "x"], "a.csv:4: .*found 'x'"),
    ],
)
def test_what_is_no_number_is_named(write, cells, message):
    table = open_table(write("a;b\n" + "".join(f"{cell};x\n" for cell in cells)), header=True)
    with pytest.raises(InputError, match=message):
        numbers(table, "a")


def test_a_defect_of_a_later_batch_has_its_line(write, monkeypatch):
    monkeypatch.setattr(delimited, "_CHUNK", 64)
    table = open_table(write("a,b\n" + "1,2\n" * 100 + "x,2\n"))
    with pytest.raises(InputError, match="a.csv:102: no number in column 'a'"):
        first = 0
        for batch in table.batches():
            table.numbers(batch, "a", first)
            first += len(batch)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1949-01", "1949-12"], ["1949-01-01T00:00:00", "1949-12-01T00:00:00"]),
        (["2020-02-29", "NA"], ["2020-02-29T00:00:00", "NaT"]),
        (["2016/07/01 00:00", "2016/7/1 23:59"], ["2016-07-01T00:00:00", "2016-07-01T23:59:00"]),
        (["2020-01-31T13:00:05.25", "2020-1-1"], ["2020-01-31T13:00:05", "2020-01-01T00:00:00"]),
        (["2020-01-01T00:30+01:00", "2020-01-01T00Z"], ["2019-12-31T23:30:00", "2020-01-01T00"]),
        (["01.02.2020 13:00", "1.3.2020"], ["2020-02-01T13:00:00", "2020-03-01T00:00:00"]),
        (["2/13/2020", "3/1/2020"], ["2020-02-13T00:00:00", "2020-03-01T00:00:00"]),
        (["13/2/2020", "1/3/2020"], ["2020-02-13T00:00:00", "2020-03-01T00:00:00"]),
        (["1/13/2020 12:05 AM", "1/14/2020 1:00 pm"], ["2020-01-13T00:05:00", "2020-01-14T13:00"]),
        (["20200131", "20200201"], ["2020-01-31T00:00:00", "2020-02-01T00:00:00"]),
        (["1991 Jul", "1992-Aug-03"], ["1991-07-01T00:00:00", "1992-08-03T00:00:00"]),
        (["June 1991", "1 Sept. 1991"], ["1991-06-01T00:00:00", "1991-09-01T00:00:00"]),
        (["31-DEC-1999 7:30", "1. May 2000"], ["1999-12-31T07:30:00", "2000-05-01T00:00:00"]),
        (["Jan 1, 2001", "February 28 2001"], ["2001-01-01T00:00:00", "2001-02-28T00:00:00"]),
        (["1970 Q1", "1970Q4"], ["1970-01-01T00:00:00", "1970-10-01T00:00:00"]),
        (["Q2-1999", "q3 1999"], ["1999-04-01T00:00:00", "1999-07-01T00:00:00"]),
        (["Jan-73", "Dec-73"], ["1973-01-01T00:00:00", "1973-12-01T00:00:00"]),
        (["Dec-31", "Jan-32"], ["2031-12-01T00:00:00", "2032-01-01T00:00:00"]),
        (["01-Jan-10", "8 Jan 10 7:30"], ["2010-01-01T00:00:00", "2010-01-08T07:30:00"]),
        (["1/13/85", "1/2/68"], ["1985-01-13T00:00:00", "2068-01-02T00:00:00"]),
        (["13-02-19", "1-2-69"], ["2019-02-13T00:00:00", "1969-02-01T00:00:00"]),
        (["200011", "200012", "200101"], ["2000-11-01T00:00:00", "2000-12-01", "2001-01-01"]),
        ([*(f"{i}/1/1985" for i in range(1, 13)), "1/1/1986"], ["1985-01-01T00", "1985-02-01T00"]),
        ([*(f"01-{i:02}-85" for i in range(1, 13)), "01-01-86"], ["1985-01-01", "1985-02-01T00"]),
        (["1-11", "1-12", "2-01"], ["0001-11-01T00:00:00", "0001-12-01T00", "0002-01-01T00"]),
        (["0001-01-01", "9999-12-31 24:00"], ["0001-01-01T00:00:00", "10000-01-01T00:00:0"]),
    ],
)
def test_times_are_read_as_the_column_writes_them(write, cells, expected):
    table = open_table(write("a;b\n" + "".join(f"{cell};x\n" for cell in cells)), header=True)
    found = times(table, "a")
    assert all(map(str.startswith, found, expected)), found


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("x,Year,Month\n1,1949,1\n2,1949,12\n", "Year Month", ["1949-01", "1949-12"]),
        (
            "No,year,month,day,hour,x\n1,2010,1,2,3,5\n2,2010,1,2,23,NA\n",
            "year month day hour",
            ["2010-01-02T03", "2010-01-02T23"],
        ),
        (
            "Date;Time;x\n16/12/2006;17:24:00;1,5\n16/12/2006;17:25:00;2,5\n",
            "Date Time",
            ["2006-12-16T17:24", "2006-12-16T17:25"],
        ),
        ("time,x,date\n18.00.30,1,2004-03-10\n19.00.00,,2004-03-10\n", "date time", None),
        (
            "year,month,day,min,max,x\n2010,1,2,3,5,1\n2010,1,3,2,6,2\n",
            "year month day",
            ["2010-01-02", "2010-01-03"],
        ),
        (
            "year,month,day,hour,min,max,x\n2010,1,2,3,3,5,1\n2010,1,2,4,2,6,2\n",
            "year month day hour",
            ["2010-01-02T03", "2010-01-02T04"],
        ),
        (
            "year,month,day,hour,min,x\n2010,1,2,3,30,1\n2010,1,2,4,0,2\n",
            "year month day hour min",
            ["2010-01-02T03:30", "2010-01-02T04"],
        ),
        ("date,time,date time,x\n2010-01-02,10:00,5,1\n2010-01-02,11:00,6,1\n", None, None),
        ("Yr,Mo,Dy,x\n61,1,1,1\n61,1,2,1\n", None, None),  # a year of two digits
        ("year,day,x\n2010,1,1\n2010,2,1\n", None, None),
        ("year,month,x\n2010,1,1\n2010,14,1\n", None, None),
        ("date,time,x\n2010-01-02,soon,1\n2010-01-03,late,1\n", None, None),
    ],
)
def test_times_in_several_columns_are_one(write, text, name, expected):
    table = open_table(write(text))
    written = text.split("\n")[0].replace(";", ",").split(",")
    if name is None:
        assert list(table.columns) == written
        return
    assert len(table.columns) == len(written) - len(name.split()) + 1
    expected = expected or ["2004-03-10T18:00:30", "2004-03-10T19:00:00"]
    for batch in table.batches([name, "x"]):
        assert (table.times(batch, name) == np.array(expected, "M8[us]")).all()
        assert len(table.numbers(batch, "x")) == 2


def test_times_may_be_numbers(write):
    table = open_table(write("a,b\n1577836800.5,1\n1577836801,1\n"))
    found = table.times(table.head(), "a")
    assert found.dtype == "float64" and found.tolist() == [1577836800.5, 1577836801]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["1/2/2020", "3/2/2020"],
            "a.csv:2: times whose day may be the month in column 'a': .*ISO",
        ),
        (["2020-01-01", "2020-02-30"], "a.csv:3: no such time in column 'a': found '2020-02-30'"),
        (["2020-01-01", "2020-01-01T00:00Z"], "a.csv:3: no such time"),
        (["2020-01-01", "01.02.2020"], "a.csv:3: no such time"),
        (["2020-01-01", "inf"], "a.csv:3: no such time"),
        (["2020-01-01 25:00", "x"], "a.csv:2: no such time"),
        (["Jan 31 2001", "Feb 31 2001"], "a.csv:3: no such time"),
        (["1970 Q1", "1970 Q5"], "a.csv:3: no such time"),
        (["1-01", "1-03", "1-12"], "a.csv:2: no times"),  # ids
        (["Jan 01", "Jan 02", "Jan 03"], "a.csv:2: no times"),  # days without a year
        (["Jan 30", "Jan 31", "Feb 01"], "a.csv:2: no times"),
        (["1/2/20", "3/2/20"], "a.csv:2: times whose day may be the month"),
        (["monday", "tuesday"], "a.csv:2: no times in column 'a': found 'monday'"),
    ],
)
def test_what_is_no_time_is_named(write, cells, message):
    table = open_table(write("a;b\n" + "".join(f"{cell};x\n" for cell in cells)), header=True)
    with pytest.raises(InputError, match=message):
        times(table, "a")


def test_encodings_are_found_by_their_mark_or_named(write):
    text = "text,label\nça va,1\nnaïve €,2\n"
    expected = {"text": ["ça va", "naïve €"], "label": ["1", "2"]}
    for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert columns(open_table(write(text.encode(name)))) == expected
    path = write(text.encode("cp1252"))
    assert columns(open_table(path, encoding="cp1252")) == expected
    assert "cp1252" in open_table(path, encoding="cp1252").description
    message = r"a.csv:2: not UTF-8: found byte 0xe7 at offset 11; .* --encoding cp1252, which"
    with pytest.raises(InputError, match=message):
        open_table(path)
    with pytest.raises(InputError, match="--encoding utf-16-le"):
        open_table(write(text.encode("utf-16-le")))
    for name in ("nothing", "rot13", "hex", "a\0b", "undefined", "idna"):
        with pytest.raises(InputError, match=r"unknown encoding|not UNDEFINED|not IDNA"):
            open_table(path, encoding=name)


def test_text_of_any_encoding_is_read_packed_or_not(write):
    text = "ça\u0085va\r\nœuf\n\nfin"
    for name, encoding in {"utf-8": None, "utf-16": None, "cp1252": "cp1252"}.items():
        data = text.replace("\u0085", "…").encode(name)
        for packed in (data, gzip.compress(data)):
            lines = [line for _, line in read_lines(write(packed), encoding=encoding)]
            assert lines == ["ça…va", "œuf", "", "fin"]
    assert next(iter(read_lines(write(text)))) == (1, "ça\u0085va")


def test_text_that_unpacks_beyond_the_memory_is_refused(write, monkeypatch):
    monkeypatch.setattr(text_files, "memory_limit", lambda: 1000)
    with pytest.raises(InputError, match=r"a.csv:1: a text too large for the memory"):
        list(read_lines(write(gzip.compress(b"a\n" * 1000))))


def test_damaged_gzip_is_named(write):
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    for broken in (data[:-9], data[:20], data[:30] + b"\0\0\0" + data[33:]):
        with pytest.raises(InputError, match=r"a.csv.gz: a damaged gzip file"):
            columns(open_table(write(broken, "a.csv.gz")))


def test_json_lines_have_types_and_missing_keys(write):
    rows = [
        {"id": 2**60, "x": 1, "text": "a\n\u0085", "mixed": 1, "more": {"a": 1}},
        {"id": 1, "x": 2.5, "flag": True, "mixed": "NA", "more": []},
        {"x": None, "text": ""},
    ]
    table = open_table(write("\n".join(map(json.dumps, rows)) + "\n\n", "a.jsonl"))
    assert table.columns == ("id", "x", "text", "mixed", "flag") and table.nested == ("more",)
    batch = next(table.batches())
    assert batch["id"].to_pylist() == [2**60, 1, None]
    assert table.numbers(batch, "x")[:2].tolist() == [1, 2.5]
    assert table.strings(batch, "x") == ["1", "2.5", None]
    assert table.strings(batch, "text") == ["a\n\u0085", None, ""]
    assert (
        table.numbers(batch, "mixed")[0] == 1 and np.isnan(table.numbers(batch, "mixed")[1:]).all()
    )
    assert table.numbers(batch, "flag")[1] == 1
    assert table.line(2).endswith("a.jsonl:3")
    with pytest.raises(InputError, match="nested values in column 'more'"):
        table.batches(["more"])


def test_json_is_known_by_its_content_where_the_name_says_nothing(write):
    line = '{"text": "he said \\"yes\\", twice", "n": 1}\n'
    for text in (line * 2, f"\n [\n{line},{line}]"):
        for name, data in {"stdin": text.encode(), "a.gz": gzip.compress(text.encode())}.items():
            assert columns(open_table(write(data, name)))["n"] == ["1", "1"]
    assert open_table(write("{a},b\n1,2\n", "a.txt")).columns == ("{a}", "b")
    assert open_table(write('{"a"},b\n1,2\n', "a.csv")).columns == ('{"a"}', "b")


def test_a_list_of_json_objects_is_a_table(write):
    path = write('\n[\n{"a": 1,\n"b": "x"},\n\n{"a": 2}\n]\n', "a.json")
    table = open_table(path)
    assert columns(table) == {"a": ["1", "2"], "b": ["x", None]}
    assert table.line(1).endswith("a.json:6")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "a.jsonl:2: broken JSON: found NaN, which is no JSON"),
        ('{"a": -Infinity}', "a.jsonl:2: broken JSON: found -Infinity"),
        ('{"a": 1e999}', "a.jsonl:2: a value of 'a' unlike those before: found Infinity; exp"),
        ('{"a": [1]}', "a.jsonl:2: a nested value of 'a'"),
        ('{"a": "x"}', "a.jsonl:2: a value of 'a' unlike those before: found \"x\"; exp"),
        ('{"a": 1, "a": 2}', "a.jsonl:2: broken JSON: found the key 'a' twice"),
        ('{"a": 1} {"a": 2}', "a.jsonl:2: text after a JSON object: found"),
        ('{"a": 1', "a.jsonl:2: broken JSON at column 8: found its end"),
        ("{'a': 1}", "a.jsonl:2: broken JSON at column 2: found"),
        ('{"b": "\\ud800"}', "a.jsonl:2: half a character in 'b'"),
        ("[1]", "a.jsonl:2: no JSON object: found a list"),
        (
            '{"a": ' + "9" * 5000 + "}",
            "a.jsonl:2: broken JSON: found a number or nesting",
        ),
        ('{"a": ' + "[" * 100_000, "a.jsonl:2: broken JSON: found a number or nesting"),
    ],
)
def test_a_defect_of_json_lines_is_named(write, monkeypatch, text, message):
    monkeypatch.setattr(json_lines, "_ROWS", 1)  # tell the types
    with pytest.raises(InputError, match=message):
        list(open_table(write('{"a": 1.5, "b": "x"}\n' + text, "a.jsonl")).batches())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}\n{"a": 2}]', "a.json:2: a broken JSON list: found .* expected ',' or ']'"),
        ('[{"a": 1},\n', "a.json:2: broken JSON"),
        ('[{"a": 1}', "a.json:1: a broken JSON list: found the end of the file"),
        ('[{"a": 1}]\n x', "a.json:2: a broken JSON list: found 'x'; expected nothing after"),
        ("[1]", "a.json:1: no JSON object: found a int"),
        ("[]", "a.json: an empty table"),
    ],
)
def test_a_defect_of_a_json_list_is_named(write, text, message):
    with pytest.raises(InputError, match=message):
        open_table(write(text, "a.json"))


def test_keys_that_come_late_are_left_out_with_a_warning(write, monkeypatch):
    monkeypatch.setattr(json_lines, "_ROWS", 1)
    table = open_table(write('{"a": 1}\n{"a": 2, "b": 3}\n', "a.jsonl"))
    with pytest.warns(UserWarning, match=r"a.jsonl:2: the key 'b' is left out"):
        assert columns(table) == {"a": ["1", "2"]}


def test_parquet_keeps_types_and_refuses_nested_columns_by_name(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "word": pa.array(["up", None, "up"]).dictionary_encode(),
            "when": pa.array([0, 1, None], pa.timestamp("ms", "Europe/Berlin")),
            "day": pa.array([0, 1, None], pa.date32()),
            "price": pa.array(["1.50", None, "2.00"]).cast(pa.decimal128(5, 2)),
            "a.b": [1.5, math.inf, 2],
            "list": [[1], [2], []],
            "bytes": pa.array([b"up", b"\xc3\xa9", None]),
            "nan": [math.nan, 1e300, 3],
            "nothing": pa.nulls(3),
        }
    )
    parquet.write_table(table, path)
    found = open_table(path)
    assert found.columns == tuple(name for name in table.column_names if name != "list")
    assert found.nested == ("list",)
    head = found.head()
    assert found.strings(head, "word") == ["up", None, "up"]
    assert found.strings(head, "bytes") == ["up", "é", None]
    assert found.strings(head, "nan") == [None, "1e+300", "3"]
    assert np.isnan(found.numbers(head, "nothing")).all()
    assert found.numbers(head, "price")[[0, 2]].tolist() == [1.5, 2]
    assert times(found, "when") == ["1970-01-01T00:00:00", "1970-01-01T00:00:00", "NaT"]
    assert times(found, "day") == ["1970-01-01T00:00:00", "1970-01-02T00:00:00", "NaT"]
    with pytest.raises(InputError, match=r"a.parquet, row 2: no number in column 'a.b'"):
        found.numbers(head, "a.b")
    with pytest.raises(InputError, match="nested values in column 'list'"):
        found.batches(["list"])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"a.parquet: a damaged Parquet file"):
        open_table(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_read_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    kinds = {"id": "int64", "when": "timestamp[us]", "x": "double", "text": "string"}
    texts = ['a\n"b", c', "a\rb", "tab\tbar|", "é\u0085", None, "NA", " "]
    when = np.arange("2020-01-01", "2020-01-08", dtype="datetime64[D]").astype("datetime64[us]")
    x = np.array([0.1, np.nan, 1e300, -0.0, 2, 3, 4])
    with table_writer(path, kinds) as write:
        for part in (slice(0, 3), slice(3, 7)):
            write({"id": range(7)[part], "when": when[part], "x": x[part], "text": texts[part]})
    table = open_table(path)
    head = table.head()
    assert table.columns == tuple(kinds) and table.strings(head, "text") == texts
    np.testing.assert_array_equal(table.numbers(head, "x"), x)
    np.testing.assert_array_equal(table.times(head, "when"), when)
    assert table.strings(head, "id") == [str(n) for n in range(7)]


def test_the_lines_of_a_table_are_those_of_its_file(tmp_path):
    texts = ["a\rb", 'so "so"', None]
    parts = (slice(2), slice(2, 3))
    batches = [{"x": [0.1, np.nan, -0.0][part], "text": texts[part]} for part in parts]
    assert write_table(tmp_path / "a.csv", batches) == 3
    assert "".join(csv_lines(batches)).encode() == (tmp_path / "a.csv").read_bytes()


def test_a_table_that_fails_is_not_there(tmp_path):
    for suffix in FORMATS:
        path = tmp_path / f"a{suffix}"
        with pytest.raises(RuntimeError), table_writer(path, {"a": "int64"}) as write:
            write({"a": [1]})
            raise RuntimeError
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"no format of tables: found .*a.xlsx"):
        table_writer(tmp_path / "a.xlsx", {}).__enter__()


def test_a_byte_order_mark_within_a_file_is_a_character(write, monkeypatch):
    monkeypatch.setattr("kerasrnn.data.readers.delimited._CHUNK", 4)
    table = open_table(write("a,b\n1,2\n3,4\n\ufeff5,6\n", "a.csv"))
    assert [value for b in table.batches() for value in table.strings(b, "a")] == [
        "1",
        "3",
        "\ufeff5",
    ]
    broken = open_table(write("a,b\n1,2\n3,4\n\ufeff", "b.csv"))
    with pytest.raises(InputError, match=r"b.csv:4: a row with another number of fields: found 1"):
        list(broken.batches())
