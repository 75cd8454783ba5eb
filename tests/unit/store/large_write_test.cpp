// Changes of very many rows: what they cost, and that they too are whole or not at all.
#include <sqlite3.h>

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "unit/store/store_helpers.h"

namespace gorb::store::large_write_test {
namespace {

constexpr int many = 20'000;

std::string name(int n) {
    return "b" + std::to_string(n);
}

Write backends(uint64_t revision, int count) {
    Write write;
    write.revision = revision;
    write.put_services = {service("web", "10.0.0.1:80", revision)};
    for (int n = 0; n < count; ++n) {
        const std::string address =
            "10.1." + std::to_string(n / 250) + "." + std::to_string(1 + n % 250) + ":80";
        write.put_backends.emplace_back("web", backend(name(n), address, revision));
    }
    return write;
}

// A savepoint would keep every page that is changed, and each statement would go through them: a second start
// with 100,000 backends was busy with their health for as long as all else took.
TEST(LargeWrite, TakesNoMoreMemoryThanThePageCache) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, backends(1, many)));
    const int64_t before = sqlite3_memory_used();
    sqlite3_memory_highwater(1);
    ASSERT_TRUE(put(*db, backends(2, many)));
    const int64_t taken = sqlite3_memory_highwater(0) - before;
    EXPECT_LT(taken, 1 << 20) << fs::file_size(folder.file());
}

TEST(LargeWrite, ThatDoesNotFitFailsAloneAndLeavesNothing) {
    const Folder folder;
    auto plain = open_database(folder.store());
    ASSERT_TRUE(plain) << plain.error().sentence;
    Database& db = **plain;
    std::vector<bool> good;
    const auto give = [&](Write write) {
        db.write(std::move(write), [&](const base::Status& status) { good.push_back(status.has_value()); });
    };
    give(numbered(1));
    Write wrong = backends(2, 1000);
    wrong.put_backends.emplace_back("nobody", backend("b", "10.1.9.9:80"));
    give(std::move(wrong));
    give(numbered(3));
    give(backends(4, 1000));
    give(numbered(5));
    while (db.work()) {
    }
    EXPECT_EQ(good, (std::vector<bool>{true, false, true, true, true}));
    const Loaded all = *db.load();
    EXPECT_EQ(all.revision, 5U);
    ASSERT_EQ(all.services.size(), 1U);
    EXPECT_EQ(all.services[0].backends.size(), 1000U);
    EXPECT_EQ(db.status().refused, 1U);
    EXPECT_EQ(db.status().transactions, 4U);
}

}  // namespace
}  // namespace gorb::store::large_write_test
