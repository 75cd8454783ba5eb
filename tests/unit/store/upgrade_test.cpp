// Files that earlier versions of gorbd wrote: what is in them is kept. The schemas to come are in
// damage_test.

#include "store/schema.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::upgrade_test {
namespace {

// As gorbd with schema 1 wrote it: web with b1, which drains, and b2; and what is leaving.
constexpr const char* made_by_schema_1 = R"(
PRAGMA application_id=1735357026;
PRAGMA user_version=1;
PRAGMA journal_mode=WAL;
INSERT INTO meta VALUES(1,'40b802c1',2,0,913393131);
INSERT INTO service VALUES('web',1,0,0,'10.0.0.1:80/tcp','{"method":"wrr","flags":"","persistent":false}',2074404223);
INSERT INTO backend VALUES('web','b1',1,'10.1.0.1:80','{"weight":7,"method":"nat","backup":false,"admin":"drain","drain-timeout":"1h","drain-then":"delete","pulse":{"type":"tcp","interval":"1m","timeout":"5s","rise":2,"fall":3,"args":{}},"upper-threshold":0,"lower-threshold":0}',2355917978);
INSERT INTO backend VALUES('web','b2',1,'10.1.0.2:80','{"weight":100,"method":"nat","backup":false,"admin":"ready","pulse":{"type":"http","interval":"5s","timeout":"5s","rise":2,"fall":3,"args":{}},"upper-threshold":0,"lower-threshold":0}',1186537958);
INSERT INTO health VALUES('web','b2',2,5,6,1667407232);
INSERT INTO leaving VALUES('10.0.0.9:80/tcp','',2548083744);
INSERT INTO leaving VALUES('10.0.0.9:80/tcp','10.1.0.9:80',831836027);
)";

struct UpgradeFrom1 : testing::Test {
    Folder folder;

    void SetUp() override {
        fs::create_directory(folder.store());
        ASSERT_EQ(run_sql(folder.file(), bytes_of(GORB_SOURCE_DIR "/tests/lib/schema_1.sql")), "");
        ASSERT_EQ(run_sql(folder.file(), made_by_schema_1), "");
    }
    static void expect_all(const Loaded& all) {
        EXPECT_EQ(all.revision, 2U);
        ASSERT_EQ(all.services.size(), 1U);
        ASSERT_EQ(all.services[0].backends.size(), 2U);
        const Loaded::BackendRow& drains = all.services[0].backends[0];
        EXPECT_EQ(drains.spec.admin, model::Admin::drain);
        EXPECT_EQ(drains.spec.drain_timeout, std::chrono::hours(1));
        EXPECT_EQ(drains.drain_since, 0);  // not known
        EXPECT_EQ(all.services[0].backends[1].health, (Health{Health::State::down, 5, 6, 100}));
        ASSERT_EQ(all.leaving.size(), 2U);
        for (const Leaving& entry : all.leaving) EXPECT_FALSE(entry.granted);
    }
};

TEST_F(UpgradeFrom1, NothingIsLostAndACopyIsKept) {
    const std::string before = bytes_of(folder.file());
    expect_all(reopened(folder.store()));
    EXPECT_EQ(reopened(folder.store()).identity, "40b802c1");
    const fs::path copy = folder.store() / "gorb.db.schema-1";
    ASSERT_TRUE(fs::exists(copy));
    EXPECT_EQ(run_sql(folder.file(),
                      "UPDATE meta SET crc = crc / (SELECT user_version = 4 FROM "
                      "pragma_user_version)"),
              "");
    EXPECT_EQ(refusal(folder.store()), "");
}

TEST_F(UpgradeFrom1, WhatCameWithSchema2IsKeptFromThenOn) {
    {
        auto db = opened(folder.store());
        const auto all = db->load();
        ASSERT_TRUE(all);
        auto entry = *backend("b1", "10.1.0.1:80", 3);
        entry.spec.admin = model::Admin::drain;
        entry.drain_since = 1'700'000'000'123'456'789;
        Write write;
        write.revision = 3;
        write.put_backends = {{"web", std::make_shared<const model::BackendEntry>(entry)}};
        Leaving granted = all->leaving[0];
        granted.granted = true;
        write.leaving = {granted};
        ASSERT_TRUE(put(*db, write));
    }
    const Loaded all = reopened(folder.store());
    EXPECT_EQ(all.services[0].backends[0].drain_since, 1'700'000'000'123'456'789);
    EXPECT_TRUE(all.leaving[0].granted);
    EXPECT_FALSE(all.leaving[1].granted);
    EXPECT_EQ(run_sql(folder.file(), "UPDATE backend SET drain = 0"), "");
    EXPECT_NE(refusal(folder.store()).find("does not fit its CRC"), std::string::npos);
}

TEST_F(UpgradeFrom1, CheckAndBackupTakeItAsItIs) {
    EXPECT_EQ(check(folder.store()).value_or("not checked"), "");
    ASSERT_TRUE(backup(folder.store(), folder / "copy"));
    ASSERT_TRUE(restore(folder / "other", folder / "copy"));
    expect_all(reopened(folder / "other"));
    ASSERT_EQ(run_sql(folder.file(), "UPDATE backend SET address = '10.1.0.3:80' WHERE name = 'b2'"), "");
    EXPECT_NE(check(folder.store()).value_or("").find("does not fit its CRC"), std::string::npos);
    EXPECT_FALSE(fs::exists(folder.store() / "gorb.db.schema-1"));
}

// Who put a newer gorbd in place that can not read it goes back to the older one.
TEST_F(UpgradeFrom1, WhatCanNotBeReadStaysAsItIs) {
    ASSERT_EQ(run_sql(folder.file(), "UPDATE backend SET address = '10.1.0.3:80' WHERE name = 'b2'"), "");
    EXPECT_NE(refusal(folder.store()).find("does not fit its CRC"), std::string::npos);
    EXPECT_EQ(run_sql(folder.file(),
                      "UPDATE meta SET crc = crc / (SELECT user_version = 1 FROM pragma_user_version)"),
              "");
    EXPECT_FALSE(fs::exists(folder.store() / "gorb.db.schema-1"));
}

// The kernel's entries of what is replaced go on being gorb's, whatever the version of the file.
TEST_F(UpgradeFrom1, ARestoreOverItRemembersWhatItHadInTheKernel) {
    {
        auto db = opened(folder / "newer");
        ASSERT_TRUE(db->load() && put(*db, numbered(1)));
    }
    ASSERT_TRUE(backup(folder / "newer", folder / "copy"));
    ASSERT_TRUE(restore(folder.store(), folder / "copy"));
    const Loaded all = reopened(folder.store());
    EXPECT_GT(all.revision, 2U);
    const model::ServiceKey old{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.9:80")};
    EXPECT_TRUE(std::ranges::find(all.leaving, Leaving{old, {}}) != all.leaving.end());
    const model::ServiceKey web{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.1:80")};
    const Leaving b1{web, *base::Endpoint::parse("10.1.0.1:80")};
    EXPECT_TRUE(std::ranges::find(all.leaving, b1) != all.leaving.end());
}

TEST_F(UpgradeFrom1, WhatCameWithSchema4IsKeptFromThenOn) {
    const Health some{Health::State::up, 7, 0, 0};
    {
        auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        Write write;
        write.health = {{{"web", "b2"}, some}};
        ASSERT_TRUE(put(*db, write));
    }
    EXPECT_EQ(reopened(folder.store()).services[0].backends[1].health, some);
    EXPECT_EQ(run_sql(folder.file(), "UPDATE health SET share = 100"), "");
    EXPECT_NE(refusal(folder.store()).find("does not fit its CRC"), std::string::npos);
}

// Schema 3 says that the revision in meta may be behind that of a row.
TEST(UpgradeFrom2, IsKeptAndIsNoLongerForAGorbdThatGoesByMetaAlone) {
    const Folder folder;
    { ASSERT_TRUE(put(*opened(folder.store()), numbered(4))); }
    ASSERT_EQ(run_sql(folder.file(),
                      "PRAGMA user_version=2; ALTER TABLE health DROP COLUMN share; UPDATE meta SET revision "
                      "= 4, crc = 0"),
              "");
    {
        auto db = opened(folder.store());
        ASSERT_EQ(db->load()->revision, 4U);
        Write next = numbered(11);
        ASSERT_TRUE(put(*db, next));
    }
    EXPECT_EQ(reopened(folder.store()).revision, 11U);
    EXPECT_TRUE(fs::exists(folder.store() / "gorb.db.schema-2"));
    EXPECT_EQ(run_sql(folder.file(),
                      "UPDATE meta SET crc = 1 / (SELECT user_version = 4 FROM pragma_user_version)"),
              "");
}

}  // namespace
}  // namespace gorb::store::upgrade_test
