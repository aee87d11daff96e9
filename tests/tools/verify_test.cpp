// The verify command on the golden files: passes them on every path, fails on any change of what
// they expect.

#include "tools/instep/verify.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "command.h"
#include "kernels/learner.h"
#include "tasks/registry.h"

namespace instep {
namespace {

const std::string kGolden = INSTEP_GOLDEN_DIR;

bool has_mujoco() {
  return find_task("hopper")->make != nullptr;
}

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const char* folder : {"/avg", "/mujoco"}) {
    if (folder == std::string("/mujoco") && !has_mujoco()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(kGolden + folder)) {
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    }
  }
  return files;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Adds `factor` times its tolerance (tol/NAME, or 1e-3 where there is none) to the first number of
// a tensor.
std::string with_changed_tensor(const std::string& file, const std::string& name, double factor) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto place = [&](const std::string& tensor) {
    return 8 + header_bytes + header.at(tensor).at("data_offsets").at(0).get<std::uint64_t>();
  };
  double tolerance = 1e-3;
  if (header.contains("tol/" + name)) {
    std::memcpy(&tolerance, file.data() + place("tol/" + name), sizeof tolerance);
  }
  std::string changed = file;
  const std::uint64_t at = place(name);
  if (header.at(name).at("dtype") == "F32") {
    float value = 0.0F;
    std::memcpy(&value, changed.data() + at, sizeof value);
    value += static_cast<float>(factor * tolerance);
    std::memcpy(changed.data() + at, &value, sizeof value);
  } else {
    double value = 0.0;
    std::memcpy(&value, changed.data() + at, sizeof value);
    value += factor * tolerance;
    std::memcpy(changed.data() + at, &value, sizeof value);
  }
  return changed;
}

std::vector<std::string> expected_tensors(const std::string& file) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  std::vector<std::string> names;
  for (const auto& [name, entry] : header.items()) {
    if (header.contains("tol/" + name)) names.push_back(name);
  }
  return names;
}

TEST(Verify, PassesEveryGoldenFileOnEveryPathAndArithmetic) {
  const std::vector<std::string> files = golden_files();
  ASSERT_GE(files.size(), 18U);
  for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kPortable}) {
    for (const Executor* executor : executors(arithmetic)) {
      VerifyOptions options;
      options.path = executor->path;
      options.arithmetic = arithmetic;
      for (const std::string& file : files) {
        for (const VerifyResult& result : verify_file(file, options)) {
          EXPECT_TRUE(result.pass) << file << ' ' << result.path << ' ' << result.schedule << ' '
                                   << result.worst << ' ' << result.tensor << ' ' << result.problem;
        }
      }
    }
  }
}

TEST(Verify, NoticesAChangeOfAnyExpectedTensor) {
  const TemporaryFolder folder;
  for (const char* golden : {"combo_111", "iac_111", "first_step_terminal"}) {
    const std::string file = read_text(kGolden + "/avg/" + golden + ".safetensors");
    const std::vector<std::string> names = expected_tensors(file);
    ASSERT_GE(names.size(), 40U);
    for (const std::string& name : names) {
      const std::string path = folder / "changed.safetensors";
      write_text(path, with_changed_tensor(file, name, 3.0));
      for (const VerifyResult& result : verify_file(path, {})) {
        EXPECT_FALSE(result.pass) << golden << ": " << name;
      }
    }
  }
}

TEST(Verify, NoticesAChangeOfAnyRecordedStateOfATask) {
  if (!has_mujoco()) GTEST_SKIP() << "this build has no MuJoCo";
  const TemporaryFolder folder;
  const std::string file = read_text(kGolden + "/mujoco/Hopper_0.safetensors");
  for (const char* name : {"reset_obs", "obs", "reward", "qpos", "qvel"}) {
    const std::string path = folder / "changed.safetensors";
    write_text(path, with_changed_tensor(file, name, 1e-3));
    for (const VerifyResult& result : verify_file(path, {})) EXPECT_FALSE(result.pass) << name;
  }
}

TEST(Verify, CommandEndsWithOneAndAMessageOnADamagedFile) {
  const TemporaryFolder folder;
  const std::string good = kGolden + "/avg/combo_111.safetensors";
  const std::string file = read_text(good);
  const std::string huge_header(8, '\x7f');
  const std::vector<std::string> damaged = {"", "short", huge_header + file.substr(8),
                                            file.substr(0, file.size() / 2),
                                            std::string(5000, 'x')};
  for (const std::string& contents : damaged) {
    const std::string path = folder / "damaged.safetensors";
    write_text(path, contents);
    const CommandResult result = run_command({"verify", path, good, "--json"});
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_NE(result.error.find("damaged.safetensors"), std::string::npos) << result;
    const auto json = nlohmann::json::parse(result.last_line());
    EXPECT_EQ(json.at("pass"), false);
    EXPECT_EQ(json.at("files").at(0).at("pass"), false);
    EXPECT_EQ(json.at("files").back().at("pass"), true);
  }
}

TEST(Verify, JsonHasThePromisedKeys) {
  const CommandResult result =
      run_command({"verify", kGolden + "/avg/iac_000.safetensors", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto file = nlohmann::json::parse(result.last_line()).at("files").at(0);
  for (const char* key :
       {"file", "kind", "schedule", "backend", "path", "worst", "tensor", "step", "pass"}) {
    EXPECT_TRUE(file.contains(key)) << key;
  }
}

}  // namespace
}  // namespace instep
