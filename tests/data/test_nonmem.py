"""The NONMEM reader: every quirk named, every bad row reported with its remedy."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd.data.nonmem import Compartment, nonmem_frame, read_nonmem, records, write_nonmem
from her2pkpd.errors import InputError
from tests.dosing.nmtest import DATA

HEAD = "ID,TIME,DV,AMT,RATE,II,ADDL,SS,CMT,EVID,MDV,CENS\n"
DOSE = "1,0,.,100,0,12,2,0,1,1,1,0\n"
SEEN = "1,4,3.2,.,.,.,.,.,1,0,0,0\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def line(**changed):
    base = dict(zip(HEAD.strip().split(","), DOSE.strip().split(","), strict=True))
    return ",".join((base | changed).values()) + "\n"


BAD = {
    "a date": (HEAD + line(TIME="2020-01-03") + SEEN, "not a date", 2),
    "a clock time": (HEAD + line(TIME="8:30") + SEEN, "clock time", 2),
    "no time": (HEAD + line(TIME=".") + SEEN, "TIME is missing", 2),
    "text as time": (HEAD + line(TIME="noon") + SEEN, "TIME must be a number", 2),
    "infinite time": (HEAD + DOSE + line(TIME="inf", EVID="0", AMT="0", II="0", ADDL="0", MDV="1"), "finite", 3),
    "negative dose": (HEAD + line(AMT="-5") + SEEN, "AMT must not be negative", 2),
    "text as dose": (HEAD + line(AMT="100mg") + SEEN, "AMT must be a number", 2),
    "dose of nothing": (HEAD + line(AMT="0") + SEEN, "a dose needs AMT", 2),
    "rate of nothing": (HEAD + line(AMT="0", RATE="5") + SEEN, "an infusion needs AMT", 2),
    "AMT on an observation": (HEAD + DOSE + line(TIME="4", EVID="0", MDV="1", ADDL="0"), "only a dose has AMT", 3),
    "RATE on an observation": (
        HEAD + DOSE + line(TIME="4", EVID="0", MDV="1", AMT="0", RATE="3", ADDL="0"),
        "only a dose has RATE",
        3,
    ),
    "ADDL on an observation": (HEAD + DOSE + line(TIME="4", EVID="0", MDV="1", AMT="0"), "only a dose has ADDL", 3),
    "SS on an observation": (
        HEAD + DOSE + line(TIME="4", EVID="0", MDV="1", AMT="0", ADDL="0", SS="1"),
        "only a dose has SS",
        3,
    ),
    "RATE -3": (HEAD + line(RATE="-3") + SEEN, "RATE must be 0, positive, -1 or -2", 2),
    "negative ADDL": (HEAD + line(ADDL="-1") + SEEN, "ADDL must be a whole number", 2),
    "half a dose more": (HEAD + line(ADDL="1.5") + SEEN, "ADDL must be a whole number", 2),
    "ADDL without II": (HEAD + line(II="0") + SEEN, "ADDL needs II", 2),
    "negative II": (HEAD + line(II="-12") + SEEN, "II must not be negative", 2),
    "SS 5": (HEAD + line(SS="5") + SEEN, "SS must be 0, 1 or 2", 2),
    "SS without II": (HEAD + line(SS="1", II="0", ADDL="0") + SEEN, "SS needs II", 2),
    "endless with II": (HEAD + line(SS="1", AMT="0", RATE="5", ADDL="0") + SEEN, "has no II", 2),
    "endless with ADDL": (HEAD + line(SS="1", AMT="0", RATE="5", II="0") + SEEN, "has no ADDL", 2),
    "negative compartment": (HEAD + line(CMT="-2") + SEEN, "switch a compartment off", 2),
    "half a compartment": (HEAD + line(CMT="1.5") + SEEN, "CMT must be a whole number", 2),
    "EVID 7": (HEAD + line(EVID="7") + SEEN, "EVID is not one of", 2),
    "EVID 10101": (HEAD + line(EVID="10101") + SEEN, "switching its rate", 2),
    "MDV 2": (HEAD + line(MDV="2") + SEEN, "MDV must be 0 or 1", 2),
    "MDV 0 without DV": (HEAD + DOSE + SEEN.replace("3.2", "."), "an observation needs DV", 3),
    "CENS 3": (HEAD + DOSE + SEEN.replace("0,0\n", "0,3\n"), "CENS must be", 3),
    "time falls": (HEAD + DOSE + SEEN + SEEN.replace("1,4,", "1,3,"), "TIME must not fall", 4),
    "time starts again": (HEAD + DOSE + SEEN + line(TIME="0", EVID="4"), "starts again at a reset", 4),
    "ID apart": (HEAD + DOSE + DOSE.replace("1,0,", "2,0,", 1) + SEEN, "must stand together", 4),
    "no ID": (HEAD + DOSE + SEEN.replace("1,4,", ".,4,"), "ID is missing", 3),
    "no ID column": (HEAD.replace("ID", "AGE") + DOSE, "required column is missing", 1),
    "a column twice": (HEAD.replace("CENS", "AMT") + DOSE, "there twice", 1),
    "a ragged row": (HEAD + "1,0,.,100\n" + SEEN, "cells but the header", 2),
    "semicolons": (HEAD.replace(",", ";") + DOSE.replace(",", ";"), "semicolons", 1),
}


def test_there_are_enough_of_them():
    assert len(BAD) >= 30


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_refused_with_row_and_remedy(name, tmp_path):
    text, rule, row = BAD[name]
    with pytest.raises(InputError) as caught:
        read_nonmem(write(tmp_path / "data.csv", text))
    found = [p for p in caught.value.problems if rule in p.rule]
    assert found, str(caught.value)
    assert found[0].row == row
    assert found[0].remedy


def test_all_bad_rows_are_reported_at_once(tmp_path):
    path = write(tmp_path / "data.csv", HEAD + line(AMT="-1") + line(TIME="1", SS="9") + line(TIME="2", RATE="-7"))
    with pytest.raises(InputError) as caught:
        read_nonmem(path)
    assert {p.row for p in caught.value.problems} == {2, 3, 4}


def test_coded_events_are_doses_to_a_compartment(tmp_path):
    path = write(tmp_path / "data.csv", "ID,TIME,DV,AMT,EVID,CMT\n1,0,0,100,201,9\n1,1,5,0,0,2\n")
    (subject,) = read_nonmem(path)
    assert (subject.events[0].evid, subject.events[0].compartment) == (1, 2)
    assert subject.value.tolist() == [5.0]


def test_an_observation_above_its_dose_is_read_before_it(tmp_path):
    text = "ID,TIME,DV,AMT,EVID\n1,0,.,10,1\n1,12,1,0,0\n1,12,.,10,1\n1,12,2,0,0\n"
    (subject,) = read_nonmem(write(tmp_path / "data.csv", text))
    assert subject.before.tolist() == [True, False]
    assert subject.save_times()[0] < 12.0 == subject.save_times()[1]


def test_writing_and_reading_gives_the_same(tmp_path):
    text = HEAD.replace("\n", ",WT\n") + DOSE.replace("\n", ",70\n") + SEEN.replace("\n", ",70\n")
    (subject,) = read_nonmem(write(tmp_path / "data.csv", text))
    write_nonmem([subject], tmp_path / "again.csv")
    (again,) = read_nonmem(tmp_path / "again.csv")
    assert [vars(e) | {"row": 0} for e in again.events] == [vars(e) | {"row": 0} for e in subject.events]
    np.testing.assert_array_equal(again.value, subject.value)
    assert again.first("WT") == 70.0


OCCASIONS = (
    "ID,TIME,DV,AMT,EVID,WT\n1,0,.,10,1,70\n1,4,3,0,0,70\n1,0,.,20,4,71\n"
    "1,5,4,0,0,71\n1,0,.,0,3,72\n1,6,5,0,0,72\n2,0,.,9,1,60\n"
)


def test_a_time_that_starts_again_is_a_new_occasion_where_asked_for(tmp_path):
    path = write(tmp_path / "data.csv", OCCASIONS)
    with pytest.raises(InputError, match='occasions="split"'):
        read_nonmem(path)
    found = read_nonmem(path, occasions="split")
    assert [(s.id, s.occasion) for s in found] == [("1", 1), ("1", 2), ("1", 3), ("2", 1)]
    assert [[e.evid for e in s.events] for s in found] == [[1], [4], [3], [1]]
    assert [s.time.tolist() for s in found] == [[4.0], [5.0], [6.0], []]
    assert [s.first("WT") for s in found] == [70.0, 71.0, 72.0, 60.0]
    write_nonmem(found, tmp_path / "again.csv")
    again = read_nonmem(tmp_path / "again.csv", occasions="split")
    assert [(s.id, s.occasion) for s in again] == [(s.id, s.occasion) for s in found]


def test_occasions_do_not_excuse_a_time_that_falls_without_a_reset(tmp_path):
    path = write(tmp_path / "data.csv", OCCASIONS.replace("20,4", "20,1"))
    with pytest.raises(InputError, match="TIME must not fall within an ID"):
        read_nonmem(path, occasions="split")


class OtherColumn:
    """What data frames of other libraries have in common, and no more."""

    def __init__(self, values):
        self.values = values

    def to_list(self):
        return list(self.values)


class OtherFrame(dict):
    @property
    def columns(self):
        return list(self)


def test_frames_of_other_libraries_are_read():
    columns = {"ID": [1, 1], "TIME": [0.0, 2.0], "DV": [None, 4.0], "AMT": [10.0, None], "SEX": ["F", "F"]}
    (subject,) = read_nonmem(OtherFrame({k: OtherColumn(v) for k, v in columns.items()}))
    assert (subject.value.tolist(), subject.events[0].amount, subject.first("SEX")) == ([4.0], 10.0, "F")
    with pytest.raises(InputError, match="is no table"):
        read_nonmem(17)


@pytest.mark.parametrize("library", ["polars", "pyarrow", "narwhals"])
def test_frames_of_real_libraries_are_read(library):
    columns = {"ID": [1, 1], "TIME": [0.0, 2.0], "DV": [None, 4.0], "AMT": [10.0, None]}
    module = pytest.importorskip(library)
    if library == "narwhals":
        frame = module.from_native(pd.DataFrame(columns))
    else:
        frame = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    (subject,) = read_nonmem(frame)
    assert (subject.value.tolist(), subject.events[0].amount) == ([4.0], 10.0)


def test_frames_are_read_like_files():
    frame = pd.DataFrame({"ID": [1, 1], "TIME": [0.0, 2.0], "DV": [np.nan, 4.0], "AMT": [10.0, 0.0]})
    (subject,) = read_nonmem(frame)
    assert len(subject.events) == subject.time.size == 1
    assert not nonmem_frame([subject]).empty


def test_what_the_model_lacks_is_said(tmp_path):
    (subject,) = read_nonmem(write(tmp_path / "data.csv", HEAD + line(RATE="-2") + SEEN))
    with pytest.raises(InputError, match="needs a modelled duration"):
        records(subject, {1: Compartment("central.d")})
    with pytest.raises(InputError, match="compartment the model does not have"):
        records(subject, {2: Compartment("central.d")})


PUBLISHED = {"theo_sd": (12, 132), "theo_md": (12, 264), "warfarin": (32, None), "Infusion_2CPT": (20, None)}
"""Files with the number of individuals and, where it is known, of observations."""


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_as_they_are(name):
    subjects, observed = PUBLISHED[name]
    found = read_nonmem(DATA / f"{name}.csv")
    assert len(found) == subjects
    assert observed is None or sum(s.time.size for s in found) == observed
    assert all(s.events for s in found)
