#include "kernels/check.h"

#include <cstdio>
#include <cstdlib>

namespace instep {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "instep: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace instep
