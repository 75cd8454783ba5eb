// backup, check and restore, while a database is in use and while it is not.
#include <sys/stat.h>

#include <thread>

#include "unit/store/powercut_vfs.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::maintenance_test {
namespace {

TEST(Backup, IsWholeWhileADaemonWrites) {
    const Folder folder;
    auto db = opened(folder.store());
    ASSERT_TRUE(db->load());
    ASSERT_TRUE(put(*db, numbered(1)));
    std::atomic<bool> over{false};
    std::thread writer([&] {
        for (uint64_t n = 2; !over; ++n) EXPECT_TRUE(put(*db, numbered(n)));
    });
    for (int i = 0; i < 10; ++i) {
        const fs::path copy = folder / ("copy" + std::to_string(i));
        const uint64_t before = db->status().writes;
        const auto done = backup(folder.store(), copy);
        EXPECT_TRUE(done) << done.error().sentence;
        EXPECT_TRUE(restore(folder / ("other" + std::to_string(i)), copy));
        const Loaded all = reopened(folder / ("other" + std::to_string(i)));
        EXPECT_GE(all.revision, before);
        EXPECT_EQ(difference_of(all, state_at(all.revision)), "");
        EXPECT_EQ(check(folder.store()).value_or("not checked"), "");
    }
    over = true;
    writer.join();
    EXPECT_EQ(names(folder / "", "copy").size(), 10U);  // and nothing beside them
}

TEST(Restore, WhatRootMakesInAFolderOfSomebodyElsesIsThatOnes) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
    }
    ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    const fs::path services = folder / "services";
    ASSERT_EQ(mkdir(services.c_str(), 0700), 0);
    // Everybody else has their own in any case.
    if (geteuid() == 0) {
        ASSERT_EQ(chown(services.c_str(), 61234, 61235), 0);
    }
    const auto owner = [](const fs::path& path) {
        struct stat found {};
        EXPECT_EQ(stat(path.c_str(), &found), 0);
        return std::pair(found.st_uid, found.st_gid);
    };
    ASSERT_TRUE(restore(services, folder / "copy"));
    for (const auto& file : fs::directory_iterator(services))
        EXPECT_EQ(owner(file.path()), owner(services)) << file.path();
    reopened(services);
    for (const auto& file : fs::directory_iterator(services))
        EXPECT_EQ(owner(file.path()), owner(services)) << file.path();
}

TEST(Restore, ALockThatIsALinkIsNotFollowed) {
    const Folder folder;
    opened(folder.store());
    ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    write_bytes(folder / "precious", "precious");
    fs::remove(folder.store() / "gorb.lock");
    fs::create_symlink(folder / "precious", folder.store() / "gorb.lock");
    EXPECT_FALSE(restore(folder.store(), folder / "copy"));
    EXPECT_EQ(bytes_of(folder / "precious"), "precious");
}

TEST(Backup, RefusesATargetThatIsThereAndADatabaseThatIsNot) {
    const Folder folder;
    EXPECT_EQ(backup(folder.store(), folder / "copy").error().code, base::Errc::not_found);
    opened(folder.store());
    write_bytes(folder / "copy", "precious");
    EXPECT_EQ(backup(folder.store(), folder / "copy").error().code, base::Errc::exists);
    EXPECT_EQ(bytes_of(folder / "copy"), "precious");
    EXPECT_TRUE(backup(folder.store(), folder / "copy2"));
    EXPECT_EQ(backup(folder.store(), folder / "nowhere" / "copy").error().code, base::Errc::unavailable);
}

TEST(Backup, OfADamagedDatabaseIsRefused) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
    }
    std::string bytes = bytes_of(folder.file());
    const size_t at = bytes.find("10.1.0.2:80");
    ASSERT_NE(at, std::string::npos);
    bytes[at + 7] = '9';
    write_bytes(folder.file(), bytes);
    const auto done = backup(folder.store(), folder / "copy");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, base::Errc::io);
    EXPECT_FALSE(fs::exists(folder / "copy"));
    const std::string words = check(folder.store()).value();
    EXPECT_NE(words.find("does not fit its CRC"), std::string::npos) << words;
    EXPECT_NE(words.find("--restore"), std::string::npos) << words;
    EXPECT_EQ(bytes_of(folder.file()), bytes);
}

TEST(Check, SaysWhenThereIsNothing) {
    const Folder folder;
    EXPECT_EQ(check(folder.store()).error().code, base::Errc::not_found);
    EXPECT_FALSE(fs::exists(folder.store()));
}

TEST(Restore, PutsTheCopyInPlaceAndKeepsTheOldOne) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        for (uint64_t n = 1; n <= 5; ++n) ASSERT_TRUE(put(*db, numbered(n)));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
        for (uint64_t n = 6; n <= 9; ++n) ASSERT_TRUE(put(*db, numbered(n)));
        const auto refused = restore(folder.store(), folder / "copy");
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, base::Errc::unavailable);
        EXPECT_NE(refused.error().sentence.find(std::to_string(getpid())), std::string::npos)
            << refused.error().sentence;
    }
    const std::string copy = bytes_of(folder / "copy");
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    Loaded all = reopened(folder.store());
    EXPECT_EQ(all.revision, 10U);  // no revision is used twice
    all.revision = 5;
    all.leaving.clear();  // see WhatTheOldStateHasInTheKernelIsLeaving
    EXPECT_EQ(difference_of(all, state_at(5)), "");
    EXPECT_EQ(bytes_of(folder / "copy"), copy);
    const auto kept = names(folder.store(), "gorb.db.before-restore-");
    ASSERT_EQ(kept.size(), 1U);
    ASSERT_TRUE(restore(folder.store(), folder.store() / kept[0]));
    all = reopened(folder.store());
    EXPECT_EQ(all.revision, 11U);
    all.revision = 9;
    all.leaving.clear();
    EXPECT_EQ(difference_of(all, state_at(9)), "");
}

TEST(Restore, WhatTheOldStateHasInTheKernelIsLeaving) {
    const Folder folder;
    const auto vip = *base::Ip::parse("10.0.0.2");
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        Write first;
        first.revision = 2;
        first.put_services = {service("web", "10.0.0.1:80")};
        first.put_backends = {{"web", backend("b1", "10.1.0.1:80")}};
        ASSERT_TRUE(put(*db, first));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
        Write second;
        second.revision = 4;
        second.put_services = {service("new", "10.0.0.2:80", 3)};
        second.put_backends = {{"web", backend("b2", "10.1.0.2:80", 4)}};
        second.vips_added = {vip};
        ASSERT_TRUE(put(*db, second));
    }
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    const Loaded all = reopened(folder.store());
    const model::ServiceKey web = service("web", "10.0.0.1:80")->spec.key;
    const model::ServiceKey gone = service("new", "10.0.0.2:80")->spec.key;
    const std::vector<Leaving> expected{{web, *base::Endpoint::parse("10.1.0.2:80")}, {gone, {}}};
    EXPECT_EQ(all.leaving, expected);
    EXPECT_EQ(all.vips, std::vector<base::Ip>{vip});
    EXPECT_EQ(all.services.size(), 1U);
}

// What was gorb's to remove when the copy was made has gone since, and may be somebody else's now.
TEST(Restore, WhatIsNotOursAnyMoreIsNotClaimed) {
    const Folder folder;
    const auto old_vip = *base::Ip::parse("10.0.0.2"), vip = *base::Ip::parse("10.0.0.3");
    const Leaving gone{service("old", "10.0.0.2:80")->spec.key, {}};
    const Leaving still{service("old", "10.0.0.4:80")->spec.key, {}};
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        Write first;
        first.leaving = {gone, still};
        first.vips_added = {old_vip, vip};
        ASSERT_TRUE(put(*db, first));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
        Write second;
        second.left = {gone};
        second.vips_removed = {old_vip};
        ASSERT_TRUE(put(*db, second));
    }
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    const Loaded all = reopened(folder.store());
    EXPECT_EQ(all.leaving, std::vector<Leaving>{still});
    EXPECT_EQ(all.vips, std::vector<base::Ip>{vip});
}

// Who died since the copy was made gets no traffic by it.
TEST(Restore, WhatIsKnownOfHealthIsWhatTheOldStateKnows) {
    const Folder folder;
    const Health up{Health::State::up, 7, 7}, down{Health::State::down, 9, 0};
    const auto named = [](const char* name) { return BackendName{"web", name}; };
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        Write first;
        first.revision = 2;
        first.put_services = {service("web", "10.0.0.1:80")};
        for (const char* name : {"died", "gone", "moved", "other"}) {
            const std::string address = "10.1.0." + std::to_string(1 + first.health.size()) + ":80";
            first.put_backends.emplace_back("web", backend(name, address));
            first.health.emplace_back(named(name), up);
        }
        ASSERT_TRUE(put(*db, first));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
        Write second;
        second.revision = 4;
        second.drop_backends = {named("gone")};
        model::BackendEntry other = *backend("other", "10.1.0.4:80", 4);
        model::PulseSpec http;
        http.type = "http";
        other.spec.pulses = model::PulseList({http});
        second.put_backends = {{"web", backend("moved", "10.1.0.9:80", 3)},
                               {"web", std::make_shared<const model::BackendEntry>(other)}};
        second.health = {{named("died"), down}, {named("moved"), down}, {named("other"), down}};
        ASSERT_TRUE(put(*db, second));
    }
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    std::map<std::string, Health> health;
    const Loaded all = reopened(folder.store());
    for (const auto& row : all.services.at(0).backends) health[row.spec.name] = row.health;
    EXPECT_EQ(health["died"], down);
    EXPECT_EQ(health["gone"], up);         // which is all there is to know
    EXPECT_EQ(health["moved"], up);        // at this address
    EXPECT_EQ(health["other"], Health{});  // by this pulse
}

// Each would be synced by itself otherwise, some milliseconds on a disk that turns.
TEST(Restore, OfThousandsOfEntriesIsOneTransaction) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
        Write many;
        many.revision = 2;
        many.put_services = {service("web", "10.0.0.1:80")};
        for (int i = 0; i < 500; ++i) {
            const std::string number = std::to_string(i);
            many.put_backends.emplace_back("web", backend("b" + number, "10.1.0.1:" + number));
        }
        ASSERT_TRUE(put(*db, many));
    }
    PowerCut disk;
    sqlite3_vfs_register(sqlite3_vfs_find(PowerCut::name), 1);
    size_t steps = 0;  // one at least for each transaction, whose journal is removed
    disk.before = [&steps] { ++steps; };
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    EXPECT_LT(steps, 50U);
    EXPECT_EQ(reopened(folder.store()).leaving.size(), 501U);
}

// Revisions that were given since the copy was made are not known then: no ETag of them may be good again.
TEST(Restore, OverWhatCanNotBeReadGivesAnotherIdentity) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    }
    const std::string before = reopened(folder.store()).identity;
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    EXPECT_EQ(reopened(folder.store()).identity, before);
    write_bytes(folder.store() / "gorb.db", "no database");
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    EXPECT_NE(reopened(folder.store()).identity, before);
    ASSERT_TRUE(restore(folder / "other", folder / "copy"));
    EXPECT_NE(reopened(folder / "other").identity, before);
}

// Without them it would need room on the disk; and to read one that was closed by an older gorbd, which
// removed them, makes none.
TEST(Maintenance, LeavesTheFilesThatTheNextStartReadsWith) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
    }
    auto there = names(folder.store(), "gorb.db");
    ASSERT_EQ(there.size(), 3U);
    for (const char* copy : {"copy", "again"}) {
        ASSERT_EQ(check(folder.store()).value(), "");
        ASSERT_TRUE(backup(folder.store(), folder / copy));
        EXPECT_EQ(names(folder.store(), "gorb.db"), there);
        there = {"gorb.db"};
        fs::remove(folder.store() / "gorb.db-wal");
        fs::remove(folder.store() / "gorb.db-shm");
    }
    EXPECT_EQ(bytes_of(folder / "copy"), bytes_of(folder / "again"));
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(1)), "");
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    EXPECT_EQ(names(folder.store(), "gorb.db.before-restore-").size(), 1U);
    EXPECT_EQ(reopened(folder.store()).revision, 2U);  // none is used twice
}

TEST(Restore, TakesTheLogOfADatabaseThatWasKilled) {
    const Folder folder;
    auto db = opened(folder.store());
    ASSERT_TRUE(db->load() && put(*db, numbered(1)) && put(*db, numbered(2)));
    for (const char* name : {"gorb.db", "gorb.db-wal"}) {
        fs::create_directories(folder / "raw");
        write_bytes(folder / "raw" / name, bytes_of(folder.store() / name));
    }
    db.reset();
    ASSERT_TRUE(restore(folder / "other", folder / "raw" / "gorb.db"));
    EXPECT_EQ(difference_of(reopened(folder / "other"), state_at(2)), "");
}

TEST(Restore, RefusesWhatIsNoWholeDatabaseAndLeavesTheOldOne) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    }
    const std::string good = bytes_of(folder / "copy");
    write_bytes(folder / "cut", good.substr(0, good.size() - 4096));
    write_bytes(folder / "empty", "");
    write_bytes(folder / "text", "hello " + std::string(4096, 'x'));
    for (const char* name : {"cut", "empty", "text", "nothing"}) {
        const auto refused = restore(folder.store(), folder / name);
        ASSERT_FALSE(refused) << name;
        EXPECT_NE(refused.error().sentence.find(name), std::string::npos) << refused.error().sentence;
    }
    EXPECT_EQ(names(folder.store(), "gorb.db"),
              (std::vector<std::string>{"gorb.db", "gorb.db-shm", "gorb.db-wal"}));
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(1)), "");
}

TEST(Restore, InPlaceOfADamagedOneIsTheWayOut) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    }
    write_bytes(folder.file(), bytes_of(folder.file()).substr(0, 5000));
    ASSERT_NE(refusal(folder.store()), "");
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    EXPECT_EQ(difference_of(reopened(folder.store()), state_at(1)), "");
}

TEST(Restore, CutShortAtAnyStepEndsAtTheNextStart) {
    const Folder folder;
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
        ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    }
    // As replace_database() leaves it after its first step, and after its second.
    for (const bool moved : {false, true}) {
        fs::copy_file(folder / "copy", folder.store() / "gorb.db.next");
        if (moved) fs::rename(folder.file(), folder.store() / "gorb.db.lost-x");
        EXPECT_EQ(difference_of(reopened(folder.store()), state_at(1)), "");
        EXPECT_FALSE(fs::exists(folder.store() / "gorb.db.next"));
    }
}

}  // namespace
}  // namespace gorb::store::maintenance_test
