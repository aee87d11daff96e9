// Who may write in a run's folder.
#pragma once

#include <memory>
#include <string>

#include "runtime/file.h"

namespace instep {

// Takes a folder for this process, and for the processes that it starts from then on: until all of
// them have closed it or have ended, nobody else trains there. It leaves nothing in the folder,
// and whoever only reads needs no lock.
class FolderLock {
 public:
  // Before anything is written there. Throws IoError, saying who has the folder. Where the file
  // system has no locks it warns, and the lock holds nobody off.
  explicit FolderLock(const std::string& folder);

 private:
  std::unique_ptr<File> folder_;
};

}  // namespace instep
