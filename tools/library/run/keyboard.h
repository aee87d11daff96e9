// The terminal's keys while a robot moves.
#pragma once

#include <termios.h>

namespace instep {

// Keys of the terminal on stdin, one by one, unseen and without waiting. Ctrl-C stays what it is;
// every other key is one to be read: Ctrl-Z and Ctrl-\ must not stop or kill the program that moves
// a robot, nor Ctrl-S its output. One at a time in a process.
class Keyboard {
 public:
  // Whom the keys reach.
  enum class Reach {
    kNobody,  // stdin is no terminal
    kHungUp,  // it was one
    kThis,
    kOtherJob,      // this process is in the background
    kOtherSession,  // the terminal is controlled from elsewhere (setsid)
  };

  // From now on the process is not stopped for writing to the terminal, or reading it, in the
  // background. A crash puts the terminal back.
  Keyboard();
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  // Looks. Where the keys reach this process and the terminal is not set up for it, it is set up:
  // at first, and whenever a shell has had it in between (`bg`, `fg`).
  Reach look();
  // What to poll for keys, or for the terminal's end; -1: nothing.
  int descriptor() const;

  // Several bytes at once are one key that sends them, or somebody leaning on the keyboard: kGoOn
  // takes that nothing but its key came. kInterrupt: Ctrl-C on a terminal whose signals go nowhere.
  enum class Press { kNone, kGoOn, kHold, kInterrupt };
  Press read();
  // The terminal is not there any more.
  void hang_up();

 private:
  void set_up();

  termios settings_{};  // the terminal's, as they must be
  bool is_set_up_ = false;
  Reach reach_ = Reach::kNobody;
};

// Puts back what a Keyboard changed of the terminal; then keys do nothing any more. May be called
// in a signal handler.
void restore_terminal();

}  // namespace instep
