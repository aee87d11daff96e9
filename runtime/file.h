// Files as the runtime uses them: written at given places, made durable when asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace instep {

// The calls behind a File. The default is the operating system; tests put their own in between to
// record, tear or refuse, or leave null for the system's. Each answers 0 or an errno value.
struct FileOperations {
  void* self = nullptr;
  int (*write_at)(void* self, int descriptor, std::span<const std::uint8_t> bytes,
                  std::int64_t offset) = nullptr;
  int (*sync)(void* self, int descriptor) = nullptr;
  int (*reserve)(void* self, int descriptor, std::int64_t bytes) = nullptr;
  int (*truncate)(void* self, int descriptor, std::int64_t bytes) = nullptr;
  int (*reserve_ahead)(void* self, int descriptor, std::int64_t bytes) = nullptr;
};

const FileOperations& system_file_operations();

// An open file; closed by the destructor. Functions answer 0 or an errno value (see std::strerror)
// and never a partial result. One thread at a time.
class File {
 public:
  enum class Mode { kRead, kWrite, kCreate };  // kCreate: a new file, an error if one exists

  File() = default;
  explicit File(const FileOperations& operations);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // EINVAL for a named pipe.
  [[nodiscard]] int open(const std::string& path, Mode mode);
  [[nodiscard]] int size(std::int64_t& bytes) const;
  // Fails with EIO when the file ends before `out` is full.
  [[nodiscard]] int read_at(std::span<std::uint8_t> out, std::int64_t offset) const;
  [[nodiscard]] int write_at(std::span<const std::uint8_t> bytes, std::int64_t offset) const;
  // Returns when everything written before is on the medium.
  [[nodiscard]] int sync() const;
  // Reserves the medium's space for the first `bytes`, so that writing there cannot meet a full
  // disk.
  [[nodiscard]] int reserve(std::int64_t bytes) const;
  // The same, but the file does not become longer. Where the file system cannot do that, it
  // reserves nothing and answers 0.
  [[nodiscard]] int reserve_ahead(std::int64_t bytes) const;
  // Cuts the file, and frees the space that was reserved beyond.
  [[nodiscard]] int truncate(std::int64_t bytes) const;
  // Takes the file for this process alone until it is closed; EWOULDBLOCK when another has it.
  [[nodiscard]] int lock() const;

 private:
  FileOperations operations_ = system_file_operations();
  int descriptor_ = -1;
};

// Makes a folder's entries durable (files created or renamed in it).
[[nodiscard]] int sync_folder(const std::string& path);

}  // namespace instep
