// The CUDA kernels as PTX, put into the program by toolchains/cmake/InstepPtx.cmake.
#pragma once

namespace instep {

// For one block, a grid and a cluster (by TeamKind), zero-terminated; null in a build without
// clang.
extern const char* const kEmbeddedPtx[3];

}  // namespace instep
