// Preloaded into the program: its wall clock jumps forth and back every 300 ms, to a day that it
// was not at in the last five minutes. What asks for the monotonic clock gets the truth.
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

namespace {

using Clock = int (*)(clockid_t, timespec*);

int TrueTime(clockid_t clock, timespec* out) {
  static const auto real = reinterpret_cast<Clock>(dlsym(RTLD_NEXT, "clock_gettime"));
  return real(clock, out);
}

time_t Jump() {
  timespec now = {};
  TrueTime(CLOCK_MONOTONIC, &now);
  const long step = (now.tv_sec * 1000 + now.tv_nsec / 1'000'000) / 300 % 1000;
  return 86'400 * (step % 2 == 0 ? step : -step);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* out) {
  const int code = TrueTime(clock, out);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    out->tv_sec += Jump();
  return code;
}

extern "C" int gettimeofday(timeval* __restrict out, void* __restrict) {
  timespec now = {};
  const int code = clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return code;
}

extern "C" time_t time(time_t* out) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
