#include "kernels/matrix.h"

#include <array>

namespace instep {

#define INSTEP_DECLARE_MATRIX_PATH(path) \
  namespace path##_matrix {              \
    extern const MatrixPath kMatrixPath; \
    void prepare_matrices();             \
  }
INSTEP_DECLARE_MATRIX_PATH(scalar)
#if defined(INSTEP_X86_PATHS)
INSTEP_DECLARE_MATRIX_PATH(avx2)
INSTEP_DECLARE_MATRIX_PATH(avx512)
#elif defined(INSTEP_NEON_PATH)
INSTEP_DECLARE_MATRIX_PATH(neon)
#endif

namespace {

struct MatrixPathList {
  std::array<const MatrixPath*, 3> items{};
  std::size_t count = 0;

  void add(const MatrixPath& path, void (*prepare)()) {
    prepare();
    items[count++] = &path;
  }
};

MatrixPathList list_paths() {
  MatrixPathList list;
#if defined(INSTEP_X86_PATHS)
  if (__builtin_cpu_supports("avx512f")) {
    list.add(avx512_matrix::kMatrixPath, avx512_matrix::prepare_matrices);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    list.add(avx2_matrix::kMatrixPath, avx2_matrix::prepare_matrices);
  }
#elif defined(INSTEP_NEON_PATH)
  list.add(neon_matrix::kMatrixPath, neon_matrix::prepare_matrices);
#endif
  list.add(scalar_matrix::kMatrixPath, scalar_matrix::prepare_matrices);
  return list;
}

}  // namespace

std::span<const MatrixPath* const> matrix_paths() {
  static const MatrixPathList list = list_paths();
  return {list.items.data(), list.count};
}

}  // namespace instep
