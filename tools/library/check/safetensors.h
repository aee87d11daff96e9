// Reading safetensors files: named arrays with a JSON header.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace instep {

// One array, every number as a double (exact for the types read here but large 64-bit integers).
struct Tensor {
  std::string type;                 // that it is stored in: F64, F32, I64 or U8
  std::vector<std::int64_t> shape;  // row-major
  std::vector<double> values;
};

// A whole file in memory.
// clang-tidy takes the move of a json value for one that may throw; it is noexcept.
// NOLINTNEXTLINE(bugprone-exception-escape)
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::string format;               // __metadata__.format
  nlohmann::json config;            // __metadata__.config, which is JSON in a string
  std::uint64_t unnamed_bytes = 0;  // behind the header, that belong to no tensor

  // The tensor of that name with that many values. Throws DataError naming it when it is missing or
  // of another size.
  const Tensor& at(const std::string& name, std::size_t count) const;
};

// Reads F64, F32, I64 and U8 tensors. Throws DataError saying what is wrong where, for an
// unreadable, truncated or inconsistent file; sizes it claims are checked against the file's before
// use, and no two tensors share a byte.
TensorFile read_safetensors(const std::string& path);

}  // namespace instep
