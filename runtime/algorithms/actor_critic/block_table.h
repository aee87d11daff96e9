// The learner's block by names: for the memory table and for telling where two checkpoints differ.
#pragma once

#include <vector>

#include "kernels/layout.h"
#include "runtime/agent.h"

namespace instep {

// Every part of a layout's block in order; together they are the whole block.
std::vector<MemoryPart> block_parts(const Layout& layout);

}  // namespace instep
