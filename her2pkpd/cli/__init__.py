"""The command line: thin, every subcommand one function of the package.

Exit codes: 0 done; 2 bad input (one message, nothing written); 3 a computation failed (what finished is kept and
marked).
"""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from her2pkpd import __version__
from her2pkpd.cli import assays, library, patients, plates
from her2pkpd.errors import EXIT_COMPUTATION, EXIT_OK, Her2Error, ValidityWarning

_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Why a file cannot be written that is nobody's mistake in the program."""

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
        with _plain_warnings(options.command):
            options.run(options)
    except Her2Error as error:
        sys.stderr.write(f"her2pkpd {options.command}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        how = f"; {options.interrupted}" if "interrupted" in options else ""
        sys.stderr.write(f"her2pkpd {options.command}: interrupted{how}\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a pager) left; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in _FULL:
            raise
        how = f"; make room, then {options.interrupted}" if "interrupted" in options else ""
        sys.stderr.write(f"her2pkpd {options.command}: cannot write ({error.strerror}){how}\n")
        return EXIT_COMPUTATION
    return EXIT_OK


@contextmanager
def _plain_warnings(name: str) -> Iterator[None]:
    """Warnings about doses and models are for the user: one sentence, without the line of code that raised it."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, ValidityWarning):
                sys.stderr.write(f"her2pkpd {name}: warning: {message}\n")
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="her2pkpd",
        description="Pharmacokinetics and pharmacodynamics of HER2-targeted therapy.",
        epilog=_EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28),
    )
    parser.add_argument("--version", action="version", version=f"her2pkpd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    plates.add_fit(commands.add_parser)
    plates.add_sbc(commands.add_parser)
    patients.add_simulate(commands.add_parser)
    plates.add_design(commands.add_parser)
    plates.add_export(commands.add_parser)
    plates.add_gr(commands.add_parser)
    plates.add_synergy(commands.add_parser)
    patients.add_cohort(commands.add_parser)
    assays.add_assay(commands.add_parser)
    patients.add_predict(commands.add_parser)
    patients.add_nca(commands.add_parser)
    library.add_drugs(commands.add_parser)
    library.add_cell_lines(commands.add_parser)
    return parser
