#!/usr/bin/env python3
"""The SDK as its users have it: installed into a prefix, with plugins built outside of gorb's tree, in the installed daemon.

    outside_test.py BUILD SOURCE
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
BUILD, SOURCE = Path(), Path()


def run(*words, seconds=180, env=None, cwd=None):
    """What the command printed; AssertionError with it when it fails."""
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
                          env={**os.environ, **(env or {})}, cwd=cwd, errors="replace")
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def only(paths):
    found = list(paths)
    if len(found) != 1:
        raise AssertionError(f"one file was expected, found: {found}")
    return found[0]


class UdpServer:
    """Answers every datagram with `reply`, until it is closed."""

    def __init__(self, reply, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.reply, self.running = reply, True
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while self.running:
            _, peer = self.socket.recvfrom(2048)
            if self.running:
                self.socket.sendto(self.reply, peer)

    def close(self):
        self.running = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()


class Outside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="gorb-outside."))
        cls.prefix, cls.work = Path(cls.folder, "prefix"), Path(cls.folder, "work")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        doc = only(cls.prefix.glob("share/doc/*/examples")).parent
        cls.examples = doc / "examples"
        shutil.copytree(cls.examples, cls.work)
        cls.readme = (doc / "README.md").read_text()
        cls.check = cls.prefix / "bin" / "gorb-plugin-check"
        pkgconfig = only(cls.prefix.rglob("gorb-sdk.pc")).parent
        cls.env = {"PKG_CONFIG_PATH": str(pkgconfig)}
        cls.plugins = Path(run("pkg-config", "--variable=plugindir", "gorb-sdk", env=cls.env).strip())
        cls.built = {}

    def build(self, name):
        """Builds an example with CMake, once; its library."""
        if name not in self.built:
            source, binary = self.work / name, self.work / name / "build"
            run("cmake", "-S", source, "-B", binary, "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={self.prefix}")
            run("cmake", "--build", binary)
            self.built[name] = only(binary.glob("*.so"))
        return self.built[name]

    def daemon(self):
        """The installed one, with what is in its folder of plugins by now."""
        sys.path.insert(0, str(SOURCE / "tests" / "lib"))
        import gorbd

        gorbd.BINARY = only([*self.prefix.glob("sbin/gorbd"), *self.prefix.glob("bin/gorbd")])
        return gorbd.Gorbd("--driver", "memory")

    def exports(self, library):
        return [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]

    def test_nothing_installed_points_back_into_the_tree(self):
        for file in [*self.prefix.rglob("*.cmake"), *self.prefix.rglob("*.pc"), *self.prefix.rglob("*.hpp")]:
            self.assertNotIn(str(SOURCE), file.read_text(), file)

    def test_the_plugins_of_gorb_are_where_the_sdk_says(self):
        self.assertTrue(self.plugins.resolve().is_relative_to(self.prefix.resolve()))
        self.assertEqual(sorted(file.name for file in self.plugins.glob("pulse-*.so")),
                         [f"pulse-{name}.so" for name in ("dns", "exec", "grpc", "http", "icmp", "none", "tcp", "ttl", "udp")])
        needs = {"pulse-dns.so": ["--arg", "name=example.org"]}
        for library in self.plugins.glob("pulse-*.so"):
            self.assertEqual(self.exports(library), ["gorb_plugin_entry"])
            if library.name != "pulse-exec.so":  # It wants a folder of programs; sdk.check_exec has one.
                run(self.check, *needs.get(library.name, []), library)

    def test_the_c_example_by_cmake(self):
        library = self.build("pulse-udp-c")
        self.assertEqual(self.exports(library), ["gorb_plugin_entry"])
        run(self.check, "--arg", "send=ping", library)

    def test_the_c_example_by_make_and_pkg_config(self):
        folder = Path(self.folder, "make")
        shutil.copytree(self.examples / "pulse-udp-c", folder)
        run("make", "-C", folder, env=self.env)
        self.assertEqual(self.exports(folder / "pulse-udp-reply.so"), ["gorb_plugin_entry"])
        run(self.check, "--arg", "send=ping", folder / "pulse-udp-reply.so")

    def test_the_cpp_example_by_cmake_with_its_own_tests(self):
        library = self.build("pulse-path-cpp")
        self.assertEqual(self.exports(library), ["gorb_plugin_entry"])
        said = run("ctest", "--test-dir", library.parent, "--output-on-failure")
        self.assertIn("100% tests passed, 0 tests failed out of 2", said)

    def test_the_plugin_of_the_readme(self):
        folder = Path(self.folder, "readme")
        folder.mkdir()
        blocks = re.findall(r"```(\w+)\n(.*?)```", self.readme, flags=re.S)
        (folder / "greeting.cpp").write_text(next(text for kind, text in blocks if kind == "cpp" and "GORB_PULSE" in text))
        (folder / "CMakeLists.txt").write_text(next(text for kind, text in blocks if kind == "cmake"))
        run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", folder / "build")
        library = folder / "build/pulse-greeting.so"
        run(self.check, "--arg", "word=220", library)

        self.addCleanup(Path(shutil.copy(library, self.plugins)).unlink)
        shell = next(text for kind, text in blocks if kind == "sh" and "curl" in text).replace("\\\n", " ")
        with self.daemon() as daemon:
            for line in shell.splitlines():
                if line.startswith("curl"):
                    run("sh", "-c", line.replace("localhost:4672", "%s:%d" % daemon.address))
            backend = daemon.get("/service/mail/b1")
            self.assertEqual(backend.status, 200, backend.text)
            self.assertEqual(backend.json["options"]["pulse"]["type"], "greeting")

    def test_a_missing_symbol_fails_when_the_plugin_is_linked(self):
        folder = Path(self.folder, "missing")
        folder.mkdir()
        (folder / "m.c").write_text("#include <gorb/abi.h>\nint nobody_has_this(void);\n"
                                    "int use(void) { return nobody_has_this(); }\n")
        (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.18)\nproject(m LANGUAGES C)\n"
                                               "find_package(gorb-sdk REQUIRED)\ngorb_add_plugin(m m.c)\n")
        run("cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        with self.assertRaisesRegex(AssertionError, "undefined reference to `nobody_has_this'"):
            run("cmake", "--build", folder / "build")

    def test_the_examples_work_in_the_installed_daemon(self):
        for name in ("pulse-udp-c", "pulse-path-cpp"):
            self.addCleanup(Path(shutil.copy(self.build(name), self.plugins)).unlink)
        flag = Path(self.folder, "flag")
        flag.write_text("here")
        quick = {"interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1}
        with self.daemon() as daemon:
            listed = daemon.get("/plugins").json
            self.assertEqual(listed["refused"], [])
            found = {plugin["name"]: plugin for plugin in listed["plugins"]}
            self.assertLessEqual({"tcp", "http", "none", "udp-reply", "path"}, set(found))
            self.assertEqual(Path(found["path"]["file"]).resolve(), (self.plugins / "pulse-path.so").resolve())
            self.assertEqual(found["udp-reply"]["version"], "1.0.0")

            daemon.made("/service/dns", {"address": "10.0.0.1", "port": 53, "protocol": "udp"})
            server = UdpServer(b"pong")
            try:
                daemon.made("/service/dns/b1", {"address": "127.0.0.1", "port": server.port, "pulse": {
                    "type": "udp-reply", "send": "ping", "expect": "po", **quick}})
                daemon.wait_for("/service/dns/b1", lambda b: b["state"] == "up", "up")
            finally:
                server.close()
            daemon.wait_for("/service/dns/b1", lambda b: b["state"] == "down", "down")
            last = daemon.get("/service/dns/b1").json["last"]
            self.assertEqual(last["reason"], "no reply: nobody listens on that port")

            daemon.made("/service/dns/far", {"address": "127.0.0.1", "port": 9, "pulse": {
                "type": "udp-reply", "send": "ping", "source": "192.0.2.1", **quick}})
            daemon.wait_for("/service/dns/far", lambda b: (b["last"] or {}).get("verdict") == "unknown", "asked from there")

            daemon.made("/service/files", {"address": "10.0.0.2", "port": 80})
            daemon.made("/service/files/b1", {"address": "127.0.0.1", "port": 8080, "pulse": {
                "type": "path", "path": str(flag), **quick}})
            daemon.wait_for("/service/files/b1", lambda b: b["state"] == "up", "up")
            flag.unlink()
            daemon.wait_for("/service/files/b1", lambda b: b["state"] == "down", "down")
            self.assertIn(str(flag), daemon.get("/service/files/b1").json["last"]["reason"])
            flag.write_text("back")
            daemon.wait_for("/service/files/b1", lambda b: b["state"] == "up", "up again")

            refused = daemon.put("/service/files/b2", {"address": "127.0.0.1", "port": 8081, "pulse": {
                "type": "path", "path": "relative"}})
            self.assertEqual(refused.status, 400)
            self.assertIn('"path" must begin with /', refused.text.replace('\\"', '"'))
            missing = daemon.put("/service/dns/b2", {"address": "127.0.0.1", "port": 8081, "pulse": {"type": "udp-reply"}})
            self.assertEqual(missing.status, 400)
            self.assertIn("send", missing.text)
            self.assertEqual(daemon.terminate(), 0)


if __name__ == "__main__":
    BUILD, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[3:]])
