import keyword

from kerasrnn.data.python_source import token_kinds


def test_each_character_has_the_kind_of_its_token():
    pieces = [
        *(("if", "keyword"), (" ", "whitespace"), ("x1", "name"), (">=", "operator")),
        *(("0x1F", "number"), (":", "operator"), ("  ", "whitespace"), ("# é", "comment")),
        *(("\n    ", "whitespace"), ("y", "name"), ("=", "operator"), ("'a\\\n b'", "string")),
        *(("+", "operator"), (" \\\n  ", "whitespace"), ("f'{{c}}'", "string")),
        ("\n", "whitespace"),
    ]
    kinds = [kind for text, kind in pieces for _ in text]
    assert token_kinds("".join(text for text, _ in pieces)) == kinds
    assert all(token_kinds(word) == ["keyword"] * len(word) for word in keyword.kwlist)
