#include "runtime/algorithms/orthogonal_matrix.h"

#include <cmath>

namespace instep {
namespace {

double dot(const double* a, const double* b, int count) {
  double sum = 0.0;
  for (int i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Rows of a [rows, columns] Gaussian matrix made orthonormal one after the other (Gram-Schmidt,
// each projection done twice, which is as exact as Householder's method). Needs rows <= columns.
// The result is uniform over orthogonal matrices, as torch.nn.init.orthogonal_'s.
void orthonormalize_rows(std::vector<double>& matrix, int rows, int columns) {
  for (int i = 0; i < rows; ++i) {
    double* row = &matrix[static_cast<std::size_t>(i * columns)];
    for (int pass = 0; pass < 2; ++pass) {
      for (int k = 0; k < i; ++k) {
        const double* earlier = &matrix[static_cast<std::size_t>(k * columns)];
        const double along = dot(row, earlier, columns);
        for (int j = 0; j < columns; ++j) row[j] -= along * earlier[j];
      }
    }
    const double length = std::sqrt(dot(row, row, columns));
    for (int j = 0; j < columns; ++j) row[j] /= length;
  }
}

}  // namespace

OrthogonalMatrix::OrthogonalMatrix(const Random& random, std::uint64_t step, int outputs,
                                   int inputs)
    : is_wide_(outputs <= inputs), columns_(is_wide_ ? inputs : outputs) {
  const int rows = is_wide_ ? outputs : inputs;
  values_.resize(static_cast<std::size_t>(rows * columns_));
  random.normal(step, values_.data(), rows * columns_);
  orthonormalize_rows(values_, rows, columns_);
}

}  // namespace instep
