// The file is not what it was: that is seen before anything is called done, and ends with rewrite().
#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "unit/store/store_helpers.h"

namespace gorb::store::loss_test {
namespace {

struct Case {
    const char* name;
    void (*happens)(const Folder&);
    const char* words;
};

void PrintTo(const Case& of, std::ostream* out) {
    *out << of.name;
}

const Case cases[] = {
    {"Removed", [](const Folder& f) { fs::remove(f.file()); }, "was removed"},
    {"FolderRemoved", [](const Folder& f) { fs::remove_all(f.store()); }, "was removed"},
    {"Replaced",
     [](const Folder& f) {
         write_bytes(f / "other", bytes_of(f.file()));
         fs::rename(f / "other", f.file());
     },
     "was replaced by another file"},
    {"Emptied", [](const Folder& f) { EXPECT_EQ(truncate(f.file().c_str(), 0), 0); }, "was cut off"},
    {"Truncated", [](const Folder& f) { EXPECT_EQ(truncate(f.file().c_str(), 8192), 0); }, "was cut off"},
    {"LogRemoved", [](const Folder& f) { fs::remove(f.store() / "gorb.db-wal"); }, "has lost its log"},
    {"LogEmptied", [](const Folder& f) { EXPECT_EQ(truncate((f.store() / "gorb.db-wal").c_str(), 0), 0); },
     "was cut off"},
    {"LogReplaced",
     [](const Folder& f) {
         fs::remove(f.store() / "gorb.db-wal");
         write_bytes(f.store() / "gorb.db-wal", std::string(50'000, 'x'));
     },
     "has another log"},
};

class EveryLoss : public testing::TestWithParam<Case> {};

TEST_P(EveryLoss, IsSeenAndEndsWithARewrite) {
    const Folder folder;
    auto db = opened(folder.store());
    Loaded all = *db->load();
    const std::string identity = all.identity;
    ASSERT_TRUE(put(*db, write_of(random_state(3, 30))));
    // Into the file with it, so that what is cut off there is not in the log, which has a little as well.
    db.reset();
    db = opened(folder.store());
    ASSERT_TRUE(db->load());
    Write last;
    last.vips_added = {*base::Ip::parse("192.0.2.76")};
    ASSERT_TRUE(put(*db, last));
    all = *db->load();
    EXPECT_FALSE(db->lost());
    GetParam().happens(folder);
    for (int i = 0; i < 2; ++i) {
        const auto refused = put(*db, numbered(all.revision + 1));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, base::Errc::unavailable);
        EXPECT_NE(refused.error().sentence.find(GetParam().words), std::string::npos)
            << refused.error().sentence;
        EXPECT_TRUE(db->lost());
        EXPECT_EQ(db->status().trouble, refused.error().sentence);
    }
    const auto remains = names(fs::exists(folder.store()) ? folder.store() : folder / "", "gorb.db").size();
    const auto made = rewritten(*db, all);
    ASSERT_TRUE(made) << made.error().sentence;
    EXPECT_FALSE(db->lost());
    if (remains > 0) {
        EXPECT_FALSE(names(folder.store(), "gorb.db.lost-2").empty());
    }
    EXPECT_EQ(difference_of(*db->load(), all), "");
    Write more;
    more.revision = all.revision + 1;
    more.vips_added = {*base::Ip::parse("192.0.2.77")};
    ASSERT_TRUE(put(*db, more));
    EXPECT_EQ(db->status().trouble, "");
    db.reset();
    const Loaded after = reopened(folder.store());
    EXPECT_EQ(after.identity, identity);
    EXPECT_EQ(after.revision, all.revision + 1);
    EXPECT_EQ(after.services.size(), all.services.size());
}

INSTANTIATE_TEST_SUITE_P(Of, EveryLoss, testing::ValuesIn(cases),
                         [](const auto& one) { return one.param.name; });

TEST(Loss, ADamageFoundWhileWritingIsALossToo) {
    const Folder folder;
    auto db = opened(folder.store());
    Loaded all = random_state(5, 900);
    ASSERT_TRUE(db->load());
    ASSERT_TRUE(put(*db, write_of(all)));
    db.reset();
    db = opened(folder.store());  // more than SQLite keeps in memory, and nothing in the WAL
    const auto size = fs::file_size(folder.file());
    const int file = ::open(folder.file().c_str(), O_WRONLY | O_CLOEXEC);
    const std::string zeros(size - 3 * 4096, '\0');
    ASSERT_EQ(pwrite(file, zeros.data(), zeros.size(), 3 * 4096), static_cast<ssize_t>(zeros.size()));
    close(file);
    base::Status refused;
    for (const auto& row : all.services) {
        Write drop;
        drop.drop_services = {row.spec.name};
        refused = put(*db, drop);
        if (!refused) break;
    }
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::unavailable) << refused.error().sentence;
    EXPECT_TRUE(db->lost());
    ASSERT_TRUE(rewritten(*db, all));
    db.reset();
    EXPECT_EQ(difference_of(reopened(folder.store()), all), "");
}

TEST(Loss, ALogThatHadTheFirstPageTooIsMissed) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, write_of(random_state(5, 300))));
    const Loaded all = *db->load();
    ASSERT_EQ(truncate((folder.store() / "gorb.db-wal").c_str(), 0), 0);
    const auto refused = put(*db, numbered(2'000'000));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(db->lost()) << refused.error().sentence;
    ASSERT_TRUE(rewritten(*db, all));
    EXPECT_TRUE(put(*db, numbered(2'000'000)));
}

TEST(Loss, ADatabaseThatAnotherProgramPackedIsNone) {
    const Folder folder;
    auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, write_of(random_state(5, 300))));
    Write drop;
    const Loaded all = *db->load();
    for (const auto& row : all.services) drop.drop_services.push_back(row.spec.name);
    ASSERT_TRUE(put(*db, drop));
    EXPECT_EQ(in_child([&] {
                  return execlp("sqlite3", "sqlite3", folder.file().c_str(),
                                "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", nullptr);
              }),
              0);
    const auto written = put(*db, numbered(2'000'000));
    EXPECT_TRUE(written) << written.error().sentence;
    EXPECT_FALSE(db->lost());
    db.reset();
    EXPECT_EQ(reopened(folder.store()).services.size(), 1U);
}

TEST(Loss, WritesAndARewriteKeepTheirOrder) {
    const Folder folder;
    const auto db = opened(folder.store());
    const Loaded all = random_state(8, 20);
    std::vector<int> order;
    std::promise<void> over;
    db->write(numbered(1), [&](const base::Status& s) { order.push_back(s ? 1 : -1); });
    db->rewrite(all, [&](const base::Status& s) { order.push_back(s ? 2 : -2); });
    Write more;
    more.revision = all.revision + 5;
    db->write(more, [&](const base::Status& s) {
        order.push_back(s ? 3 : -3);
        over.set_value();
    });
    over.get_future().wait();
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    Loaded wanted = all;
    wanted.revision += 5;
    EXPECT_EQ(difference_of(*db->load(), wanted), "");
}

TEST(Loss, ARewriteThatCanNotBeLeavesItLostAndSaysWhy) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(1)));
    const Loaded all = *db->load();
    fs::remove_all(folder.store());
    write_bytes(folder.store(), "a file where the folder was");
    EXPECT_FALSE(put(*db, numbered(2)));
    const auto refused = rewritten(*db, all);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::unavailable);
    EXPECT_NE(refused.error().sentence.find(folder.store().string()), std::string::npos)
        << refused.error().sentence;
    EXPECT_TRUE(db->lost());
    EXPECT_FALSE(put(*db, numbered(2)));
    fs::remove(folder.store());
    ASSERT_TRUE(rewritten(*db, all));
    EXPECT_TRUE(put(*db, numbered(2)));
}

}  // namespace
}  // namespace gorb::store::loss_test
