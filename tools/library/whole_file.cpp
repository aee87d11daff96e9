#include "tools/library/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>

#include "runtime/file.h"
#include "tools/library/error.h"

namespace instep {
namespace {

namespace fs = std::filesystem;

const char* kind_text(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "a device";
  }
}

}  // namespace

std::string file_trouble(const std::string& path, bool writes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    if (!fs::is_symlink(fs::symlink_status(path, error))) return "";
    return "is a link to " + fs::read_symlink(path, error).string() +
           ", which is not there; mend the link or remove it";
  }
  if (!fs::exists(status)) return system_trouble("cannot be looked at", error.value());
  if (!fs::is_regular_file(status)) {
    return std::string("is ") + kind_text(status.type()) + " where a file must be; move it away";
  }
  if (faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) {
    return system_trouble("cannot be read", errno);
  }
  if (writes && faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
    return system_trouble("cannot be opened for writing", errno);
  }
  return "";
}

void require_plain_file(const std::string& path, bool writes) {
  const std::string trouble = file_trouble(path, writes);
  if (!trouble.empty()) throw IoError(path + ": " + trouble);
}

std::string read_file(const std::string& path) {
  require_plain_file(path);
  File file;
  std::int64_t bytes = 0;
  int error = file.open(path, File::Mode::kRead);
  if (error == ENOENT) throw DataError(path + ": is missing");
  if (error == 0) error = file.size(bytes);
  if (error != 0) throw IoError(system_trouble(path + ": cannot be opened", error));
  std::string text(static_cast<std::size_t>(bytes), '\0');
  error = file.read_at({reinterpret_cast<std::uint8_t*>(text.data()), text.size()}, 0);
  if (error != 0) throw IoError(system_trouble(path + ": cannot be read to its end", error));
  return text;
}

}  // namespace instep
