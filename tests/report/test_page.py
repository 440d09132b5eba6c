"""Pages and figures."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd.fit.curves import Curve
from her2pkpd.report.figures import curve_figure, published_figure, waterfall_figure
from her2pkpd.report.page import Page, png

DOSE = np.geomspace(1, 1000, 41)


def curve(**more):
    plain = {
        "cell_line": "SK-BR-3", "drug": "lapatinib", "assay": "", "time": 72.0, "readout": "viability", "partner": (),
        "dose": DOSE, "prediction": 1 / (1 + DOSE / 30), "measured": np.array([[3.0, 0.9, 0.02], [30.0, 0.5, np.nan]]),
    }  # fmt: skip
    return Curve(**{**plain, **more})


def test_text_is_escaped_everywhere():
    page = Page("<a> & <b>")
    page.heading("<h>")
    page.text("<script>alert(1)</script>")
    page.table(pd.DataFrame({"<c>": ["<d>"]}))
    page.figures([('"><x>', b"png")])
    text = page.html()
    for bad in ("<a>", "<h>", "<script>", "<c>", "<d>", '"><x>'):
        assert bad not in text
    assert text.startswith("<!doctype html>")


def test_numbers_are_rounded_missing_ones_blank_and_flags_are_words():
    page = Page("t")
    page.table(pd.DataFrame({"x": [1234.5678, np.nan], "n": [3, 4], "ok": [True, False], "s": ["a", "b"]}), digits=3)
    text = page.html()
    assert '<td class="number">1.23e+03</td><td class="number">3</td><td>yes</td><td>a</td>' in text
    assert '<td class="number"></td>' in text


def test_an_empty_table_is_a_header():
    page = Page("t")
    page.table(pd.DataFrame(columns=["a", "b"]))
    assert "<th>a</th><th>b</th>" in page.html()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "measured": np.zeros((0, 3)),
            "marks": (("GR50", 30.0), ("GR50 beyond", 500.0), ("GRmax", -0.3)),
            "readout": "gr",
        },
        {"partner": (("trastuzumab", 5.0),), "readout": "cell_count", "prediction": 1e4 * DOSE},
        {"prediction": np.full(41, np.nan), "readout": "occupancy.trastuzumab"},
        {"prediction": np.full(41, np.nan), "measured": np.zeros((0, 3))},
    ],
)
@pytest.mark.parametrize("baseline", [None, np.full(41, 0.4)])
def test_a_curve_is_drawn_whatever_it_holds(more, baseline):
    figure = curve_figure(curve(**more), baseline=baseline)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "lapatinib, nM"
    assert "SK-BR-3" in axes.get_title(loc="left")
    assert png(figure)[:4] == b"\x89PNG"


@pytest.mark.parametrize("costs", [[], [5.0], [np.inf], [1.0, 1.0, 7.0, np.inf]])
def test_the_waterfall_shows_finite_starts(costs):
    figure = waterfall_figure(costs)
    (line,) = figure.axes[0].lines
    assert len(line.get_xdata()) == np.isfinite(costs).sum()
    png(figure)


def test_published_against_fitted_with_what_was_never_reached():
    table = pd.DataFrame(
        {
            "drug": ["lapatinib", "lapatinib", "neratinib"],
            "published": [60.0, 8000.0, -0.1],
            "fitted": [50.0, np.inf, -0.2],
            "unit": ["nM", "nM", "1"],
            "censoring": ["none", "right", "none"],
        }
    )
    for rows in (table, table[:1], table[2:]):
        figure = published_figure(rows.reset_index(drop=True))
        assert len(figure.axes) == 2
        png(figure)
