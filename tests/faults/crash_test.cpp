// The daemon ends at any instant: what it acknowledged is there afterwards, what it refused is not, and the
// kernel's table is as it should be, with what is foreign in it untouched.
#include "faults/world.h"
#include "reconcile/records.h"
#include "unit/store/powercut_vfs.h"

namespace gorb::faults {
namespace {

using ipvs::Op;

// Somebody else at work on entries of ours while no daemon runs.
void meddle(ipvs::MemoryDriver& table, const control::Control& control, Dice& dice,
            std::set<ipvs::ServiceKey>& strangers_in) {
    for (const auto& [key, service] : control.wanted(*control.snapshot())) {
        std::vector<Op> ops;
        for (const auto& [address, dest] : service.dests) {
            ipvs::DestRecord other = dest;
            other.weight = 7;
            if (dice.roll(4) == 0)
                ops.push_back(dice.roll(2) ? Op::edit(key, other) : Op::remove(key, address));
        }
        if (dice.roll(5) == 0) {
            ipvs::DestRecord dest;
            dest.address = stranger();
            ops.push_back(Op::add(key, dest));
            strangers_in.insert(key);
        }
        if (dice.roll(20) == 0) {
            ops.push_back(Op::remove(key));
            strangers_in.erase(key);
        }
        table.apply(ops);
    }
}

// A weight that was as configured is so after a start: no pool is emptied by it.
void expect_weights_kept(const std::vector<std::pair<ipvs::ServiceKey, ipvs::DestRecord>>& before,
                         ipvs::MemoryDriver& table, const model::Snapshot& now) {
    now.services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service->spec.key);
        const auto dests = table.dests(key);
        ASSERT_TRUE(dests);
        for (const auto& [of, was] : before) {
            if (of != key) continue;
            const auto* backend = service->by_address.find(was.address);
            if (!backend || (*backend)->spec.admin != model::Admin::ready) continue;
            if ((*backend)->spec.weight != was.weight) continue;
            for (const ipvs::DestRecord& is : *dests) {
                if (is.address == was.address) {
                    EXPECT_EQ(is.weight, was.weight) << name << " " << was.address.text();
                }
            }
        }
    });
}

std::vector<std::pair<ipvs::ServiceKey, ipvs::DestRecord>> all_dests(ipvs::MemoryDriver& table) {
    std::vector<std::pair<ipvs::ServiceKey, ipvs::DestRecord>> all;
    const auto services = table.services();
    for (const ipvs::ServiceRecord& service : *services) {
        const auto dests = table.dests(service.key);
        for (const ipvs::DestRecord& dest : *dests) all.emplace_back(service.key, dest);
    }
    return all;
}

// Nothing that is wanted goes away for a moment: that would cost its connections.
void expect_no_gap(const World& world) {
    const reconcile::Table wanted = world.control->wanted(*world.control->snapshot());
    for (const Op& op : world.driver->removals) {
        const auto service = wanted.find(op.service.key);
        if (service == wanted.end()) continue;
        EXPECT_EQ(op.kind, Op::Kind::remove_dest) << op.text();
        EXPECT_FALSE(service->second.dests.contains(op.dest.address)) << op.text();
    }
}

// Answers as a whole, then some more changes until it is over.
void work(World& world, Dice& dice, Promised& promised) {
    for (int burst = 0; burst < 6 && !world.crash->dead; ++burst) {
        std::vector<control::Change> changes;
        for (uint64_t i = 1 + dice.roll(12); i > 0; --i) changes.push_back(dice.change());
        world.submit(std::move(changes), promised);
    }
}

struct Crashes : testing::TestWithParam<bool> {};

// Without and with operations that the kernel refuses.
TEST_P(Crashes, LoseNothingAcknowledgedAndLeaveTheKernelAsItIsWanted) {
    const bool refusing = GetParam();
    Folder folder;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    add_foreign(*table);
    Promised promised;
    Dice dice(2026);
    std::set<ipvs::ServiceKey> strangers_in;
    std::string identity;
    uint64_t revision = 0;
    size_t died = 0;
    const size_t all = rounds(150, 3000);
    for (size_t round = 0; round < all; ++round) {
        SCOPED_TRACE("round " + std::to_string(round));
        const auto before = all_dests(*table);
        auto crash = std::make_shared<Crash>();
        World world({table, folder.path() / "store", {}, {}, crash});
        if (dice.roll(4) == 0) crash->left = static_cast<int64_t>(dice.roll(20));  // at the start
        ASSERT_TRUE(world.start());
        if (crash->dead) continue;
        crash->left = INT64_MAX;
        const model::SnapshotPtr now = world.control->snapshot();
        ASSERT_EQ(promised.compare(*now), "");
        ASSERT_GE(now->revision, revision);
        // Two starts in a row say the same of every object.
        const std::string tag = world.control->etag(1);
        ASSERT_TRUE(identity.empty() || tag == identity);
        identity = tag;
        // With its service a stranger's destination went.
        std::erase_if(strangers_in, [&](const auto& key) { return !*table->service(key); });
        ASSERT_EQ(table_differs(*table, *world.control, strangers_in), "");
        EXPECT_EQ(leaving(world), "");
        if (round % 3 > 0) {
            expect_weights_kept(before, *table, *now);
            expect_no_gap(world);
        }
        if (HasFailure()) return;

        if (refusing) {
            table->set_hook([&dice](const Op& op, uint64_t) {
                const bool mine = op.service.key.vip.ip.bytes[3] == 6;
                return !mine && dice.roll(8) == 0 ? ENOMEM : 0;
            });
        }
        crash->left = static_cast<int64_t>(1 + dice.roll(100));
        work(world, dice, promised);
        died += crash->dead ? 1 : 0;
        revision = world.control->snapshot()->revision;
        crash->dead = true;  // at the latest
        world.control->stop();
        table->set_hook({});
        if (round % 3 == 2) meddle(*table, *world.control, dice, strangers_in);
    }
    EXPECT_GT(died, all / 8);  // how much fits before the end of a life depends on the machine
}

INSTANTIATE_TEST_SUITE_P(OfAKernel, Crashes, testing::Bool(), [](const auto& refuses) {
    return std::string(refuses.param ? "ThatRefuses" : "ThatTakesAll");
});

// The machine: the table is empty afterwards, and of the disk's writes those are there that were synced, and
// of the rest what chance lets through.
TEST(PowerCuts, LoseNothingAcknowledged) {
    Promised promised;
    Dice dice(77);
    std::mt19937_64 random(78);
    store::PowerCut::Image image;
    uint64_t revision = 0;
    size_t died = 0;
    const size_t all = rounds(150, 2000);
    for (size_t round = 0; round < all; ++round) {
        SCOPED_TRACE("round " + std::to_string(round));
        Folder folder;
        const std::filesystem::path at = folder.path() / "store";
        std::filesystem::create_directory(at);
        for (const auto& [name, bytes] : image) {
            FILE* file = fopen((at / name).c_str(), "wb");
            ASSERT_TRUE(file);
            ASSERT_EQ(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
            ASSERT_EQ(fclose(file), 0);
        }
        store::PowerCut disk;
        auto crash = std::make_shared<Crash>();
        const auto how = static_cast<store::PowerCut::Unsynced>(random() % 3);
        std::atomic<bool> armed{false};
        std::atomic<int> until{0};
        bool cut = false;  // of the database's thread
        disk.before = [&] {
            if (!armed || cut || until-- > 0) return;
            crash->dead = true;
            image = disk.cut(how, random);
            cut = true;
        };
        auto table = std::make_shared<ipvs::MemoryDriver>();
        add_foreign(*table);
        {
            World world({table, at, {store::PowerCut::name}, {}, crash});
            ASSERT_TRUE(world.start());
            ASSERT_EQ(promised.compare(*world.control->snapshot()), "");
            ASSERT_GE(world.control->snapshot()->revision, revision);
            ASSERT_EQ(table_differs(*table, *world.control), "");
            until = static_cast<int>(random() % 60);
            armed = true;
            work(world, dice, promised);
            died += crash->dead ? 1 : 0;
            revision = world.control->snapshot()->revision;
            world.control->stop();
        }
        // It went on to its end: then this is what the disk has.
        if (!cut) image = disk.cut(how, random);
    }
    EXPECT_GT(died, all / 2);
}

}  // namespace
}  // namespace gorb::faults
