"""deploy_test.py SOURCE_DIR: tools/deploy against an ssh server of this computer, on a port of its own. What it finds
there is made up: a folder of programs stands for those of a Jetson. Exits with 77 where there is no ssh server."""
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
SOURCE = sys.argv.pop(1)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import made_up  # noqa: E402

ORIN = "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic"
DOCTOR = {"real_time": False, "findings": [{"check": "kernel", "level": "bad", "text": "x", "mend": "y"}]}
# The programs of the made-up Jetson; $STATE is its folder.
PROGRAMS = {
    "dpkg": """case $1 in
--print-architecture) cat "$STATE/architecture" ;;
--install)
  count=$(cat "$STATE/locked" 2>/dev/null || echo 0)
  if [ "$count" -gt 0 ]; then
    echo $((count - 1)) >"$STATE/locked"
    echo "dpkg: error: dpkg frontend lock is locked by another process" >&2
    exit 2
  fi
  if [ -e "$STATE/refuses" ]; then echo "dpkg: dependency problems" >&2; exit 1; fi
  cp "$2" "$STATE/installed.deb" && id -u >"$STATE/installed-by" ;;
esac""",
    "dpkg-query": """while read -r name version; do echo "package=ii  $name $version"; done <"$STATE/packages"
echo "package=rc  libgone 1" """,
    "head": """case $* in *nv_tegra_release*) cat "$STATE/release" 2>/dev/null ;; *) exec /usr/bin/head "$@" ;; esac""",
    "sudo": """[ -e "$STATE/sudo" ] || exit 1
while :; do case $1 in -n | -S) shift ;; -p) shift 2 ;; *) exec "$@" ;; esac; done""",
    "id": """echo 1000""",
    "sleep": """echo . >>"$STATE/slept" """,
    "instep": """case $* in
--version) [ ! -e "$STATE/illegal" ] || kill -ILL $$; echo "instep 0.1.0" ;;
"doctor --json") echo "bad     kernel  x"; echo "good    clocks"; cat "$STATE/doctor"; exit 1 ;;
"profile create_mover --json") echo "update 100 us"; echo '{"update_us_p50": 100}' ;;
esac""",
}


class DeployTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="instep-deploy-test-")
        cls.addClassCleanup(shutil.rmtree, cls.shared)
        os.chmod(cls.shared, 0o755)
        cls.state = f"{cls.shared}/state"
        for name, text in PROGRAMS.items():
            made_up.write(f"{cls.shared}/bin/{name}", f"#!/bin/sh\n{text}\n")
            os.chmod(f"{cls.shared}/bin/{name}", 0o755)
        cls.start_server()
        cls.deb = made_up.make_deb(f"{cls.shared}/instep.deb", cls.shared, depends="adduser, libc6 (>= 2.31)")

    @classmethod
    def start_server(cls):
        for key in ("host", "user"):
            made_up.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{cls.shared}/{key}"])
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            cls.port = taken.getsockname()[1]
        if os.geteuid() == 0:  # a server of root's goes there to give up its rights
            os.makedirs("/run/sshd", exist_ok=True)
        made_up.write(f"{cls.shared}/sshd_config", f"""Port {cls.port}
ListenAddress 127.0.0.1
HostKey {cls.shared}/host
AuthorizedKeysFile {cls.shared}/user.pub
PidFile none
StrictModes no
PasswordAuthentication no
PermitRootLogin yes
UsePAM no
SetEnv PATH={cls.shared}/bin:/usr/sbin:/usr/bin:/sbin:/bin STATE={cls.state}
""")
        with open(f"{cls.shared}/sshd.log", "w", encoding="utf-8") as log:
            server = subprocess.Popen([made_up.which("sshd"), "-D", "-e", "-f", f"{cls.shared}/sshd_config"], stderr=log)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        cls.ssh = (f"ssh -F none -p {cls.port} -i {cls.shared}/user -o UserKnownHostsFile={cls.shared}/known "
                   "-o StrictHostKeyChecking=accept-new -o BatchMode=yes -o IdentitiesOnly=yes")
        cls.host = f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1"
        end = time.monotonic() + 60
        while subprocess.run([*cls.ssh.split(), cls.host, "true"], capture_output=True, check=False).returncode != 0:
            if time.monotonic() > end:
                with open(f"{cls.shared}/sshd.log", encoding="utf-8") as log:
                    raise AssertionError(f"the ssh server does not answer: {log.read()}")
            time.sleep(0.2)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="instep-deploy-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.rmtree(self.state, ignore_errors=True)
        self.put(architecture="arm64\n", release=ORIN + "\n", sudo="", doctor=json.dumps(DOCTOR) + "\n",
                 packages="adduser 3.118ubuntu5\nlibc6 2.35-0ubuntu3.8\n")

    def put(self, **files):
        for name, text in files.items():
            made_up.write(f"{self.state}/{name}", text)

    def deploy(self, *arguments, host=None):
        done = subprocess.run([f"{SOURCE}/tools/deploy", host or self.host, "--ssh", self.ssh, *arguments], text=True,
                              capture_output=True, cwd=self.folder, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def refused(self, code, text, *arguments, **options):
        found, said = self.deploy(*arguments, **options)
        self.assertEqual(found, code, said)
        self.assertIn(text, said)
        self.assertIn("FAILED", said.splitlines()[-1])
        self.assertFalse(os.path.exists(f"{self.state}/installed.deb"), said)
        self.assertFalse(os.path.exists(f"{self.folder}/runs"))

    def test_installs_and_brings_the_report_back(self):
        self.put(locked="2")
        code, said = self.deploy("--deb", self.deb)
        self.assertEqual(code, 0, said)
        with open(self.deb, "rb") as wanted, open(f"{self.state}/installed.deb", "rb") as found:
            self.assertEqual(wanted.read(), found.read())
        for text in ("JetPack 6 (L4T 36.4.3)", "arm64", "waiting: something else", "bad     kernel"):
            self.assertIn(text, said)
        self.assertNotIn("good    clocks", said)
        self.assertRegex(said.splitlines()[-1], "^Done: .*cannot be promised there yet.*Report: runs/deploy/127.0.0.1-")
        folder = f"{self.folder}/runs/deploy/" + os.listdir(f"{self.folder}/runs/deploy")[0]
        self.assertEqual(sorted(os.listdir(folder)), ["doctor.txt", "profile.txt", "report.json"])
        with open(f"{folder}/report.json", encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["doctor"], DOCTOR)
        self.assertEqual(report["profile"], {"update_us_p50": 100})
        self.assertEqual(report["version"], "instep 0.1.0")
        self.assertEqual(report["system"]["release"], ORIN)

    def test_refuses_another_architecture(self):
        self.put(architecture="amd64\n")
        self.refused(2, "the wrong architecture", "--deb", self.deb)

    def test_refuses_another_jetpack(self):
        self.put(release="# R32 (release), REVISION: 7.1, GCID: 1\n", packages="adduser 3\nlibc6 2.27-3ubuntu1.6\n")
        self.refused(2, "is not for JetPack 4 (L4T 32.7.1), which lacks libc6 (>= 2.31)", "--deb", self.deb)
        self.refused(2, "tools/cross nano", "--deb", self.deb)

    def test_refuses_a_jetpack_that_is_not_known(self):
        self.put(release="# R47 (release), REVISION: 1.0, GCID: 1\n")
        self.refused(2, "is not known here", )
        self.put(release="# something\n")
        self.refused(1, "is not understood", "--deb", self.deb)

    def test_wrong_packages(self):
        made_up.write(f"{self.folder}/x.deb", "text")
        self.refused(1, "is no Debian package", "--deb", f"{self.folder}/x.deb")
        self.refused(2, "No such file", "--deb", f"{self.folder}/absent.deb")

    def test_installation_that_fails(self):
        self.put(refuses="")
        self.refused(3, "installing failed (1): dpkg: dependency problems", "--deb", self.deb)
        os.remove(f"{self.state}/refuses")
        self.put(locked="1000")
        self.refused(3, "locked for 10 minutes", "--deb", self.deb)

    def test_program_for_another_processor(self):
        self.put(illegal="")
        code, said = self.deploy("--deb", self.deb)
        self.assertEqual(code, 3, said)
        self.assertIn("another processor", said)

    def test_doctor_that_says_nothing(self):
        self.put(doctor="")
        code, said = self.deploy("--deb", self.deb)
        self.assertEqual(code, 3, said)
        self.assertIn("did not answer with JSON", said)

    def test_hosts_that_do_not_answer(self):
        self.refused(3, "ssh fails", "--deb", self.deb, host="nobody-there@127.0.0.1")
        self.refused(3, "ssh fails", "--deb", self.deb, "--ssh", "ssh -F none -o BatchMode=yes -p 1")
        self.refused(2, "no program", "--ssh", f"{self.folder}/no-ssh")
        done = subprocess.run([f"{SOURCE}/tools/deploy", "--", "-oProxyCommand=true"], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"is no host", done.stderr)


if __name__ == "__main__":
    if not all(map(made_up.which, ("sshd", "ssh", "ssh-keygen", "dpkg-deb"))):
        print("skipped: needs ssh, sshd, ssh-keygen and dpkg-deb")
        sys.exit(made_up.SKIP)
    unittest.main(verbosity=1)
