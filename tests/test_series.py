"""Series: cut in order of time, their windows, times, calendar and season."""

import numpy as np
import pytest

from kerasrnn import InputError, Series
from kerasrnn.data import times as time
from kerasrnn.data.readers import Rows, TimeSeries
from kerasrnn.data.series_batches import SeriesBatches
from kerasrnn.data.windows import WindowFormat

RNG = np.random.default_rng(0)
OPTIONS = {"horizon": 3, "window": 5, "season": None, "validation_split": 0.1}


def numbered(rows=100, **options):
    """A series whose values are the numbers of its rows."""
    return Series.from_arrays(np.arange(float(rows)), **{"horizon": 3, "window": 5, **options})


def test_no_value_to_predict_of_one_part_is_in_another():
    """Each part predicts rows after all that the part before predicts, and none is left out."""
    data = numbered()
    seen = {}
    for name, part in data.parts().items():
        inputs, y = part.take(slice(None))
        np.testing.assert_array_equal(inputs["x"][:, -1, 0] + 1, y[:, 0, 0])  # right before them
        seen[name] = set(y.ravel().tolist())
    assert max(seen["training"]) < min(seen["validation"])
    assert max(seen["validation"]) < min(seen["test"])
    assert seen["test"] == set(range(80, 100))
    assert seen["validation"] == set(range(72, 80)) and seen["training"] == set(range(5, 72))


def test_what_training_learns_from_does_not_depend_on_later_values():
    """Windows, scale, season and the linear start are those of a series with another end."""
    from kerasrnn.tasks.linear_forecast import fit_linear

    rows = np.sin(np.arange(200) * np.pi / 6) + RNG.normal(0, 0.1, 200)
    other = rows.copy()
    other[160:] = RNG.normal(50, 9, 40)
    data, changed = (Series.from_arrays(some, horizon=3, window=24) for some in (rows, other))
    np.testing.assert_array_equal(data.scale, changed.scale)
    assert data.season == changed.season == 12
    for index in (0, 1):
        first, second = (some.train.take(slice(None))[index] for some in (data, changed))
        first, second = (some["x"] if isinstance(some, dict) else some for some in (first, second))
        np.testing.assert_array_equal(first, second)
    starts = [fit_linear(some) for some in (data, changed)]
    np.testing.assert_array_equal(starts[0].kernel, starts[1].kernel)
    assert data.fingerprint() != changed.fingerprint()


def test_several_series_share_no_window():
    data = Series.from_arrays(
        [np.arange(60.0), 1000 + np.arange(40.0), np.arange(3.0)], horizon=2, window=4
    )
    for part in data.parts().values():
        inputs, y = part.take(slice(None))
        steps = np.diff(np.concatenate([inputs["x"], y], axis=1)[:, :, 0])
        assert (steps == 1).all()
    assert data.sizes()["test"] == 11 + 7


def test_a_test_part_of_its_own_follows():
    rows, later = np.arange(50.0)[:, None], 50 + np.arange(10.0)[:, None]
    found = TimeSeries("a", [Rows(rows)], ("v",), ("v",), test=[Rows(later)])
    data = Series.from_rows(found, "", "a", OPTIONS)
    inputs, y = data.test.take(slice(None))
    assert len(y) == 8 and y.min() == 50 and inputs["x"].min() == 45


@pytest.mark.parametrize("later", [[*range(200, 230), *range(270, 290)], range(270, 320)])
def test_no_row_of_a_test_file_with_gaps_is_trained_on(later):
    """Nor does a gap before it take the place of the validation part."""
    rows = [
        Rows(np.array(days, float)[:, None], np.datetime64("2020-01-01") + np.array(days))
        for days in (range(200), later)
    ]
    found = TimeSeries("a", rows[:1], ("v",), ("v",), test=rows[1:])
    data = Series.from_rows(found, "", "a", OPTIONS)
    seen = {name: set(part.take(slice(None))[1].ravel()) for name, part in data.parts().items()}
    assert seen["training"] == set(range(5, 180)) and seen["validation"] == set(range(180, 200))
    assert seen["test"] == {*later}


def test_large_values_of_a_file_differ_as_those_in_memory(tmp_path):
    from kerasrnn import Roles, load_series

    path = tmp_path / "a.csv"
    path.write_text("x\n" + "".join(f"{100_000_000 + i}\n" for i in range(60)))
    assert load_series(path, roles=Roles(target="x"), horizon=3, window=5).scale == [1]
    path.write_text("x\n" + "".join(f"{i}e300\n" for i in range(60)))
    with pytest.raises(InputError, match="too large, or not finite: found 1e[+]300"):
        load_series(path, roles=Roles(target="x"), horizon=3, window=5)


def test_a_series_of_the_test_part_alone_is_named():
    training, test = (
        [Rows(np.arange(50.0)[:, None], None, id) for id in ids] for ids in ["ab", "bc"]
    )
    found = TimeSeries("a", training, ("v",), ("v",), test=test)
    with pytest.warns(UserWarning, match="left out of the test part: c$"):
        Series.from_rows(found, "", "a", OPTIONS)


def test_missing_values_are_carried_forward_and_never_predicted():
    rows = np.stack([np.arange(100.0), np.arange(100.0)], axis=1)
    rows[10:13] = np.nan
    data = Series.from_arrays(rows, targets=["1"], horizon=2, window=4)
    inputs, y = data.train.take(slice(None))
    assert np.isfinite(inputs["x"]).all() and not set(y.ravel()) & {10, 11, 12}
    row = np.flatnonzero(y[:, 0, 0] == 13)
    np.testing.assert_array_equal(inputs["x"][row[0], :, 1], [9, 9, 9, 9])


def test_known_columns_are_seen_over_the_horizon():
    rows = np.stack([np.arange(50.0), 100 + np.arange(50.0)], axis=1)
    data = Series.from_arrays(rows, columns=["v", "k"], known=["k"], horizon=3, window=4)
    inputs, y = data.test.take(np.array([0, 2]))
    assert data.targets == ("v",)
    np.testing.assert_array_equal(inputs["known"][:, :, 0], y[:, :, 0] + 100)


def test_naive_forecasts_repeat_the_last_season():
    data = numbered(season=2)
    inputs, _ = data.test.take(slice(None))
    x = inputs["x"][:, :, 0]
    np.testing.assert_array_equal(data.test.before(1)[:, :, 0], x[:, [-1, -1, -1]])
    np.testing.assert_array_equal(data.test.before(2)[:, :, 0], x[:, [-2, -1, -2]])
    assert data.scale == [2.0]


def test_batches_repeat_with_their_seed_and_differ_by_epoch():
    data = numbered(200)
    one, two = (SeriesBatches(data.train, 16, seed=3, most_windows=50) for _ in range(2))
    assert len(one) == 4 and one[3][1].shape == (2, 3, 1)
    np.testing.assert_array_equal(one[1][1], two[1][1])
    one.on_epoch_end()
    assert (one[1][1] != two[1][1]).any()


@pytest.mark.parametrize(
    ("times", "step", "after"),
    [
        (["2020-01-31", "2020-02-29", "2020-03-31"], ("months", 1), "2020-04-30"),
        (["1949-01", "1949-02", "1949-03"], ("months", 1), "1949-04-01"),
        (["2019-01", "2020-01", "2021-01"], ("months", 12), "2022-01-01"),
        (["2020-01-01T00", "2020-01-01T01"], ("us", 3_600_000_000), "2020-01-01T02"),
        (["2020-02-27", "2020-02-28", "2020-02-29"], ("us", 86_400_000_000), "2020-03-01"),
    ],
)
def test_times_go_on_at_their_step(times, step, after):
    times = np.array(times, "M8[us]")
    found = time.step_of(times)
    assert found == step
    assert found.after(times[-1], 2)[0] == np.datetime64(after)


def test_gaps_become_missing_rows():
    times = np.array(["2020-01-01", "2020-01-02", "2020-01-05", "2020-01-06"], "M8[D]")
    values, filled = time.regular(np.arange(4.0)[:, None], times, "a.csv")
    np.testing.assert_array_equal(values.ravel(), [0, 1, np.nan, np.nan, 2, 3])
    assert (np.diff(filled) == np.timedelta64(1, "D")).all()
    with pytest.warns(UserWarning, match="without a regular step"):
        time.regular(np.zeros((4, 1)), np.array([0.0, 1.0, 2.4, 3.0]), "a.csv")
    with pytest.raises(InputError, match=r"a.csv: times that do not rise: found 2020-01-01"):
        time.regular(np.zeros((2, 1)), times[[1, 0]], "a.csv")


def test_seasons_are_found_where_there_are_some():
    hours = time.Step("us", 3_600_000_000)
    day = np.sin(np.arange(1000) * 2 * np.pi / 24) + RNG.normal(0, 0.5, 1000)
    assert time.find_season(day + np.arange(1000) / 50, hours) == 24
    assert time.find_season(day, None) == 24
    noise = RNG.normal(size=1000)
    assert time.find_season(noise, hours) is None
    assert time.find_season(noise.cumsum(), None) is None
    assert time.find_season(np.ones(100), None) is None
    assert time.find_season(np.full(100, np.nan), None) is None


def test_calendar_turns_once_a_cycle():
    hours = np.arange("2024-01-01", "2024-01-08", dtype="M8[h]")
    found = time.calendar(hours, ("hour", "weekday"))
    angle = 2 * np.pi * np.arange(168) / 24
    np.testing.assert_allclose(found[:, :2], np.c_[np.sin(angle), np.cos(angle)], atol=1e-9)
    np.testing.assert_allclose(found[:, 2], np.sin(angle / 7), atol=1e-9)
    day = time.Step("us", 86_400_000_000)
    assert time.calendar_names(day, 700) == ("weekday",)
    assert time.calendar_names(day, 800) == ("weekday", "season")
    assert time.calendar_names(time.Step("months", 1), 24) == ("season",)
    assert time.calendar_names(time.Step("number", 1), 9999) == ()


def test_the_defaults_follow_from_the_season():
    months = np.arange("2000-01", "2012-01", dtype="M8[M]")
    rows = np.sin(np.arange(144) * np.pi / 6)
    with pytest.warns(UserWarning, match="predicting 12 rows, a season; choose with --horizon"):
        data = Series.from_arrays(rows, times=months)
    assert (data.season, data.horizon, data.window) == (12, 12, 36)
    assert data.calendar == ("season",) and len(data.known) == 2


@pytest.mark.parametrize(
    ("horizon", "season", "rows", "window"),
    [
        (12, 12, 1000, 48),
        (1, 12, 1000, 36),
        (1, 12, 100, 24),  # a third of the rows before the test part
        (3, 80, 1000, 160),
        (7, 365, 4000, 28),  # the calendar tells such a season
        (1, None, 1000, 16),
        (1, None, 200, 8),
        (6, None, 1000, 24),
    ],
)
def test_a_window_holds_seasons_whatever_the_horizon(horizon, season, rows, window):
    data = Series.from_arrays(np.arange(rows) ** 2, horizon=horizon, season=season)
    assert data.window == window


def test_a_window_to_forecast_from_is_made_as_those_of_training():
    """The last window of the rows before a test window is that window."""
    times = np.arange("2020-01-01", "2021-01-01", dtype="M8[D]")
    rows = RNG.normal(size=(len(times), 2))
    rows[200:203, 0] = np.nan
    data = Series.from_arrays(rows, times=times, known=["2"], horizon=4, window=9)
    expected, _ = data.test.take(np.array([5]))
    end = data.test.origins[5]
    given = rows[: end + 4].copy()
    given[end:, 0] = np.nan
    format = WindowFormat.from_json(data.format().to_json())
    assert format == data.format()
    inputs, after = format.last_window(Rows(given, times[: end + 4]))
    assert inputs.keys() == expected.keys() == {"x", "known"}
    for name, array in inputs.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)
    np.testing.assert_array_equal(after, times[end : end + 4])
    with pytest.raises(InputError, match="known in advance: found 0 rows of it; expected 4 rows"):
        format.last_window(Rows(rows[:end], times[:end]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon out of range"),
        ({"window": 90}, "too short for a window of its training part.*smaller --horizon"),
        ({"targets": ["x"]}, "no such target: found x; expected 1"),
        ({"known": ["1"], "targets": ["1"]}, "a target that is known in advance: found 1"),
        ({"validation_split": 1.0}, "validation split out of range"),
    ],
)
def test_bad_series_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        numbered(**change)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.filterwarnings("ignore:.*predicting 1 row")
def test_a_series_of_one_row_or_none_is_refused(rows):
    with pytest.raises(InputError, match=f"series too short .*: found {rows} rows"):
        Series.from_arrays(np.arange(rows))


def test_infinite_values_are_refused():
    with pytest.raises(InputError, match="not finite: found inf in 1 of row 7"):
        Series.from_arrays(np.where(np.arange(50) == 6, np.inf, 0), horizon=2, window=3)
