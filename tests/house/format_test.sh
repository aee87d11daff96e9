# format_test.sh SOURCE_DIR CLANG_FORMAT
# Every source file is as clang-format 14 writes it; other versions differ in details.
set -euo pipefail
cd "$1"
if ! [[ $("$2" --version 2>/dev/null) =~ "version 14." ]]; then
  echo "skipped: clang-format 14 is not installed"
  exit 77
fi
mapfile -t files < <(find kernels runtime drivers tasks tools tests -name '*.h' -o -name '*.cpp')
wrong=()
for file in "${files[@]}"; do
  cmp -s "$file" <("$2" "$file") || wrong+=("$file")
done
echo "${#files[@]} files read"
if [[ ${#wrong[@]} -gt 0 ]]; then
  echo "to be formatted with: clang-format -i ${wrong[*]}"
  exit 1
fi
