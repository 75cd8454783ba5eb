// A day's work in minutes: memory, descriptors and the store stay as small as they were.
#include <dirent.h>
#include <malloc.h>

#include <fstream>
#include <future>
#include <thread>

#include "control/inbox.h"
#include "faults/world.h"

namespace gorb::faults {
namespace {

size_t resident_kb() {
    malloc_trim(0);
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    }
    return 0;
}

size_t descriptors() {
    size_t n = 0;
    DIR* folder = opendir("/proc/self/fd");
    while (readdir(folder)) ++n;
    closedir(folder);
    return n;
}

TEST(Churn, LeavesMemoryDescriptorsAndTheStoreAsSmallAsTheyWere) {
    Folder folder;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    add_foreign(*table);
    const std::filesystem::path at = folder.path() / "store";
    World world({table, at, {}, {}});
    ASSERT_TRUE(world.start());
    world.driver->keep_removals = false;
    Promised promised;
    Dice dice(5);
    const size_t all = rounds(20'000, 1'000'000);
    size_t memory = 0, open = 0, bytes = 0, most_bytes = 0, done = 0;
    while (done < all) {
        std::vector<control::Change> changes;
        changes.reserve(400);
        for (int i = 0; i < 400; ++i) changes.push_back(dice.change());
        done += changes.size();
        world.submit(std::move(changes), promised);
        const model::SnapshotPtr now = world.control->snapshot();
        ASSERT_EQ(promised.compare(*now), "");
        // Health goes up and down all the time.
        std::vector<health::Changed> changed;
        now->services.for_each([&](const std::string&, const model::ServicePtr& service) {
            service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
                changed.push_back({backend->id, dice.roll(2) ? health::State::up : health::State::down, 100,
                                   1, 1'000 + done, "by chance"});
            });
        });
        world.control->health_changed(changed);
        most_bytes = std::max<size_t>(most_bytes, world.control->store().database.bytes);
        if (memory == 0 && done >= all / 5) {
            memory = resident_kb();
            open = descriptors();
            bytes = most_bytes;
        }
    }
    world.ownership();
    const size_t memory_after = resident_kb();
    ASSERT_EQ(table_differs(*table, *world.control), "");
    printf(
        "%zu operations: %zu KB resident after a fifth, %zu KB at the end; %zu descriptors, then %zu; the "
        "store "
        "%zu KB at most after a fifth, %zu KB in all\n",
        done, memory, memory_after, open, descriptors(), bytes / 1024, most_bytes / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(memory_after, memory + 8 * 1024);
#endif
    EXPECT_EQ(descriptors(), open);
    EXPECT_LT(most_bytes, size_t{16} << 20);

    promised.took(control::PutConfig{{}, {}, true}, Promised::Answer::done);
    Promised ignored;
    world.submit({control::PutConfig{{}, {}, true}}, ignored);
    EXPECT_TRUE(world.ownership().leaving.empty());
    world.control->stop();
    world.control.reset();
    auto again = store::open_database(at);
    ASSERT_TRUE(again);
    const auto loaded = (*again)->load();
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->services.empty());
    EXPECT_TRUE(loaded->leaving.empty());
    EXPECT_LT((*again)->status().bytes, size_t{2} << 20);
}

// All servers of a rack, reported one by one by the loops, as quickly as they can.
TEST(Churn, TenThousandBackendsThatGoDownInASecondAreAHandfulOfBatches) {
    constexpr int services = 20, backends = 500;
    constexpr size_t part = 2048;  // more operations than that are more than one batch
    Folder folder;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    add_foreign(*table);
    World world({table, folder.path() / "store", {}, {}});
    ASSERT_TRUE(world.start());
    model::Config config;
    for (int s = 0; s < services; ++s) {
        model::ConfigService one;
        one.spec.name = "s" + std::to_string(100 + s);
        one.spec.key.vip = *base::Endpoint::parse("10.0.1." + std::to_string(s + 1) + ":80");
        for (int b = 0; b < backends; ++b) {
            model::Backend backend = Dice(1).backend("b" + std::to_string(1000 + b));
            backend.address = *base::Endpoint::parse("10.2." + std::to_string(b / 250) + "." +
                                                     std::to_string(b % 250 + 1) + ":80");
            one.backends.push_back(std::move(backend));
        }
        config.services.push_back(std::move(one));
    }
    Promised promised;
    world.submit({control::PutConfig{config, {}, true}}, promised);
    std::vector<model::BackendId> ids;
    const model::SnapshotPtr now = world.control->snapshot();
    now->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        service->backends.for_each(
            [&](const std::string&, const model::BackendPtr& backend) { ids.push_back(backend->id); });
    });
    ASSERT_EQ(ids.size(), size_t{services * backends});
    const auto report = [&](health::State state) {
        // In parts, as a loop tells what happened in one of its turns; 100 of them in half a second.
        for (size_t first = 0; first < ids.size(); first += 100) {
            std::vector<health::Changed> some;
            for (size_t i = first; i < first + 100; ++i)
                some.push_back({ids[i], state, 100, 1, 1 + i, "told"});
            world.control->health_changed(some);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    };
    // Until so many operations more were asked for.
    const auto wait_for = [&](uint64_t operations) {
        for (int i = 0; i < 2'000 && world.driver->operations < operations; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        world.ownership();  // what asked for them is over
    };
    report(health::State::up);
    world.reconcile();
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // until the health is written
    const uint64_t calls = world.driver->calls;
    const uint64_t transactions = world.control->store().database.transactions;
    const uint64_t ops = table->ops();
    const size_t memory = resident_kb();
    const uint64_t before_that = world.driver->operations;
    const auto begin = std::chrono::steady_clock::now();
    report(health::State::down);
    wait_for(before_that + ids.size());
    const auto took = std::chrono::steady_clock::now() - begin;
    const uint64_t batches = world.driver->calls - calls;
    EXPECT_EQ(table->ops() - ops, size_t{services * backends});
    // Not one for each turn of the loops.
    EXPECT_LE(batches, 2 + ids.size() / part + static_cast<uint64_t>(took / control::Inbox::pause));
    EXPECT_LE(batches, 50U);
    EXPECT_EQ(table_differs(*table, *world.control).substr(0, 500), "");
    for (int i = 0; i < 30; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        world.ownership();
    }
    const uint64_t commits = world.control->store().database.transactions - transactions;
    printf("10000 backends down in %lld ms: %llu batches of the kernel, %llu transactions, %zu KB more\n",
           static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()),
           static_cast<unsigned long long>(batches), static_cast<unsigned long long>(commits),
           resident_kb() - std::min(memory, resident_kb()));
    EXPECT_LE(commits, 5U);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(resident_kb(), memory + 16 * 1024);
#endif

    // At once, without a pause: as few as can be, perhaps one more.
    const uint64_t before = world.driver->calls;
    std::vector<health::Changed> all;
    all.reserve(ids.size());
    for (const model::BackendId id : ids) all.push_back({id, health::State::up, 100, 1, 99, "told"});
    const uint64_t last = world.driver->operations;
    world.control->health_changed(all);
    wait_for(last + all.size());
    EXPECT_LE(world.driver->calls - before, 2 + ids.size() / part);
}

}  // namespace
}  // namespace gorb::faults
