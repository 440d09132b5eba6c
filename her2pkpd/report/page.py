"""A report as one self-contained HTML file: text, tables and figures, nothing fetched from anywhere."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-size: 13px }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #eee; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
th { border-bottom: 2px solid #bbb; background: #fafafa }
.figures { display: flex; flex-wrap: wrap; gap: .5rem; align-items: flex-start }
.figures img { max-width: 100%; border: 1px solid #eee }
nav { font-size: 13px } .scroll { overflow-x: auto } .bad { color: #a4301b; font-weight: 600 } .note { color: #666 }
"""

_CONTENTS = 4
"""Sections from which a page begins with links to them."""


@dataclass
class Page:
    """A page under construction.

    Attributes:
        title: its title.
    """

    title: str
    _parts: list[str] = field(default_factory=list)
    _headings: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """A section heading."""
        self._headings.append(html.escape(text))
        self._parts.append(f'<h2 id="part-{len(self._headings)}">{self._headings[-1]}</h2>')

    def text(self, text: str, *, kind: str = "") -> None:
        """A paragraph; `kind` is "", "note" or "bad"."""
        self._parts.append(f'<p class="{kind}">{html.escape(text)}</p>')

    def table(self, table: pd.DataFrame, *, digits: int = 3) -> None:
        """A table; numbers are rounded to significant digits, missing ones are left blank."""
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in table.columns)
        rows = ("".join(_cell(v, digits) for v in row) for row in table.itertuples(index=False))
        body = "".join(f"<tr>{cells}</tr>" for cells in rows)
        self._parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def figures(self, figures: Sequence[tuple[str, bytes]]) -> None:
        """Figures side by side, each a pair of caption and PNG."""
        images = "".join(
            f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'
            for caption, png in figures
        )
        self._parts.append(f'<div class="figures">{images}</div>')

    def html(self) -> str:
        """The finished page."""
        title = html.escape(self.title)
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{title}</title><style>{_CSS}</style>"
        )
        links = [f'<a href="#part-{i}">{text}</a>' for i, text in enumerate(self._headings, start=1)]
        contents = f"<nav>{' · '.join(links)}</nav>" if len(links) >= _CONTENTS else ""
        return (
            f'<!doctype html>\n<html lang="en"><head>{head}</head><body><h1>{title}</h1>\n{contents}\n'
            + "\n".join(self._parts)
            + "\n</body></html>\n"
        )


def _cell(value: object, digits: int) -> str:
    if isinstance(value, (bool, np.bool_)):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        text = "" if np.isnan(number) else f"{number:.{digits}g}"
        return f'<td class="number">{text}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
