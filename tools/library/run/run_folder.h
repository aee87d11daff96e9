// The folder a run leaves behind: config.toml, episodes.csv, checkpoint, summary.json, report.html.
#pragma once

#include <string>

#include "runtime/settings.h"
#include "tools/library/run/folder_lock.h"

namespace instep {

// A folder of this process's own.
struct RunFolder {
  std::string path;
  FolderLock lock;
};

// Makes and takes the folder `out`, or runs/<task>/<time>-s<seed> when out is empty. An existing
// folder must be empty. Throws UsageError or IoError.
RunFolder make_run_folder(const std::string& out, const RunConfig& config);

// Takes the folder of a run that is to be gone on with. Throws UsageError or IoError.
RunFolder take_run_folder(const std::string& folder);

// Throws IoError where a run could not go on writing in its folder, before it begins: the folder or
// a file cannot be written, or something else has a file's name.
void require_own_files(const std::string& folder);

// Throws UsageError unless the folder is one that a run was started in, IoError when it cannot be
// looked into.
void require_run_folder(const std::string& folder);

// Whether it is one of the copies (best, before_change) that a run keeps in its own folder: good
// for `eval` and --init, but not a run.
bool is_kept_copy(const std::string& folder);

// Makes a folder and those above it. Throws IoError.
void make_folders(const std::string& path);

// Replaces a file's contents so that a crash leaves the old or the new, never a part. Throws
// IoError, and UsageError where something else than a regular file has that name.
void write_file(const std::string& name, const std::string& contents);

}  // namespace instep
