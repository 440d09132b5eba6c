import numpy as np
import pandas as pd
import pytest

from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.summary import bands, quantile_name, summarise
from her2pkpd.cohort.summary_source import Join, batches, columns_of, read
from her2pkpd.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Patients and endpoints as tables, and as Parquet datasets of several parts."""
    rng, n = np.random.default_rng(5), 1000
    patients = pd.DataFrame(
        {"patient": np.arange(n), "weight": rng.lognormal(4.2, 0.2, n), "asia": rng.random(n) < 0.2}
    )
    rows = [
        pd.DataFrame({
            "patient": np.arange(n), "arm": arm, "status": np.where(rng.random(n) < 0.03, "max_steps", "ok"),
            "Cmin": rng.lognormal(mu, 0.4, n),
        })
        for arm, mu in (("low", 2.0), ("high", 3.0))
    ]  # fmt: skip
    endpoints = pd.concat(rows).sort_values(["patient", "arm"], ignore_index=True)
    endpoints.loc[endpoints["status"] != "ok", "Cmin"] = np.nan
    folder = tmp_path_factory.mktemp("cohort")
    for name, table in (("patients", patients), ("endpoints", endpoints)):
        (folder / f"{name}.parquet").mkdir()
        for i, part in enumerate(np.array_split(np.arange(len(table)), 7)):
            own = table.iloc[part].reset_index(drop=True)
            own = own.astype({c: "category" for c in ("arm", "status") if c in own})
            pq.write_table(pa.Table.from_pandas(own), folder / f"{name}.parquet" / f"part-{i:05d}.parquet")
    return folder, patients, endpoints


def test_parquet_gives_what_the_table_gives(cohort):
    folder, patients, endpoints = cohort
    weights = pd.Series(np.random.default_rng(0).random(len(patients)), index=patients["patient"])
    for own in (None, weights):
        from_table = summarise(endpoints, ["Cmin"], weights=own)
        from_file = summarise(folder / "endpoints.parquet", ["Cmin"], weights=own)
        pd.testing.assert_frame_equal(from_table, from_file, check_dtype=False, check_categorical=False)
        pd.testing.assert_frame_equal(
            attainment(endpoints, "Cmin", [5.0, 20.0], weights=own),
            attainment(str(folder / "endpoints.parquet"), "Cmin", [5.0, 20.0], weights=own),
        )


def test_batches_are_small_and_complete(cohort):
    folder, _, endpoints = cohort
    parts = list(batches(folder / "endpoints.parquet", ["Cmin"], where={"arm": "low"}, rows=50))
    assert max(map(len, parts)) <= 50
    assert sum(map(len, parts)) + sum(p.failed for p in parts) == 1000
    expected = endpoints.loc[(endpoints["arm"] == "low") & (endpoints["status"] == "ok"), "Cmin"]
    np.testing.assert_array_equal(np.concatenate([p.values("Cmin") for p in parts]), expected)


def test_patients_join_their_endpoints(cohort):
    folder, patients, endpoints = cohort
    for rows, people in ((endpoints, patients), (folder / "endpoints.parquet", folder / "patients.parquet")):
        both = Join(rows, people)
        assert {"weight", "Cmin", "arm"} <= set(columns_of(both))
        found = read(both, ["patient", "weight", "Cmin"], where={"arm": "high", "asia": True})
        own = endpoints.merge(patients, on="patient")
        own = own[(own["arm"] == "high") & own["asia"] & (own["status"] == "ok")]
        np.testing.assert_array_equal(found.values("weight"), own["weight"])
        np.testing.assert_array_equal(found.values("Cmin"), own["Cmin"])
    with pytest.raises(InputError, match="not in the table of patients"):
        read(Join(endpoints, patients.iloc[5:]), ["weight"])
    with pytest.raises(InputError, match="several rows for one patient"):
        read(Join(endpoints, pd.concat([patients, patients])), ["weight"])


def test_the_failed_are_left_out_and_counted(cohort):
    _, _, endpoints = cohort
    table = summarise(endpoints, ["Cmin"]).set_index("arm")
    bad = endpoints["status"] != "ok"
    assert (table["failed"] == bad.sum()).all()
    for arm, row in table.iterrows():
        x = endpoints.loc[~bad & (endpoints["arm"] == arm), "Cmin"]
        assert row["patients"] == len(x)
        assert row["mean"] == pytest.approx(x.mean())
        assert row["geometric_mean"] == pytest.approx(np.exp(np.log(x).mean()))
        assert row["geometric_cv"] == pytest.approx(np.sqrt(np.expm1(np.log(x).var())))
        assert row["q50"] == np.quantile(x, 0.5, method="inverted_cdf")


def test_bands_of_trajectories():
    table = pd.DataFrame({"patient": np.tile(np.arange(101), 3), "arm": "a", "time": np.repeat([0.0, 1.0, 2.0], 101)})
    table["plasma.x"] = np.tile(np.arange(101.0), 3) * (1.0 + table["time"])
    found = bands(table, "plasma.x")
    np.testing.assert_allclose(found["q50"], [50.0, 100.0, 150.0])
    np.testing.assert_allclose(found["q95"], [95.0, 190.0, 285.0])
    assert list(found["patients"]) == [101] * 3


def test_names_of_quantiles():
    assert [quantile_name(p) for p in (0.05, 0.5, 0.025, 0.975, 1.0)] == ["q05", "q50", "q02.5", "q97.5", "q100"]


@pytest.mark.parametrize(
    ("change", "call", "message"),
    [
        ({}, {"columns": ["Cmon"]}, "Did you mean 'Cmin'"),
        ({}, {"columns": ["Cmin"], "where": {"arms": "low"}}, "Did you mean 'arm'"),
        ({"w": -1.0}, {"columns": ["Cmin"], "weights": "w"}, "zero or positive"),
        ({}, {"columns": ["Cmin"], "weights": pd.Series({0: 1.0})}, "every patient needs one"),
    ],
)
def test_what_is_refused(cohort, change, call, message):
    _, _, endpoints = cohort
    with pytest.raises(InputError, match=message):
        read(endpoints.assign(**change), **call)


def test_text_is_no_endpoint(cohort):
    _, _, endpoints = cohort
    with pytest.raises(InputError, match="must hold numbers"):
        summarise(endpoints.assign(word="x"), ["word"])


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "nothing.parquet", ["x"])
