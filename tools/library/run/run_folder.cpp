#include "tools/library/run/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "runtime/file.h"
#include "tools/library/error.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

std::string local_time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return text;
}

// Files are made and replaced there.
void require_writable(const std::string& folder) {
  if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return;
  throw IoError(system_trouble(folder + ": no file can be written there", errno));
}

}  // namespace

void require_run_folder(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder + "/config.toml", error)) return;
  if (std::filesystem::exists(folder + "/episodes.csv", error)) return;
  if (error) throw IoError(system_trouble(folder + ": cannot be looked into", error.value()));
  if (std::filesystem::exists(folder, error)) {
    throw UsageError(folder + ": is not a run's folder: no run was started in it");
  }
  const std::string below_runs = "runs/" + folder;  // where a run goes that was given no folder
  const bool is_there = std::filesystem::exists(below_runs, error);
  throw UsageError(folder + ": no such folder" +
                   (is_there ? "; did you mean " + below_runs + "?" : "; give a run's folder"));
}

RunFolder take_run_folder(const std::string& folder) {
  require_run_folder(folder);
  return {folder, FolderLock(folder)};
}

void require_own_files(const std::string& folder) {
  namespace fs = std::filesystem;
  for (const char* file :
       {"config.toml", "summary.json", "report.html", "episode.json", "change.txt",
        "adaptation.json", "best/config.toml", "before_change/config.toml"}) {
    require_plain_file(folder + '/' + file);
  }
  for (const char* file : {"checkpoint", "episodes.csv", "measured", "events.out.tfevents.instep",
                           "best/checkpoint", "before_change/checkpoint"}) {
    require_plain_file(folder + '/' + file, true);
  }
  std::error_code error;
  for (const char* copy : {"best", "before_change"}) {
    const std::string path = folder + '/' + copy;
    const bool is_there = fs::exists(fs::symlink_status(path, error));
    if (is_there && !fs::is_directory(path, error)) {
      throw IoError(path + ": is no folder, where the run keeps one; move it away");
    }
    if (is_there) require_writable(path);
  }
  require_writable(folder);
}

bool is_kept_copy(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path path = fs::canonical(folder, error);
  const std::string name = path.filename().string();
  return !error && (name == "best" || name == "before_change") &&
         fs::exists(path.parent_path() / "config.toml", error);
}

void make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw IoError(system_trouble(path + ": cannot be made", error.value()));
}

RunFolder make_run_folder(const std::string& out, const RunConfig& config) {
  if (!out.empty()) {
    std::error_code error;
    if (std::filesystem::exists(out, error) && !std::filesystem::is_directory(out, error)) {
      throw UsageError("--out " + out + ": is not a folder");
    }
    make_folders(out);
    RunFolder folder{out, FolderLock(out)};  // whoever has it is the one who fills it
    const bool is_empty = std::filesystem::is_empty(out, error);
    if (error) throw IoError(system_trouble(out + ": cannot be looked into", error.value()));
    if (!is_empty) {
      throw UsageError(
          "--out " + out +
          ": is not empty; choose another folder, or continue the run in it with --resume " + out);
    }
    return folder;
  }
  const std::string base = "runs/" + config.task;
  make_folders(base);
  const std::string name = base + '/' + local_time_text() + "-s" + std::to_string(config.seed);
  // Two runs of one second: the folder that could be made is ours.
  for (int attempt = 1; attempt < 1000; ++attempt) {
    std::string folder = attempt == 1 ? name : name + '-' + std::to_string(attempt);
    std::error_code error;
    if (std::filesystem::create_directory(folder, error)) return {folder, FolderLock(folder)};
    if (error) throw IoError(system_trouble(folder + ": cannot be made", error.value()));
  }
  throw IoError(name + ": a thousand folders of this name exist");
}

void write_file(const std::string& name, const std::string& contents) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(name, ignored);
  // A device, a pipe or a folder would be gone for good.
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw UsageError(name + ": is not a regular file, which alone is replaced; name another file");
  }
  // What a link points to is replaced, not the link.
  const bool is_link_to_file = fs::exists(status) && fs::is_symlink(name, ignored);
  const std::string path = is_link_to_file ? fs::canonical(name).string() : name;
  const std::string temporary = path + ".new";
  std::remove(temporary.c_str());
  File file;
  int error = file.open(temporary, File::Mode::kCreate);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(contents.data());
  if (error == 0) error = file.write_at({bytes, contents.size()}, 0);
  if (error == 0) error = file.sync();
  if (error == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  const std::string folder = fs::path(path).parent_path().string();
  if (error == 0) error = sync_folder(folder.empty() ? "." : folder);
  if (error != 0) {
    std::remove(temporary.c_str());
    throw IoError(system_trouble(name + ": cannot be written", error));
  }
}

}  // namespace instep
