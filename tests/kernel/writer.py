"""A client that writes all that REST can be told, one request after the other until the daemon is gone, and knows what of it
has to be there afterwards.

What it knows is {object: value}: ("service", method), ("backend", weight, admin, backup), or GOING, which was promised to go
when its connections have ended: it may be there, drained, or gone. An object that is not named is not there.
"""
import http.client
import json
import threading

from gorbd import SLOW

METHODS = ("wrr", "rr", "wlc", "lc")
BACKENDS = 6
GOING = "going"
NONE = {"type": "none"}
# What the kernel has of a service that somebody made with ipvsadm, so that it can be adopted.
THEIR_METHOD, THEIR_SERVER, THEIR_WEIGHT = "rr", "10.1.9.50:80", 4


def objects(document, names, leaves):
    """What GET /config shows of the services `names`, in the form in which it is known here. It does not show whether a
    service is to go: leaves(name) says so."""
    found = {}
    for name in names:
        service = document["services"].get(name)
        if service is None:
            continue
        found[name] = GOING if leaves(name) else ("service", service["method"])
        for backend, options in service["backends"].items():
            going = options.get("drain-then") == "delete"
            found[f"{name}/{backend}"] = GOING if going else ("backend", options["weight"], options["admin"], options["backup"])
    return found


def fits(found, known):
    """Is what was found what is known?"""
    return all(found.get(name) == known.get(name) or (known.get(name) == GOING and name not in found)
               for name in {*found, *known})


def without(known, service):
    return {name: value for name, value in known.items() if name.split("/")[0] != service}


def going(known, service):
    return {name: GOING if name.split("/")[0] == service else value for name, value in known.items()}


class Writer:
    """Two services: `own`, and `taken`, which it makes with ipvsadm and adopts."""

    def __init__(self, number, lab, dice):
        self.own, self.taken = f"w{number}", f"a{number}"
        self.address, self.taken_address = f"10.9.1.{number + 1}", f"10.9.2.{number + 1}"
        self.server = f"10.1.9.{number + 1}"
        self.lab, self.dice = lab, dice
        self.known = {}
        self.open = None        # what will be known if the request that is under way is done
        self.foreign = False    # the kernel has `taken`, and it is not adopted
        self.owed = False       # `taken` was removed, and nothing was changed since
        self.trouble = None
        self.answered = {}      # {kind of request: answers}

    def run(self, address):
        """Until the daemon is gone."""
        with self.lab.director:
            connection = http.client.HTTPConnection(*address, timeout=30 * SLOW)
            try:
                connection.connect()
            except OSError:
                return
        try:
            while self.trouble is None:
                self.step(connection)
        except (OSError, http.client.HTTPException):
            pass  # It was killed.
        finally:
            connection.close()

    def start(self, address):
        thread = threading.Thread(target=self.run, args=(address,), daemon=True)
        thread.start()
        return thread

    def ask(self, connection, method, path, body=None, headers=None):
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read().decode()

    def change(self, connection, kind, method, path, after, body=None, headers=None, good=(200,), stale=()):
        """Sends it; `after` is what is known then. False: it was refused as is no wonder (`stale`)."""
        self.open = after
        status, _, text = self.ask(connection, method, path, body, headers)
        if status in good:
            self.known, self.owed = after, False
        elif status not in stale:
            self.trouble = f"{method} {path} {body}: {status} {text}"
            return False
        self.open = None
        if status in good:
            self.answered[kind] = self.answered.get(kind, 0) + 1
        return status in good

    def step(self, connection):
        leaving = [name for name, value in self.known.items() if value == GOING]
        if leaving and self.dice.random() < 0.5:
            return self.look(connection, self.dice.choice(leaving))
        if self.dice.random() < 0.1:
            return self.adoption(connection)
        if self.known.get(self.own) == GOING:
            return self.look(connection, self.own)
        if self.own not in self.known:
            method = self.dice.choice(METHODS)
            return self.change(connection, "PUT service", "PUT", f"/service/{self.own}",
                               {**self.known, self.own: ("service", method)},
                               {"address": self.address, "port": 80, "method": method})
        kind = self.dice.random()
        if kind < 0.07:
            return self.change(connection, "DELETE service", "DELETE", f"/service/{self.own}", without(self.known, self.own))
        if kind < 0.12:
            return self.change(connection, "DELETE service?drain", "DELETE", f"/service/{self.own}?drain=1m",
                               going(self.known, self.own), good=(200, 202))
        if kind < 0.2:
            method = self.dice.choice(METHODS)
            return self.change(connection, "PATCH service", "PATCH", f"/service/{self.own}",
                               {**self.known, self.own: ("service", method)}, {"method": method})
        if kind < 0.35:
            return self.whole(connection)
        return self.backend(connection, f"{self.own}/b{self.dice.randrange(BACKENDS)}")

    def look(self, connection, name):
        """Whether what was to go has gone."""
        status, _, _ = self.ask(connection, "GET", f"/service/{name}")
        if status == 404:
            self.known = without(self.known, name) if "/" not in name else {
                other: value for other, value in self.known.items() if other != name}

    def body(self, name, weight, backup):
        return {"address": self.server, "port": 1000 + int(name[-1]), "weight": weight, "backup": backup, "pulse": NONE}

    def backend(self, connection, name):
        now, path = self.known.get(name), f"/service/{name}"
        rest = {other: value for other, value in self.known.items() if other != name}
        weight, backup = self.dice.randrange(1, 100), self.dice.random() < 0.2
        kind = self.dice.random()
        if now is None:
            return self.change(connection, "PUT backend", "PUT", path, {**rest, name: ("backend", weight, "ready", backup)},
                               self.body(name, weight, backup))
        if now == GOING:
            return self.look(connection, name)
        if kind < 0.15:
            return self.change(connection, "DELETE backend", "DELETE", path, rest)
        if kind < 0.3:
            return self.change(connection, "DELETE backend?drain", "DELETE", f"{path}?drain=1m", {**rest, name: GOING},
                               good=(200, 202))
        if kind < 0.45:
            return self.change(connection, "PUT backend, replacing", "PUT", path,
                               {**rest, name: ("backend", weight, "ready", backup)}, self.body(name, weight, backup),
                               {"If-Match": "*"})
        if kind < 0.6:
            admin = self.dice.choice(("ready", "drain", "maint"))
            return self.change(connection, "PATCH admin", "PATCH", path, {**rest, name: ("backend", now[1], admin, now[3])},
                               {"admin": admin})
        return self.change(connection, "PATCH weight", "PATCH", path, {**rest, name: ("backend", weight, *now[2:])},
                           {"weight": weight})

    def whole(self, connection):
        """PUT /config: several objects at once, all or none of them."""
        status, headers, text = self.ask(connection, "GET", "/config")
        if status != 200:
            self.trouble = f"GET /config: {status} {text}"
            return
        document = json.loads(text)
        service = document["services"].get(self.own)
        if service is None:
            return
        after = dict(self.known)
        service["method"] = self.dice.choice(METHODS)
        after[self.own] = ("service", service["method"])
        for number in range(BACKENDS):
            name = f"b{number}"
            path = f"{self.own}/{name}"
            if after.get(path) == GOING:
                continue
            if self.dice.random() < 0.25:
                service["backends"].pop(name, None)
                after.pop(path, None)
            else:
                weight, backup = self.dice.randrange(1, 100), self.dice.random() < 0.2
                service["backends"][name] = self.body(name, weight, backup)
                after[path] = ("backend", weight, "ready", backup)
        # Somebody else has written in between: 412.
        self.change(connection, "PUT /config", "PUT", "/config?force=true", after, document,
                    {"If-Match": headers["ETag"]}, stale=(412,))

    def adoption(self, connection):
        """Makes a service with ipvsadm, adopts it in one way or the other, and removes it."""
        name, key = self.taken, f"{self.taken_address}:80"
        rest = without(self.known, name)
        if name in self.known:
            self.owed = self.change(connection, "DELETE adopted", "DELETE", f"/service/{name}", rest)
            return
        if self.owed:  # What is made anew before gorb has noted that its own is gone would be its own after a kill.
            return
        if not self.foreign:
            self.foreign = True
            self.lab.ipvsadm("-A", "-t", key, "-s", THEIR_METHOD)
            self.lab.ipvsadm("-a", "-t", key, "-r", THEIR_SERVER, "-m", "-w", THEIR_WEIGHT)
        document = {"address": self.taken_address, "port": 80}
        if self.dice.random() < 0.5:
            done = self.change(connection, "POST /kernel/adopt", "POST", "/kernel/adopt",
                               {**rest, name: ("service", THEIR_METHOD),
                                f"{name}/{THEIR_SERVER.replace(':', '-')}": ("backend", THEIR_WEIGHT, "ready", False)},
                               {**document, "name": name, "pulse": NONE})
        else:
            # Its destination goes on being theirs.
            done = self.change(connection, "PUT service?adopt", "PUT", f"/service/{name}?adopt=true",
                               {**rest, name: ("service", "wlc")}, {**document, "method": "wlc"})
        if done:
            self.foreign = False

    def weights(self):
        """{destination: what the kernel has to have of it} of `own`, those that go left out."""
        backends = {name: value for name, value in self.known.items() if name.startswith(f"{self.own}/") and value != GOING}
        ready = {name: value for name, value in backends.items() if value[2] == "ready"}
        primary = any(not value[3] for value in ready.values())
        return {f"{self.server}:{1000 + int(name[-1])}": value[1] if name in ready and value[3] != primary else 0
                for name, value in backends.items()}

    def settle(self, document, leaves):
        """After a start: whether what is there is what has to be. It goes on from there. Says if a request was unanswered."""
        found = objects(document, (self.own, self.taken), leaves)
        could = [self.known] + ([self.open] if self.open is not None else [])
        if not any(fits(found, known) for known in could):
            raise AssertionError(f"there is {found}; acknowledged was {self.known}, unanswered {self.open}")
        if self.taken in found:
            self.foreign = False
        elif self.taken in self.known:
            self.owed = True
        self.known, unanswered, self.open = found, self.open is not None, None
        return unanswered
