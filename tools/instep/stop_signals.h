// How a command is asked to end, and how it ends then.
#pragma once

#include "tools/library/run/stop_request.h"

namespace instep {

// From now on Ctrl-C (or SIGTERM, SIGHUP) asks what has this process's request, which is answered,
// to stop; a second Ctrl-C kills. The handler asks, and does nothing else.
const StopRequest& install_stop_handler();

// Everything is done but the printing, whose reader may have gone or a terminal be halted: from now
// on the signals above end this process at once, with that exit code. Where one has come already
// the printing has two seconds.
void let_signals_end(int exit_code);

}  // namespace instep
