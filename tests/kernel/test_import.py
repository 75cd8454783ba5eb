"""What the real ipvsadm writes of a real table is imported whole, or refused with the line that can not be."""
import contextlib
import json
import sqlite3
import tempfile
from pathlib import Path

from gorbd import run_gorbd
from lab import LabTest

FORWARDING = {"nat": "-m", "dr": "-g", "tunnel": "-i"}


def address(text):
    """"10.0.0.1:80/tcp" -> "-t 10.0.0.1:80" """
    endpoint, protocol = text.rsplit("/", 1)
    return f"-{protocol[0]} {endpoint}"


def service_line(where, settings):
    words = [f"-A {address(where)} -s {settings['method']}"]
    if settings["persistent"]:
        words.append(f"-p {settings['persistence-timeout']}")
        if settings["netmask"] not in ("255.255.255.255", 128):
            words.append(f"-M {settings['netmask']}")
    if settings["flags"]:
        words.append("-b " + settings["flags"].replace("|", ","))
    return " ".join(words)


def backend_line(service, where, settings):
    line = f"-a {address(service)} -r {where} {FORWARDING[settings['method']]} -w {settings['weight']}"
    return line + (" --tun-type ipip" if settings["method"] == "tunnel" else "")


class Import(LabTest):
    servers = 0

    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_import(self):
        saved = self.lab.ipvsadm("-Sn")
        file = self.folder / "saved"
        file.write_text(saved)
        return saved, run_gorbd("--state-directory", self.folder / "state", "--import", file)

    def stored(self):
        """The store in ipvsadm's words."""
        with contextlib.closing(sqlite3.connect(self.folder / "state" / "gorb.db")) as database:
            services = {name: (where, json.loads(settings)) for name, where, settings in
                        database.execute("SELECT name, address, settings FROM service")}
            lines = [service_line(*service) for service in services.values()]
            lines += [backend_line(services[service][0], where, json.loads(settings)) for service, where, settings in
                      database.execute("SELECT service, address, settings FROM backend")]
        return sorted(lines)

    def test_what_ipvsadm_saves_is_imported_as_it_is(self):
        for line in ("-A -t 10.9.0.50:80 -s wrr",
                     "-a -t 10.9.0.50:80 -r 10.1.9.1:8080 -m -w 100",
                     "-a -t 10.9.0.50:80 -r 10.1.9.2:80 -g -w 0",
                     "-a -t 10.9.0.50:80 -r 10.1.9.3:80 -i -w 65535",
                     "-A -t 10.9.0.51:443 -s sh -p 77 -M 255.255.0.0 -b sh-fallback,sh-port",
                     "-A -t 10.9.0.52:443 -s mh -b mh-port",
                     "-A -u 10.9.0.50:0 -s rr -p",
                     "-a -u 10.9.0.50:0 -r 10.1.9.1:0 -g",
                     "-A -u [2001:db8::50]:53 -s wlc",
                     "-a -u [2001:db8::50]:53 -r [2001:db8:1::1]:5353 -m -w 3",
                     "-A -t [2001:db8::50]:80 -s lc -p 60 -M 64"):
            self.lab.ipvsadm(*line.split())
        saved, (status, said) = self.run_import()
        self.assertEqual(status, 0, said)
        self.assertIn("imported 6 virtual services, 5 backends", said)
        self.assertEqual(self.stored(), sorted(line.strip() for line in saved.splitlines()))

    def test_a_line_written_by_hand_means_what_it_means_to_ipvsadm(self):
        for line in ("-A -t 10.9.0.50:80", "-a -t 10.9.0.50:80 -r 10.1.9.1", "-A -u 10.9.0.50:53 -p -s rr",
                     "-a -u 10.9.0.50:53 -r 10.1.9.1 -m"):
            self.lab.ipvsadm(*line.split())
            with (self.folder / "by-hand").open("a") as file:
                file.write(f"ipvsadm {line}\n")
        status, said = run_gorbd("--state-directory", self.folder / "state", "--import", self.folder / "by-hand")
        self.assertEqual(status, 0, said)
        self.assertEqual(self.stored(), sorted(line.strip() for line in self.lab.ipvsadm("-Sn").splitlines()))

    def test_an_empty_table_is_imported_as_nothing(self):
        _, (status, said) = self.run_import()
        self.assertEqual(status, 0, said)
        self.assertIn("imported 0 virtual services, 0 backends", said)

    def test_what_gorb_has_no_word_for_is_refused_with_its_line(self):
        for options, what in ((("-A -f 5 -s lc",), "firewall mark"),
                              (("-A -f 5 -6 -s lc",), "firewall mark"),
                              (("-A --sctp-service 10.9.0.50:80 -s rr",), "SCTP"),
                              (("-A -u 10.9.0.50:53 -s rr -o",), "one-packet"),
                              (("-A -t 10.9.0.50:80 -s rr",
                                "-a -t 10.9.0.50:80 -r 10.1.9.1:80 -i --tun-type gue --tun-port 6080"), "gue")):
            self.lab.ipvsadm("-C")
            for line in options:
                self.lab.ipvsadm(*line.split())
            saved, (status, said) = self.run_import()
            self.assertEqual(status, 1, saved + said)
            self.assertIn(f"line {len(options)} ", said)
            self.assertIn(what, said)
            self.assertFalse((self.folder / "state").exists())
