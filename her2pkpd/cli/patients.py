"""Commands for patients and their plasma: simulate, cohort, predict, nca."""

import argparse
from pathlib import Path

from her2pkpd.cli.common import Add, add_output, command, show


def add_simulate(add: Add) -> None:
    """``her2pkpd simulate``."""
    parser = command(
        add,
        "simulate",
        _simulate,
        "compute what a scenario leads to",
        """
        Simulate the wells a scenario.toml describes: cell lines, drugs and when they come and go, and what to
        report when.

        OUT.csv has one row per time and variable: time, time_unit, variable, value, unit, id, status. A well whose
        computation failed has empty values and says why in status.
        """,
    )
    parser.add_argument("scenario", metavar="SCENARIO.toml", help="system, doses, parameters and output")
    add_output(parser, "OUT.csv", "table to write")


def _simulate(options: argparse.Namespace) -> None:
    from her2pkpd.simulate import simulate_file

    show(repr(simulate_file(options.scenario, options.out, force=options.force)))


def add_cohort(add: Add) -> None:
    """``her2pkpd cohort``."""
    parser = command(
        add,
        "cohort",
        _cohort,
        "treat virtual patients in the arms of a trial",
        """
        Draw the patients a cohort.toml describes, treat each in every arm, and keep their endpoints: exposure, troughs,
        doses given, tumour response.

        DIR receives patients.parquet/, endpoints.parquet/, trajectories.parquet/ (a subsample's time courses),
        manifest.json and run.json, then summary.csv, figures/ and report.html. An interrupted run goes on with --resume
        and ends with the same files.
        """,
    )
    parser.set_defaults(interrupted="the same command with --resume goes on from here")
    parser.add_argument("settings", metavar="COHORT.toml", help="population, tumour, arms, endpoints and output")
    add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run, or mend a harmed one")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that computes the patients")
    kinds = ("auto", "kernel", "gpu")
    what = "what computes patients: a GPU (default where there is one) or the processor (kernel)"
    parser.add_argument("--engine", "--device", default="auto", choices=kinds, help=what)
    parser.add_argument("--threads", type=int, metavar="N", help="threads to use; default: one per core")
    parser.add_argument("--chunk", type=int, metavar="N", help="patients computed at once; results do not depend on it")
    aim = "count patients whose endpoint is at least VALUE; may be repeated"
    parser.add_argument("--target", action="append", default=[], metavar="ENDPOINT=VALUE", help=aim)
    parser.add_argument("--no-report", action="store_true", help="leave out summary.csv, figures/ and report.html")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _cohort(options: argparse.Namespace) -> None:
    from her2pkpd.cohort.run import Resources, cohort_file, progress_bar, summary
    from her2pkpd.report.cohort import check_targets, cohort_report, read_targets

    targets = read_targets(options.target)
    check_targets(options.settings, targets)
    resources = Resources(options.engine, options.threads, options.chunk, options.scheduler)
    with progress_bar(not options.quiet) as progress:
        found = cohort_file(
            options.settings,
            options.out,
            resume=options.resume,
            force=options.force,
            resources=resources,
            progress=progress,
        )
    if not options.no_report:
        cohort_report(options.out, title=Path(options.settings).stem, targets=targets)
    if not options.quiet:
        show(summary(found, options.out))


def add_predict(add: Add) -> None:
    """``her2pkpd predict``."""
    parser = command(
        add,
        "predict",
        _predict,
        "what a published population model gives for a NONMEM-style file",
        """
        Plasma concentrations of a library drug for the doses and covariates of every individual in DATA.csv, with
        covariates that change on the way; AMT in mg, RATE in mg per unit of TIME.

        OUT.csv has one row per observation: ID, occasion, TIME, time_unit, DVID, DV, PRED, unit, status.
        """,
    )
    parser.add_argument("data", metavar="DATA.csv", help="ID, TIME, AMT, EVID ... and covariates")
    parser.add_argument("--drug", required=True, metavar="NAME", help="drug of the library")
    parser.add_argument("--pk", metavar="MODEL", help="which of its models; the first by default")
    parser.add_argument(
        "--covariate",
        action="append",
        default=[],
        metavar="COLUMN=NAME[:UNIT]",
        help="which column is which covariate, as in WT=weight or ALB=albumin:g/dL",
    )
    parser.add_argument(
        "--carry",
        choices=("nocb", "locf"),
        default="nocb",
        help="covariates between two rows: the next row's (default, as NONMEM does) or the last row's",
    )
    parser.add_argument(
        "--occasions",
        choices=("refuse", "split"),
        default="refuse",
        help="a TIME that starts again at a reset: refuse it (default), or begin a new occasion",
    )
    parser.add_argument("--time-unit", default="h", metavar="UNIT", help="of TIME and II: h (default), d ...")
    add_output(parser, "OUT.csv", "table to write")


def _predict(options: argparse.Namespace) -> None:
    from her2pkpd.data.nonmem_predict import predict_file

    found = predict_file(
        options.data,
        options.drug,
        options.out,
        force=options.force,
        pk=options.pk,
        covariates=options.covariate,
        carry=options.carry,
        occasions=options.occasions,
        time_unit=options.time_unit,
    )
    show(f"{len(found)} observations of {found['ID'].nunique()} individuals")


def add_nca(add: Add) -> None:
    """``her2pkpd nca``."""
    parser = command(
        add,
        "nca",
        _nca,
        "non-compartmental analysis of concentrations in plasma",
        """
        AUC (linear up, logarithmic down), Cmax, Tmax, lambda_z with the rule it was found by, half-life, CL, Vss, Vz,
        and at steady state (column tau) AUCtau, Cavg, Cmin and fluctuation.

        DIR receives nca.csv, one row for each id. "BLQ", "<0.5" or a blank is below the limit of quantification: zero
        before the first measurable concentration, left out after it.
        """,
    )
    parser.add_argument("data", metavar="DATA.csv", help="id, time, concentration, dose, and their units")
    add_output(parser, "DIR", "folder for the results")


def _nca(options: argparse.Namespace) -> None:
    from her2pkpd.data.nca import nca_file

    nca_file(options.data, options.out, force=options.force)
