// The database as its users see it: what is written is there again, in order, together, and for one process.
#include "store/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "store/work_alone.h"
#include "unit/store/store_helpers.h"

namespace gorb::store::database_test {
namespace {

// What sqlite3 shows an operator.
std::string ask(const fs::path& file, const char* sql) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    std::string out;
    char* words = nullptr;
    const auto row = [](void* to, int n, char** values, char**) {
        for (int i = 0; i < n; ++i)
            (static_cast<std::string*>(to)->append(i ? "|" : "")).append(values[i] ? values[i] : "NULL");
        static_cast<std::string*>(to)->append("\n");
        return 0;
    };
    sqlite3_exec(db, sql, row, &out, &words);
    if (words) out += words;
    sqlite3_free(words);
    sqlite3_close(db);
    return out;
}

TEST(Database, EverythingWrittenIsThereAgain) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const Folder folder;
        const Loaded all = random_state(seed, 30);
        {
            const auto db = opened(folder.store());
            ASSERT_TRUE(db->load()->services.empty());
            ASSERT_TRUE(put(*db, write_of(all)));
        }
        ASSERT_EQ(difference_of(reopened(folder.store()), all), "") << "seed " << seed;
    }
}

TEST(Database, EveryDrainStateAndADeletionThatWaitsAreThereAgain) {
    const Folder folder;
    Loaded all;
    all.revision = 9;
    all.services.push_back({service("web", "10.0.0.1:80")->spec, 9, model::Origin::file, {}});
    all.services[0].spec.deleting = true;
    for (const auto admin : {model::Admin::ready, model::Admin::drain, model::Admin::maint}) {
        for (const auto then : {model::DrainThen::maint, model::DrainThen::remove}) {
            const std::string n = std::to_string(all.services[0].backends.size());
            Loaded::BackendRow row;
            row.spec = backend("b" + n, "10.1.0.1" + n + ":80")->spec;
            row.spec.admin = admin;
            row.spec.drain_then = then;
            row.spec.drain_timeout = std::chrono::seconds(30);
            row.health = {Health::State::down, 1, 2};
            all.services[0].backends.push_back(row);
        }
    }
    {
        const auto db = opened(folder.store());
        ASSERT_TRUE(put(*db, write_of(all)));
    }
    EXPECT_EQ(difference_of(reopened(folder.store()), all), "");
}

TEST(Database, AWriteDropsThenPutsThenTheRest) {
    const Folder folder;
    const auto db = opened(folder.store());
    Write first;
    first.revision = 3;
    first.put_services = {service("a", "10.0.0.1:80"), service("b", "10.0.0.2:80")};
    first.put_backends = {{"a", backend("x", "10.1.0.1:80")}, {"b", backend("x", "10.1.0.1:80")}};
    first.health = {{{"a", "x"}, {Health::State::up, 5, 6}}};
    first.leaving = {{{model::Protocol::udp, *base::Endpoint::parse("[2001:db8::1]:53")}, {}}};
    first.vips_added = {*base::Ip::parse("10.0.0.1")};
    ASSERT_TRUE(put(*db, first));
    Write second;
    second.revision = 4;
    second.drop_services = {"a"};  // with its backends and their health
    second.put_services = {service("a", "10.0.0.9:80", 4)};
    second.put_backends = {{"a", backend("y", "10.1.0.2:80", 4)}};
    second.drop_backends = {{"b", "x"}};
    second.left = first.leaving;
    second.vips_removed = first.vips_added;
    ASSERT_TRUE(put(*db, second));
    const Loaded all = *db->load();
    EXPECT_EQ(all.revision, 4U);
    ASSERT_EQ(all.services.size(), 2U);
    EXPECT_EQ(all.services[0].spec.key.vip, *base::Endpoint::parse("10.0.0.9:80"));
    ASSERT_EQ(all.services[0].backends.size(), 1U);
    EXPECT_EQ(all.services[0].backends[0].spec.name, "y");
    EXPECT_EQ(all.services[0].backends[0].health, Health{});
    EXPECT_TRUE(all.services[1].backends.empty());
    EXPECT_TRUE(all.leaving.empty());
    EXPECT_TRUE(all.vips.empty());
}

TEST(Database, ItsRevisionNeverGoesDown) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(8)));
    ASSERT_TRUE(put(*db, numbered(5)));
    Write none;
    none.vips_added = {*base::Ip::parse("10.0.0.1")};
    ASSERT_TRUE(put(*db, none));
    EXPECT_EQ(db->load()->revision, 8U);
}

// The rows say it, until what they are of goes, or becomes what it was.
TEST(Database, ItsRevisionIsTheHighestEvenWhenItsRowIsGone) {
    for (const bool together : {false, true}) {
        const Folder folder;
        {
            const auto db = opened(folder.store());
            ASSERT_TRUE(put(*db, numbered(1)));
            Write newest, undone;
            newest.revision = 9;
            newest.put_backends = {{"web", backend("x", "10.1.0.9:80", 9)}};
            undone.drop_backends = {{"web", "x"}};
            std::promise<base::Status> both;
            if (together) {
                db->write(newest, {});
                db->write(undone, [&](base::Status status) { both.set_value(std::move(status)); });
                ASSERT_TRUE(both.get_future().get());
            } else {
                ASSERT_TRUE(put(*db, newest) && put(*db, undone));
            }
        }
        EXPECT_EQ(reopened(folder.store()).revision, 9U);
        {
            const auto db = opened(folder.store());
            ASSERT_TRUE(put(*db, numbered(10)));
            Write as_it_was = numbered(3);
            as_it_was.put_backends = {{"web", backend("b3", "10.1.0.4:80", 3)}};
            as_it_was.revision = 0;
            ASSERT_TRUE(put(*db, as_it_was));
        }
        EXPECT_EQ(reopened(folder.store()).revision, 10U);
    }
}

// What an fsync takes goes by the pages.
TEST(Database, APutOfABackendIsOnePageOfTheLog) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(1)));
    const auto log = [&] { return fs::file_size(folder.store() / "gorb.db-wal"); };
    const auto before = log();
    Write again = numbered(8);
    again.put_services.clear();
    ASSERT_TRUE(put(*db, again));
    EXPECT_EQ(log() - before, 4096U + 24U);
}

TEST(Database, AReplacedServiceKeepsItsBackendsAndTheirHealth) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(1)));
    Write health;
    health.health = {{{"web", "b1"}, {Health::State::up, 7, 0}}};
    ASSERT_TRUE(put(*db, health));
    Write again;
    again.put_services = {service("web", "10.0.0.1:80", 2)};
    again.put_backends = {{"web", backend("b1", "10.1.0.2:80", 2)}};
    again.revision = 2;
    ASSERT_TRUE(put(*db, again));
    const Loaded all = *db->load();
    ASSERT_EQ(all.services[0].backends.size(), 1U);
    EXPECT_EQ(all.services[0].backends[0].health.since, 7);
}

TEST(Database, HealthOfABackendThatWentIsPassedOver) {
    const Folder folder;
    {
        const auto db = opened(folder.store());
        Write write = numbered(1);
        Health known;
        known.state = Health::State::up;
        write.health.push_back({{"nobody", "b"}, known});
        std::promise<base::Status> answer;
        db->write(std::move(write), [&](base::Status status) { answer.set_value(std::move(status)); });
        ASSERT_TRUE(answer.get_future().get());
    }
    EXPECT_EQ(opened(folder.store())->load()->revision, 1U);
}

TEST(Database, AWriteThatDoesNotFitFailsAloneAndLeavesNothing) {
    const Folder folder;
    const auto db = opened(folder.store());
    std::mutex lock;
    std::condition_variable all_done;
    std::vector<bool> good;
    for (uint64_t n = 1; n <= 100; ++n) {
        Write write = numbered(n);
        if (n % 10 == 0) {
            write.vips_added = {*base::Ip::parse("10.9.9.9")};
            write.put_backends.emplace_back("nobody", backend("b", "10.1.0.99:80"));
        }
        db->write(std::move(write), [&](const base::Status& status) {
            std::lock_guard guard(lock);
            good.push_back(status.has_value());
            if (!status) {
                EXPECT_EQ(status.error().code, base::Errc::internal) << status.error().sentence;
            }
            all_done.notify_all();
        });
    }
    std::unique_lock guard(lock);
    all_done.wait(guard, [&] { return good.size() == 100; });
    for (size_t i = 0; i < good.size(); ++i) EXPECT_EQ(good[i], (i + 1) % 10 != 0) << i;
    const Loaded all = *db->load();
    EXPECT_EQ(all.revision, 99U);
    EXPECT_TRUE(all.vips.empty());
    EXPECT_EQ(db->status().refused, 10U);
    EXPECT_EQ(db->status().writes, 100U);
    EXPECT_NE(db->status().trouble, "");
}

TEST(Database, WhatWaitsIsOneTransactionAndIsAnsweredInOrder) {
    const Folder folder;
    const auto db = opened(folder.store());
    constexpr uint64_t count = 2000;
    std::promise<void> hold, over;
    std::vector<uint64_t> order;
    // The first answer keeps the thread while the others come in.
    db->write(numbered(1), [&](const base::Status&) {
        order.push_back(1);
        hold.get_future().wait();
    });
    for (uint64_t n = 2; n <= count; ++n) {
        db->write(numbered(n), [&, n](const base::Status& status) {
            EXPECT_TRUE(status);
            order.push_back(n);
            if (n == count) over.set_value();
        });
    }
    hold.set_value();
    over.get_future().wait();
    for (uint64_t n = 1; n <= count; ++n) ASSERT_EQ(order[n - 1], n);
    EXPECT_EQ(db->status().writes, count);
    EXPECT_LE(db->status().transactions, 3U);
    EXPECT_EQ(db->load()->revision, count);
}

TEST(Database, ManyWritersShareTransactions) {
    const Folder folder;
    const auto db = opened(folder.store());
    // While the first is being answered the others come.
    std::promise<void> held, hold;
    db->write(numbered(1), [&](const base::Status&) {
        held.set_value();
        hold.get_future().wait();
    });
    held.get_future().wait();
    std::atomic<uint64_t> revision{1};
    std::atomic<int> durable{0};
    std::promise<void> over;
    std::vector<std::thread> writers;
    writers.reserve(16);
    for (int w = 0; w < 16; ++w) {
        writers.emplace_back([&] {
            for (int n = 0; n < 50; ++n) {
                Write write;
                write.revision = ++revision;
                write.put_services = {service("s" + std::to_string(write.revision % 50), "10.0.0.1:80")};
                db->write(std::move(write), [&](const base::Status& status) {
                    EXPECT_TRUE(status);
                    if (++durable == 800) over.set_value();
                });
            }
        });
    }
    for (auto& writer : writers) writer.join();
    hold.set_value();
    over.get_future().wait();
    const auto status = db->status();
    EXPECT_EQ(status.writes, 801U);
    EXPECT_EQ(status.transactions, 2U);
    EXPECT_EQ(status.trouble, "");
}

// It has seen that there is nothing, and has not let go yet.
TEST(WorkAlone, WhatIsGivenToAThreadThatIsAboutToGoIsDoneByIt) {
    std::mutex working, lock;
    std::deque<int> queue;
    std::vector<int> done;
    std::function<void()> before_it_goes;
    const std::function<bool()> work = [&] {
        const auto some = [&] {
            {
                const std::lock_guard held(lock);
                if (!queue.empty()) {
                    done.push_back(queue.front());
                    queue.pop_front();
                    return true;
                }
            }
            if (before_it_goes) std::exchange(before_it_goes, nullptr)();
            return false;
        };
        return work_alone(working, some, [&] {
            const std::lock_guard held(lock);
            return !queue.empty();
        });
    };
    before_it_goes = [&] {
        std::thread other([&] {
            {
                const std::lock_guard held(lock);
                queue.push_back(7);
            }
            while (work()) {
            }
        });
        other.join();
    };
    while (work()) {
    }
    EXPECT_EQ(done, std::vector{7});
}

TEST(Database, OneTransactionIsBounded) {
    const Folder folder;
    const auto db = opened(folder.store());
    std::promise<void> held, hold, over;
    db->write(numbered(1), [&](const base::Status&) {
        held.set_value();
        hold.get_future().wait();
    });
    held.get_future().wait();
    constexpr int count = 10'000;
    for (int n = 2; n <= count; ++n) {
        Write write;
        write.revision = static_cast<uint64_t>(n);
        db->write(std::move(write), [&, n](const base::Status&) {
            if (n == count) over.set_value();
        });
    }
    hold.set_value();
    over.get_future().wait();
    EXPECT_EQ(db->status().transactions, 4U);  // 1, 4096, 4096, and the rest
}

TEST(Database, WhatWaitsAtTheEndIsWrittenFirst) {
    const Folder folder;
    int answers = 0;
    {
        const auto db = opened(folder.store());
        for (uint64_t n = 1; n <= 500; ++n)
            db->write(numbered(n), [&answers](const base::Status& status) { answers += status ? 1 : 0; });
    }
    EXPECT_EQ(answers, 500);
    EXPECT_EQ(reopened(folder.store()).revision, 500U);
}

TEST(Database, AfterACleanEndAllIsInOneFileAndThoseToReadItWithAreThere) {
    const Folder folder;
    {
        const auto db = opened(folder.store());
        ASSERT_TRUE(db->load());
        ASSERT_TRUE(put(*db, numbered(1)));
        EXPECT_GT(db->status().bytes, 0U);
        EXPECT_EQ(db->status().path, folder.file());
    }
    // To read it needs these, and where a start would have to make them it would need room.
    EXPECT_EQ(names(folder.store(), "gorb.db"),
              (std::vector<std::string>{"gorb.db", "gorb.db-shm", "gorb.db-wal"}));
    EXPECT_EQ(fs::file_size(folder.store() / "gorb.db-wal"), 0U);
}

TEST(Database, TheFolderAndItsFilesAreForTheirOwnerOnly) {
    const Folder folder;
    const auto db = opened(folder.store());
    ASSERT_TRUE(put(*db, numbered(1)));
    const auto mode = [](const fs::path& path) {
        struct stat s {};
        EXPECT_EQ(stat(path.c_str(), &s), 0) << path;
        return s.st_mode & 0777;
    };
    EXPECT_EQ(mode(folder.store()), 0700U);
    for (const char* name : {"gorb.db", "gorb.db-wal", "gorb.db-shm", "gorb.lock"})
        EXPECT_EQ(mode(folder.store() / name), 0600U) << name;
}

TEST(Database, AnOperatorCanReadItWithSqlite) {
    const Folder folder;
    const auto db = opened(folder.store());
    Write write = numbered(7);
    write.health = {{{"web", "b0"}, {Health::State::down, 5, 0}}};
    ASSERT_TRUE(put(*db, write));
    EXPECT_EQ(ask(folder.file(), "SELECT name, revision, origin, address FROM service"),
              "web|7|0|10.0.0.1:80/tcp\n");
    EXPECT_EQ(ask(folder.file(),
                  "SELECT service, name, address, settings->>'weight', settings->>'$.pulse.type' "
                  "FROM backend"),
              "web|b0|10.1.0.1:80|7|tcp\n");
    EXPECT_EQ(ask(folder.file(), "SELECT backend, state, since FROM health"), "b0|2|5\n");
    EXPECT_EQ(ask(folder.file(), "SELECT settings LIKE '%host%' FROM backend"), "0\n");
    EXPECT_EQ(ask(folder.file(), "PRAGMA journal_mode;PRAGMA application_id;PRAGMA user_version"),
              "wal\n1735357026\n4\n");
    EXPECT_EQ(ask(folder.file(),
                  "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND "
                  "name NOT LIKE 'sqlite%'"),
              "0\n");
}

TEST(Database, ARowChangedByHandIsTakenOnlyIfItSaysSo) {
    const Folder folder;
    {
        const auto db = opened(folder.store());
        ASSERT_TRUE(put(*db, numbered(7)));
    }
    const char* change = "UPDATE backend SET settings = json_set(settings, '$.weight', 5)";
    ask(folder.file(), change);
    EXPECT_NE(refusal(folder.store()).find("backend \"b0\" of service \"web\" does not fit its CRC"),
              std::string::npos)
        << refusal(folder.store());
    ask(folder.file(), "UPDATE backend SET crc = 0");
    EXPECT_EQ(reopened(folder.store()).services.at(0).backends.at(0).spec.weight, 5U);
}

TEST(Database, EqualPulsesAreOneInMemory) {
    const Folder folder;
    const auto db = opened(folder.store());
    Write write = numbered(1);
    write.put_backends = {{"web", backend("a", "10.1.0.1:80")}, {"web", backend("b", "10.1.0.2:80")}};
    auto other = *backend("c", "10.1.0.3:80");
    other.spec.weight = 3;
    write.put_backends.emplace_back("web", std::make_shared<const model::BackendEntry>(other));
    ASSERT_TRUE(put(*db, write));
    const Loaded all = *db->load();
    const auto& backends = all.services.at(0).backends;
    ASSERT_EQ(backends.size(), 3U);
    EXPECT_EQ(&backends[0].spec.pulses[0], &backends[1].spec.pulses[0]);
    EXPECT_EQ(&backends[0].spec.pulses[0], &backends[2].spec.pulses[0]);
}

TEST(Database, ASecondProcessIsRefusedWithTheFirstOnesPid) {
    const Folder folder;
    const auto db = opened(folder.store());
    const int status = in_child([&] {
        const auto second = open_database(folder.store());
        if (second) return 1;
        if (second.error().code != base::Errc::unavailable) return 2;
        return second.error().sentence.find(std::to_string(getppid())) == std::string::npos ? 3 : 0;
    });
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(put(*db, numbered(1)));
}

TEST(Database, AnotherProgramThatHoldsATransactionIsWaitedForAndThenNamed) {
    const Folder folder;
    const auto db = opened(folder.store());
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(folder.file().c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
    const auto refused = put(*db, numbered(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::unavailable);
    EXPECT_NE(refused.error().sentence.find("another program"), std::string::npos)
        << refused.error().sentence;
    EXPECT_FALSE(db->lost());
    sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
    sqlite3_close(other);
    EXPECT_TRUE(put(*db, numbered(2)));
    EXPECT_EQ(db->status().trouble, "");
}

}  // namespace
}  // namespace gorb::store::database_test
