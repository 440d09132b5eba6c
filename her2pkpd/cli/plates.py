"""Commands for plates: fit, sbc, design, export, gr, synergy."""

import argparse
from pathlib import Path

from her2pkpd.cli.common import Add, add_output, command, show


def add_fit(add: Add) -> None:
    """``her2pkpd fit``."""
    parser = command(
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
    parser.set_defaults(interrupted="the same command goes on from here")
    parser.add_argument("settings", metavar="FIT.toml", help="data, model, parameters to estimate, noise and method")
    add_output(parser, "DIR", "folder for the results")
    resume = {"action": argparse.BooleanOptionalAction, "default": True}
    parser.add_argument("--resume", **resume, help="go on from an interrupted run into DIR, or start afresh")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _fit(options: argparse.Namespace) -> None:
    from her2pkpd.report.fit import fit_file

    result = fit_file(
        options.settings, options.out, force=options.force, progress=not options.quiet, resume=options.resume
    )
    if not options.quiet:
        show(result.summary(), f"Read {Path(options.out) / 'report.html'} in a browser.")
    if result.interrupted:
        raise KeyboardInterrupt


def add_sbc(add: Add) -> None:
    """``her2pkpd sbc``."""
    parser = command(
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
    parser.set_defaults(interrupted="the same command goes on from here")
    parser.add_argument("settings", metavar="FIT.toml", help="the fit; measured values do not matter")
    parser.add_argument("--plates", type=int, default=192, metavar="N", help="plates simulated (192)")
    add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _sbc(options: argparse.Namespace) -> None:
    from her2pkpd.report.sbc import sbc_file

    found = sbc_file(
        options.settings, options.out, plates=options.plates, force=options.force, progress=not options.quiet
    )
    if not options.quiet:
        show(found.table().to_string(index=False))
    if found.interrupted:
        raise KeyboardInterrupt


def add_design(add: Add) -> None:
    """``her2pkpd design``."""
    parser = command(
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
    add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def _design(options: argparse.Namespace) -> None:
    from her2pkpd.report.design import design_file

    plan = design_file(options.settings, options.out, force=options.force, progress=not options.quiet)
    if not options.quiet:
        show(repr(plan), f"Read {Path(options.out) / 'report.html'} in a browser.")


def add_export(add: Add) -> None:
    """``her2pkpd export``."""
    parser = command(
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
    add_output(parser, "PATH", "file (sbml) or folder (petab) to write")
    parser.add_argument("--id", type=int, default=0, metavar="N", help="sbml: which patient, where there are several")
    parser.add_argument("--fit", metavar="DIR", help="petab: folder of a finished fit, for the nominal values")


def _export(options: argparse.Namespace) -> None:
    if options.format == "sbml":
        from her2pkpd.simulate.run import sbml_file

        sbml_file(options.settings, options.out, patient=options.id, force=options.force)
        return
    from her2pkpd.petab import petab_file

    problem = petab_file(options.settings, options.out, force=options.force, fit=options.fit)
    show(repr(problem), f"Written to {Path(options.out) / 'problem.yaml'} and beside it.")


def add_gr(add: Add) -> None:
    """``her2pkpd gr``."""
    parser = command(
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
    add_output(parser, "DIR", "folder for the results")


def _gr(options: argparse.Namespace) -> None:
    from her2pkpd.data.gr import gr_file

    show(repr(gr_file(options.plate, options.out, force=options.force)))


def add_synergy(add: Add) -> None:
    """``her2pkpd synergy``."""
    parser = command(
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
    add_output(parser, "DIR", "folder for the results")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _synergy(options: argparse.Namespace) -> None:
    from her2pkpd.report.synergy import synergy_file

    synergy_file(options.plate, options.out, force=options.force, progress=not options.quiet)
