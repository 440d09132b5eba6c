"""Columns and words of the tables of hybridisation."""

from her2pkpd.data.table import Columns

SUMMARY = Columns(
    required=("case",),
    optional=(
        "ratio",
        "her2_copies",
        "cep17_copies",
        "nuclei",
        "her2_signals",
        "cep17_signals",
        "ihc",
        "recount_ratio",
        "recount_her2_copies",
        "recount_nuclei",
        "dual_probe_group",
        "edition",
    ),
    aliases={
        "her2_cn": "her2_copies",
        "her2_copy_number": "her2_copies",
        "cep17_cn": "cep17_copies",
        "her2_cep17_ratio": "ratio",
        "recount_cn": "recount_her2_copies",
        "recount_her2_cn": "recount_her2_copies",
    },
)
"""One row a case: means, or sums of signals with the number of nuclei."""

NUCLEI = Columns(
    required=("case", "nucleus", "her2_signals"),
    optional=("cep17_signals", "ihc", "count", "population_percent", "edition", "dual_probe_group"),
    aliases={"her2": "her2_signals", "cep17": "cep17_signals", "cen17": "cep17_signals"},
)
"""One row a nucleus. A second population is a case of its own with its `population_percent`."""

IHC = {
    **{word: word for word in ("0", "1+", "2+", "3+", "0/1+")},
    "1": "1+",
    "2": "2+",
    "3": "3+",
    "1 +": "1+",
    "2 +": "2+",
    "3 +": "3+",
    "0 or 1+": "0/1+",
}
"""IHC scores as they are written."""

COUNTS = {"first": "first", "1": "first", "recount": "recount", "2": "recount"}
"""Which count a nucleus belongs to."""
