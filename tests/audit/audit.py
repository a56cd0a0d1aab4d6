"""Audits of the source tree and the build: audit.py WHAT ROOT [BINARY].

Each audit is a function that returns the list of violations; controls.py feeds each of them a tree
with one violation, which it must find. Exit: 0 clean, 1 violations, 77 not applicable here.
"""
import pathlib
import re
import shutil
import subprocess
import sys

# Rooms by height: a file may include its own room and lower ones; rooms of one height may not meet.
HEIGHT = {
    "src/core": 0, "grids": 1, "algorithms": 2, "src/engine": 3,
    "src/read": 4, "src/write": 4, "src/job": 5, "src/cli": 6,
}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
FOREIGN = re.compile(r"^(gdal|ogr|cpl_|vrtdataset|netcdf|hdf5|H5|mpi)", re.I)


class NotApplicable(Exception):
    pass


def room_of(path):
    return next((r for r in HEIGHT if path == r or path.startswith(r + "/")), None)


def sources(root, *suffixes):
    """(relative name, text) of the files of all rooms."""
    for room in HEIGHT:
        for p in sorted((root / room).rglob("*")):
            if p.suffix in suffixes:
                yield p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")


def without_comments(text):
    """Comments and strings blanked, line numbers kept."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def audit_includes(root):
    """Arrows run one way, and paths start at the root."""
    bad = []
    files = list(sources(root, ".c", ".h", ".def", ".inc"))
    for p in sorted((root / "include").rglob("*.h")):
        files.append((p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")))
    for name, text in files:
        room = room_of(name)
        for m in INCLUDE.finditer(text):
            if m[1] == "<":
                continue
            target, where = m[2], f"{name}:{line_of(text, m.start())}"
            public = target.startswith("skyflux/")
            if not ((root / "include" if public else root) / target).is_file():
                bad.append(f'{where}: "{target}" is not a path from the root or from include/')
            elif room is None and not public:
                bad.append(f'{where}: a public header includes the private "{target}"')
            elif not public and room_of(target) != room:
                if room_of(target) is None or HEIGHT[room_of(target)] >= HEIGHT[room]:
                    bad.append(f'{where}: {room} may not include "{target}"')
    return bad


def audit_science(root):
    """algorithms/ and grids/ are free of I/O libraries; so are the public headers."""
    bad = []
    folders = [root / "algorithms", root / "grids", root / "include"]
    for p in sorted(q for f in folders for q in f.rglob("*") if q.suffix in (".c", ".h", ".inc")):
        text = p.read_text(encoding="utf-8")
        for m in INCLUDE.finditer(text):
            if FOREIGN.match(pathlib.PurePosixPath(m[2]).name):
                name = p.relative_to(root).as_posix()
                bad.append(f"{name}:{line_of(text, m.start())}: includes {m[2]}")
    return bad


def audit_lists(root):
    """Every .c file stands in the CMakeLists.txt of its room, and every entry is a file."""
    bad = []
    for room in HEIGHT:
        folder = root / room
        if not folder.is_dir():
            continue
        text = re.sub(r"#[^\n]*", "", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
        targets = " ".join(re.findall(r"add_(?:library|executable)\s*\(([^)]*)\)", text))
        listed = re.findall(r'(?<![\w/.$}"-])([\w/-]+\.c)\b', targets)
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*.c")}
        where = f"{room}/CMakeLists.txt"
        bad += [f"{room}/{c}: not listed in {where}" for c in sorted(present - set(listed))]
        bad += [f"{where}: no such file {c}" for c in sorted(set(listed) - present)]
        bad += [f"{where}: {c} twice" for c in sorted(set(listed)) if listed.count(c) > 1]
    return bad


INTEGER = (r"(?:size_t|s?size_t|u?int(?:8|16|32|64)?_t|ptrdiff_t|bool|int|long|short|unsigned|"
           r"signed|char|sky_status)")


def is_integer(text, name):
    """Declared in this file as an integer, and never as something else that computes."""
    floating = rf"\b(?:float|double|sky_acc|complex)\b[\w\s*,=.+-]*\b{name}\b"
    integer = rf"\b{INTEGER}\b[\w\s*,=+-]*\b{name}\b"
    return re.search(integer, text) and not re.search(floating, text)


def audit_reductions(root):
    """No float reduction() and no float atomics: their order, so their bits, depend on threads."""
    bad = []
    for name, raw in sources(root, ".c", ".h", ".inc"):
        text = without_comments(raw)
        logical = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+omp\b(?:\\\n|[^\n])*", re.M)
        for m in logical.finditer(text):
            pragma, where = m[0], f"{name}:{line_of(text, m.start())}"
            for r in re.finditer(r"reduction\s*\(([^:)]*):([^)]*)\)", pragma):
                for v in re.findall(r"[A-Za-z_]\w*", r[2]):
                    if not is_integer(text, v):
                        bad.append(f"{where}: reduction({r[1].strip()}:{v}), {v} is not an integer")
            if re.match(r"[ \t]*#[ \t]*pragma[ \t]+omp[ \t]+atomic\b", pragma):
                statement = text[m.end():].split(";", 1)[0]
                left = re.split(r"[-+*/|&^]?=(?!=)|\+\+|--", statement)
                left = next((part for part in left if part.strip()), "")
                names = re.findall(r"[A-Za-z_]\w*", re.sub(r"\[[^\]]*\]", "", left))
                if not names or not is_integer(text, names[-1]):
                    bad.append(f"{where}: atomic on {left.strip() or '?'}, which is not an integer")
        for m in re.finditer(r"_Atomic\s*\(?\s*(?:long\s+)?(?:float|double)\b", text):
            bad.append(f"{name}:{line_of(text, m.start())}: atomic floating-point variable")
    for p in sorted(root.rglob("CMakeLists.txt")):
        text = re.sub(r"#[^\n]*", "", p.read_text(encoding="utf-8"))
        for m in re.finditer(r"-ffast-math|-Ofast|-fassociative-math|-funsafe-math\S*", text):
            bad.append(f"{p.relative_to(root).as_posix()}: {m[0]} changes sums")
    return bad


def audit_headers(root):
    """Each installed header compiles alone, as C11 and as C++17."""
    compilers = [(shutil.which("cc"), "c", "c11"), (shutil.which("c++"), "c++", "c++17")]
    if any(c is None for c, _, _ in compilers):
        raise NotApplicable("cc and c++ are needed")
    bad = []
    for p in sorted((root / "include" / "skyflux").glob("*.h")):
        for compiler, language, standard in compilers:
            r = subprocess.run(
                [compiler, "-x", language, f"-std={standard}", "-fsyntax-only", "-Wall", "-Wextra",
                 "-Wpedantic", "-Werror", f"-I{root / 'include'}", "-"],
                input=f'#include "skyflux/{p.name}"\nint main(void);\n', capture_output=True,
                text=True)
            if r.returncode != 0:
                bad.append(f"include/skyflux/{p.name}: not alone as {standard}: {r.stderr.strip()}")
    return bad


def audit_linked(listing):
    """What ldd says: the serial netCDF and HDF5, no MPI flavour anywhere."""
    bad = [f"not found: {line.strip()}" for line in listing.splitlines() if "not found" in line]
    if not re.search(r"\blibnetcdf\.so", listing):
        bad.append("no libnetcdf.so")
    for line in listing.splitlines():
        if re.search(r"mpi(?!r)", re.sub(r"\(0x[0-9a-f]+\)", "", line), re.I):
            bad.append(f"MPI flavour: {line.strip()}")
    return bad


def audit_ldd(binary):
    if not pathlib.Path(binary).is_file():
        raise NotApplicable(f"{binary} is not built")
    return audit_linked(subprocess.run(["ldd", binary], capture_output=True, text=True,
                                       check=True).stdout)


AUDITS = {"includes": audit_includes, "science": audit_science, "lists": audit_lists,
          "reductions": audit_reductions, "headers": audit_headers}


def main():
    what, root = sys.argv[1], pathlib.Path(sys.argv[2])
    try:
        bad = audit_ldd(sys.argv[3]) if what == "ldd" else AUDITS[what](root)
    except NotApplicable as reason:
        print(f"skipped: {reason}")
        return 77
    print("\n".join(bad) or f"{what}: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
