#include "runtime/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace instep {
namespace {

int system_write_at(void*, int descriptor, std::span<const std::uint8_t> bytes,
                    std::int64_t offset) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pwrite(descriptor, bytes.data() + done, bytes.size() - done,
                                 offset + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    done += static_cast<std::size_t>(count);
  }
  return 0;
}

int system_sync(void*, int descriptor) {
  // Pipes and some test file systems cannot sync; that is not a loss of data.
  return fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
}

int system_reserve(void*, int descriptor, std::int64_t bytes) {
  return posix_fallocate(descriptor, 0, bytes);
}

int system_reserve_ahead(void*, int descriptor, std::int64_t bytes) {
  if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0) return 0;
  return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR ? 0 : errno;
}

int system_truncate(void*, int descriptor, std::int64_t bytes) {
  return ftruncate(descriptor, bytes) == 0 ? 0 : errno;
}

}  // namespace

const FileOperations& system_file_operations() {
  static const FileOperations operations{nullptr,        system_write_at, system_sync,
                                         system_reserve, system_truncate, system_reserve_ahead};
  return operations;
}

File::File(const FileOperations& operations) : operations_(operations) {
  const FileOperations& system = system_file_operations();
  if (operations_.write_at == nullptr) operations_.write_at = system.write_at;
  if (operations_.sync == nullptr) operations_.sync = system.sync;
  if (operations_.reserve == nullptr) operations_.reserve = system.reserve;
  if (operations_.truncate == nullptr) operations_.truncate = system.truncate;
  if (operations_.reserve_ahead == nullptr) operations_.reserve_ahead = system.reserve_ahead;
}

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
}

int File::open(const std::string& path, Mode mode) {
  int flags = O_CLOEXEC | O_NONBLOCK;  // a named pipe must not make us wait
  if (mode == Mode::kRead) flags |= O_RDONLY;
  if (mode == Mode::kWrite) flags |= O_RDWR;
  if (mode == Mode::kCreate) flags |= O_RDWR | O_CREAT | O_EXCL;
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = ::open(path.c_str(), flags, 0644);
  if (descriptor_ < 0) return errno;
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return errno;
  return S_ISFIFO(status.st_mode) ? EINVAL : 0;
}

int File::size(std::int64_t& bytes) const {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return errno;
  bytes = status.st_size;
  return 0;
}

int File::read_at(std::span<std::uint8_t> out, std::int64_t offset) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = pread(descriptor_, out.data() + done, out.size() - done,
                                offset + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return EIO;
    done += static_cast<std::size_t>(count);
  }
  return 0;
}

int File::write_at(std::span<const std::uint8_t> bytes, std::int64_t offset) const {
  return operations_.write_at(operations_.self, descriptor_, bytes, offset);
}

int File::sync() const {
  return operations_.sync(operations_.self, descriptor_);
}

int File::reserve(std::int64_t bytes) const {
  return operations_.reserve(operations_.self, descriptor_, bytes);
}

int File::reserve_ahead(std::int64_t bytes) const {
  return operations_.reserve_ahead(operations_.self, descriptor_, bytes);
}

int File::truncate(std::int64_t bytes) const {
  return operations_.truncate(operations_.self, descriptor_, bytes);
}

int File::lock() const {
  return flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
}

int sync_folder(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int error = system_sync(nullptr, descriptor);
  close(descriptor);
  return error;
}

}  // namespace instep
