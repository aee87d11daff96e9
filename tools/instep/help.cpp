#include "tools/instep/help.h"

#include <algorithm>

#include "tools/instep/output.h"

namespace instep {
namespace {

constexpr std::size_t kNameColumns = 26;
constexpr std::size_t kColumnsElsewhere = 100;  // where there is no terminal

// A name in the left column, and what it means beside it.
std::string row(const std::string& name, const std::string& meaning, std::size_t columns) {
  std::string text = "  " + name;
  const bool is_long = text.size() + 2 > kNameColumns;
  if (!is_long) text += std::string(kNameColumns - text.size(), ' ');
  const std::string indent(kNameColumns, ' ');
  std::string lines = wrapped(indent + meaning, kNameColumns, columns).substr(kNameColumns);
  return text + (is_long ? "\n" + indent : "") + lines + "\n";
}

std::string meaning_of(const CLI::Option& option) {
  std::string text = option.get_description();
  const std::string standard = option.get_default_str();
  if (option.get_required()) text += " (required)";
  if (!standard.empty()) text += " (default: " + standard + ")";
  return text;
}

std::string name_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string name = option.get_name(false, true);
  std::replace(name.begin(), name.end(), ',', ' ');
  const std::string type = option.get_type_name();
  return option.get_items_expected_max() > 0 && !type.empty() ? name + " " + type : name;
}

std::string section(const std::string& title, const std::string& rows) {
  return rows.empty() ? "" : "\n" + title + ":\n" + rows;
}

}  // namespace

std::string command_words(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  if (parent == nullptr) return "";
  const std::string before = command_words(*parent);
  return (before.empty() ? "" : before + " ") + command.get_name();
}

std::string help_text(const CLI::App& command, std::size_t columns) {
  if (columns == 0) columns = kColumnsElsewhere;
  std::string places;
  std::string options;
  std::string usage = "Usage: instep " + command_words(command);
  while (usage.ends_with(' ')) usage.pop_back();
  const auto commands = command.get_subcommands(nullptr);
  if (!commands.empty()) usage += " COMMAND";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) {
      const std::string name = option->get_name(true);
      const std::string all = option->get_items_expected_max() > 2 ? name + "..." : name;
      usage += option->get_required() ? " " + all : " [" + all + "]";
    }
    (option->get_positional() ? places : options) +=
        row(name_of(*option), meaning_of(*option), columns);
  }
  std::string children;
  for (const CLI::App* child : commands) {
    children += row(child->get_name(), child->get_description(), columns);
  }
  std::string text =
      wrapped(command.get_description(), 0, columns) + "\n\n" + usage + " [OPTIONS]\n";
  text +=
      section("Arguments", places) + section("Commands", children) + section("Options", options);
  if (!command.get_footer().empty()) text += "\n" + command.get_footer() + "\n";
  return text;
}

}  // namespace instep
