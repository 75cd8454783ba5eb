"""A disk beneath gorbd that loses its power or can not be written; powercut/powercut.cpp, which is preloaded, notes what was synced.

A folder `root` is the disk. `cut()` makes of it what such a loss leaves: of each file what was in it when it was synced last, of
each folder the names that were in it then; and of what came after it chance lets some through, renames wholly or not at all.
"""
import os
import shutil
import struct
from pathlib import Path

from gorbd import BUILD

LOST, SOME, KEPT = "lost", "some", "kept"  # what was not synced
SECTOR = 512


class Disk:
    def __init__(self, folder):
        self.root, self.shadow = Path(folder) / "disk", Path(folder) / "shadow"
        self.root.mkdir()
        self.settle()

    def env(self):
        return {"LD_PRELOAD": str(BUILD / "tests" / "powercut.so"), "POWERCUT_ROOT": str(self.root),
                "POWERCUT_SHADOW": str(self.shadow)}

    def settle(self):
        """All that is there is synced."""
        if self.shadow.exists():
            shutil.rmtree(self.shadow)
        for kind in ("pin", "data", "names"):
            (self.shadow / kind).mkdir(parents=True)
        (self.shadow / "control").write_bytes(struct.pack("=qq", -1, 0))
        for path, _, _ in os.walk(self.root):
            lines = []
            for entry in os.scandir(path):
                lines.append(f"{entry.inode()} {entry.name}\n")
                if entry.is_file():
                    os.link(entry.path, self.shadow / "pin" / str(entry.inode()))
                    shutil.copy(entry.path, self.shadow / "data" / str(entry.inode()))
            (self.shadow / "names" / str(os.stat(path).st_ino)).write_text("".join(lines))

    def _control(self, at, value):
        with (self.shadow / "control").open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(struct.pack("=q", value))

    def cut_after(self, operations):
        """Whoever does the operation after so many is killed before it; None: nobody is."""
        self._control(0, -1 if operations is None else operations)

    def fails_with(self, number):
        """Every operation fails with this errno; 0: none does."""
        self._control(8, number)

    def cut(self, how, dice):
        live = {os.stat(path).st_ino: Path(path) for path, _, _ in os.walk(self.root)}
        files = {entry.inode(): Path(entry.path) for path in live.values() for entry in os.scandir(path) if entry.is_file()}
        let_through = {}

        def through(inode):
            if inode not in let_through:
                let_through[inode] = how == KEPT or (how == SOME and dice.random() < 0.5)
            return let_through[inode]

        def content(inode):
            synced, now = self.shadow / "data" / str(inode), files.get(inode, self.shadow / "pin" / str(inode))
            synced = synced.read_bytes() if synced.exists() else b""
            if how == LOST:
                return synced
            now = now.read_bytes()
            if how == KEPT or now == synced:
                return now
            out = bytearray(len(dice.choice((synced, now))))
            for at in range(0, len(out), SECTOR):
                part = dice.choice((synced, now))[at:at + SECTOR][:len(out) - at]
                out[at:at + len(part)] = part
            return bytes(out)

        def build(inode, to):
            to.mkdir(mode=0o700)
            synced, now = self.names(inode), {}
            if inode in live:
                now = {entry.name: entry.inode() for entry in os.scandir(live[inode])}
            for name in sorted({*synced, *now}):
                was, is_now = synced.get(name), now.get(name)
                if is_now is not None and (is_now == was or through(is_now)):
                    survivor = is_now
                elif was is not None and (is_now is not None or not through(was)):
                    survivor = was
                else:
                    continue
                if survivor in files or (self.shadow / "pin" / str(survivor)).exists():
                    (to / name).write_bytes(content(survivor))
                    (to / name).chmod(0o600)
                else:
                    build(survivor, to / name)

        left = self.root.with_name("left")
        build(os.stat(self.root).st_ino, left)
        shutil.rmtree(self.root)
        left.rename(self.root)
        self.settle()

    def names(self, inode):
        listing = self.shadow / "names" / str(inode)
        lines = listing.read_text().splitlines() if listing.exists() else []
        return {name: int(number) for number, name in (line.split(" ", 1) for line in lines)}
