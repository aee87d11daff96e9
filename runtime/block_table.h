// The learner's block by names: for the memory table and for telling where two checkpoints differ.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/layout.h"

namespace instep {

// One array of the block. Its bytes end where the next one begins, padding included.
struct BlockPart {
  std::string_view name;
  std::size_t offset = 0;
  std::size_t bytes = 0;          // with padding
  std::size_t padding_bytes = 0;  // of them, what holds no number
};

// Every part of a layout's block in order; together they are the whole block.
std::vector<BlockPart> block_parts(const Layout& layout);

}  // namespace instep
