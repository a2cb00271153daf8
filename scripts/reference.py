"""Write docs/commands.md and docs/api.md from the code; with --check only say which are stale."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path

import click

DOCS = Path(__file__).resolve().parents[1] / "docs"
_OURS = "kerasrnn"
_COLUMNS = 100
_NOTE = "<!-- Written by scripts/reference.py from the code; do not edit. -->"
_SECTION = re.compile(r"(Args|Returns|Yields|Raises):")
_ITEM = re.compile(r"    (\S[^:]*): (.*)")


def commands() -> str:
    """docs/commands.md: the help of every verb."""
    from kerasrnn.cli import main

    context = main.make_context("kerasrnn", [], resilient_parsing=True, terminal_width=_COLUMNS)
    helps = {"kerasrnn": main.get_help(context)}
    for name, verb in main.commands.items():
        inner = click.Context(verb, parent=context, info_name=name)
        helps[f"kerasrnn {name}"] = verb.get_help(inner)
        for below, other in getattr(verb, "commands", {}).items():
            helps[f"kerasrnn {name} {below}"] = other.get_help(
                click.Context(other, parent=inner, info_name=below)
            )
    sections = (f"## {name}\n\n```\n{text.rstrip()}\n```\n" for name, text in helps.items())
    return "\n".join(["# Commands", "", _NOTE, "", *sections])


def api() -> str:
    """docs/api.md: signature and docstring of every public name."""
    import kerasrnn
    from kerasrnn import layers

    parts = ["# Python", "", _NOTE, ""]
    for module, title in ((kerasrnn, "kerasrnn"), (layers, "kerasrnn.layers")):
        links = ", ".join(f"[{name}](#{name.lower()})" for name in module.__all__)
        parts += [f"`from {title} import` {links}", ""]
    for module in (kerasrnn, layers):
        for name in module.__all__:
            parts += _describe(name, getattr(module, name))
    return re.sub("\n{3,}", "\n\n", "\n".join(parts))


def _describe(name, value):
    """The lines about a class or function."""
    lines = [f"## {name}", "", *_signature(name, value), "", *_markdown(inspect.getdoc(value)), ""]
    if inspect.isclass(value):
        for method, owner in _methods(value):
            function = inspect.getattr_static(owner, method)
            title = f"{name}.{method}"
            lines += [f"### {title}", ""]
            if not isinstance(function, property):
                lines += [*_signature(title, getattr(value, method)), ""]
            lines += [*_markdown(inspect.getdoc(function)), ""]
    return lines


def _methods(value):
    """Public methods and properties with a docstring that a class of ours defines, and where."""
    owners = [owner for owner in value.__mro__ if owner.__module__.startswith(_OURS)]
    names = dict.fromkeys(name for owner in owners for name in vars(owner) if name[0] != "_")
    for name in names:
        owner = next(owner for owner in owners if name in vars(owner))
        found = inspect.getattr_static(owner, name)
        documented = isinstance(found, (property, classmethod)) or inspect.isfunction(found)
        if documented and found.__doc__:
            yield name, owner


def _signature(name, value):
    """A block of code with a signature, on one line where it fits; none for one of Keras."""
    if not getattr(getattr(value, "__init__", None), "__module__", _OURS).startswith(_OURS):
        return []
    signature = inspect.signature(value)
    parameters, star = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parameters.append("*")
        star |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parameters.append(_spell(parameter))
    returns = signature.return_annotation
    ends = "" if returns is signature.empty or inspect.isclass(value) else f" -> {returns}"
    line = f"{name}({', '.join(parameters)}){ends}"
    if len(line) > _COLUMNS:
        line = "\n".join([f"{name}(", *(f"    {part}," for part in parameters), f"){ends}"])
    return ["```python", line, "```"]


def _spell(parameter):
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        annotation = getattr(parameter.annotation, "__forward_arg__", parameter.annotation)
        text += f": {annotation if isinstance(annotation, str) else annotation.__name__}"
    if parameter.default is not parameter.empty:
        equals = " = " if ":" in text else "="
        default = parameter.default
        text += equals + (f'"{default}"' if isinstance(default, str) else repr(default))
    return text


def _markdown(docstring):
    """A docstring as lines of Markdown."""
    lines, code, section = [], False, False
    for line in (docstring or "").replace("``", "`").splitlines():
        if line.startswith(">>>") != code and (line.startswith(">>>") or not line):
            lines.append("```pycon" if not code else "```")
            code = not code
        line = line.removesuffix("  # doctest: +SKIP")
        if code:
            lines.append(line)
        elif match := _SECTION.fullmatch(line):
            section = True
            lines += [f"**{match[1]}**", ""]
        elif section and (match := _ITEM.fullmatch(line)):
            names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
            lines.append(f"* {names}: {match[2]}")
        elif section and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            section = section and not line
            lines.append(line)
    return lines + ["```"] * code


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    check, stale = parser.parse_args().check, []
    for name, write in (("commands.md", commands), ("api.md", api)):
        text, path = write(), DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    print("changed:" if not check else "out of date:", ", ".join(stale) or "nothing")
    sys.exit(bool(check and stale))


if __name__ == "__main__":
    main()
