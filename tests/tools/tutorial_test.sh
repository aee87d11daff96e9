# tutorial_test.sh SOURCE_DIR COPY PAGE CHECK
# Follows docs/PAGE in COPY, a fresh copy of the tree: writes its files, applies its patch, runs the commands of its
# blocks without a language, and hands what the runs have left to CHECK. Nothing but the new files and those that the
# patch names may differ from the tree then. Only the build folder of an earlier copy at that place is kept, another
# page's too: most of it is the same.
set -euo pipefail
source_dir=$1 copy=$2 page=docs/$3 check=$4
git -C "$source_dir" rev-parse >/dev/null 2>&1 || { echo "not a git checkout" && exit 77; }

mkdir -p "$copy/build"
find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf '{}' +
# Files that are listed but deleted are left out.
git -C "$source_dir" ls-files -z --cached --others --exclude-standard |
  tar -C "$source_dir" --null --files-from=- --ignore-failed-read --warning=no-failed-read -cf - |
  tar -C "$copy" -xf -
cd "$copy"
mkdir tutorial
# What a page has changed is older now than what was built from it.
changed_ever=build/changed_by_pages
touch "$changed_ever"
while read -r file; do [[ ! -e $file ]] || touch "$file"; done <"$changed_ever"

# The code blocks, one after the other: a file's name is the last `path` before its block.
python3 - "$source_dir/$page" <<'PYTHON'
import pathlib
import re
import sys

text = pathlib.Path(sys.argv[1]).read_text()
name, files, patches, shell = None, [], 0, ""
for before, language, body in re.findall(r"(.*?)^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
    for path in re.findall(r"`((?:drivers|tasks|runtime)/[\w/]+\.(?:h|cpp))`", before):
        name = path
    if language == "cpp":
        assert not pathlib.Path(name).exists(), f"{name} is there already"
        pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(name).write_text(body)
        files.append(name)
    elif language == "diff":
        pathlib.Path("tutorial/diff").write_text(body)
        patches += 1
    elif language == "":
        shell += body
assert len(files) >= 2 and patches == 1 and shell, (files, patches, shell)
pathlib.Path("tutorial/commands").write_text("set -eux\n" + shell)
pathlib.Path("tutorial/files").write_text("\n".join(files) + "\n")
PYTHON
new=$(cat tutorial/files)
sed -n 's,^+++ b/,,p' tutorial/diff >>tutorial/files
cat tutorial/files >>"$changed_ever"
patch --strip=1 --fuzz=0 <tutorial/diff
mapfile -t changed < <(sort tutorial/files)
mapfile -t sources < <(grep -E '\.(h|cpp)$' tutorial/files)
clang=$(command -v clang-format-14 || command -v clang-format || true)
[[ -z $clang ]] || "$clang" --dry-run --Werror "${sources[@]}"
mapfile -t differ < <(git -C "$source_dir" ls-files --cached --others --exclude-standard |
  while read -r file; do [[ ! -e $source_dir/$file ]] || cmp -s "$source_dir/$file" "$file" || echo "$file"; done)
[[ $(printf '%s\n' "${differ[@]}" "$new" | sort) == $(printf '%s\n' "${changed[@]}") ]] ||
  { printf 'other files differ than the page names: %s\n' "${differ[*]}" && exit 1; }

# So that objects are found again that an earlier copy or another folder has compiled.
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1
sed -i -E 's/^ctest /&--no-tests=error /' tutorial/commands
# What a page leaves in the background ends with its commands, also when one of them fails.
sed -i "1a trap 'kill \$(jobs -p) 2>/dev/null || true' EXIT" tutorial/commands
bash tutorial/commands
python3 "$check" runs/*/*
