"""`assay`: the door to the four assays, as data frames and as files."""

from pathlib import Path

import pandas as pd

from her2pkpd.data.assay.copy_number import read_copy_number
from her2pkpd.data.assay.ihc import read_ihc
from her2pkpd.data.assay.ish import read_ish
from her2pkpd.data.assay.sampling import read_sampling
from her2pkpd.data.table import Source
from her2pkpd.errors import InputError, Problem

WITH_EDITION = {"ihc": read_ihc, "ish": read_ish}
"""Assays a guideline rules."""
WITHOUT_EDITION = {"copy-number": read_copy_number, "sampling": read_sampling}
"""Assays no guideline rules."""
KINDS = (*WITH_EDITION, *WITHOUT_EDITION)
"""Every assay."""


def assay(kind: str, source: Source, *, edition: str | None = None) -> pd.DataFrame:
    """Call every case of a table.

    Args:
        kind: "ihc", "ish", "copy-number" or "sampling".
        source: CSV or data frame; the columns are those of `her2pkpd.data.assay.ihc.read_ihc` and its neighbours.
        edition: "2007", "2013", "2018" or "2023", for rows without an ``edition`` of their own; by default 2018,
            which 2023 reaffirmed. Only for "ihc" and "ish".

    Returns:
        The input columns and, beside them, call, reason and what else the assay yields; one row a case.

    Raises:
        InputError: listing every problem of the table by row and column.
    """
    if kind in WITH_EDITION:
        return WITH_EDITION[kind](source, edition)
    if kind not in WITHOUT_EDITION:
        raise InputError(Problem("unknown assay", f"Use one of: {', '.join(KINDS)}.", value=kind))
    if edition is not None:
        raise InputError(Problem(f"no guideline rules '{kind}'", "Leave the edition out.", value=edition))
    return WITHOUT_EDITION[kind](source)


def assay_file(
    kind: str, path: str | Path, out: str | Path, *, edition: str | None = None, force: bool = False
) -> pd.DataFrame:
    """Call every case of a CSV file and write the result.

    Args:
        kind: as in `assay`.
        path: the CSV file.
        out: CSV to write.
        edition: as in `assay`.
        force: overwrite an existing file.

    Returns:
        The table written.

    Raises:
        InputError: as `assay`, or for an existing `out` without `force`; nothing is written.
    """
    out = Path(out)
    if out.exists() and not force:
        raise InputError(Problem("the output file exists", "Choose another name, or say --force.", file=str(out)))
    frame = assay(kind, path, edition=edition)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    frame.to_csv(partial, index=False, lineterminator="\n")
    partial.replace(out)
    return frame
