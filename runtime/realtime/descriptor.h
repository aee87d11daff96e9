// An open file descriptor with one owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace instep {

// Closed by the destructor; -1: none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }

  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  // Closes it and owns another, or none.
  void reset(int number = -1) {
    if (number_ >= 0) close(number_);
    number_ = number;
  }
  // Hands it over to the caller.
  int release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

}  // namespace instep
