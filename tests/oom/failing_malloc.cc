#include "tests/oom/failing_malloc.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

// glibc's own functions under the names that it keeps for those who replace malloc.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);
}

namespace h1bench::oom {
namespace {

// Without constructors and in the program's own TLS block: malloc is called before main.
constinit thread_local bool t_armed = false, t_sticky = false, t_failed = false;
constinit thread_local std::int64_t t_left = 0, t_live = 0;

bool Fails() {
  if (!t_armed) return false;
  if (t_failed) return t_sticky;
  if (--t_left > 0) return false;
  t_failed = true;
  return true;
}

void* Counted(void* block) {
  if (block != nullptr) ++t_live;
  return block;
}

void* Refuse() {
  errno = ENOMEM;
  return nullptr;
}

}  // namespace

void Arm(std::int64_t allocation, bool sticky) {
  t_left = allocation;
  t_sticky = sticky;
  t_failed = false;
  t_armed = true;
}
bool Disarm() {
  t_armed = false;
  return t_failed;
}
std::int64_t LiveBlocks() { return t_live; }

}  // namespace h1bench::oom

extern "C" {
void* malloc(std::size_t size) {
  using namespace h1bench::oom;
  return Fails() ? Refuse() : Counted(__libc_malloc(size));
}
void* calloc(std::size_t count, std::size_t size) {
  using namespace h1bench::oom;
  return Fails() ? Refuse() : Counted(__libc_calloc(count, size));
}
void* realloc(void* block, std::size_t size) {
  using namespace h1bench::oom;
  if (Fails()) return Refuse();
  void* moved = __libc_realloc(block, size);
  return block == nullptr ? Counted(moved) : moved;
}
void* memalign(std::size_t alignment, std::size_t size) {
  using namespace h1bench::oom;
  return Fails() ? Refuse() : Counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  *out = memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  if (block != nullptr) --h1bench::oom::t_live;
  __libc_free(block);
}
}
