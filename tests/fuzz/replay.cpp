// replay MUTATIONS FOLDER_OR_FILE...: gives a fuzz target every file and that many deterministic
// mutations of them. For compilers without libFuzzer, and for CI.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz_file.h"

namespace {

using Input = std::vector<std::uint8_t>;

class Dice {
 public:
  std::size_t roll(std::size_t sides) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::size_t>((state_ * 0x2545F4914F6CDD1D) >> 33) % sides;
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

Input read_input(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s cannot be read\n", path.c_str());
    std::exit(1);
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void mutate(Input& input, const Input& other, Dice& dice) {
  constexpr std::array<std::uint8_t, 8> kBytes = {0, 1, 0x7F, 0x80, 0xFF, '"', '-', '9'};
  const std::size_t at = dice.roll(input.size() + 1);
  const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
  const auto rest = static_cast<std::size_t>(input.end() - place);
  const auto count = static_cast<std::ptrdiff_t>(std::min(rest, 1 + dice.roll(16)));
  switch (dice.roll(6)) {
    case 0:
      if (rest > 0) *place ^= static_cast<std::uint8_t>(1U << dice.roll(8));
      break;
    case 1:
      if (rest > 0) *place = kBytes[dice.roll(kBytes.size())];
      break;
    case 2:
      input.insert(place, kBytes[dice.roll(kBytes.size())]);
      break;
    case 3:
      input.erase(place, place + count);
      break;
    case 4:  // the end of another input
      input.erase(place, input.end());
      input.insert(input.end(),
                   other.begin() + static_cast<std::ptrdiff_t>(dice.roll(other.size() + 1)),
                   other.end());
      break;
    default: {
      const Input copy(place, place + count);
      input.insert(place, copy.begin(), copy.end());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "use: %s MUTATIONS FOLDER_OR_FILE...\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (int i = 2; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      paths.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const auto& path : paths) inputs.push_back(read_input(path));
  if (inputs.empty()) {
    std::fprintf(stderr, "no inputs\n");
    return 1;
  }
  // What a target says about its inputs is of no interest here; what sanitizers say is.
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const int terminal = dup(STDOUT_FILENO);
  dup2(nothing, STDOUT_FILENO);
  for (const Input& input : inputs) LLVMFuzzerTestOneInput(input.data(), input.size());
  const long mutations = std::strtol(argv[1], nullptr, 10);
  Dice dice;
  for (long i = 0; i < mutations; ++i) {
    Input input = inputs[dice.roll(inputs.size())];
    const std::size_t changes = 1 + dice.roll(4);
    for (std::size_t change = 0; change < changes; ++change) {
      mutate(input, inputs[dice.roll(inputs.size())], dice);
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::fflush(stdout);
  dup2(terminal, STDOUT_FILENO);
  std::printf("%zu inputs and %ld mutations\n", inputs.size(), mutations);
  return 0;
}
