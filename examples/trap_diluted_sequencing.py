"""Bulk sequencing dilutes: a clone hybridisation finds is lost among other cells.

    python examples/trap_diluted_sequencing.py

20 copies in part of the tumour cells: what sequencing reports, what hybridisation counts, and what macrodissection
of the clone recovers. Then the inverse: how large the clone may be when the report says 4.16 copies.
"""

from fractions import Fraction

from her2pkpd.assays.copy_number import Bulk, call_bulk, mean_copies, observed, solve_interval

if __name__ == "__main__":
    print(f"{'purity':>8s}{'clone':>7s}{'bulk':>7s}  {'call':10s}{'per tumour cell':>16s}{'dissected':>11s}")
    twenty, two = Fraction(20), Fraction(2)
    for purity, clone in (("0.7", "1"), ("0.4", "1"), ("0.4", "0.3"), ("0.3", "0.1")):
        p, f = Fraction(purity), Fraction(clone)
        cn, alone = observed(p, f, twenty), observed(p, Fraction(1), twenty)
        cells = mean_copies(f, twenty, two)
        print(f"{purity:>8s}{clone:>7s}{float(cn):7.2f}  {call_bulk(cn):10s}{float(cells):16.1f}{float(alone):11.1f}")
    report = Bulk(Fraction("0.4"), None, twenty, two, Fraction("4.16"))
    low, high, _ = solve_interval(report, {"cn_observed": 0.3, "purity": 0.05})
    print(f"clone behind 4.16 copies at purity 0.40 (SD 0.05): 0.30, 95 % interval {low:.2f} to {high:.2f}")
