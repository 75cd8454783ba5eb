"""What `cmake --install` puts where, and what it leaves alone."""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["GORB_BUILD"])
CONF = Path(__file__).resolve().parents[2] / "conf" / "gorb.ini"


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gorb-install.")
        self.addCleanup(folder.cleanup)
        self.prefix = Path(folder.name, "prefix")

    def install(self, **env):
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], capture_output=True, text=True, timeout=100,
                              env={**os.environ, **env})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_the_unit_starts_the_daemon_that_was_installed_with_it(self):
        self.install()
        unit = (self.prefix / "lib/systemd/system/gorbd.service").read_text()
        program = next(line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart="))
        self.assertEqual(Path(program), self.prefix / "sbin/gorbd")
        self.assertTrue(os.access(program, os.X_OK))
        pages = next(line.removeprefix("Documentation=") for line in unit.splitlines() if line.startswith("Documentation=")).split()
        self.assertEqual(len(pages), 2)
        for page in pages:
            self.assertTrue(Path(page.removeprefix("file:")).is_file(), page)
        self.assertNotIn("@", unit)
        self.assertIn(f"\nExecReload={program} --check-config\nExecReload=/bin/kill -HUP $MAINPID\n", unit)
        # Programs of checks are not told to end before gorbd believes them no more.
        self.assertIn("\nKillMode=mixed\n", unit)

    def test_links_of_the_installed_pages_lead_to_installed_pages(self):
        self.install()
        docs, links = self.prefix / "share/doc/gorb", 0
        # Of those about the source only that they are there.
        for page in (docs / "README.md", docs / "SECURITY.md", *docs.glob("packaging/*.md"), docs / "plugins/README.md", docs / "sdk/README.md"):
            for link in re.findall(r"\]\(((?!https?:)[^)#]+)", page.read_text()):
                self.assertTrue((page.parent / link).is_file(), f"{page}: {link}")
                links += 1
        self.assertGreater(links, 20)

    def test_the_pages_of_plugins_are_where_the_installed_pages_look_for_them(self):
        self.install()
        docs = self.prefix / "share/doc/gorb"
        installed = {file.stem for file in self.prefix.glob("lib*/**/gorb/plugins/*.so")}
        self.assertGreater(len(installed), 5)
        self.assertEqual({page.parent.name for page in docs.glob("plugins/*/README.md")}, installed)
        for page in (docs / "README.md", docs / "plugins/README.md", *docs.glob("plugins/*/README.md")):
            for link in re.findall(r"\]\(((?:plugins/|pulse-|\.\./)[^)#]*)", page.read_text()):
                self.assertTrue((page.parent / link).is_file(), f"{page}: {link}")

    def test_a_configuration_that_can_not_be_looked_at_is_not_taken_for_none(self):
        self.install()
        folder = self.prefix / "etc/gorb"
        folder.rename(folder.with_name("away"))
        folder.symlink_to(folder)  # For root as well, other than a mode.
        done = subprocess.run([self.prefix / "sbin/gorbd", "--check-config"], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(f"can not read the configuration file {folder}/gorb.ini", done.stderr)

    def test_a_folder_of_configuration_is_read_without_the_file_beside_it(self):
        self.install()
        folder = self.prefix / "etc/gorb"
        (folder / "gorb.ini").unlink()
        (folder / "conf.d" / "a.ini").write_text("[gorbd]\nlisten = nowhere\n")
        done = subprocess.run([self.prefix / "sbin/gorbd", "--check-config"], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(f"{folder}/conf.d/a.ini:2", done.stderr)

    def test_of_two_configurations_the_one_that_is_not_read_is_named(self):
        self.install()
        layer = self.prefix.parent / "layer"
        (layer / "etc/gorb").mkdir(parents=True)
        (layer / "work").mkdir()
        (layer / "etc/gorb/gorb.ini").write_text("[gorbd]\nlisten = nowhere\n")
        # In a mount namespace of its own, where /etc has such a file.
        check = ["unshare", "--mount", "--map-root-user", "sh", "-c",
                 'mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/work" /etc && exec "$2" --check-config',
                 "sh", layer, self.prefix / "sbin/gorbd"]
        done = subprocess.run(check, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"the configuration in {self.prefix}/etc/gorb/gorb.ini is good", done.stdout)
        self.assertIn("/etc/gorb/gorb.ini is there too, and not read", done.stdout)

    def test_a_package_is_made_below_another_folder_and_names_none_of_it(self):
        root = self.prefix.parent / "root"
        self.install(DESTDIR=str(root))
        unit = Path(f"{root}{self.prefix}/lib/systemd/system/gorbd.service").read_text()
        self.assertIn(f"\nExecStart={self.prefix}/sbin/gorbd\n", unit)
        self.assertTrue(Path(f"{root}{self.prefix}/etc/gorb/gorb.ini").is_file())
        self.assertFalse(self.prefix.exists())

    def test_a_configuration_that_somebody_has_changed_survives_the_next_install(self):
        self.install()
        ini, new = self.prefix / "etc/gorb/gorb.ini", self.prefix / "etc/gorb/gorb.ini.new"
        self.assertEqual(ini.read_text(), CONF.read_text())
        self.install()
        self.assertFalse(new.exists(), "nothing was changed")
        mine = ini.read_text().replace(";listen = 127.0.0.1:4672", "listen = 127.0.0.1:4673")
        ini.write_text(mine)
        said = self.install()
        self.assertEqual(ini.read_text(), mine)
        self.assertEqual(new.read_text(), CONF.read_text())
        self.assertIn("gorb.ini.new", said)


if __name__ == "__main__":
    unittest.main()
