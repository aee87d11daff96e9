#include "tools/library/run/packet_store.h"

#include <cstdio>
#include <filesystem>
#include <span>

namespace instep {

std::string new_part_path(const std::string& folder, const std::string& name, std::int64_t step) {
  const std::string first =
      folder + '/' + name + (step > 0 ? "-" + std::to_string(step) : std::string());
  std::string path = first;
  std::error_code ignored;
  for (int i = 2; std::filesystem::exists(path, ignored); ++i) {
    path = first + '-' + std::to_string(i);
  }
  return path;
}

PacketStore::PacketStore(const std::string& folder, std::int64_t step) {
  const std::string path = new_part_path(folder, "packets", step);
  file_.emplace();
  error_ = file_->open(path, File::Mode::kCreate);
  if (error_ != 0) {
    file_.reset();
    return;
  }
  append(packet_file_header());
  if (error_ != 0) std::remove(path.c_str());  // room that others may need
}

void PacketStore::append(std::span<const std::uint8_t> bytes) {
  error_ = file_->write_at(bytes, file_bytes_);
  if (error_ == 0) {
    file_bytes_ += static_cast<std::int64_t>(bytes.size());
    return;
  }
  static_cast<void>(file_->truncate(file_bytes_));
  file_.reset();
}

void PacketStore::take(RecordingLink::Ring& ring) {
  bytes_.clear();
  for (const Packet* packet = ring.front(); packet != nullptr; packet = ring.front()) {
    if (file_) append_packet(*packet, bytes_);
    ring.pop();
  }
  if (file_ && !bytes_.empty()) append(bytes_);
}

}  // namespace instep
