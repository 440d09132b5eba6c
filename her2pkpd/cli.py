"""The command line: thin, every subcommand one function of the package.

Exit codes: 0 done; 2 bad input (one message, nothing written); 3 a computation failed (what finished is kept and
marked).
"""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from her2pkpd import __version__
from her2pkpd.errors import EXIT_OK, Her2Error

if TYPE_CHECKING:
    from rich.console import RenderableType

    from her2pkpd.library import CellLine, Drug, Quantity

_Add = Callable[..., argparse.ArgumentParser]
_INTERRUPTED = 130
_EXAMPLES = """
examples:
  her2pkpd drugs lapatinib
  her2pkpd simulate scenario.toml --out out.csv
  her2pkpd fit fits/her2-inhibitors/fit.toml --out out/her2-inhibitors
  her2pkpd cohort cohort.toml --out out/cohort
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``her2pkpd``; None takes the process's own.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except Her2Error as error:
        sys.stderr.write(f"her2pkpd {options.command}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"her2pkpd {options.command}: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a pager) left; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="her2pkpd",
        description="Pharmacokinetics and pharmacodynamics of HER2-targeted therapy.",
        epilog=_EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28),
    )
    parser.add_argument("--version", action="version", version=f"her2pkpd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_fit(commands.add_parser)
    _add_sbc(commands.add_parser)
    _add_simulate(commands.add_parser)
    _add_design(commands.add_parser)
    _add_export(commands.add_parser)
    _add_gr(commands.add_parser)
    _add_synergy(commands.add_parser)
    _add_cohort(commands.add_parser)
    _add_assay(commands.add_parser)
    _add_predict(commands.add_parser)
    _add_nca(commands.add_parser)
    _add_library(commands.add_parser, "drugs", "drug", "trastuzumab", _drugs)
    _add_library(commands.add_parser, "cell-lines", "cell line", "SK-BR-3", _cell_lines)
    return parser


def _command(
    add: _Add,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    text: str,
) -> argparse.ArgumentParser:
    width = min(shutil.get_terminal_size().columns, 100) - 2
    paragraphs = [textwrap.fill(p, width) for p in textwrap.dedent(text).strip().split("\n\n")]
    parser = add(
        name,
        help=summary,
        description="\n\n".join(paragraphs),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_output(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    parser.add_argument("--out", required=True, metavar=metavar, help=what)
    parser.add_argument("--force", action="store_true", help="write even over something else's results")


def _add_fit(add: _Add) -> None:
    parser = _command(
        add,
        "fit",
        _fit,
        "estimate mechanism parameters from measured wells",
        """
        Estimate the parameters a fit.toml asks for from the plates it names, starting from many points, and say
        for each whether the data determine it.

        DIR receives parameters.csv (estimate, interval, verdict), predictions.csv, fit.json, run.json, a figure
        per curve under figures/ and report.html, one file to read in a browser. With [method] sample = "nuts",
        "laplace" or "smc" it also receives draws of the posterior (posterior.nc, for ArviZ), posterior.csv,
        predictive_checks.csv and their figures.

        An interrupted fit, run again into the same folder, goes on where it was and ends with the same results.
        The same fit may be repeated into the same folder; a folder with anything else in it is left alone.
        """,
    )
    parser.add_argument("settings", metavar="FIT.toml", help="data, model, parameters to estimate, noise and method")
    _add_output(parser, "DIR", "folder for the results")
    resume = {"action": argparse.BooleanOptionalAction, "default": True}
    parser.add_argument("--resume", **resume, help="go on from an interrupted run into DIR, or start afresh")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _add_sbc(add: _Add) -> None:
    parser = _command(
        add,
        "sbc",
        _sbc,
        "check that a fit's posteriors are right, by simulation",
        """
        Simulation-based calibration: draw parameters from the priors of a fit.toml, simulate its wells with them,
        sample each posterior, and see whether the truth lies in it as often as it should.

        DIR receives sbc.csv (p-value and verdict per parameter), ranks.csv, figures/, report.html and run.json. An
        interrupted run, started again into the same folder, goes on where it was.
        """,
    )
    parser.add_argument("settings", metavar="FIT.toml", help="the fit; measured values do not matter")
    parser.add_argument("--plates", type=int, default=192, metavar="N", help="plates simulated (192)")
    _add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _add_design(add: _Add) -> None:
    parser = _command(
        add,
        "design",
        _design,
        "plan the next plate of a fit",
        """
        Choose concentrations, times, cell lines and replicates, within a number of wells, so that the fit's
        parameters, or one of them, come out as narrow as they can. The table [design] of FIT.toml says what wells
        there may be; data and priors of the fit count as what is known already.

        DIR receives plate.csv (one row a well with its position, to be pipetted, filled in and fitted), design.csv
        (kinds of wells, beside the usual 8-point half-log series), gain.csv (expected intervals), figures/ and
        report.html.
        """,
    )
    parser.add_argument("settings", metavar="FIT.toml", help="settings of a fit with a table [design]")
    _add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _add_simulate(add: _Add) -> None:
    parser = _command(
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
    _add_output(parser, "OUT.csv", "table to write")


def _add_export(add: _Add) -> None:
    parser = _command(
        add,
        "export",
        _export,
        "write a scenario as SBML, or a fit as PEtab",
        """
        sbml: PATH is a file. A scenario.toml (well, co-culture, xenograft or patient) becomes SBML Level 3 Version 2
        with its parameters, and its doses and washes as events.

        petab: PATH is a folder. A fit.toml becomes a PEtab version 2 problem: SBML model, conditions, experiments,
        observables, measurements, and parameters with priors. What PEtab cannot say (potencies read off a whole
        curve) is left out and named in left_out.txt. Nominal values are where the fit starts, or with --fit DIR the
        estimates of a finished fit.
        """,
    )
    parser.add_argument("format", metavar="FORMAT", choices=("sbml", "petab"), help="sbml or petab")
    parser.add_argument("settings", metavar="FILE.toml", help="a scenario for sbml, a fit for petab")
    _add_output(parser, "PATH", "file (sbml) or folder (petab) to write")
    parser.add_argument("--id", type=int, default=0, metavar="N", help="sbml: which patient, where there are several")
    parser.add_argument("--fit", metavar="DIR", help="petab: folder of a finished fit, for the nominal values")


def _add_gr(add: _Add) -> None:
    parser = _command(
        add,
        "gr",
        _gr,
        "growth-rate inhibition values and metrics of a plate",
        """
        Normalised growth-rate inhibition (GR) of every treated well, and the metrics of every curve.

        DIR receives gr_values.csv (the plate with a GR column) and gr_metrics.csv (GR50, GRmax, GEC50, GRinf,
        Hill coefficient, area over the curve, and the F-test against a flat line). The plate needs untreated
        wells, and cell counts at time zero or a doubling time.
        """,
    )
    parser.add_argument("plate", metavar="PLATE.csv", help="one row a well")
    _add_output(parser, "DIR", "folder for the results")


def _add_synergy(add: _Add) -> None:
    parser = _command(
        add,
        "synergy",
        _synergy,
        "whether, how much and where drugs of a plate act in synergy",
        """
        Score every combination of a plate, one or hundreds, against Bliss, HSA, Loewe, ZIP and Chou-Talalay, and fit
        MuSyC, BRAID and effective-dose surfaces; everything with 95 % intervals.

        DIR receives synergy.csv (every score at every dose; its name says which side is synergy), surfaces.csv,
        ranking.csv (block means, corrected for multiple testing), summary.json, figures/ and report.html. The plate
        needs each drug alone and together, in the columns drug, concentration, unit and drug_2, ...
        """,
    )
    parser.add_argument("plate", metavar="PLATE.csv", help="one row a well")
    _add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_cohort(add: _Add) -> None:
    parser = _command(
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
    parser.add_argument("settings", metavar="COHORT.toml", help="population, tumour, arms, endpoints and output")
    _add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run, or mend a harmed one")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that computes the patients")
    parser.add_argument("--engine", default="auto", choices=("auto", "kernel", "gpu"), help="default: a GPU if any")
    parser.add_argument("--threads", type=int, metavar="N", help="threads to use; default: one per core")
    parser.add_argument("--chunk", type=int, metavar="N", help="patients computed at once; results do not depend on it")
    aim = "count patients whose endpoint is at least VALUE; may be repeated"
    parser.add_argument("--target", action="append", default=[], metavar="ENDPOINT=VALUE", help=aim)
    parser.add_argument("--no-report", action="store_true", help="leave out summary.csv, figures/ and report.html")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _add_assay(add: _Add) -> None:
    parser = _command(
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
    _add_output(parser, "OUT.csv", "table to write")


def _add_predict(add: _Add) -> None:
    parser = _command(
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
    _add_output(parser, "OUT.csv", "table to write")


def _add_nca(add: _Add) -> None:
    parser = _command(
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
    _add_output(parser, "DIR", "folder for the results")


def _add_library(
    add: _Add,
    command: str,
    kind: str,
    example: str,
    run: Callable[[argparse.Namespace], None],
) -> None:
    parser = _command(
        add,
        command,
        run,
        f"the {kind}s of the library, with units and sources",
        f"""
        Without a name: every {kind} the library knows. With one ({example}, say): each of its numbers with unit,
        spread, source and how sure we are of it. Case, spaces and dashes in names do not matter.

        Certainty is one of: published; secondary (read in a transcription); memory; derived (arithmetic on
        published numbers); calibrated (chosen so that the model meets a published behaviour); assumed.
        """,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one {kind}")
    parser.add_argument("--library", metavar="PATH", help="your own TOML file or folder, laid over the library")


def _fit(options: argparse.Namespace) -> None:
    from her2pkpd.report.fit import fit_file

    result = fit_file(
        options.settings, options.out, force=options.force, progress=not options.quiet, resume=options.resume
    )
    if not options.quiet:
        _print(result.summary(), f"Read {Path(options.out) / 'report.html'} in a browser.")


def _design(options: argparse.Namespace) -> None:
    from her2pkpd.report.design import design_file

    plan = design_file(options.settings, options.out, force=options.force, progress=not options.quiet)
    if not options.quiet:
        _print(repr(plan), f"Read {Path(options.out) / 'report.html'} in a browser.")


def _sbc(options: argparse.Namespace) -> None:
    from her2pkpd.report.sbc import sbc_file

    found = sbc_file(
        options.settings, options.out, plates=options.plates, force=options.force, progress=not options.quiet
    )
    if not options.quiet:
        _print(found.table().to_string(index=False))


def _simulate(options: argparse.Namespace) -> None:
    from her2pkpd.simulate import simulate_file

    _print(repr(simulate_file(options.scenario, options.out, force=options.force)))


def _export(options: argparse.Namespace) -> None:
    if options.format == "sbml":
        from her2pkpd.simulate.run import sbml_file

        sbml_file(options.settings, options.out, patient=options.id, force=options.force)
        return
    from her2pkpd.petab import petab_file

    _print(repr(petab_file(options.settings, options.out, force=options.force, fit=options.fit)))


def _gr(options: argparse.Namespace) -> None:
    from her2pkpd.data.gr import gr_file

    _print(repr(gr_file(options.plate, options.out, force=options.force)))


def _assay(options: argparse.Namespace) -> None:
    from her2pkpd.data.assay.run import assay_file

    frame = assay_file(options.kind, options.file, options.out, edition=options.edition, force=options.force)
    counts = ", ".join(f"{n} {call}" for call, n in frame["call"].value_counts().items())
    _print(f"{len(frame)} case{'s' if len(frame) != 1 else ''}: {counts}")


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
    _print(f"{len(found)} observations of {found['ID'].nunique()} individuals")


def _nca(options: argparse.Namespace) -> None:
    from her2pkpd.data.nca import nca_file

    nca_file(options.data, options.out, force=options.force)


def _synergy(options: argparse.Namespace) -> None:
    from her2pkpd.report.synergy import synergy_file

    synergy_file(options.plate, options.out, force=options.force, progress=not options.quiet)


def _cohort(options: argparse.Namespace) -> None:
    from her2pkpd.cohort.run import Resources, cohort_file, progress_bar, summary
    from her2pkpd.report.cohort import cohort_report, read_targets

    targets = read_targets(options.target)
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
        _print(summary(found, options.out))


def _drugs(options: argparse.Namespace) -> None:
    from her2pkpd.library import drug_names, load_drug

    if options.name is None:
        drugs = [load_drug(name, options.library) for name in drug_names(options.library)]
        rows = [(d.name, d.kind, _target(d), ", ".join(d.synonyms)) for d in drugs]
        _print(_table(["drug", "kind", "target", "also known as"], rows))
        return
    drug = load_drug(options.name, options.library)
    also = f", also known as {', '.join(drug.synonyms)}" if drug.synonyms else ""
    _print(f"{drug.name}: {drug.kind}, {_target(drug)}{also}", _quantities(drug.quantities().items()))


def _target(drug: "Drug") -> str:
    if drug.epitope:
        return f"HER2 {drug.epitope}"
    return ", ".join(f"{kinase} kinase ({held.mode})" for kinase, held in drug.kinases.items())


def _cell_lines(options: argparse.Namespace) -> None:
    from her2pkpd.library import cell_line_names, load_cell_line

    if options.name is None:
        lines = [load_cell_line(name, options.library) for name in cell_line_names(options.library)]
        columns = ("HER2", "HER3", "EGFR", "doubling_time")
        rows = [(x.name, x.status, *(_brief(x.quantities.get(c)) for c in columns)) for x in lines]
        _print(_table(["cell line", "status", "HER2/cell", "HER3/cell", "EGFR/cell", "doubling time, h"], rows))
        return
    line = load_cell_line(options.name, options.library)
    _print(_describe(line), _quantities(line.quantities.items()))
    found = [(name, quantity) for name, quantities in line.reported.items() for quantity in quantities]
    if found:
        _print("Other values found:", _quantities(found))


def _describe(line: "CellLine") -> str:
    words = [w for w in (line.tissue, line.status, line.subtype) if w]
    also = [f"also known as {', '.join(line.synonyms)}"] if line.synonyms else []
    return f"{line.name}: {', '.join([*words, *also])}"


def _brief(quantity: "Quantity | None") -> str:
    return "" if quantity is None else f"{quantity.canonical:.3g}"


def _quantities(items: "Iterable[tuple[str, Quantity]]") -> "RenderableType":
    rows = []
    for name, q in items:
        source = f"{q.source.certainty}: {q.source.citation}"
        rows.append((name, "\n".join(filter(None, (str(q), q.description, source)))))
    return _table(["quantity", "value, meaning, source"], rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "RenderableType":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _print(*parts: "RenderableType") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for part in parts:
        console.print(part)


if __name__ == "__main__":
    sys.exit(main())
