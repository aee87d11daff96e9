// The instep command: options in, exit codes out. What each command does stands in its own file.

#include <cstdio>
#include <exception>
#include <new>

#include "tools/instep/command_line.h"
#include "tools/instep/error.h"

int main(int argc, char** argv) {
  try {
    const instep::CommandLine command_line = instep::parse_command_line(argc, argv);
    return command_line.action ? command_line.action() : command_line.exit_code;
  } catch (const instep::CommandError& error) {
    std::fprintf(stderr, "instep: %s\n", error.what());
    return error.code();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "instep: not enough memory\n");
    return instep::kDeviceError;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instep: %s\n", error.what());
    return instep::kCheckFailed;
  }
}
