#include "kernels/check.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/seal.h"

namespace instep {

void check_failed(const char* condition, const char* file, int line) {
  if (!is_sealed()) {
    throw std::logic_error(std::string("internal error: ") + condition + " does not hold (" + file +
                           ':' + std::to_string(line) + ')');
  }
  std::fprintf(stderr, "instep: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace instep
