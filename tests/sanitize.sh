#!/usr/bin/env bash
# Sanitizer runs. usage: tests/sanitize.sh address|thread [ctest arguments]
#   address  Debug build with ASan and UBSan, then the whole of ctest
#   thread   clang build with TSan (archer tells it about OpenMP), then the threaded programs
# Debian packages for thread: clang-14 libclang-rt-14-dev libomp-14-dev
set -euo pipefail
mode=${1:?address or thread}
shift
top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build-$mode
case $mode in
address)
  cmake -S "$top" -B "$build" -DCMAKE_BUILD_TYPE=Debug -DSKYFLUX_SANITIZE=address -DSKYFLUX_WERROR=ON
  cmake --build "$build" -j2
  cd "$build"
  exec ctest --output-on-failure -j2 "$@"
  ;;
thread)
  CC=clang-14 cmake -S "$top" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DSKYFLUX_SANITIZE=thread -DSKYFLUX_TESTS=OFF
  cmake --build "$build" -j2
  export OMP_TOOL_LIBRARIES=/usr/lib/llvm-14/lib/libarcher.so
  export TSAN_OPTIONS="suppressions='$top/tests/tsan.supp' ignore_noninstrumented_modules=1 exitcode=66"
  work=$build/work
  rm -rf "$work"
  sky=$build/src/cli/skyflux
  "$sky" synth demo "$work/scene" -q
  "$sky" synth city "$work/city" -q
  for threads in 2 5; do
    "$sky" run "$work/scene/demo.yaml" --fresh --threads $threads --set "job.output=$work/out" -q >"$work/log"
    "$sky" run "$work/city/city.yaml" --fresh --threads $threads -q >>"$work/log"
    "$sky" soundings "$work"/scene/S5P*.nc -o "$work/soundings.nc" --threads $threads -q
    maps=("$work/city/landcover/lc2018.tif" "$work/city/landcover/lc2023.tif")
    for what in "--stats=mean,stdev,median" --categories; do
      run=("${maps[@]}" "$work/city/zones.geojson" --id id "$what" --threads $threads --tile 256 -q)
      "$sky" zonal "${run[@]}" -o "$work/one.csv"
      for shard in 1 2; do
        "$sky" zonal "${run[@]}" --shard $shard/2 -o "$work/$shard.shard"
      done
      "$sky" merge "$work/2.shard" "$work/1.shard" -o "$work/merged.csv" --threads $threads -q
      cmp "$work/one.csv" "$work/merged.csv"
    done
    "$sky" grid "$work"/city/soundings/S5P*CH4* -o "$work/grid.nc" --box=107,20,120,42 --cell "0.05 degree" \
      --threads $threads -q >>"$work/log"
    problem=$top/../shared/problems/S.nc
    if [ -f "$problem" ]; then
      for how in "--method exact" "--method exact -o $work/posterior.nc" "--method iterative" "--diagnose" "--tune length,sigma_q" "--osse 20"; do
        # shellcheck disable=SC2086
        "$sky" invert -p "$problem" $how --threads $threads -q >>"$work/log"
      done
    fi
  done
  echo "no data race"
  ;;
*)
  echo "tests/sanitize.sh: '$mode' is not address or thread" >&2
  exit 2
  ;;
esac
