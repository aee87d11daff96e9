#include "tools/library/check/safetensors.h"

#include <cstring>
#include <fstream>
#include <limits>

#include "tools/library/error.h"

namespace instep {
namespace {

constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit
constexpr std::uint64_t kFileBytesMax = 4'000'000'000;

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw DataError(path + ": cannot be opened: " + std::strerror(errno));
  const std::streamoff end = file.tellg();
  if (end < 0 || static_cast<std::uint64_t>(end) > kFileBytesMax) {
    throw DataError(path + ": is not a regular file of at most 4 GB");
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(end));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), end);
  if (!file) throw DataError(path + ": cannot be read to its end");
  return bytes;
}

template <typename Stored>
void convert(const std::uint8_t* in, std::vector<double>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value{};
    std::memcpy(&value, in + i * sizeof value, sizeof value);
    out[i] = static_cast<double>(value);
  }
}

std::size_t bytes_per_value(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32") return 4;
  if (dtype == "U8") return 1;
  return 0;
}

// JSON's own conversion of a real or negative number to an unsigned one would not notice.
std::uint64_t whole_number(const std::string& where, const nlohmann::json& value) {
  if (!value.is_number_unsigned()) {
    throw DataError(where + ": sizes and offsets must be whole numbers from 0 on");
  }
  return value.get<std::uint64_t>();
}

Tensor read_tensor(const std::string& where, const nlohmann::json& entry,
                   const std::vector<std::uint8_t>& bytes, std::size_t data_start) {
  const auto dtype = entry.at("dtype").get<std::string>();
  const std::size_t width = bytes_per_value(dtype);
  if (width == 0) throw DataError(where + ": type " + dtype + " is none of F64, F32, I64, U8");
  Tensor tensor;
  std::uint64_t count = 1;
  for (const auto& dimension : entry.at("shape")) {
    const auto size = whole_number(where, dimension);
    if (size != 0 && count > kFileBytesMax / size) throw DataError(where + ": shape is too large");
    count *= size;
    tensor.shape.push_back(static_cast<std::int64_t>(size));
  }
  const auto& offsets = entry.at("data_offsets");
  const auto begin = whole_number(where, offsets.at(0));
  const auto end = whole_number(where, offsets.at(1));
  const std::uint64_t available = bytes.size() - data_start;
  if (begin > end || end > available) {
    throw DataError(where + ": data_offsets reach beyond the end of the file");
  }
  if (end - begin != count * width) {
    throw DataError(where + ": data_offsets do not fit shape and type");
  }
  tensor.values.resize(static_cast<std::size_t>(count));
  const std::uint8_t* data = bytes.data() + data_start + begin;
  if (dtype == "F64") convert<double>(data, tensor.values);
  if (dtype == "F32") convert<float>(data, tensor.values);
  if (dtype == "I64") convert<std::int64_t>(data, tensor.values);
  if (dtype == "U8") convert<std::uint8_t>(data, tensor.values);
  return tensor;
}

}  // namespace

const Tensor& TensorFile::at(const std::string& name, std::size_t count) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw DataError("tensor " + name + " is missing");
  if (found->second.values.size() != count) {
    throw DataError("tensor " + name + " has " + std::to_string(found->second.values.size()) +
                    " values, expected " + std::to_string(count));
  }
  return found->second;
}

TensorFile read_safetensors(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_bytes(path);
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) throw DataError(path + ": is too short for safetensors");
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kHeaderBytesMax || header_bytes > bytes.size() - sizeof header_bytes) {
    throw DataError(path +
                    ": claims a header longer than the file; not a safetensors file, or truncated");
  }
  const std::size_t data_start = sizeof header_bytes + static_cast<std::size_t>(header_bytes);
  TensorFile file;
  try {
    // As char: the standard promises no std::char_traits of another type, and libc++ has none.
    const auto* const text = reinterpret_cast<const char*>(bytes.data());
    const auto header = nlohmann::json::parse(text + sizeof header_bytes, text + data_start);
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        file.format = entry.value("format", "");
        file.config = nlohmann::json::parse(entry.value("config", "{}"));
      } else {
        file.tensors[name] = read_tensor(path + ": tensor " + name, entry, bytes, data_start);
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError(path + ": damaged header: " + error.what());
  }
  return file;
}

}  // namespace instep
