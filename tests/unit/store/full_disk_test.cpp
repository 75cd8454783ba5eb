// A disk that is full, and one that is read-only: real ones, in a mount namespace of a child. Where that is
// not allowed, a limit on the size of files, and a folder without the right to write.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "unit/store/store_helpers.h"

namespace gorb::store::full_disk_test {
namespace {

bool write_file(const char* path, const std::string& text) {
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool good = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(fd);
    return good;
}

// A file system of its own on `where`, 3 MB large, for this process only.
bool own_disk(const fs::path& where) {
    const auto uid = getuid();
    const auto gid = getgid();
    if (unshare(CLONE_NEWNS) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
        if (!write_file("/proc/self/setgroups", "deny")) return false;
        if (!write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1")) return false;
        if (!write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1")) return false;
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    return mount("gorb", where.c_str(), "tmpfs", 0, "size=3m") == 0;
}

// In the child: what is expected, else its line is said and becomes the exit status.
#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (false)

// Fills the disk, or limits how large files may become; and back.
class Fill {
  public:
    Fill(fs::path file, bool disk) : file_(std::move(file)), disk_(disk) {}
    void full() const {
        if (disk_) {
            const int fd = open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            const std::string block(4096, 'x');
            while (write(fd, block.data(), block.size()) > 0) {
            }
            close(fd);
        } else {
            limit(fs::file_size(file_.parent_path() / "store" / "gorb.db-wal"));
        }
    }
    void room() const {
        if (disk_) {
            fs::remove(file_);
        } else {
            limit(RLIM_INFINITY);
        }
    }

  private:
    static void limit(rlim_t size) {
        rlimit now{};
        getrlimit(RLIMIT_FSIZE, &now);
        now.rlim_cur = std::min(size, now.rlim_max);
        setrlimit(RLIMIT_FSIZE, &now);
    }
    fs::path file_;
    bool disk_;
};

int on_a_full_disk(const fs::path& folder, bool disk) {
    signal(SIGXFSZ, SIG_IGN);
    const Fill fill(folder / "filler", disk);
    auto db = opened(folder / "store");
    MUST(db && db->load());
    uint64_t n = 0;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 5; ++i) {
            ++n;
            MUST(put(*db, numbered(n)));
        }
        fill.full();
        base::Status refused;
        for (int i = 0; i < 10'000 && refused; ++i) {
            refused = put(*db, numbered(n + 1));
            if (refused) ++n;
        }
        MUST(!refused);
        MUST(refused.error().code == base::Errc::no_space);
        MUST(refused.error().sentence.find("the disk of " + (folder / "store").string() + " is full") !=
             std::string::npos);
        MUST(!put(*db, numbered(n + 1)));
        MUST(db->status().trouble == refused.error().sentence);
        MUST(!db->lost());
        const auto all = db->load();  // reading goes on
        MUST(all && difference_of(*all, state_at(n)).empty());
        if (disk) {
            const auto rewrite = rewritten(*db, *all);
            MUST(!rewrite && rewrite.error().code == base::Errc::no_space);
        }
        fill.room();
    }
    MUST(put(*db, numbered(n + 1)));
    MUST(db->status().trouble.empty());
    db.reset();
    MUST(difference_of(reopened(folder / "store"), state_at(n + 1)).empty());
    return 0;
}

TEST(FullDisk, IsSaidAndIsOverWithoutARestart) {
    const Folder folder;
    const int status = in_child([&] {
        if (!own_disk(folder / "")) return 77;
        return on_a_full_disk(folder / "", true);
    });
    if (status == 77) {
        EXPECT_EQ(in_child([&] { return on_a_full_disk(folder / "", false); }), 0);
    } else {
        EXPECT_EQ(status, 0);
    }
}

TEST(FullDisk, ALimitOnFileSizesIsOneToo) {
    const Folder folder;
    EXPECT_EQ(in_child([&] { return on_a_full_disk(folder / "", false); }), 0);
}

TEST(FullDisk, ANewDatabaseThatHasNoRoomIsRefusedAndLeavesNothing) {
    const Folder folder;
    const int status = in_child([&] {
        signal(SIGXFSZ, SIG_IGN);
        const bool disk = own_disk(folder / "");
        rlimit limit{4096, RLIM_INFINITY};
        if (disk) {
            Fill(folder / "filler", true).full();
        } else {
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        const auto db = open_database(folder.store());
        MUST(!db);
        MUST(db.error().code == base::Errc::no_space);
        MUST(!fs::exists(folder.file()));
        Fill(folder / "filler", disk).room();
        MUST(open_database(folder.store()));
        return 0;
    });
    EXPECT_EQ(status, 0);
}

// It would take the room that the present file needs.
TEST(FullDisk, AFileThatCanNotBeMadeAnewLeavesNoPartOfIt) {
    const Folder folder;
    const int status = in_child([&] {
        signal(SIGXFSZ, SIG_IGN);
        const auto db = opened(folder.store());
        MUST(put(*db, numbered(1)));
        const auto all = db->load();
        MUST(all);
        const rlimit little{8192, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &little);
        const auto refused = rewritten(*db, *all);
        MUST(!refused && refused.error().code == base::Errc::no_space);
        MUST(!fs::exists(folder.store() / "gorb.db.new"));
        return 0;
    });
    EXPECT_EQ(status, 0);
}

TEST(FullDisk, ARestoreThatHasNoRoomLeavesNoPartOfTheCopy) {
    const Folder folder;
    const int status = in_child([&] {
        signal(SIGXFSZ, SIG_IGN);
        auto db = opened(folder.store());
        MUST(put(*db, numbered(1)));
        MUST(backup(folder.store(), folder / "copy"));
        db.reset();
        const rlimit little{8192, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &little);
        MUST(!restore(folder.store(), folder / "copy"));
        MUST(!fs::exists(folder.store() / "gorb.db.new"));
        return 0;
    });
    EXPECT_EQ(status, 0);
}

TEST(ReadOnlyDisk, IsSaidAtTheStart) {
    const Folder folder;
    const int status = in_child([&] {
        const bool disk = own_disk(folder / "");
        {
            auto db = opened(folder.store());
            MUST(db && db->load() && put(*db, numbered(1)));
        }
        if (disk) {
            MUST(mount("gorb", (folder / "").c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0);
        } else {
            MUST(chmod(folder.store().c_str(), 0500) == 0);
            if (access(folder.store().c_str(), W_OK) == 0) return 0;  // root without a mount of its own
        }
        const auto db = open_database(folder.store());
        MUST(!db);
        MUST(db.error().code == base::Errc::unavailable);
        MUST(db.error().sentence.find("must be writable") != std::string::npos);
        MUST(check(folder.store()).value_or("?").empty() || disk);
        chmod(folder.store().c_str(), 0700);
        return 0;
    });
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace gorb::store::full_disk_test
