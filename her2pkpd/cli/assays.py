"""The command for HER2 assays."""

import argparse

from her2pkpd.cli.common import Add, add_output, command, show


def add_assay(add: Add) -> None:
    """``her2pkpd assay``."""
    parser = command(
        add,
        "assay",
        _assay,
        "call HER2 assays: IHC, ISH, bulk copy number, sampling",
        """
        OUT.csv is FILE.csv with the call of each case and the reason in words. A value is compared as written and
        never rounded: a ratio of 1.995 is below 2.0.

        ihc: case, intensity (none, faint, weak, weak-moderate, moderate, intense), completeness (none, incomplete,
        complete), percent_cells; further patterns of a specimen in intensity_2, completeness_2, percent_cells_2.

        ish: case, ratio, her2_copies, ihc[, recount_ratio, recount_her2_copies]; or nuclei, her2_signals,
        cep17_signals as sums; or one row a nucleus: case, nucleus, her2_signals, cep17_signals. Without a ratio it
        is a single-probe case, with an optional dual_probe_group.

        copy-number: four of purity, fraction_amplified, cn_amplified, cn_unamplified, cn_observed; the missing one
        is returned, with an interval where standard deviations (purity_sd ...) are given.

        sampling: pattern (mosaic, focal), fraction_amplified[, icc, nuclei, cores, cn_amplified, cn_unamplified].
        """,
    )
    parser.add_argument("kind", metavar="KIND", choices=("ihc", "ish", "copy-number", "sampling"), help="which assay")
    parser.add_argument("file", metavar="FILE.csv", help="one row a case")
    parser.add_argument("--edition", metavar="YEAR", help="of the ASCO/CAP guideline: 2007, 2013, 2018 (default), 2023")
    add_output(parser, "OUT.csv", "table to write")


def _assay(options: argparse.Namespace) -> None:
    from her2pkpd.data.assay.run import assay_file

    frame = assay_file(options.kind, options.file, options.out, edition=options.edition, force=options.force)
    counts = ", ".join(f"{n} {call}" for call, n in frame["call"].value_counts().items())
    show(f"{len(frame)} case{'s' if len(frame) != 1 else ''}: {counts}")
