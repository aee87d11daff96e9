# Makes of clang's PTX what is embedded: `version` and `target` in its head, `directives` (separated by ';') for every
# kernel, no comments. Ends with 1 unless each of `kernels` kernels has what it is to have.
function fail(text) {
  print "finish_ptx: " text >"/dev/stderr"
  failed = 1
  exit 1
}
{ sub(/\/\/.*/, "") }
/^[[:space:]]*$/ { next }
/^\.version/ { $0 = ".version " version }
/^\.target/ { $0 = ".target " target }
/\.entry[[:space:]]/ {
  ++entries
  given = 0
}
/^\{/ {
  if (entries > closed && !given) fail("kernel " entries " has no .maxntid to put its directives behind")
  closed = entries
}
{ print }
/^\.maxntid/ && entries > closed && !given {
  given = 1
  count = split(directives, lines, ";")
  for (i = 1; i <= count; ++i) print lines[i]
}
END {
  if (!failed && (entries != kernels || closed != kernels)) fail(entries + 0 " kernels instead of " kernels)
}
