// One block of memory as a list of arrays, each beginning on a cache line.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/agent.h"

namespace instep {

class BlockPlan {
 public:
  // Answers where the array begins. The name has static lifetime; arrays of one name that follow
  // each other are one part.
  std::size_t add(std::string_view name, std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    const std::size_t offset = bytes_;
    const std::size_t padding = (kLine - bytes % kLine) % kLine;
    bytes_ += bytes + padding;
    if (parts_.empty() || parts_.back().name != name) parts_.push_back({name, offset, 0, 0});
    parts_.back().bytes += bytes + padding;
    parts_.back().padding_bytes += padding;
    return offset;
  }
  std::size_t add_floats(std::string_view name, std::size_t count) {
    return add(name, count * sizeof(float));
  }

  std::size_t bytes() const { return bytes_; }
  const std::vector<MemoryPart>& parts() const { return parts_; }

 private:
  std::size_t bytes_ = 0;
  std::vector<MemoryPart> parts_;
};

}  // namespace instep
