"""A file system that the kernel makes read-only beneath a running gorbd, which it does by itself after an error: that can not be
asked for by `mount -o remount,ro`, for the database is open for writing."""
import subprocess
from pathlib import Path

from disk import DiskTest, mount, unmount


class ReadOnly(DiskTest):
    def mount_disk(self):
        image = self.folder / "image"
        with image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, timeout=60)
        subprocess.run(["modprobe", "--quiet", "loop"], check=False, timeout=20)
        mount("-o", "loop,errors=remount-ro", str(image), str(self.disk))

    def test_a_file_system_that_becomes_read_only_stops_changes_alone_until_another_is_in_its_place(self):
        device = subprocess.run(["findmnt", "--noheadings", "--output", "SOURCE", str(self.disk)], check=True, timeout=20,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")
        with self.assertRaisesRegex(OSError, "Read-only"):
            (self.disk / "file").write_text("")
        self.refused(503, "gorb.db", "Read-only file system")
        self.reads_go_on()
        self.health_goes_on()
        self.refused(503, "gorb.db", "Read-only file system")
        # What has had an error can not be made writable again; the kernel wants it checked first.
        mount("-t", "tmpfs", "-o", "size=4m,mode=0755", "gorb", str(self.disk))
        self.addCleanup(unmount, str(self.disk))
        self.recovers()
