// Checks against programmer errors: cheap enough to stay on in every build.
#pragma once

namespace instep {

// Throws std::logic_error: which condition failed, and where. In a sealed thread (seal.h) says so
// on stderr and aborts. A failed check is a defect of a program, never of its input.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace instep

#define INSTEP_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::instep::check_failed(#condition, __FILE__, __LINE__))
