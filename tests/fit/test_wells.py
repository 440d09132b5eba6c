"""From plates to observations."""

import numpy as np
import pytest

from her2pkpd.errors import InputError
from her2pkpd.fit.settings import DataSource
from her2pkpd.fit.wells import read_source, treatments_of
from her2pkpd.library import open_library

HEAD = "cell_line,drug,concentration,unit,drug_2,concentration_2,unit_2,time,time_unit,readout,value,sd,seeded_cells\n"


@pytest.fixture
def read(tmp_path):
    def one(rows, kind="plate", head=HEAD, **more):
        path = tmp_path / "plate.csv"
        path.write_text(head + rows, encoding="utf-8")
        return read_source(DataSource(path, kind, **more), open_library())

    return one


def test_wells_become_observations_in_canonical_units(read):
    rows = "SK-BR-3,lapatinib,58.1,ng/mL,,,,3,d,percent_viability,40,5,\n"
    rows += "SK-BR-3,lapatinib,0,nM,,,,3,d,percent_viability,100,,\n"
    (found,), metrics = read(rows, assay="mine", seeded=700.0)
    assert metrics == []
    t = found.signal.treatment
    assert (t.cell_line, t.assay, t.seeded) == ("SK-BR-3", "mine", 700.0)
    ((drug, dose),) = t.doses
    assert drug == "lapatinib"
    assert dose == pytest.approx(100.0, rel=1e-3)
    assert (found.signal.time, found.signal.readout) == (72.0, "viability")
    assert (found.value, found.sd) == pytest.approx((0.4, 0.05))


def test_the_order_of_drugs_in_a_row_does_not_matter(read):
    rows = "SK-BR-3,trastuzumab,5,nM,lapatinib,30,nM,72,h,viability,0.5,,\n"
    back = "SK-BR-3,lapatinib,30,nM,trastuzumab,5,nM,72,h,viability,0.5,,\n"
    assert read(rows)[0][0].signal == read(back)[0][0].signal


def test_counts_at_time_zero_are_the_seeding_and_untreated_counts_are_data(read):
    rows = (
        "SK-BR-3,,0,,,,,0,h,cell_count,900,,\nSK-BR-3,,0,,,,,0,h,cell_count,1100,,\n"
        "SK-BR-3,,0,,,,,72,h,cell_count,4000,,\nSK-BR-3,lapatinib,30,nM,,,,72,h,cell_count,2000,,\n"
    )
    found, _ = read(rows)
    assert [o.signal.treatment.seeded for o in found] == [1000.0, 1000.0]
    assert [len(o.signal.treatment.doses) for o in found] == [0, 1]


def test_counts_at_time_zero_go_by_plate_where_the_plate_has_them(tmp_path):
    path = tmp_path / "plate.csv"
    row = "SK-BR-3,{drug},{dose},nM,{time},h,cell_count,{count},{plate}\n"
    rows = [
        ("", 0, 0, 900, "A"),
        ("", 0, 0, 500, "B"),
        ("lapatinib", 30, 72, 2000, "A"),
        ("lapatinib", 30, 72, 1100, "B"),
    ]
    rows.append(("lapatinib", 30, 72, 1500, "C"))
    text = "cell_line,drug,concentration,unit,time,time_unit,readout,value,plate\n"
    text += "".join(row.format(drug=d, dose=c, time=t, count=n, plate=p) for d, c, t, n, p in rows)
    path.write_text(text, encoding="utf-8")
    found, _ = read_source(DataSource(path, "plate"), open_library())
    assert [o.signal.treatment.seeded for o in found] == [900.0, 500.0, 700.0]


def test_seeding_in_the_file_comes_before_that_of_the_settings(read):
    rows = "SK-BR-3,lapatinib,30,nM,,,,72,h,viability,0.5,,300\nBT-474,lapatinib,30,nM,,,,72,h,viability,0.5,,\n"
    found, _ = read(rows, seeded=800.0)
    assert [o.signal.treatment.seeded for o in found] == [300.0, 800.0]


@pytest.mark.parametrize(
    ("drugs", "whose"),
    [
        ("trastuzumab,1,nM,lapatinib,10,nM", "trastuzumab"),
        ("lapatinib,10,nM,trastuzumab,1,nM", "trastuzumab"),
        ("pertuzumab,1,nM,trastuzumab,1,nM", "pertuzumab"),
        ("pertuzumab,0,nM,trastuzumab,1,nM", "trastuzumab"),
    ],
)
def test_occupancy_is_that_of_the_first_antibody_named(read, drugs, whose):
    (found,), _ = read(f"SK-BR-3,{drugs},24,h,occupancy,0.5,,\n")
    assert found.signal.readout == f"occupancy.{whose}"


def test_occupancy_without_an_antibody_is_refused_with_its_row(read):
    with pytest.raises(InputError, match="occupancy is that of an antibody") as refused:
        read("SK-BR-3,trastuzumab,1,nM,,,,24,h,occupancy,0.5,,\nSK-BR-3,lapatinib,10,nM,,,,24,h,occupancy,0.5,,\n")
    (problem,) = refused.value.problems
    assert problem.row == 3
    assert problem.file


def test_only_the_drugs_asked_for_are_kept(read):
    rows = "SK-BR-3,lapatinib,30,nM,,,,72,h,viability,0.5,,\nSK-BR-3,neratinib,3,nM,,,,72,h,viability,0.5,,\n"
    found, _ = read(rows, drugs=("neratinib",))
    assert treatments_of(found, []) == (["neratinib"], ["SK-BR-3"])


METRICS = "cell_line,drug,metric,value,unit,time,time_unit,assay,top_concentration,top_unit,source,certainty\n"


def test_published_metrics_with_limits(read):
    rows = (
        "SK-BR-3,lapatinib,GR50,0.06,uM,72,h,a,10,uM,x,assumed\nBT-474,lapatinib,GR50,>8,uM,3,d,,10,uM,x,assumed\n"
        "BT-474,lapatinib,GRmax,-0.2,1,72,h,,10,uM,x,assumed\n"
    )
    wells, found = read(rows, "metrics", METRICS)
    assert wells == []
    assert [(m.metric, m.censoring, m.time, m.top) for m in found] == [
        ("GR50", "none", 72.0, 1e4), ("GR50", "right", 72.0, 1e4), ("GRmax", "none", 72.0, 1e4),
    ]  # fmt: skip
    np.testing.assert_allclose([m.value for m in found], [60.0, 8000.0, -0.2])
    assert found[0].assay == "a"


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("SK-BR-3,lapatinib,GR50,60,nM,72,h,a,,,x,assumed", "top_concentration", "a fit needs the highest dose tested"),
        ("SK-BR-3,lapatinib,GR50,60,nM,,,a,10,uM,x,assumed", "time", "a fit needs the assay's duration"),
        ("SK-BR-3,lapatinib,AUC,0.6,1,72,h,a,10,uM,x,assumed", "metric", ""),
    ],
)
def test_metrics_a_fit_cannot_use(read, row, column, rule):
    with pytest.raises(InputError) as refused:
        read(row + "\n", "metrics", METRICS)
    (problem,) = refused.value.problems
    assert (problem.row, problem.column) == (2, column)
    assert problem.rule.startswith(rule)
