// Reading files that people can replace, damage or lock away: what is wrong with one, in words.
#pragma once

#include <string>

namespace instep {

// Why the file at `path` cannot be read (with `writes`: or changed), and what to do: it is a
// folder, a pipe or a device, a link that leads nowhere, or belongs to somebody else. Empty where
// it is a regular file that can be, or where there is nothing.
std::string file_trouble(const std::string& path, bool writes = false);

// Throws IoError where there is such a trouble.
void require_plain_file(const std::string& path, bool writes = false);

// The bytes of a regular file. Throws DataError where there is none, IoError where it cannot be
// read.
std::string read_file(const std::string& path);

}  // namespace instep
