// The instep command: options in, exit codes out. What each command does stands in its own file.
#include "tools/instep/command.h"

int main(int argc, char** argv) {
  return instep::command(argc, argv);
}
