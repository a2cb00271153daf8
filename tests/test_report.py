"""``kerasrnn report`` and ``train --live``: what the page says, and how it behaves in a browser."""

import io
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import invoke, refused
from factories import all_examples, label_metrics, write_run

from kerasrnn.cli.report import command_of
from kerasrnn.files import write_text
from kerasrnn.reports.examples import picture_of
from kerasrnn.reports.facts import settings_of
from kerasrnn.runs import open_run

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "' onfocus='alert(4)",
    "שלום עולם \u202e",
    "{{ 7 * 7 }}",
]
LABELS = ["no", "yes", "perhaps", *HOSTILE]


def full_run(folder, digit_run):
    """A run of 50 epochs with a model and all that a page can show."""
    made = open_run(digit_run).info
    parts = {part: {label: 5 * n for label in LABELS} for n, part in ((4, "train"), (1, "test"))}
    lengths = {"train": [[1, 4, 7, 10], [5, 40, 9]]}
    data = made["data"] | {
        "name": HOSTILE[0],
        "source": HOSTILE[1],
        "distribution": {"labels": parts, "lengths": lengths},
    }
    metrics = label_metrics(LABELS) | {"positions": {"step": [1, 2, 4], "perplexity": [9, 5, 4]}}
    write_run(
        folder,
        "classifier",
        epochs=50,
        metrics=metrics,
        examples=all_examples(" ".join(HOSTILE)),
        data=data,
        recipe={"cell": HOSTILE[2]},
        versions=made["versions"],
    )
    shutil.copy(digit_run.path / "best.keras", folder)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory, digit_run):
    """The pages that the tests open: by name their paths."""
    folder = tmp_path_factory.mktemp("reports")
    whole = full_run(folder / "<b>whole & 'run'", digit_run)
    other = write_run(folder / "other", "classifier", epochs=9, metrics=label_metrics(LABELS[:4]))
    half = write_run(folder / "half", "classifier", epochs=5, planned=30)
    pages = {
        "whole": invoke("report", whole),
        "several": invoke("report", whole, other, half),
        "half": invoke("report", half),
    }
    from kerasrnn.cli.report import write_report

    found = {name: result.stdout.strip() for name, result in pages.items()}
    live = write_report([open_run(half)], folder / "live.html", live=True)
    return {**found, "live": str(live)}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def opened(browser):
    """A function that opens a page and gives it, having seen to it that nothing goes wrong."""
    contexts, wrong = [], []

    def open_page(path, width=1280, scheme="light", **settings):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **settings
        )
        contexts.append(context)
        page = context.new_page()
        address = Path(path).resolve().as_uri()
        page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"{error}"))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request",
            lambda asked: asked.url.startswith(("data:", address)) or wrong.append(asked.url),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def boxes(page, what):
    """Left, top, width and height of all elements that a selector finds."""
    return page.evaluate(
        """what => [...document.querySelectorAll(what)].map((one) => {
             const box = one.getBoundingClientRect();
             return [box.left, box.top + scrollY, box.width, box.height].map(Math.round);
           })""",
        what,
    )


def test_a_report_says_how_good_a_run_is_and_how_it_was_made(trained):
    assert invoke("report").stdout == "runs/digits-classifier-1/report.html\n"
    page = (trained / "report.html").read_text()
    accuracy = open_run(trained).metrics()["test"]["accuracy"]
    assert f"Accuracy of {accuracy:.4g} on the test part; the best baseline, 1-nearest" in page
    assert "kerasrnn train digits --task classifier --units 8,8 --epochs 2" in page
    assert "images, read row by row" in page and "2,858 parameters" in page
    sections = ("curves", "metrics", "labels", "data", "model", "options", "environment", "files")
    assert all(f'<section id="{name}"' in page for name in sections)
    assert '<section id="sentences"' not in page and "data-reload" not in page
    said = json.loads(invoke("report", trained, "-o", "a.html", "--json").stdout)
    assert said == {"runs": [str(trained)], "report": "a.html"}


def test_an_export_of_the_run_shows_its_signatures(trained, workplace):
    export = workplace / "saved_models" / trained.name
    export.mkdir(parents=True)
    tensor = {"x": {"dtype": "float32", "shape": [None, 8, 8]}}
    about = {"task": "classifier", "signatures": {"serving_default": {"inputs": tensor}}}
    (export / "signature.json").write_text(json.dumps(about))
    invoke("report", trained)
    assert "· × 8 × 8" in (trained / "report.html").read_text()


def test_several_runs_stand_side_by_side_with_their_differences(tmp_path):
    first = write_run(tmp_path / "first", "classifier", metrics=label_metrics(["a", "b"]))
    metrics = label_metrics(["a", "b"])
    metrics["test"] = metrics["test"] | {"accuracy": 0.95}
    options = {"epochs": 6, "units": [8, 8], "cell": "lstm"}
    write_run(tmp_path / "second", "classifier", metrics=metrics, options=options)
    assert invoke("report", first, tmp_path / "second").stdout == f"{first / 'compare.html'}\n"
    page = (first / "compare.html").read_text()
    assert "second is best, with accuracy of 0.95; first 0.875." in page
    options = page[page.index('<section id="options"') : page.index('<section id="data"')]
    differing, same = options.split("<details>")
    assert "cell" in differing and "units" not in differing and "units" in same


def test_given_is_what_was_given(tmp_path):
    of_data = {"options": {"level": "word", "max_length": 500, "min_frequency": 2}}
    made = {"data": {"name": "some", "source": "some.csv", **of_data}, "recipe": {}, "seed": 0}
    run = open_run(write_run(tmp_path / "new", "classifier", given=["cell", "max_length"], **made))
    command = "kerasrnn train some.csv --task classifier --cell gru --epochs 6 --max-length 500"
    assert command_of(run) == command  # epochs, for a run may go on with others
    found = {one.name: one.origin for one in settings_of(run)}
    assert found["max_length"] == "given" and found["level"] == found["units"] == "found"
    old = open_run(write_run(tmp_path / "old", "classifier", **made))
    assert "--units 8,8" in command_of(old) and "--level word" in command_of(old)


def test_data_in_memory_has_no_command(tmp_path):
    made = write_run(tmp_path / "run", "classifier", data={"name": "some", "source": ""})
    assert command_of(open_run(made)) == ""
    invoke("report", made)
    assert "the command that made it" not in (made / "report.html").read_text()


def test_runs_that_look_alike_have_no_best(tmp_path):
    metrics = label_metrics(["a", "b"])
    runs = [write_run(tmp_path / n, "classifier", metrics=metrics) for n in ("first", "second")]
    page = Path(invoke("report", *runs).stdout.strip()).read_text()
    assert "None is best alone in accuracy: first 0.875, second 0.875." in page


def test_several_trainings_in_one_run_have_their_mean_and_all_their_curves(tmp_path):
    whole = tmp_path / "whole"
    rows = [["seed-0", 0, {}], ["seed-1", 1, {}]]
    plan = {"members": rows, "ensemble": False, "options": {}}
    members = [name for name, *_ in rows]
    numbers = {"accuracy": {"mean": 0.875, "deviation": 0.01}}
    baseline = {"accuracy": {"mean": 0.25, "deviation": 0.0}}
    summary = {"summary": {"validation": numbers, "test": numbers, "most frequent label": baseline}}
    write_run(whole, "classifier", epochs=0, metrics=summary, members=members, plan=plan)
    for name in members:
        write_run(whole / name, "classifier", metrics=label_metrics(["a", "b"]))
    invoke("report", whole)
    page = (whole / "report.html").read_text()
    assert "Accuracy of 0.8750 ± 0.0100 on the test part, over 2 runs." in page
    assert "Better than every baseline." in page
    assert "seed-1, validation" in page and 'data-key="seed-0"' in page
    assert "some.csv --task classifier --seed 3 --seeds 2" in page
    (whole / "metrics.json").write_text(json.dumps(summary | label_metrics(["a", "b"])))
    invoke("report", whole)
    page = (whole / "report.html").read_text()
    assert "Accuracy of 0.875 on the test part; the best baseline, most frequent label" in page
    assert "<bdi>ensemble, test</bdi>" in page and "0.8750 ± 0.0100" in page


def test_inputs_are_drawn_as_the_pictures_of_a_run_draw_them():
    tokens = picture_of({"text": "a b c", "tokens": ["a", "b", "c"], "saliency": [0.4, None, 0]})
    assert [level for _, level in tokens["tokens"]] == [9, 0, 0]
    heat = picture_of({"values": [[(-1) ** k / n for n in range(1, 13)] for k in range(20)]})
    assert heat["kind"] == "heat"  # no image: it has values below 0
    assert picture_of({"values": [[16.0 * k] * 8 for k in range(8)]})["kind"] == "image"


def test_an_unfinished_run_has_a_page_that_says_so(places):
    page = Path(places["half"]).read_text()
    assert "Interrupted after 5 of 30 epochs" in page and "kerasrnn train --resume" in page
    assert '<section id="metrics"' not in page and "data-reload" not in page


def test_a_run_whose_files_are_not_as_they_should_be_is_refused_in_one_line(tmp_path):
    run = write_run(tmp_path / "run", "classifier", examples={"mistakes": [{"input": 3}]})
    assert "files that are not as a run has them" in refused("report", run)
    (run / "examples.json").write_text("{")
    assert "broken JSON" in refused("report", run)


@pytest.mark.slow
def test_a_page_opens_draws_its_charts_and_is_small(places, opened):
    page = opened(places["whole"])
    time = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    size = Path(places["whole"]).stat().st_size
    print(f"a report of 50 epochs opens in {time} ms and has {size:,} bytes")
    assert size < 3_000_000
    for number in range(page.locator("figure.chart").count()):
        chart = page.locator("figure.chart").nth(number)
        assert min(chart.locator("svg").bounding_box()[side] for side in ("width", "height")) > 150
        paths = chart.locator("path.line").evaluate_all("all => all.map((p) => p.getTotalLength())")
        assert paths and all(length > 50 for length in paths)


def test_nothing_of_a_run_is_taken_for_html(places, opened):
    page = opened(places["whole"])
    text = page.inner_text("body")
    assert all(words in text for words in HOSTILE)
    assert page.locator("main script:not([type='application/json'])").count() == 0
    assert page.locator("main img").count() == 2 and page.locator("[onfocus]").count() == 0


def test_a_chart_is_read_and_zoomed_by_keyboard_and_pointer(places, opened):
    page = opened(places["whole"])
    chart = page.locator("#curve-1")
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert chart.locator(".readout").inner_text().split() == [
        *("epoch", "2", "training", "0.5", "validation", "0.602")
    ]

    def ticks():
        return chart.locator("text.tick.middle").all_text_contents()[:-1]

    assert ticks() == ["10", "20", "30", "40", "50"]
    page.keyboard.press("End")
    page.keyboard.press("+")
    assert (
        ticks()[0] == "30"
        and page.locator("#curve-2 text.tick.middle").first.text_content() == "30"
    )
    page.keyboard.press("0")
    assert ticks()[0] == "10"
    box = chart.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.up()
    assert ticks() == ["10", "15"] and "epoch" in chart.locator(".readout").inner_text()
    chart.locator("svg").dblclick()
    assert ticks() == ["10", "20", "30", "40", "50"]


def test_all_controls_are_reached_by_tab_and_the_legend_hides_lines(places, opened):
    page = opened(places["whole"])
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    assert reached[0].endswith("#main")
    wanted = ["key-1", "key-2", "log", "smooth", "zoom-in", "zoom-out", "zoom-all", "curve-1"]
    assert [name for name in reached if name in wanted] == wanted
    lines = page.locator("#curve-1 path.line")
    before = lines.count()
    page.locator("#key-2").focus()
    page.keyboard.press("Enter")
    assert lines.count() == before - 1
    assert page.locator("#key-2").get_attribute("aria-pressed") == "false"
    page.keyboard.press("Space")
    assert lines.count() == before
    page.locator("#log").focus()
    page.keyboard.press("Space")
    assert "0.1" in page.locator("#curve-1 text.tick.end").all_text_contents()
    page.locator("#smooth").focus()
    page.keyboard.press("End")
    assert lines.count() == 2 * before


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scheme"), [("whole", "light"), ("several", "dark")])
def test_a_page_keeps_to_wcag_aa(places, opened, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(places[name], scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = axe.run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []


@pytest.mark.slow
def test_all_colours_keep_to_wcag_aa_in_the_dark(places, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(places["whole"], scheme="dark")
    found = axe.run(page, options={"runOnly": ["color-contrast"]})
    assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width"), [("whole", 360), ("whole", 1280), ("several", 360)])
def test_a_page_is_whole_at_any_width_and_alike_in_the_dark(places, opened, name, width):
    from matplotlib.image import imread

    page, what = opened(places[name], width), "section, figure, table, h2, nav, header"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    light = boxes(page, what)
    page.emulate_media(color_scheme="dark")
    assert boxes(page, what) == light
    tops, ends = zip(
        *((top, top + height) for _, top, _, height in boxes(page, "section")), strict=True
    )
    assert all(end <= top for end, top in zip(ends, tops[1:], strict=False))
    picture = imread(io.BytesIO(page.screenshot(full_page=True)))[..., :3]
    for top, end in zip(tops, ends, strict=True):
        part = picture[top + 2 : end]  # something stands in each section
        assert (np.abs(part - part[-1, -1]).max(-1) > 0.2).mean() > 0.003


def test_a_page_is_drawn_without_javascript(places, opened):
    page = opened(places["whole"], java_script_enabled=False)
    paths = page.locator("figure.chart path.line").evaluate_all(
        "all => all.map((path) => path.getBoundingClientRect().width)"
    )
    assert len(paths) > 5 and all(width > 20 for width in paths)
    assert not page.locator("#log").is_visible()


def test_a_page_prints(places, opened):
    pdf = opened(places["whole"], scheme="dark").pdf(format="A4", print_background=True)
    assert 2 <= pdf.count(b"/Type /Page\n") <= 12 and len(pdf) > 50_000


def test_a_live_page_loads_itself_anew_until_the_run_is_finished(places, opened, tmp_path):
    place = tmp_path / "report.html"
    again = Path(places["live"]).read_text().replace('data-reload="3"', 'data-reload="0.3"')
    write_text(place, again)
    page = opened(place)
    assert "Training: 5 of 30 epochs are done" in page.inner_text(".status")
    page.locator("#key-2").click()
    page.evaluate("scrollTo(0, 400)")
    write_text(place, again.replace("5 of 30", "6 of 30"))
    page.get_by_text("6 of 30").wait_for()
    page.wait_for_load_state("load")
    assert page.evaluate("scrollY") == 400
    assert page.locator("#key-2").get_attribute("aria-pressed") == "false"
    write_text(place, Path(places["half"]).read_text())
    page.get_by_text("Interrupted after").wait_for()
    assert page.evaluate("document.documentElement.dataset.reload") is None


@pytest.mark.slow
def test_a_live_training_is_the_same_and_goes_on_after_an_interrupt(
    workplace, digit_run, monkeypatch
):
    from kerasrnn.cli.live import LiveReport

    def press(self, epoch, logs=None):
        written(self, epoch, logs)
        assert 'data-reload="3"' in (self.path / "report.html").read_text()
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    words = ["train", "digits", "--units", "8,8", "--epochs", "2", "--live", "-o", "run"]
    written = LiveReport.on_epoch_begin
    with monkeypatch.context() as patched:
        patched.setattr(LiveReport, "on_epoch_begin", press)
        said = invoke(*words, code=130)
    assert said.stderr.count("live report") == 1
    page = (workplace / "run" / "report.html").read_text()
    assert "Interrupted after 1 of 2 epochs" in page and "data-reload" not in page
    invoke("train", "--resume", "run", "--live")
    page = (workplace / "run" / "report.html").read_text()
    assert "Accuracy of" in page and "data-reload" not in page
    own, other = open_run("run").history(), digit_run.history()
    assert all(own[name] == other[name] for name in own if name != "seconds")


def test_live_is_of_one_training(workplace):
    assert "--live of several trainings" in refused("train", "digits", "--seeds", "2", "--live")
