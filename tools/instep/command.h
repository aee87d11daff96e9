// The instep command, for programs outside this tree that have tasks, robots or algorithms of their
// own: `#include <instep/command.h>`, target instep::instep.
//
//   int main(int argc, char** argv) {
//     return instep::command(argc, argv, {.tasks = {my_task}, .drivers = {&my_driver}});
//   }
#pragma once

#include <vector>

#include "drivers/driver_info.h"
#include "runtime/algorithm.h"
#include "tasks/registry.h"

namespace instep {

// What a program has beside the tables of this tree. Names are in no table yet; nor is an
// algorithm's number, of which those below 1000 are this project's.
struct Additions {
  std::vector<TaskInfo> tasks{};
  std::vector<const DriverInfo*> drivers{};
  std::vector<const AlgorithmInfo*> algorithms{};
};

// All that main() has to do, with its arguments; answers the exit code. Once in a process, first of
// all. Throws std::invalid_argument where an addition cannot be.
int command(int argc, const char* const* argv, const Additions& additions = {});

}  // namespace instep
