// What was called done is there after a kill and after a power cut, and what was refused is not.
#include <sys/types.h>

#include <csignal>
#include <random>
#include <thread>

#include "unit/store/powercut_vfs.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::crash_test {
namespace {

struct Cut {
    PowerCut::Image image;
    uint64_t acknowledged;
};

// Opens what the cut left and looks at it.
void expect_whole(const Cut& cut, uint64_t submitted) {
    const Folder folder;
    fs::create_directory(folder.store());
    for (const auto& [name, bytes] : cut.image) write_bytes(folder.store() / name, bytes);
    const Loaded all = reopened(folder.store());
    EXPECT_GE(all.revision, cut.acknowledged);
    EXPECT_LE(all.revision, submitted);
    EXPECT_EQ(difference_of(all, state_at(all.revision)), "");
}

TEST(PowerCut, LosesNothingThatWasCalledDone) {
    const Folder folder;
    PowerCut disk;
    std::vector<Cut> cuts;
    std::mt19937_64 random(20'26);  // of the store's thread
    std::mt19937_64 pace(20'27);
    std::atomic<uint64_t> done{0};
    constexpr uint64_t last = 4000;
    {
        auto db = opened(folder.store(), {PowerCut::name});
        ASSERT_TRUE(db->load());
        uint64_t calls = 0;
        disk.before = [&] {
            // Every so often, and more closely while the WAL goes into the file.
            if (++calls % 67 != 0 && !(cuts.size() < 600 && random() % 31 == 0)) return;
            const auto how = static_cast<PowerCut::Unsynced>(random() % 3);
            cuts.push_back({disk.cut(how, random), done});
        };
        for (uint64_t n = 1; n <= last; ++n) {
            db->write(numbered(n), [&done, n](const base::Status& status) {
                EXPECT_TRUE(status);
                done = n;
            });
            if (n % (1 + pace() % 20) == 0) {
                while (done < n) std::this_thread::yield();
            }
        }
    }
    EXPECT_EQ(done, last);
    ASSERT_GE(cuts.size(), 200U);
    if (cuts.size() > 250) {
        std::ranges::shuffle(cuts, random);
        cuts.resize(250);
    }
    uint64_t after_some = 0;
    for (const Cut& cut : cuts) {
        expect_whole(cut, last);
        if (HasFailure()) return;
        after_some += cut.acknowledged > 0 ? 1 : 0;
    }
    EXPECT_GT(after_some, cuts.size() / 2);
}

TEST(PowerCut, IsSeenByThisTestWhereNothingIsSynced) {
    const Folder folder;
    PowerCut disk;
    std::mt19937_64 random(1);
    auto db = opened(folder.store(), {PowerCut::name});
    ASSERT_TRUE(put(*db, numbered(1)));
    const uint64_t syncs = disk.syncs;
    ASSERT_TRUE(put(*db, numbered(2)));
    EXPECT_GT(disk.syncs, syncs) << "a change was called done without a sync";
}

TEST(PowerCut, WhatWasRefusedForASyncThatFailedDoesNotComeBack) {
    const Folder folder;
    PowerCut disk;
    std::mt19937_64 random(5);
    auto db = opened(folder.store(), {PowerCut::name});
    for (uint64_t n = 1; n <= 10; ++n) ASSERT_TRUE(put(*db, numbered(n)));
    disk.failing_syncs = 1;
    const auto refused = put(*db, numbered(11));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::unavailable);
    // As after kill -9: all that was written is there.
    const Cut killed{disk.cut(PowerCut::Unsynced::kept, random), 10};
    expect_whole(killed, 10);
    ASSERT_TRUE(put(*db, numbered(11)));
    const Cut later{disk.cut(PowerCut::Unsynced::lost, random), 11};
    expect_whole(later, 11);
    db.reset();
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(11)), "");
}

TEST(PowerCut, ADiskThatRefusesWritesIsSaidAndTriedAgain) {
    const Folder folder;
    PowerCut disk;
    auto db = opened(folder.store(), {PowerCut::name});
    ASSERT_TRUE(put(*db, numbered(1)));
    uint64_t n = 1;
    const struct {
        int failure;
        base::Errc code;
    } all[] = {{SQLITE_IOERR_WRITE, base::Errc::unavailable},
               {SQLITE_FULL, base::Errc::no_space},
               {SQLITE_READONLY, base::Errc::unavailable}};
    for (const auto& one : all) {
        disk.write_failure = one.failure;
        disk.failing_writes = 1'000'000;
        for (int i = 0; i < 3; ++i) {
            const auto refused = put(*db, numbered(n + 1));
            ASSERT_FALSE(refused);
            EXPECT_EQ(refused.error().code, one.code) << refused.error().sentence;
            EXPECT_EQ(db->status().trouble, refused.error().sentence);
        }
        EXPECT_EQ(difference_of(*db->load(), state_at(n)), "");  // reading goes on
        EXPECT_FALSE(db->lost());
        disk.failing_writes = 0;
        ASSERT_TRUE(put(*db, numbered(++n)));
        EXPECT_EQ(db->status().trouble, "");
    }
    db.reset();
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(n)), "");
}

// ---- kill -9

// Runs `child(fd)` until it is killed at some instant; the last number that it wrote into fd.
template <class Child>
uint64_t killed(std::mt19937_64& random, Child&& child) {
    int pipes[2];
    EXPECT_EQ(pipe(pipes), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child(pipes[1]);
        _exit(1);
    }
    close(pipes[1]);
    uint64_t acknowledged = 0, n = 0;
    size_t reads = 0;
    const size_t kill_at = random() % 40;
    while (read(pipes[0], &n, sizeof n) == sizeof n) {
        acknowledged = n;
        if (reads++ == kill_at) {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
            kill(pid, SIGKILL);
        }
    }
    close(pipes[0]);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    return acknowledged;
}

void tell(int fd, uint64_t n) {
    if (write(fd, &n, sizeof n) != sizeof n) _exit(2);
}

TEST(Kill, LosesNothingThatWasCalledDone) {
    const Folder folder;
    std::mt19937_64 random(77);
    uint64_t last = 0;
    for (int round = 0; round < 30; ++round) {
        const uint64_t acknowledged = killed(random, [&](int fd) {
            auto opened = open_database(folder.store());
            if (!opened || !(*opened)->load()) return;
            Working db(std::move(*opened));
            std::atomic<uint64_t> done{last};
            for (uint64_t n = last + 1;; ++n) {
                db.write(numbered(n), [&done, n, fd](const base::Status& status) {
                    if (!status) _exit(3);
                    done = n;
                    tell(fd, n);
                });
                while (done + 8 < n) std::this_thread::yield();
            }
        });
        const Loaded all = reopened(folder.store());
        ASSERT_GT(acknowledged, last);
        ASSERT_GE(all.revision, acknowledged);
        ASSERT_EQ(difference_of(all, state_at(all.revision)), "");
        last = all.revision;
    }
}

TEST(Kill, WithinARewriteLeavesTheOldOrTheNewState) {
    const Folder folder;
    std::mt19937_64 random(78);
    uint64_t last = 0;
    for (int round = 0; round < 20; ++round) {
        const uint64_t acknowledged = killed(random, [&](int fd) {
            auto db = open_database(folder.store());
            if (!db || !(*db)->load()) return;
            for (uint64_t n = last + 1;; ++n) {
                const auto done = n % 2 ? rewritten(**db, state_at(n)) : put(**db, numbered(n));
                if (!done) _exit(3);
                tell(fd, n);
            }
        });
        const Loaded all = reopened(folder.store());
        ASSERT_GT(acknowledged, last);
        ASSERT_GE(all.revision, acknowledged);
        ASSERT_EQ(difference_of(all, state_at(all.revision)), "");
        last = all.revision;
        for (const auto& name : names(folder.store(), "gorb.db.lost-")) fs::remove(folder.store() / name);
    }
}

}  // namespace
}  // namespace gorb::store::crash_test
