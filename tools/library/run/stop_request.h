// How a command is asked to end, and how it ends then.
#pragma once

namespace instep {

// From now on Ctrl-C (or SIGTERM, SIGHUP) asks runs to stop after their tick; a second Ctrl-C
// kills. The handler marks the request and puts the terminal back, and does nothing else.
void install_stop_handler();
// Any thread.
bool is_stop_requested();

// Everything is done but the printing, whose reader may have gone or a terminal be halted: from now
// on the signals above end this process at once, with that exit code. Where one has come already
// the printing has two seconds.
void let_signals_end(int exit_code);

}  // namespace instep
