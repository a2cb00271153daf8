"""The manifests in scripts/kubernetes: their shape, and commands that exist.

KERASRNN_CRDS names a folder with the published definitions (CustomResourceDefinition, YAML) of
TFJob and RayJob; the manifests are then checked against their schemas too.
"""

import os
import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT, load_script

from kerasrnn.cli import main

yaml = pytest.importorskip("yaml")
FILES = sorted((ROOT / "scripts" / "kubernetes").glob("*.yaml"))
KINDS = {"TFJob": "kubeflow.org/v1", "RayJob": "ray.io/v1"}
PREFIXES = {"ray_train.py": "train", "ray_tune.py": "tune"}  # programs that take what a verb takes


def read(path):
    (manifest,) = yaml.safe_load_all(path.read_text())
    return manifest


def pods(value):
    """The pod specs anywhere in a manifest."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        value = value.values()
    if not isinstance(value, str):
        for item in value if hasattr(value, "__iter__") else ():
            yield from pods(item)


def commands(manifest):
    """The words of the commands of a manifest."""
    spec = manifest["spec"]
    if "entrypoint" in spec:
        yield shlex.split(spec["entrypoint"])
    for pod in pods(spec):
        for container in pod["containers"]:
            for text in container.get("args", ()):
                yield from map(shlex.split, re.findall(r"^\s*(kerasrnn .*)$", text, re.MULTILINE))


def parse(words):
    """Have click parse a command without running it."""
    program, *words = words
    if program == "python":
        path, *words = words
        script = load_script(Path(path).stem).main
        context = script.make_context(path, words)
        verb = PREFIXES.get(Path(path).name)
        if verb is None:
            return
        program, words = "kerasrnn", [verb, *context.params["arguments"]]
    assert program == "kerasrnn"
    verb, *words = words
    main.commands[verb].make_context(verb, words, parent=main.make_context("kerasrnn", [verb]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_manifest_is_whole_and_its_commands_are_ours(path):
    manifest = read(path)
    assert manifest.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert manifest["apiVersion"] == KINDS[manifest["kind"]]
    assert path.stem.startswith(manifest["kind"].lower())
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,40}", manifest["metadata"]["name"])
    for pod in pods(manifest["spec"]):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert manifest["kind"] != "TFJob" or container["name"] == "tensorflow"
    found = [*commands(manifest)]
    assert found
    for words in found:
        parse(words)


def strict(schema):
    """A schema of Kubernetes as one of JSON that knows no other fields than those named."""
    if isinstance(schema, list):
        return [*map(strict, schema)]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made["type"] = ["integer", "string"]
    open_ended = made.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(made.get("properties"), dict) and made.get("type") == "object" and not open_ended:
        made.setdefault("additionalProperties", False)
    return made


def schemas(folder):
    """The schemas of a folder of definitions by kind and version."""
    for path in sorted(Path(folder).glob("*.yaml")):
        for found in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            spec = found["spec"]
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']}"
                yield (spec["names"]["kind"], name), version["schema"]["openAPIV3Schema"]


@pytest.mark.skipif("KERASRNN_CRDS" not in os.environ, reason="KERASRNN_CRDS is not set")
def test_the_manifests_fit_the_published_schemas():
    jsonschema = pytest.importorskip("jsonschema")
    known = dict(schemas(os.environ["KERASRNN_CRDS"]))
    for path in FILES:
        manifest = read(path)
        schema = strict(known[manifest["kind"], manifest["apiVersion"]])
        schema["properties"]["metadata"] = {"type": "object"}
        checked = jsonschema.Draft202012Validator(schema)
        errors = [f"{error.json_path}: {error.message}" for error in checked.iter_errors(manifest)]
        assert errors == [], path.name
        manifest["spec"]["other"] = 1
        assert not checked.is_valid(manifest)
