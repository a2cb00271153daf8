"""scripts/check_docs.py: a page whose blocks do not do what it says is found, with its line."""

import pytest
from conftest import load_script

GOOD = """\
```python
print("accuracy 0.25")
```

```output
accuracy 0.97
```

```sh
printf 'b\\nc\\n' | head -n 1 > letter.txt
cat letter.txt
kerasrnn runs --json
```

```bash
kerasrnn train nothing.csv --epochs 5
```

```
not looked at
```
"""


@pytest.fixture(scope="module")
def check_docs():
    return load_script("check_docs")


@pytest.fixture
def checked(check_docs, tmp_path):
    def check(text):
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return check_docs.check(tmp_path / "page.md")

    return check


def test_a_page_that_works_is_right(checked):
    page = checked(GOOD)
    assert (page.wrong, page.ran, page.parsed) == ("", 4, 1)


@pytest.mark.parametrize(
    ("block", "line", "said"),
    [
        ("```python\nx = 1\nprint(y)\n```", 3, "NameError"),
        ("```sh\nkerasrnn train --no-such-option\n```", 2, "exit code 2"),
        ("```sh\nfalse\n```", 2, "exit code 1"),
        ("```bash\nkerasrnn train nothing.csv --no-such-option\n```", 2, "no-such-option"),
        ("```bash\nkerasrnn no-such-verb\n```", 2, "no-such-verb"),
        ('```python\nprint("accuracy")\n```\n\n```output\nloss 0.5\n```', 6, "loss"),
        ("```console\n$ kerasrnn runs --json\nnothing of it\n```", 2, "nothing of it"),
    ],
)
def test_a_broken_block_is_found(checked, block, line, said):
    wrong = checked(block).wrong
    assert f"page.md:{line}: " in wrong or f'page.md", line {line}, ' in wrong
    assert said in wrong


def test_a_broken_cell_is_found(check_docs, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("x.nothing")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "page.ipynb")
    assert "AttributeError" in check_docs.check(tmp_path / "page.ipynb").wrong
