#include "tools/library/check/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "tools/library/error.h"

namespace instep {
namespace {

constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit
constexpr std::uint64_t kFileBytesMax = 4'000'000'000;

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  // A pipe without a writer would never open.
  if (std::error_code error; !std::filesystem::is_regular_file(path, error)) {
    throw DataError(path + ": is not a regular file of at most 4 GB");
  }
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
  tensor.type = dtype;
  std::uint64_t count = 1;
  for (const auto& dimension : entry.at("shape")) {
    const auto size = whole_number(where, dimension);
    if (size != 0 && count > kFileBytesMax / size) throw DataError(where + ": shape is too large");
    count *= size;
    tensor.shape.push_back(static_cast<std::int64_t>(size));
  }
  const auto& offsets = entry.at("data_offsets");
  if (offsets.size() != 2) throw DataError(where + ": data_offsets must be two numbers");
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

// JSON that names no key twice in one object: the parser would keep the last one, silently.
nlohmann::json parse_strictly(std::string_view text) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto callback = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (event == nlohmann::json::parse_event_t::object_start) keys.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) keys.pop_back();
    if (event != nlohmann::json::parse_event_t::key) return true;
    const auto name = value.get<std::string>();
    if (!keys.back().insert(name).second) throw DataError("the key '" + name + "' stands twice");
    return true;
  };
  return nlohmann::json::parse(text, callback);
}

// How many of the bytes belong to no tensor. Two tensors of the same bytes are one that was
// renamed.
std::uint64_t unnamed_bytes(const nlohmann::json& header, std::uint64_t available) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto& offsets = entry.at("data_offsets");
    ranges.emplace_back(offsets.at(0).get<std::uint64_t>(), offsets.at(1).get<std::uint64_t>());
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t named = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    named += ranges[i].second - ranges[i].first;
    if (i > 0 && ranges[i].first < ranges[i - 1].second) {
      throw DataError("two tensors share the bytes from " + std::to_string(ranges[i].first) +
                      " on");
    }
  }
  return available - named;
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
    const nlohmann::json header =
        parse_strictly({text + sizeof header_bytes, static_cast<std::size_t>(header_bytes)});
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        file.format = entry.value("format", "");
        file.config = parse_strictly(entry.value("config", "{}"));
      } else {
        file.tensors[name] = read_tensor(path + ": tensor " + name, entry, bytes, data_start);
      }
    }
    file.unnamed_bytes = unnamed_bytes(header, bytes.size() - data_start);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(path + ": damaged header: " + error.what());
  }
  return file;
}

}  // namespace instep
