// The port of a loopback device, opened as a run opens it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "drivers/loopback/loopback.h"

namespace instep {

struct OpenedLoopback {
  explicit OpenedLoopback(const std::string& path) : address(make_port_address(path)) {
    descriptor.reset(std::max(-1, kLoopbackPort.open(&address)));
    EXPECT_TRUE(descriptor.is_open());
    EXPECT_EQ(kLoopbackPort.claim(descriptor.get()), 0);
  }

  PortAddress address;
  Descriptor descriptor;
};

}  // namespace instep
