// What the files are can not be said: nothing is begun then, and what was committed is not called refused.
#include <fcntl.h>
#include <sys/resource.h>

#include "unit/store/powercut_vfs.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::doubt_test {
namespace {

// In place of the folder stands a link to itself, which nobody gets behind, not even root; what is open
// stays so.
void hide(const Folder& folder) {
    fs::rename(folder.store(), folder / "behind");
    fs::create_directory_symlink("store", folder.store());
}
void show(const Folder& folder) {
    fs::remove(folder.store());
    fs::rename(folder / "behind", folder.store());
}

TEST(Doubt, WhatWasCommittedIsNotRefused) {
    const Folder folder;
    PowerCut disk;
    auto db = opened(folder.store(), {PowerCut::name});
    ASSERT_TRUE(put(*db, numbered(1)));
    bool hidden = false;
    disk.before = [&] {
        if (!std::exchange(hidden, true)) hide(folder);
    };
    const auto committed = put(*db, numbered(2));
    ASSERT_TRUE(hidden);
    EXPECT_TRUE(committed) << committed.error().sentence;
    EXPECT_FALSE(db->lost());
    show(folder);
    db.reset();
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(committed ? 2 : 1)), "");
}

TEST(Doubt, NothingIsBegun) {
    const Folder folder;
    auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(1)));
    hide(folder);
    const auto refused = put(*db, numbered(2));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::unavailable);
    EXPECT_NE(refused.error().sentence.find(folder.file().string()), std::string::npos)
        << refused.error().sentence;
    EXPECT_FALSE(db->lost());
    show(folder);
    EXPECT_EQ(difference_of(*db->load(), state_at(1)), "");
    EXPECT_TRUE(put(*db, numbered(3)));
}

TEST(Doubt, WhatWasCommittedIntoAFileThatIsLostIsRefused) {
    const Folder folder;
    PowerCut disk;
    auto db = opened(folder.store(), {PowerCut::name});
    ASSERT_TRUE(put(*db, numbered(1)));
    disk.before = [&] { fs::remove(folder.file()); };
    EXPECT_FALSE(put(*db, numbered(2)));
    EXPECT_TRUE(db->lost());
    disk.before = nullptr;
}

// So many descriptors can be opened; in the child.
void leave_descriptors(unsigned count) {
    const int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(lowest);
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = static_cast<rlim_t>(lowest) + count;
    setrlimit(RLIMIT_NOFILE, &now);
}
void leave_all_descriptors() {
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = now.rlim_max;
    setrlimit(RLIMIT_NOFILE, &now);
}

TEST(Doubt, ALogThatOurOwnCommitCutsNeedsNoLook) {
    const Folder folder;
    EXPECT_EQ(in_child([&] {
                  const auto opened = open_database(folder.store());
                  if (!opened) return 1;
                  Database& db = **opened;
                  uint64_t n = 0;
                  if (!put(db, numbered(++n))) return 2;
                  const fs::path log = folder.store() / "gorb.db-wal";
                  // Who reads keeps it from going into the file, and so it grows.
                  sqlite3* reader = nullptr;
                  sqlite3_open(folder.file().c_str(), &reader);
                  sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM service", nullptr, nullptr, nullptr);
                  while (fs::file_size(log) < (17U << 20)) {
                      if (!put(db, numbered(++n))) return 3;
                  }
                  sqlite3_exec(reader, "COMMIT", nullptr, nullptr, nullptr);
                  sqlite3_close(reader);
                  // The next one lets it go into the file, and the one after that begins it anew.
                  if (!put(db, numbered(++n))) return 4;
                  leave_descriptors(0);
                  const auto cut = put(db, numbered(++n));
                  if (fs::file_size(log) != (16U << 20)) return 5;
                  const auto next = put(db, numbered(++n));
                  leave_all_descriptors();
                  if (!cut || !next || db.lost()) return 6;
                  return difference_of(*db.load(), state_at(n)).empty() ? 0 : 7;
              }),
              0);
}

TEST(Doubt, AFileThatCanNotBeOpenedForWantOfADescriptorIsNotLost) {
    for (const unsigned left : {0U, 1U}) {
        const Folder folder;
        EXPECT_EQ(in_child([&] {
                      const auto opened = open_database(folder.store());
                      if (!opened || !put(**opened, numbered(1))) return 1;
                      // By another program: a connection of this one would leave its descriptor behind.
                      const int packed = in_child([&] {
                          return execlp("sqlite3", "sqlite3", folder.file().c_str(),
                                        "PRAGMA wal_checkpoint(TRUNCATE)", nullptr);
                      });
                      if (packed != 0 || fs::file_size(folder.store() / "gorb.db-wal") != 0) return 2;
                      leave_descriptors(left);
                      const auto refused = put(**opened, numbered(2));
                      leave_all_descriptors();
                      if (refused || (*opened)->lost()) return 3;
                      if (refused.error().code != base::Errc::unavailable) return 4;
                      if (!put(**opened, numbered(3))) return 5;
                      return (*opened)->load()->revision == 3 ? 0 : 6;
                  }),
                  0)
            << left;
    }
}

}  // namespace
}  // namespace gorb::store::doubt_test
