// Files that are damaged, empty, of others, of other versions: refused with a sentence, and left as they are.

#include <random>

#include "store/opening.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::damage_test {
namespace {

Loaded make(const fs::path& folder, uint64_t seed, size_t services) {
    const Loaded all = random_state(seed, services);
    const auto db = opened(folder);
    EXPECT_TRUE(db->load());
    EXPECT_TRUE(put(*db, write_of(all)));
    return *db->load();
}

TEST(Damage, AFlippedByteChangesNothingOrIsRefused) {
    const Folder folder;
    const Loaded all = make(folder.store(), 11, 25);
    const std::string good = bytes_of(folder.file());
    ASSERT_GT(good.size(), 50'000U);
    std::mt19937_64 random(4242);
    int refused = 0;
    for (int round = 0; round < 250; ++round) {
        std::string bad = good;
        // The header and the schema, whose bytes are few, as often as the rest.
        const size_t at = random() % (round % 4 == 0 ? 100 : round % 4 == 1 ? 8192 : bad.size());
        bad[at] = static_cast<char>(bad[at] ^ static_cast<char>(1 + random() % 255));
        fs::remove_all(folder.store());
        fs::create_directory(folder.store());
        write_bytes(folder.file(), bad);
        auto db = open_database(folder.store());
        auto loaded = db ? (*db)->load() : base::Result<Loaded>(base::fail(db.error()));
        if (loaded) {
            ASSERT_EQ(difference_of(*loaded, all), "") << "byte " << at;
            continue;
        }
        ++refused;
        const std::string& words = loaded.error().sentence;
        ASSERT_NE(words.find(folder.file().string()), std::string::npos) << words;
        ASSERT_TRUE(loaded.error().code == base::Errc::io || loaded.error().code == base::Errc::unsupported ||
                    loaded.error().code == base::Errc::unavailable)
            << words;
        if (loaded.error().code == base::Errc::io) {
            ASSERT_NE(words.find("gorbd --restore"), std::string::npos) << words;
            if (db) db->reset();
            ASSERT_EQ(bytes_of(folder.file()), bad) << "byte " << at << ": " << words;
        }
        if (db) db->reset();
        const auto checked = check(folder.store());
        if (loaded.error().code != base::Errc::unavailable) {
            ASSERT_TRUE(checked) << checked.error().sentence;
            ASSERT_NE(*checked, "") << words;
        }
    }
    EXPECT_GT(refused, 50);
}

TEST(Damage, AFileCutOffIsRefusedUnlessNothingWasThere) {
    const Folder folder;
    const Loaded all = make(folder.store(), 12, 40);
    const std::string good = bytes_of(folder.file());
    std::mt19937_64 random(7);
    for (int round = 0; round < 40; ++round) {
        const size_t size = random() % (good.size() - 1);
        fs::remove_all(folder.store());
        fs::create_directory(folder.store());
        write_bytes(folder.file(), good.substr(0, size));
        if (refusal(folder.store()).empty()) {
            // The end of the last page may be unused.
            ASSERT_GT(size, good.size() - 4096);
            ASSERT_EQ(difference_of(reopened(folder.store()), all), "");
        }
    }
    write_bytes(folder.file(), good);
    EXPECT_EQ(refusal(folder.store()), "");
}

TEST(Damage, AnEmptyFileIsNoNewDatabase) {
    const Folder folder;
    make(folder.store(), 13, 3);
    write_bytes(folder.file(), "");
    const auto db = open_database(folder.store());
    ASSERT_FALSE(db);
    EXPECT_EQ(db.error().code, base::Errc::io);
    EXPECT_NE(db.error().sentence.find("is empty"), std::string::npos) << db.error().sentence;
    EXPECT_EQ(fs::file_size(folder.file()), 0U);
    fs::remove(folder.file());
    EXPECT_EQ(refusal(folder.store()), "");
}

TEST(Damage, ALogWithoutItsFileIsNoNewDatabase) {
    const Folder folder;
    fs::create_directory(folder.store());
    write_bytes(folder.store() / "gorb.db-wal", "something");
    const std::string words = refusal(folder.store());
    EXPECT_NE(words.find("is missing, but"), std::string::npos) << words;
    EXPECT_FALSE(fs::exists(folder.file()));
}

TEST(Damage, FilesOfOthersAreRefusedAndLeftAlone) {
    const Folder folder;
    fs::create_directory(folder.store());
    ASSERT_EQ(run_sql(folder.file(), "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), "");
    const std::string before = bytes_of(folder.file());
    const auto db = open_database(folder.store());
    ASSERT_FALSE(db);
    EXPECT_EQ(db.error().code, base::Errc::unsupported);
    EXPECT_NE(db.error().sentence.find("is no database of gorb"), std::string::npos) << db.error().sentence;
    EXPECT_EQ(bytes_of(folder.file()), before);
    write_bytes(folder.file(), "[gorbd]\nlisten = 1\n" + std::string(5000, 'x'));
    EXPECT_NE(refusal(folder.store()).find("file is not a database"), std::string::npos)
        << refusal(folder.store());
}

TEST(Damage, ANewerSchemaIsRefusedAndLeftAlone) {
    const Folder folder;
    make(folder.store(), 14, 3);
    ASSERT_EQ(run_sql(folder.file(), "PRAGMA user_version=5"), "");
    const std::string before = bytes_of(folder.file());
    const auto db = open_database(folder.store());
    ASSERT_FALSE(db);
    EXPECT_EQ(db.error().code, base::Errc::unsupported);
    EXPECT_NE(db.error().sentence.find("was written by a newer gorbd (schema 5, this one knows up to 4)"),
              std::string::npos)
        << db.error().sentence;
    EXPECT_EQ(bytes_of(folder.file()), before);
}

// ---- versions to come

constexpr Step steps[] = {
    {4, "ALTER TABLE vip ADD COLUMN note TEXT"},
    {5, "CREATE TABLE more (a INTEGER) STRICT; INSERT INTO more SELECT revision FROM meta"},
};

TEST(Upgrade, AnOlderFileIsCopiedAndBroughtUpToDate) {
    const Folder folder;
    const Loaded all = make(folder.store(), 15, 20);
    const Schema newer{6, steps, ""};
    {
        auto db = open_with(folder.store(), {}, newer);
        ASSERT_TRUE(db) << db.error().sentence;
        EXPECT_EQ(difference_of(*(*db)->load(), all), "");
        Write more;
        more.vips_added = {*base::Ip::parse("192.0.2.78")};
        EXPECT_TRUE(put(**db, more));
    }
    EXPECT_TRUE(open_with(folder.store(), {}, newer));
    EXPECT_NE(refusal(folder.store()).find("newer gorbd (schema 6"), std::string::npos);
    const fs::path copy = folder.store() / "gorb.db.schema-4";
    ASSERT_TRUE(fs::exists(copy));
    ASSERT_TRUE(restore(folder / "other", copy));
    Loaded other = reopened(folder / "other");
    other.identity = all.identity;  // it has one of its own
    EXPECT_EQ(difference_of(other, all), "");
}

TEST(Upgrade, AStepThatFailsLeavesTheFileAsItWas) {
    const Folder folder;
    const Loaded all = make(folder.store(), 16, 20);
    constexpr Step bad[] = {steps[0], {5, "INSERT INTO nowhere VALUES (1)"}};
    const auto db = open_with(folder.store(), {}, Schema{6, bad, ""});
    ASSERT_FALSE(db);
    EXPECT_NE(db.error().sentence.find("from schema 4 to 6"), std::string::npos) << db.error().sentence;
    EXPECT_EQ(difference_of(reopened(folder.store()), all), "");
}

TEST(Upgrade, AVersionWithoutAStepIsRefused) {
    const Folder folder;
    const Loaded all = make(folder.store(), 17, 5);
    const auto db = open_with(folder.store(), {}, Schema{7, steps, ""});
    ASSERT_FALSE(db);
    EXPECT_EQ(db.error().code, base::Errc::unsupported);
    EXPECT_EQ(difference_of(reopened(folder.store()), all), "");
}

}  // namespace
}  // namespace gorb::store::damage_test
