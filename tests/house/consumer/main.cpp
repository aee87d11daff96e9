// A project outside the tree: what it can include and link is what find_package(instep) gave it.
#include <cstdio>

#include "kernels/philox.h"
#include "tasks/registry.h"

int main() {
  // Known answer of the generator's authors for an all-zero counter and key.
  const instep::PhiloxBlock expected = {0x6627E8D5U, 0xE169C58DU, 0xBC57AC4CU, 0x9B00DBD8U};
  if (instep::philox4x32({0, 0, 0, 0}, {0, 0}) != expected) {
    std::puts("philox4x32 gives other bits than published");
    return 1;
  }
  double draw = 0.0;
  instep::Random{7, 0}.uniform(0, &draw, 1);
  const instep::TaskInfo* task = instep::find_task("dot_reacher");
  if (!(draw > 0.0 && draw < 1.0) || task == nullptr || task->make() == nullptr) {
    std::puts("a function of the installed libraries does not work");
    return 1;
  }
  return 0;
}
