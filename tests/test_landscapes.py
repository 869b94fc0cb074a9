"""Landscapes as files, figures and a section of a report, from numbers that are made up."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from made_up_runs import page_of
from test_frame import fake_run

from savo_bench.results import landscapes, plots
from savo_bench.results.files import CorruptFile
from savo_bench.results.landscape_plots import landscape_figure, landscape_pictures
from savo_bench.results.landscapes import Count, Landscape, Point, Surrogate


def made_up(kind: landscapes.Kind = "line", surrogates: int = 2, **changed) -> Landscape:
    """Q = x (1 - x) on five points, in a plane 5 × 3 with a corner outside the box."""
    x = np.linspace(0, 1, 5)
    q = x * (1 - x)
    if kind == "plane":
        q = np.tile(q, (3, 1))
        q[0, 0] = np.nan
    proposals = tuple(Point(0.25 * i, 0.5, 0.1 * i, inside=i != 1) for i in range(surrogates + 1))
    usual = Landscape(
        state=7,
        kind=kind,
        x=x,
        y=np.linspace(0, 1, 3) if kind == "plane" else np.empty(0),
        axes=("action", "") if kind == "plane" else ("action",),
        q=q,
        valid=q > 0.1 if kind == "line" else np.empty(0, bool),
        proposals=proposals,
        chosen=surrogates,
        highest=Point(0.5, 0.5, 0.25),
        lowest=0.0,
        maxima=None if kind == "items" else Count(1, 0),
        surrogates=tuple(
            Surrogate(i + 1, None if i else 0.1, q, q - 0.5, *([] if kind == "items" else [Count(1, 0), Count(3, 2)]))
            for i in range(surrogates)
        ),
    )
    return dataclasses.replace(usual, **changed)


def test_gaps_are_shares_of_the_span():
    assert made_up().gap(2) == pytest.approx(0.2)
    flat = made_up(lowest=0.25)
    assert flat.gap(0) == 0


@pytest.mark.parametrize("kind", ["line", "plane", "items"])
def test_what_is_written_is_read_back(tmp_path, kind):
    folder, written = fake_run(tmp_path, [1]), made_up(kind)
    landscapes.write(folder, [written, made_up(kind, 0)])
    read, without = landscapes.read(folder)
    assert without.surrogates == ()
    for name in ("x", "y", "q", "valid"):
        np.testing.assert_allclose(getattr(read, name), getattr(written, name), rtol=1e-5)
    for each, other in zip(read.surrogates, written.surrogates, strict=True):
        assert (each.index, each.floor) == (other.index, other.floor)
        assert (each.exact_maxima, each.learnt_maxima) == (other.exact_maxima, other.learnt_maxima)
        np.testing.assert_allclose(each.learnt, other.learnt, rtol=1e-5)
    for name in ("proposals", "highest", "axes", "maxima"):
        assert getattr(read, name) == getattr(written, name)


def test_a_seed_without_a_file_has_none(tmp_path):
    assert landscapes.read(fake_run(tmp_path, [1])) == []


def damaged(document: dict, **changed):
    return {**document, "landscapes": [{**document["landscapes"][0], **changed}]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: [],
        lambda whole: {**whole, "schema": 99},
        lambda whole: damaged(whole, kind="cube"),
        lambda whole: damaged(whole, proposals=[{"x": 1}]),
        lambda whole: damaged(whole, q="high"),
        lambda whole: damaged(whole, maxima=1.0),
        lambda whole: {"schema": whole["schema"], "landscapes": 3},
    ],
)
def test_a_damaged_file_is_named_in_the_report_and_stops_nothing(tmp_path, damage):
    folder = fake_run(tmp_path / "x", [1] * 4)
    landscapes.write(folder, [made_up()])
    folder.landscapes.write_text(json.dumps(damage(json.loads(folder.landscapes.read_text()))))
    with pytest.raises(CorruptFile, match=r"landscapes\.json.*bench landscape makes"):
        landscapes.read(folder)
    page = page_of(tmp_path / "x")[1]
    assert "## Files with problems" in page
    assert "## Landscapes" not in page


@pytest.mark.parametrize("kind", ["line", "plane", "items"])
@pytest.mark.parametrize("surrogates", [0, 3, 7])
@pytest.mark.parametrize("states", [1, 3])
def test_any_number_of_states_and_actors_is_drawn_the_same_each_time(kind, surrogates: int, states: int):
    shown = [made_up(kind, surrogates)] * states
    one, other = (plots.content(landscape_figure(shown), "svg") for _ in range(2))
    assert one == other
    drawn = [axes for axes in landscape_figure(shown).axes if axes.axison and axes.get_title()]
    assert len(drawn) == states * (1 + surrogates * (2 if kind == "plane" else 1))


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_kind_of_file_has_the_same_bytes_each_time(kind: str):
    one, other = (plots.content(landscape_figure([made_up()]), kind) for _ in range(2))
    assert one == other
    assert b"CreationDate" not in one
    assert b"/Type3" not in one  # publishers refuse such fonts


def test_heights_in_shares_put_q_between_0_and_1_and_the_top_of_what_is_fitted_at_the_top_of_q():
    shared = landscapes.in_shares(made_up(lowest=-0.25, surrogates=2))  # a span of .5
    np.testing.assert_allclose(shared.q, [0.5, 0.875, 1, 0.875, 0.5])
    assert [point.q for point in shared.proposals] == pytest.approx([0.5, 0.7, 0.9])
    assert (shared.highest.q, shared.lowest, shared.gap(1)) == (1, 0, pytest.approx(0.3))
    for surrogate in shared.surrogates:
        np.testing.assert_allclose(surrogate.exact, shared.q)
        np.testing.assert_allclose(surrogate.learnt, shared.q)  # it lay .5 below, everywhere
    assert shared.surrogates[0].floor == pytest.approx(0.7)
    lower = made_up(surrogates=1)
    (moved,) = landscapes.in_shares(
        dataclasses.replace(lower, surrogates=(dataclasses.replace(lower.surrogates[0], exact=lower.q - 3),))
    ).surrogates
    np.testing.assert_allclose(moved.exact, lower.q / 0.25)
    assert np.isfinite(landscapes.in_shares(made_up(lowest=0.25)).q).all()  # flat


@pytest.mark.parametrize("kind", ["line", "plane", "items"])
def test_pictures_of_a_film_have_the_same_axes_whatever_the_level_and_the_span_of_q(kind):
    usual = made_up(kind, 1)
    higher = dataclasses.replace(
        usual,
        q=7 + 100 * usual.q,
        proposals=tuple(dataclasses.replace(point, q=7 + 100 * point.q) for point in usual.proposals),
        highest=dataclasses.replace(usual.highest, q=32.0),
        lowest=7.0,
        surrogates=tuple(Surrogate(s.index, 17.0, 7 + 100 * s.exact, 7 + 100 * s.learnt) for s in usual.surrogates),
    )
    one, other = landscape_pictures({1000: [usual] * 2, 2000: [higher] * 2})
    assert one.dtype == np.uint8
    assert one.shape == other.shape
    assert not any(side % 2 for side in one.shape[:2])
    title = 45  # pixels
    assert (one[:title] != other[:title]).any()
    np.testing.assert_array_equal(one[title:], other[title:])


def test_panels_of_a_film_stay_where_they_are_when_proposals_move():
    near, far = (made_up(surrogates=0, proposals=(Point(x, 0.0, q),), chosen=0) for x, q in ((0.5, 0.25), (0.0, 0.0)))
    one, other = landscape_pictures({1000: [near], 1001: [far]})
    axis = one.shape[0] - 1 - (one[::-1].min(2) < 60).mean(1).argmax()  # the row with most dark pixels
    assert axis == other.shape[0] - 1 - (other[::-1].min(2) < 60).mean(1).argmax()
    assert (one != other).any()


def test_invalid_actions_are_shaded():
    axes = landscape_figure([made_up(surrogates=0)]).axes[0]
    edges = sorted(patch.get_extents().transformed(axes.transData.inverted()).x0 for patch in axes.patches)
    assert edges == pytest.approx([-0.125, 0.875])  # .25, .5 and .75 are valid
    assert not landscape_figure([made_up(surrogates=0, valid=np.ones(5, bool))]).axes[0].patches


def test_a_report_shows_the_landscapes_of_seeds_that_are_done(tmp_path):
    for seed, state in enumerate(("done", "done", "running")):
        landscapes.write(fake_run(tmp_path / "x", [1] * 4, seed=seed, state=state), [made_up()])
    report, page = page_of(tmp_path / "x", now=1001)
    assert page.count("figures/landscape-") == 2
    assert (report.folder / "figures").glob("landscape-*-0.png")
    fake_run(tmp_path / "y", [1] * 4)
    assert "## Landscapes" not in page_of(tmp_path / "y", tmp_path / "out-y")[1]


def test_a_report_says_how_many_maxima_each_landscape_has(tmp_path):
    shown = made_up(maxima=Count(2, 1)), made_up(surrogates=0, state=8)
    landscapes.write(fake_run(tmp_path / "x", [1] * 4), shown)
    report, page = page_of(tmp_path / "x")
    assert "| restricted-hopper | td3 | 0 | 7 | 2 (1) | 1, 1 | 3 (2), 3 (2) |" in page
    assert "| restricted-hopper | td3 | 0 | 8 | 1 | – | – |" in page
    rows = pd.read_csv(report.folder / "tables" / "landscape-maxima.csv")
    columns = ["state", "landscape", "actor", "maxima", "on_border"]
    assert rows[columns].to_numpy().tolist() == [
        [7, "Q", 0, 2, 1],
        [7, "exact", 1, 1, 0],
        [7, "learnt", 1, 3, 2],
        [7, "exact", 2, 1, 0],
        [7, "learnt", 2, 3, 2],
        [8, "Q", 0, 1, 0],
    ]


def test_landscapes_of_items_have_no_maxima_to_count(tmp_path):
    landscapes.write(fake_run(tmp_path / "x", [1] * 4), [made_up("items")])
    page = page_of(tmp_path / "x")[1]
    assert "## Landscapes" in page
    assert "Prominent maxima of Q₁, and of Ψ" not in page
