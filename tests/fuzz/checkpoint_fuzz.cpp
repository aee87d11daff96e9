// An input that begins with 'f' is a whole checkpoint file. Any other is a list of changes, five
// bytes each, to the snapshot of a real run: the checksum, which random bytes never meet, would
// keep them out, and what it lets in must still not crash the loop.
#include <cmath>
#include <cstring>
#include <vector>

#include "fuzz_file.h"
#include "runtime/checkpoint.h"
#include "tools/library/run/session.h"

using instep::require;

namespace {

instep::RunSession& session() {
  static instep::RunSession instance = [] {
    instep::RunConfig config;
    config.task = "dot_reacher";
    apply_task_defaults(config.settings, instep::require_task(config.task));
    config.settings.values.set("hidden", 4);
    return instep::RunSession(config);
  }();
  return instance;
}

std::vector<std::uint8_t> snapshot_of_real_run() {
  instep::ControlLoop& loop = session().loop();
  require(loop.start());
  for (int i = 0; i < 100; ++i) loop.tick();
  std::vector<std::uint8_t> snapshot(loop.snapshot_bytes());
  loop.save_snapshot(snapshot);
  return snapshot;
}

void open_file(const std::uint8_t* data, std::size_t size) {
  const instep::FuzzFile file(data, size);
  instep::CheckpointFile checkpoint(100);
  const instep::CheckpointStatus status = checkpoint.open(file.path(), false);
  require(status != instep::CheckpointStatus::kSystemError);
  if (status != instep::CheckpointStatus::kOk &&
      status != instep::CheckpointStatus::kOkButNewestDamaged) {
    return;
  }
  const instep::CheckpointIdentity& identity = checkpoint.identity();
  require(checkpoint.step() >= 0 && identity.observation_dim > 0 && identity.action_dim > 0);
  require(checkpoint.snapshot().size() < size);
  static_cast<void>(session().loop().load_snapshot(checkpoint.snapshot(), checkpoint.step()));
}

void load_changed(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::uint8_t> original = snapshot_of_real_run();
  std::vector<std::uint8_t> snapshot = original;
  constexpr std::size_t kChangeBytes = 5;
  for (std::size_t at = 0; at + kChangeBytes <= size; at += kChangeBytes) {
    std::uint32_t place = 0;
    std::memcpy(&place, data + at, sizeof place);
    snapshot[place % snapshot.size()] = data[at + 4];
  }
  instep::ControlLoop& loop = session().loop();
  if (!loop.load_snapshot(snapshot, 100)) return;
  for (int i = 0; i < 3; ++i) {
    if (loop.tick() == instep::ControlLoop::Status::kFaulted) break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] == 'f') {
    open_file(data + 1, size - 1);
  } else {
    load_changed(data, size);
  }
  return 0;
}
