// The end of start-up, for one thread.
#pragma once

namespace instep {

// As long as one lives, its thread is in a loop that waits for nothing: it allocates nothing (tests
// count), a MemoryBlock is refused, and a failed check (check.h) is no exception but the end of the
// program. Other threads do not notice, so that several agents of one process begin and end apart.
class Seal {
 public:
  Seal();
  ~Seal();
  Seal(const Seal&) = delete;
  Seal& operator=(const Seal&) = delete;
};

// Whether the calling thread has one.
bool is_sealed();

}  // namespace instep
