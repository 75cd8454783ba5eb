// A kernel that refuses, runs out of memory, and can not be read, by chance: the desired state is what was
// acknowledged, whatever the kernel does, and the table becomes as wanted once the kernel behaves.
#include <cerrno>

#include "base/clock.h"
#include "faults/world.h"
#include "reconcile/records.h"

namespace gorb::faults {
namespace {

using ipvs::Op;

constexpr uint64_t second = 1'000'000'000;
constexpr int errnos[] = {ENOBUFS, EPERM, EINTR, ENOMEM, EAGAIN};

// Where the table is another than it should be, somebody is told: by the backend, by its service, or by what
// is leaving.
std::string untold_now(World& world, ipvs::MemoryDriver& table) {
    const model::SnapshotPtr now = world.control->snapshot();
    const control::Ownership ownership = world.ownership();
    std::string wrong;
    now->services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service->spec.key);
        const bool told = !world.control->refused(service->spec).empty();
        const auto record = table.service(key);
        if (!*record && !told) wrong += name + " is not there, and nothing is said\n";
        const auto dests = table.dests(key);
        service->backends.for_each([&](const std::string& backend, const model::BackendPtr& entry) {
            const auto weight = world.control->weight_of(*entry);
            if (told || !weight.not_applied.empty()) return;
            const ipvs::DestRecord* is = nullptr;
            if (dests) {
                for (const ipvs::DestRecord& dest : *dests)
                    if (dest.address == entry->spec.address) is = &dest;
            }
            const bool same = weight.decision.present ? is && is->weight == weight.decision.effective : !is;
            if (!same) wrong += name + "/" + backend + " is not as wanted, and nothing is said\n";
        });
    });
    return wrong;
}

// A drain that is over becomes a change by itself, which may be half done while this looks.
template <class Look>
std::string patiently(World& world, Look look) {
    std::string wrong = look();
    for (int i = 0; i < 5 && !wrong.empty(); ++i) {
        world.ownership();
        wrong = look();
    }
    return wrong;
}

std::string untold(World& world, ipvs::MemoryDriver& table) {
    return patiently(world, [&] { return untold_now(world, table); });
}

// Until the longest retry is over, and a little more.
void let_it_settle(World& world, base::ManualClock& clock) {
    for (int i = 0; i < 4; ++i) {
        clock.advance(61 * second);
        world.reconcile();
        world.ownership();
    }
}

// Of all backends, up or down by chance; it is in the weights when this returns.
void shake_health(World& world, Dice& dice, uint64_t now) {
    std::vector<health::Changed> changed;
    world.control->snapshot()->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const auto state = dice.roll(3) ? health::State::up : health::State::down;
            changed.push_back({backend->id, state, 100, 1, now, "by chance"});
        });
    });
    world.control->health_changed(changed);
    // A question is answered before the health that came with it is looked at.
    world.ownership();
    world.ownership();
}

struct KernelFaults : testing::TestWithParam<bool> {};

// Every kind of change, and health, and somebody else who makes a service again and again.
TEST_P(KernelFaults, NeverChangeWhatIsWantedAndAreMadeGoodWhenTheyStop) {
    const bool durable = GetParam();
    Folder folder;
    base::ManualClock clock;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    add_foreign(*table);
    const auto vips = std::make_shared<Addresses>();
    vips->hosts.insert(*base::Ip::parse("10.0.0.5"));
    control::Options options;
    options.clock = &clock;
    World world(
        {table, durable ? folder.path() / "store" : "", {}, options, std::make_shared<Crash>(), vips});
    ASSERT_TRUE(world.start());
    world.driver->keep_removals = false;
    Promised promised;
    Dice dice(durable ? 11 : 12, true);
    std::mt19937_64 chance(3);
    size_t steps = 0, refused = 0, adoptions = 0, gone_slowly = 0;
    const size_t all = rounds(durable ? 2'000 : 5'000, 100'000);
    while (steps < all) {
        SCOPED_TRACE("step " + std::to_string(steps));
        // A time with faults of one kind or several, then one without.
        const unsigned share = static_cast<unsigned>(1 + dice.roll(60));
        const size_t kinds = 1 + dice.roll(std::size(errnos));
        table->set_hook([&chance, &refused, share, kinds](const Op&, uint64_t) {
            if (chance() % 100 >= share) return 0;
            ++refused;
            return errnos[chance() % kinds];
        });
        world.driver->failing_reads = dice.roll(2) ? static_cast<unsigned>(dice.roll(50)) : 0;
        vips->failing = dice.roll(2) ? static_cast<unsigned>(dice.roll(50)) : 0;
        for (int burst = 0; burst < 12; ++burst) {
            std::vector<control::Change> changes;
            for (uint64_t i = 1 + dice.roll(10); i > 0; --i) changes.push_back(dice.change());
            steps += changes.size();
            world.submit(std::move(changes), promised);
            ASSERT_EQ(promised.compare(*world.control->snapshot()), "");
            ASSERT_EQ(untold(world, *table), "");
            if (dice.roll(4) == 0) shake_health(world, dice, clock.now());
            if (dice.roll(3) == 0) clock.advance(dice.roll(5 * second));
            if (dice.roll(6) == 0) world.reconcile();
        }
        table->set_hook({});
        world.driver->failing_reads = 0;
        vips->failing = 0;
        const size_t going = promised.going().size();
        let_it_settle(world, clock);
        ASSERT_EQ(promised.compare(*world.control->snapshot()), "");
        gone_slowly += going - promised.going().size();
        ASSERT_EQ(
            patiently(world, [&] { return table_differs(*table, *world.control, {}, promised.foreign); }),
            "");
        ASSERT_EQ(vips_differ(*vips, *world.control), "");
        ASSERT_EQ(untold(world, *table), "");
        EXPECT_TRUE(world.ownership().drift.empty());
        ASSERT_EQ(leaving(world), "");
        world.control->snapshot()->services.for_each(
            [&](const std::string&, const model::ServicePtr& service) {
                EXPECT_EQ(world.control->refused(service->spec), "");
                service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
                    EXPECT_EQ(world.control->weight_of(*backend).not_applied, "");
                });
            });
        if (HasFailure()) return;
        if (!promised.foreign && !table->service(foreign_key())->has_value() && dice.roll(2)) {
            ++adoptions;
            add_foreign(*table);
            promised.foreign = true;
        }
    }
    printf("%zu steps, %zu operations refused, %zu adoptions, %zu removed when their connections had ended\n",
           steps, refused, adoptions, gone_slowly);
    EXPECT_GT(refused, all / 30);
    EXPECT_GT(adoptions, all / 2'000);
    EXPECT_GT(gone_slowly, all / 1'000);
}

INSTANTIATE_TEST_SUITE_P(WithAStore, KernelFaults, testing::Bool(), [](const auto& durable) {
    return std::string(durable.param ? "OnDisk" : "InMemory");
});

// One object that the kernel never takes does not hold up the others.
TEST(Refusals, ShowOnTheirObjectAndHoldUpNobody) {
    base::ManualClock clock;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    add_foreign(*table);
    control::Options options;
    options.clock = &clock;
    World world({table, "", {}, options});
    ASSERT_TRUE(world.start());
    const auto bad = *base::Endpoint::parse("10.1.0.3:80");
    table->set_hook([&](const Op& op, uint64_t) {
        const bool dest = op.kind == Op::Kind::add_dest || op.kind == Op::Kind::edit_dest;
        return dest && op.dest.address == bad ? ENOBUFS : 0;
    });
    model::Config config;
    for (int s = 0; s < 3; ++s) {
        model::ConfigService one;
        one.spec.name = "s" + std::to_string(s);
        one.spec.key.vip = *base::Endpoint::parse("10.0.0." + std::to_string(s + 1) + ":80");
        for (int b = 1; b < 6; ++b) {
            model::Backend backend = Dice(1).backend("b" + std::to_string(b));
            backend.address = *base::Endpoint::parse("10.1.0." + std::to_string(b) + ":80");
            one.backends.push_back(backend);
        }
        config.services.push_back(one);
    }
    Promised promised;
    world.submit({control::PutConfig{config, {}, true}}, promised);
    ASSERT_EQ(promised.compare(*world.control->snapshot()), "");
    size_t refused = 0, there = 0;
    const auto count = [&] {
        refused = there = 0;
        world.control->snapshot()->services.for_each([&](const std::string&, const model::ServicePtr& s) {
            s->backends.for_each([&](const std::string& name, const model::BackendPtr& backend) {
                const auto weight = world.control->weight_of(*backend);
                EXPECT_EQ(weight.not_applied.empty(), name != "b3");
                EXPECT_EQ(weight.present, name != "b3");
                ++(weight.not_applied.empty() ? there : refused);
            });
        });
    };
    count();
    EXPECT_EQ(refused, 3U);
    EXPECT_EQ(there, 12U);
    // It is tried again, ever more seldom.
    const uint64_t before = table->ops();
    for (int i = 0; i < 600; ++i) {
        clock.advance(second);
        world.ownership();
    }
    EXPECT_GT(table->ops(), before + 3);
    EXPECT_LT(table->ops(), before + 3 * 30);
    count();
    table->set_hook({});
    let_it_settle(world, clock);
    EXPECT_EQ(table_differs(*table, *world.control), "");
}

}  // namespace
}  // namespace gorb::faults
