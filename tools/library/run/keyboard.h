// The terminal's keys while a robot moves.
#pragma once

#include <termios.h>

namespace instep {

// Keys of the terminal on stdin, one by one, unseen and without waiting. Ctrl-C stays what it is;
// every other key is one to be read: Ctrl-Z and Ctrl-\ must not stop or kill the program that moves
// a robot, nor Ctrl-S its output. Nothing where stdin is no terminal, and as long as it is another
// job's. One at a time in a process.
class Keyboard {
 public:
  // From now on the process is not stopped for writing to the terminal, or reading it, in the
  // background. A crash puts the terminal back.
  Keyboard();
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  // What to poll for keys now; -1: nothing. Where a shell has set the terminal up for itself in
  // between (SIGSTOP, then `fg`), it is set up once more.
  int descriptor();

  // Several bytes at once are one key that sends them, or somebody leaning on the keyboard: kGoOn
  // takes that nothing but its key came.
  enum class Press { kNone, kGoOn, kHold };
  Press read();

 private:
  termios settings_{};  // the terminal's, as they must be
  bool is_terminal_ = false;
};

// Puts back what a Keyboard changed of the terminal; then keys do nothing any more. May be called
// in a signal handler.
void restore_terminal();

}  // namespace instep
