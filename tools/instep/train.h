// The train command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/library/run/train.h"

namespace instep {

// What was typed.
struct TrainCommand : TrainOptions {
  std::string seed_words{};  // as parse_seeds() takes them
  std::string time = "sim";
  std::string phase = "locked";
  bool json = false;
  std::vector<std::string> words{};  // the whole command line, the program's name first
};

// Trains, and prints where the run's folder is. Answers an exit code; throws CommandError.
int run_train(const TrainCommand& options);

// "-12.3"; "none yet" for none.
std::string number_text(const std::optional<double>& value);

// The words as a shell takes them.
std::string shell_text(const std::vector<std::string>& words);

}  // namespace instep
