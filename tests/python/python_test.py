# python_test.py SOURCE_DIR COMMAND SCRATCH
# Builds and installs the Python package in a fresh virtual environment, and runs the tests beside this file in it.
import os
import pathlib
import subprocess
import sys
import sysconfig
import venv


def main(source, command, scratch):
    if not pathlib.Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        print("Python's headers are not here (Debian: python3-dev)")
        return 77
    here = pathlib.Path(__file__).parent.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    venv.create(scratch / "venv", with_pip=True, clear=True)
    pip = [scratch / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    # From PyPI; what fails afterwards is ours.
    peers = [*pip, "numpy", "gymnasium", "nanobind>=2.4", "scikit-build-core>=0.10"]
    if subprocess.run(peers).returncode != 0:
        print("PyPI cannot be reached")
        return 77
    subprocess.run([*pip, "--no-build-isolation", source], check=True)
    environment = {**os.environ, "INSTEP_SOURCE": str(source), "INSTEP_COMMAND": command}
    tests = [scratch / "venv/bin/python", "-m", "unittest", "discover", "-s", here / "cases", "-p", "*_test.py"]
    return subprocess.run(tests, cwd=scratch, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])))
