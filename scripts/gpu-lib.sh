# Sourced by gpu-test and gpu-report: finds or unpacks the programs. Sets bin, and the tests' environment.
if [ -f build/gpu/bundle.tar.xz ] && ! [ -x build/cuda/test_kernels ]; then
  unpacked=${TMPDIR:-/tmp}/h1bench-gpu
  rm -rf "$unpacked" && mkdir -p "$unpacked" && tar -C "$unpacked" -xJf build/gpu/bundle.tar.xz
  bin=$unpacked/bin
  export LD_LIBRARY_PATH=$unpacked/lib:/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  [ -d "$unpacked/shared" ] && export H1BENCH_SHARED=$unpacked/shared
else
  cmake --preset cuda >/dev/null && ninja -C build/cuda h1bench test_kernels test_gpu test_runner test_cli >/dev/null
  bin=build/cuda
fi
export H1BENCH_TEST_SOURCE=$PWD H1BENCH_TEST_BINARY=$bin
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || {
  echo "no GPU here: nothing was run"; exit 1; }
