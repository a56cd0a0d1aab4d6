"""Every cell of the sink tables in ancillary/ against the reference copies.

Arguments: binary, data folder, work folder, source root."""
import csv
import pathlib
import sys

TABLES = ("legend_crosswalk", "ipcc_defaults", "blue_carbon", "china_densities", "nonco2_factors",
          "ipcc_socref_distribution", "vprm_parameters")
REFERENCE = pathlib.Path(sys.argv[2]) / "tables" / "sinks"
OURS = pathlib.Path(sys.argv[4]) / "ancillary"


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as f:
        return list(csv.reader(f))


def differences(mine, theirs):
    bad = [(i, j, a, b) for i, (x, y) in enumerate(zip(mine, theirs))
           for j, (a, b) in enumerate(zip(x, y)) if a != b]
    bad += [("shape", i) for i, (x, y) in enumerate(zip(mine, theirs)) if len(x) != len(y)]
    return bad + ([("rows", len(mine), len(theirs))] if len(mine) != len(theirs) else [])


def check_kinds():
    """Kinds of error that algorithms/sink/factor_rows.c knows: another one would stop a run. The national pools
    of china_densities ("+- as published") are no factors of a set."""
    known = {"", "reference", "SD", "2SD_pct", "nominal_pct", "CI95_pct", "CI95_abs", "range", "minmax",
             "P2.5-P97.5", "P2.5-P97.5 or CI95", "mean+-SE", "+-SE as published"}
    for name in ("ipcc_defaults", "blue_carbon", "nonco2_factors", "china_densities"):
        with open(OURS / f"{name}.csv", encoding="utf-8-sig", newline="") as f:
            kinds = {r["unc_kind"] for r in csv.DictReader(f)}
        assert kinds - known <= ({"+- as published"} if name == "china_densities" else set()), (name, kinds)


def main():
    check_kinds()
    if not REFERENCE.is_dir():
        print("skipped: no", REFERENCE)
        return 77
    cells = verified = 0
    # All tables of the reference are here; the formulas are in vprm.md, and tested there.
    assert {p.stem for p in REFERENCE.glob("*.csv")} - set(TABLES) <= {"vprm_equations"}
    for name in TABLES:
        mine, theirs = read(OURS / f"{name}.csv"), read(REFERENCE / f"{name}.csv")
        bad = differences(mine, theirs)
        assert not bad, (name, bad[:5])
        changed = [list(r) for r in mine]
        changed[3][5] += "0"
        assert differences(changed, theirs), "the comparison does not see a changed cell"
        cells += sum(len(r) for r in mine)
        says = next(c for c in ("verified", "legend_verified") if c in mine[0])
        verified += sum(len(r) for r in mine[1:] if r[mine[0].index(says)] == "yes")
        if name != "legend_crosswalk":
            head = mine[0]
            named = ("source", "table", "verified") if "table" in theirs[0] else ("source", "verified")
            for column in named:
                assert column in head, (name, column)
    assert cells > 9000, cells
    assert verified > 12000, verified
    print(cells, "cells agree,", verified, "of them in verified rows")
    return 0


sys.exit(main())
