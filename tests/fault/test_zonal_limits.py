"""`skyflux zonal` where memory, disk or a file gives out.

Arguments: binary, data folder, work folder, source root."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
from osgeo import gdal

from zonal_inputs import classes, command, create, field, gone, raster, run, same, srs_of, zones

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
SIDE = 100000
CELL = 1 / SIDE


def peak(*args, code=0):
    """Peak memory (bytes) of a run, as the kernel counts it."""
    pid = os.spawnv(os.P_NOWAIT, BINARY, command(BINARY, *args))
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code, (args, status)
    return usage.ru_maxrss * 1024


def test_memory():
    """2 GB for a raster of 10^10 cells: strips of it across its whole width are enough to fill rows
    of tiles with parts."""
    sparse = WORK / "sparse.tif"
    create(sparse, SIDE, SIDE, gdal.GDT_Byte, (10, CELL, 0, 50, 0, -CELL), nodata=255,
           options=("TILED=YES", "SPARSE_OK=TRUE", "BIGTIFF=YES", "BLOCKXSIZE=512",
                    "BLOCKYSIZE=512"))
    small = raster(WORK / "small.tif", field(5, 1000, 1000), (10, CELL, 0, 50, 0, -CELL), nodata=-1)
    mosaic = WORK / "mosaic.vrt"
    tiles = "".join(
        f"<SimpleSource><SourceFilename relativeToVRT='1'>small.tif</SourceFilename>"
        f"<SourceBand>1</SourceBand><SrcRect xOff='0' yOff='0' xSize='1000' ySize='1000'/>"
        f"<DstRect xOff='{x}' yOff='{y}' xSize='1000' ySize='1000'/></SimpleSource>"
        for y in (49000, 50000) for x in range(0, SIDE, 1000))
    mosaic.write_text(
        f"<VRTDataset rasterXSize='{SIDE}' rasterYSize='{SIDE}'><SRS>EPSG:4326</SRS>"
        f"<GeoTransform>10, {CELL}, 0, 50, 0, {-CELL}</GeoTransform>"
        f"<VRTRasterBand dataType='Float32' band='1'><NoDataValue>-1</NoDataValue>{tiles}"
        f"</VRTRasterBand></VRTDataset>")
    wide = zones(WORK / "wide.gpkg", [(10, 49.4985, 11, 49.5015), (10.2, 49.498, 10.9, 49.501)])
    budget = 2 << 30
    used = {}
    for name, args in {"classes": [sparse, wide, "--categories"],
                       "values": [mosaic, wide, "--stats", "mean,stdev"],
                       "quantiles": [mosaic, wide, "--stats", "median"]}.items():
        used[name] = peak("zonal", *args, "--id", "code", "-q", "--memory", "2G", "--threads", 2,
                          "-o", WORK / "memory.csv")
        assert used[name] < budget, (name, used[name] / budget)
    print({k: f"{v / 1e6:.0f} MB" for k, v in used.items()})
    text = run(BINARY, "zonal", mosaic, wide, "--id", "code", "--stats", "median", "--memory",
               "100M", code=1)
    assert "the memory budget is 105 MB" in text, text
    quick = peak("zonal", sparse, wide, "--id", "code", "--categories", "-q", "--memory", "30M",
                 "--threads", 2, "-o", WORK / "memory.csv")
    assert quick < used["classes"] + (30 << 20), quick


def test_plan():
    text = run(BINARY, "zonal", WORK / "sparse.tif", WORK / "wide.gpkg", "--id", "code",
               "--categories", "--memory", "500M")
    plan, rest = text.split("the memory budget is 524 MB")
    assert "tiles of 1024 x 1024 cells" in plan and "parts in waiting" in plan, text


def test_damage():
    """A tile in the middle that cannot be read: said, the rest is done, exit 5; shards agree."""
    path = WORK / "damaged.tif"
    v = np.round(field(6, 2048, 1536))
    raster(path, v, (10, 0.01, 0, 50, 0, -0.01), nodata=-1,
           options=("TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256", "COMPRESS=DEFLATE"))
    d = gdal.Open(str(path))
    at = int(d.GetRasterBand(1).GetMetadataItem("BLOCK_OFFSET_4_3", "TIFF"))
    d = None
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + b"\xff" * 64 + whole[at + 64:])
    boxes = zones(WORK / "boxes.gpkg", [(10, 46, 15, 49.9), (15, 40, 30, 49), (12, 36, 14, 38)])
    out = WORK / "damaged.csv"
    args = [path, boxes, "--id", "code", "--stats", "count,sum,median"]
    text = run(BINARY, "zonal", *args, "-o", out, code=5)
    assert "line 768, column 1024 cannot be read" in text and "1 of " in text, text
    rows = [r for r in out.read_text().splitlines() if not r.startswith("#")]
    assert "could not be read" in rows[2] and rows[1].endswith(",") and rows[3].endswith(","), rows
    assert not (WORK / "damaged.csv.journal").exists()
    codes = [subprocess.run(command(BINARY, "zonal", *args, "-q", "--shard", f"{i}/3", "-o",
                                    WORK / f"d{i}.shard"), stderr=subprocess.PIPE).returncode
             for i in (1, 2, 3)]
    assert sorted(codes) == [0, 0, 5], codes
    merged = WORK / "merged.csv"
    run(BINARY, "merge", *(WORK / f"d{i}.shard" for i in (1, 2, 3)), "-o", merged, code=5)
    same(out, merged, "shards of a damaged raster")


def test_disk_full():
    """No room for the journal, then none for the table: nothing half-written, and it goes on."""
    path = raster(WORK / "v.tif", field(7, 1500, 1100), (10, 0.01, 0, 50, 0, -0.01), nodata=-1)
    boxes = zones(WORK / "b.gpkg", [(10 + i % 40 * 0.3, 49 - i // 40 * 0.4, 10.4 + i % 40 * 0.3,
                                     49.5 - i // 40 * 0.4) for i in range(800)])

    def limit(size):
        def start():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return start

    folder = WORK / "full"
    folder.mkdir()
    for suffix in ("csv", "gpkg"):
        out, want = folder / f"x.{suffix}", WORK / f"x.{suffix}"
        args = [path, boxes, "--id", "code", "--stats", "mean,sum,min,max,stdev,count"]
        run(BINARY, "zonal", *args, "-o", want)
        size = want.stat().st_size
        run(BINARY, "zonal", *args, "--shard", "1/1", "-o", WORK / "all.shard")
        journal = (WORK / "all.shard").stat().st_size
        run(BINARY, "zonal", *args, "-o", out, code=1, preexec_fn=limit(journal // 3))
        assert [p.name for p in folder.iterdir()] == [f"x.{suffix}.journal"], list(folder.iterdir())
        run(BINARY, "zonal", *args, "-o", out)
        same(out, want, f"{suffix}: after a full disk")
        gone(out)
        run(BINARY, "merge", WORK / "all.shard", "-o", out, code=1, preexec_fn=limit(size // 2))
        assert not list(folder.iterdir()), list(folder.iterdir())
        run(BINARY, "merge", WORK / "all.shard", "-o", out)
        same(out, want, f"{suffix}: merged after a full disk")
        gone(out)
    text = run(BINARY, "zonal", *args, "--shard", "1/1", "-o", folder / "x.shard", code=1,
               preexec_fn=limit(journal - 8))
    assert "cannot write" in text and not (folder / "x.shard").exists(), text


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    test_memory()
    test_plan()
    test_damage()
    test_disk_full()


main()
