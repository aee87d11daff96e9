// Any bytes as a safetensors file.
#include "fuzz_file.h"
#include "tools/library/check/safetensors.h"
#include "tools/library/error.h"

using instep::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const instep::FuzzFile file(data, size);
  try {
    const instep::TensorFile read = instep::read_safetensors(file.path());
    for (const auto& [name, tensor] : read.tensors) {
      std::size_t count = 1;
      for (const std::int64_t dimension : tensor.shape)
        count *= static_cast<std::size_t>(dimension);
      require(count == tensor.values.size());
      require(&read.at(name, count) == &tensor);
    }
  } catch (const instep::DataError&) {
  }
  return 0;
}
