"""From the bytes of a delimited text file to columns of text cells.

Accepted: UTF-8, with or without a byte order mark; commas or tabs between cells; any line ending. Everything
that could be read in two ways (semicolons, which come with decimal commas; other encodings; workbooks) is
refused with the remedy, because a number misread by a factor of a thousand looks like data.
"""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.errors import InputError, Problem, Problems

_SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\xff\xfe": "text in UTF-16 (Excel's 'Unicode text')",
    b"\xfe\xff": "text in UTF-16 (Excel's 'Unicode text')",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip archive",
}
_AS_CSV = "Save it as 'CSV UTF-8 (comma delimited)'."


@dataclass(frozen=True)
class Cells:
    """The cells of a file, as text.

    Attributes:
        header: column names as they stand in the file.
        columns: one array of n text cells for each name.
        rows: (n,) row number of each record as a person counts it: the first line of the file is row 1.
    """

    header: list[str]
    columns: list[np.ndarray]
    rows: np.ndarray


def load_cells(path: str | os.PathLike[str], problems: Problems) -> Cells:
    """Read a delimited text file; ragged rows are recorded in `problems` and left out.

    Args:
        path: the file.
        problems: collects what is wrong with single rows.

    Returns:
        The cells of every row that has as many of them as the header. Rows that are blank, and blank cells beyond the
        last column, as spreadsheets leave them behind, are dropped.

    Raises:
        InputError: if the file cannot be opened or is no delimited UTF-8 text, is empty, or has no rows below
            the header.
    """
    text = _decode(path)
    name = os.fspath(path)
    if not text.strip():
        raise InputError(Problem("the file is empty", "Give a file with a header and at least one row.", name))
    lines_before = len(text) - len(text.lstrip("\n"))
    text = text.strip("\n")
    first = text.split("\n", 1)[0]
    separator = _separator(first, name)
    if '"' in text:
        cells = _split_quoted(text, separator, lines_before, problems)
    else:
        cells = _split_plain(text, separator, lines_before, problems)
    if not len(cells.rows) and not problems:
        raise InputError(Problem("the file has a header but no rows", "Add one row for each measurement.", name))
    return cells


def _decode(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(Problem("the file does not exist", "Check the path.", name)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid path"
        raise InputError(
            Problem(f"the file cannot be read ({reason})", "Give the path of a readable CSV file.", name)
        ) from None
    for signature, what in _SIGNATURES.items():
        if data.startswith(signature):
            raise InputError(Problem(f"the file is {what}, not CSV text", _AS_CSV, name))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        value = data[max(error.start - 10, 0) : error.start + 10].decode("latin-1").strip()
        raise InputError(Problem("the text is not UTF-8", _AS_CSV, name, row=row, value=value)) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x00" in text:
        row = text.count("\n", 0, text.index("\x00")) + 1
        raise InputError(
            Problem("the text holds a NUL character", f"The file is damaged or binary. {_AS_CSV}", name, row)
        )
    return text


def _separator(first: str, name: str) -> str:
    if first.strip().lower().startswith("sep="):
        raise InputError(
            Problem(
                "the first row must be the header",
                "Delete the 'sep=' row and separate the cells by commas, with a decimal point in numbers.",
                name,
                row=1,
                value=first.strip(),
            )
        )
    if "\t" in first:
        return "\t"
    if first.count(";") > first.count(","):
        raise InputError(
            Problem(
                "cells must be separated by commas or tabs, not by semicolons",
                "Semicolons come with decimal commas: save the file as comma-separated CSV with decimal points "
                "(in a spreadsheet: choose an English (US) locale before saving).",
                name,
                row=1,
                value=first,
            )
        )
    return ","


def _fitted(fields: list[str], width: int) -> list[str] | None:
    """The row without blank cells beyond the last column; [] if all is blank; None if it does not fit."""
    if not any(field.strip() for field in fields):
        return []
    if len(fields) > width and not any(field.strip() for field in fields[width:]):
        return fields[:width]
    return fields if len(fields) == width else None


def _add_ragged(fields: list[str], width: int, row: int, problems: Problems) -> None:
    remedy = "Give every row one cell for each column; leave a cell blank rather than out."
    if len(fields) > width:
        remedy += " A comma inside a cell (a decimal comma, a name with a comma) must go or be put in quotation marks."
    problems.add(
        f"the row has {len(fields)} cells but the header has {width} columns", remedy, row=row, value=",".join(fields)
    )


def _split_plain(text: str, separator: str, lines_before: int, problems: Problems) -> Cells:
    """Text without quotation marks: a line is a row, a separator ends a cell."""
    header = text.split("\n", 1)[0].split(separator)
    width = len(header)
    data = np.frombuffer(text.encode(), np.uint8)
    ends = np.append(np.flatnonzero(data == ord("\n")), len(data))
    separators = np.searchsorted(np.flatnonzero(data == ord(separator)), ends)
    fields_per_line = np.diff(separators, prepend=0) + 1
    rows = np.arange(1, len(ends) + 1) + lines_before
    odd = np.flatnonzero(fields_per_line[1:] != width) + 1
    if len(odd):
        lines = text.split("\n")
        keep = np.ones(len(lines), dtype=bool)
        for i in odd:
            fields = lines[i].split(separator)
            fitted = _fitted(fields, width)
            if fitted:
                lines[i] = separator.join(fitted)
                continue
            keep[i] = False
            if fitted is None:
                _add_ragged(fields, width, int(rows[i]), problems)
        text = "\n".join(line for line, kept in zip(lines, keep, strict=True) if kept)
        rows = rows[keep]
    if len(rows) == 1:
        return Cells(header, [np.empty(0, dtype=object)] * width, rows[1:])
    frame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        dtype=object,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        skiprows=1,
        names=list(range(width)),
        index_col=False,
        lineterminator="\n",
    )
    columns = [frame[i].to_numpy(dtype=object) for i in range(width)]
    return _without_blank_rows(Cells(header, columns, rows[1:]))


def _split_quoted(text: str, separator: str, lines_before: int, problems: Problems) -> Cells:
    """Text with quotation marks: a cell may hold separators and line ends; a record counts as one row."""
    records: list[list[str]] = []
    numbers: list[int] = []
    header: list[str] = []
    row = lines_before
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for fields in reader:
            row += 1
            if not header:
                header = fields
                continue
            fitted = _fitted(fields, len(header))
            if fitted:
                records.append(fitted)
                numbers.append(row)
            elif fitted is None:
                _add_ragged(fields, len(header), row, problems)
    except csv.Error as error:
        raise InputError(
            Problem(
                f"the quotation marks cannot be read ({error})",
                "Close every quotation mark, or remove them all.",
                problems.file,
                row=row + 1,
            )
        ) from None
    columns = [np.array([record[i] for record in records], dtype=object) for i in range(len(header))]
    return Cells(header, columns, np.array(numbers, dtype=np.int64))


def _without_blank_rows(cells: Cells) -> Cells:
    blank = np.ones(len(cells.rows), dtype=bool)
    for column in cells.columns:
        if not blank.any():
            return cells
        codes, values = pd.factorize(column[blank])
        blank[blank] = np.array([not str(value).strip() for value in values], dtype=bool)[codes]
    return Cells(cells.header, [column[~blank] for column in cells.columns], cells.rows[~blank])
