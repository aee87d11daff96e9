#include "runtime/realtime/port.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace instep {

PortAddress make_port_address(std::string_view path) {
  PortAddress address;
  if (path.size() >= address.given.size()) {
    throw std::length_error(std::string(path.substr(0, 60)) + "...: this name is too long");
  }
  std::copy(path.begin(), path.end(), address.given.begin());
  return address;
}

}  // namespace instep
