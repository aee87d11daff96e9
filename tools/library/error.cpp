#include "tools/library/error.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

namespace instep {

Failure current_failure() {
  try {
    throw;
  } catch (const CommandError& error) {
    return {error.code(), error.what()};
  } catch (const std::system_error& error) {  // of files and folders, too
    return {kDeviceError, error.what() + system_advice(error.code().value())};
  } catch (const std::bad_alloc&) {
    return {kDeviceError,
            "this machine has not enough memory left for the command: end other programs, or ask "
            "for less (--set hidden=N, --jobs N)"};
  } catch (const std::exception& error) {
    return {kCheckFailed, error.what()};
  }
}

std::string system_advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; make room there (`df -h` shows what is left)";
    case EFBIG:
      return "; raise how large a file may be (`ulimit -f`)";
    case EIO:
      return "; its medium fails: save what can be read, and take another";
    case EAGAIN:
      return "; end other programs, or raise how many this user may have (`ulimit -u`)";
    case ENOMEM:
      return "; end other programs, or take smaller settings";
    case EACCES:
    case EPERM:
      return "; this user has no right to it (`ls -ld` shows who has): go on as one who has";
    case EROFS:
      return "; its file system can only be read: copy what is needed to another one, or mount it "
             "for writing";
    case EEXIST:
      return "; something else has that name, as a link that leads nowhere: move it away";
    case EISDIR:
      return "; move the folder away";
    case ENOTDIR:
      return "; a file has the name of a folder: move it away";
    case ELOOP:
      return "; the link leads back to itself: remove it";
    case EMFILE:
      return "; raise how many files a program may open (`ulimit -n`)";
    default:
      return "";
  }
}

std::string system_trouble(const std::string& what, int error) {
  return what + ": " + std::strerror(error) + system_advice(error);
}

}  // namespace instep
