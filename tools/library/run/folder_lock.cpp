#include "tools/library/run/folder_lock.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "drivers/port_users.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// "process 612 (instep)", as far as the system tells: whoever else has the folder open may have
// been refused like this process.
std::string holder_text(const std::string& folder) {
  std::vector<PortUser> users = port_users(folder);
  std::erase_if(users, [](const PortUser& user) { return !user.has_lock; });
  return users.empty() ? "another process" : port_user_names(users);
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) : folder_(std::make_unique<File>()) {
  if (const int error = folder_->open(folder, File::Mode::kRead)) {
    throw IoError(system_trouble(folder + ": cannot be opened", error));
  }
  const int error = folder_->lock();
  if (error == 0) return;
  if (error == EWOULDBLOCK) {
    throw IoError(folder + ": " + holder_text(folder) +
                  " is training in this folder; wait for it or stop it");
  }
  std::fprintf(stderr,
               "instep: warning: %s: its file system has no locks (%s): see to it that no other "
               "run writes there\n",
               folder.c_str(), std::strerror(error));
}

}  // namespace instep
