#include "tools/library/error.h"

#include <cerrno>
#include <cstring>

namespace instep {

std::string system_advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; make room there (`df -h` shows what is left)";
    case EIO:
      return "; its medium fails: save what can be read, and take another";
    case EAGAIN:
      return "; end other programs, or raise how many this user may have (`ulimit -u`)";
    case ENOMEM:
      return "; end other programs, or take smaller settings";
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
