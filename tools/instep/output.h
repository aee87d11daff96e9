// What goes to standard output: words for people, or one line of JSON alone.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace instep {

// From here on words go to stderr, and print_json() alone writes to standard output. Once, before
// anything is printed.
void keep_output_for_json();

// One line of JSON on standard output.
void print_json(const nlohmann::json& value);

// Writes out all that was printed. Answers 0, or the errno of what could not be written; that
// nobody reads it any more is no error.
int finish_output();

// Prints the text and a line end; on a terminal, words that do not fit go to further lines, which
// begin with `indent` spaces.
void print_wrapped(std::string_view text, std::size_t indent);

// The text in lines of at most so many columns, where it has spaces to break at; all lines but the
// first begin with `indent` spaces. 0 columns: as it is. No line end at its end.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns);

}  // namespace instep
