// Who is out of the kernel and stays so, and who is in it and stays so, where a backend that is down is to be
// removed: by on-down, or since weight 0 would swallow clients.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"
#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::out_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

struct OutTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;
    model::Service web = service("web", vip);

    OutTest() {
        registry.load({GORB_PLUGINS});
        web.pool.on_down = model::OnDown::remove;
    }
    // On what is stored.
    void start() {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    void stored(const model::Backend& spec, store::Health::State state) {
        if (disk.content.services.empty()) disk.content.services.emplace_back().spec = web;
        store::Loaded::BackendRow& row = disk.content.services[0].backends.emplace_back();
        row.spec = spec;
        row.health.state = state;
    }
    // Of the kernel, before the start.
    void has(const model::Backend& spec, uint32_t weight) {
        if (!*table.service(key(vip))) apply(Op::add(reconcile::service_record(web)));
        apply(Op::add(key(vip), reconcile::dest_record(spec, weight)));
    }
    void apply(const Op& op) { ASSERT_TRUE(table.apply(std::vector{op}).front()); }
    void becomes(const std::string& name, health::State state) {
        const auto snapshot = control->snapshot();
        const auto id = (*(*snapshot->services.find("web"))->backends.find(name))->id;
        const health::Changed change{id, state, 100, 1, since_ += base::second, ""};
        control->health_changed({&change, 1});
        ASSERT_TRUE(look(*control));
    }
    // With what was written of the backends that were there from the beginning, and nothing in the kernel.
    void restart_after_boot() {
        control.reset();
        for (const store::Write& write : disk.written) {
            for (store::Loaded::BackendRow& row : disk.content.services[0].backends) {
                for (const auto& [service, backend] : write.put_backends) {
                    if (row.spec.name == backend->spec.name) row.spec = backend->spec;
                }
                for (const auto& [name, health] : write.health) {
                    if (row.spec.name == name.backend) row.health = health;
                }
            }
        }
        ASSERT_TRUE(table.flush());
        start();
    }
    // "b1 100, b2 0" of 10.1.0.1, 10.1.0.2; what is not there is left out.
    std::string weights() {
        auto dests = *table.dests(key(vip));
        std::ranges::sort(dests, {}, &ipvs::DestRecord::address);
        std::string out;
        for (const ipvs::DestRecord& dest : dests) {
            const std::string ip = dest.address.ip.text();
            out += (out.empty() ? "b" : ", b") + ip.substr(ip.rfind('.') + 1) + " " +
                   std::to_string(dest.weight);
        }
        return out;
    }
    static model::Backend one(const std::string& n, model::Admin admin = model::Admin::ready) {
        model::Backend spec = backend("b" + n, "10.1.0." + n + ":80");
        spec.admin = admin;
        return spec;
    }

  private:
    uint64_t since_ = 1;
};

TEST_F(OutTest, AStartLeavesTheConnectionsOfWhoIsInMaintenanceOrDrained) {
    const model::Backend maintained = one("1", model::Admin::maint), drained = one("2", model::Admin::drain);
    stored(maintained, store::Health::State::unknown);
    stored(drained, store::Health::State::up);
    stored(one("3"), store::Health::State::down);
    stored(one("4"), store::Health::State::up);
    stored(one("5", model::Admin::drain), store::Health::State::down);  // which are none any more
    for (const char* n : {"1", "2", "3", "5"}) has(one(n), 0);
    start();
    EXPECT_EQ(weights(), "b1 0, b2 0, b4 100");
    control.reset();
    start();
    EXPECT_EQ(weights(), "b1 0, b2 0, b4 100");
}

TEST_F(OutTest, AStartBringsNobodyBackWhoWasOut) {
    stored(one("1", model::Admin::maint), store::Health::State::unknown);
    stored(one("2", model::Admin::drain), store::Health::State::down);
    stored(one("3"), store::Health::State::up);
    has(one("3"), 100);
    start();
    EXPECT_EQ(weights(), "b3 100");
}

TEST_F(OutTest, WhatIsTakenOverToBeInMaintenanceKeepsItsConnections) {
    stored(one("1"), store::Health::State::up);
    start();
    const model::Backend taken_over = one("2", model::Admin::maint);
    has(taken_over, 50);
    ASSERT_TRUE(submit(*control, PutBackend{"web", taken_over, {}, true}).get());
    EXPECT_EQ(weights(), "b1 100, b2 0");
}

// To max-down one that never passed is none that fell, after a start as before it.
TEST_F(OutTest, AStartPutsNobodyIntoServiceWhoNeverPassed) {
    web.pool.on_down = model::OnDown::weight_zero;
    web.pool.max_down = 50;
    for (const char* n : {"1", "2"}) stored(one(n), store::Health::State::up);
    for (const char* n : {"3", "4"}) stored(one(n), store::Health::State::unknown);
    start();
    for (const char* name : {"b3", "b4", "b1", "b2"}) becomes(name, health::State::down);
    ASSERT_EQ(weights(), "b1 0, b2 100, b3 0, b4 0");
    restart_after_boot();
    EXPECT_EQ(weights(), "b1 0, b2 100, b3 0, b4 0");
    becomes("b3", health::State::up);
    becomes("b3", health::State::down);
    EXPECT_EQ(weights(), "b1 0, b2 100, b3 100, b4 0") << "one of three may go, and it is one of them now";
}

TEST_F(OutTest, AStartMakesNobodyNewWhoWasInMaintenanceOrAskedInAnotherWay) {
    web.pool.on_down = model::OnDown::weight_zero;
    web.pool.max_down = 50;
    for (const char* n : {"1", "2", "3"}) stored(one(n), store::Health::State::up);
    stored(one("4"), store::Health::State::unknown);
    start();
    for (const char* name : {"b4", "b1", "b2", "b3"}) becomes(name, health::State::down);
    ASSERT_EQ(weights(), "b1 0, b2 100, b3 100, b4 0");
    const auto patch = [&](const std::string& name, const std::string& what) {
        ASSERT_TRUE(submit(*control, PatchBackend{"web", name, what, {}}).get());
    };
    patch("b1", R"({"admin": "maint"})");
    patch("b2", R"({"pulse": {"type": "tcp"}})");
    patch("b4", R"({"pulse": {"type": "tcp"}})");
    restart_after_boot();
    patch("b1", R"({"admin": "ready"})");
    for (const char* name : {"b4", "b1", "b2"}) becomes(name, health::State::down);
    EXPECT_EQ(weights(), "b1 100, b2 100, b3 0, b4 0")
        << "one of three may go, and the fourth never was there";
}

// Persistence would bind clients to it.
TEST_F(OutTest, ABackupThatIsDownIsNotBroughtBackWhenThePrimaryIsUpAgain) {
    model::Backend backup = one("2");
    backup.backup = true;
    stored(one("1"), store::Health::State::up);
    stored(backup, store::Health::State::up);
    start();
    becomes("b1", health::State::down);
    EXPECT_EQ(weights(), "b2 100");
    becomes("b2", health::State::down);
    EXPECT_EQ(weights(), "");
    becomes("b1", health::State::up);
    EXPECT_EQ(weights(), "b1 100");
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 100, b2 0");
    becomes("b2", health::State::down);
    EXPECT_EQ(weights(), "b1 100") << "while it stands by";
}

// To dh a weight of 0 is a place that its clients go to, and get no answer.
struct SwallowTest : OutTest {
    void SetUp() override {
        web.scheduler = "dh";
        web.pool.on_down = model::OnDown::weight_zero;
        stored(one("1"), store::Health::State::up);
        start();
    }
    void put(const model::Backend& spec) {
        ASSERT_TRUE(submit(*control, PutBackend{"web", spec, {}, false}).get());
    }
    void ask(const std::string& what) {
        ASSERT_TRUE(submit(*control, PatchBackend{"web", "b2", what, {}}).get());
    }
};

TEST_F(SwallowTest, WhoIsDrainedFromTheBeginningIsNotBroughtInByItsFirstPass) {
    put(one("2", model::Admin::drain));
    EXPECT_EQ(weights(), "b1 100");
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 100");
    ask(R"({"admin": "ready"})");
    EXPECT_EQ(weights(), "b1 100, b2 100");
    ask(R"({"admin": "drain"})");
    EXPECT_EQ(weights(), "b1 100, b2 0") << "which served";
}

TEST_F(SwallowTest, NorIsOneThatBeginsUp) {
    model::Backend spec = one("2", model::Admin::drain);
    std::vector<model::PulseSpec> pulses(spec.pulses.begin(), spec.pulses.end());
    pulses[0].initial = model::Initial::up;
    spec.pulses = model::PulseList(pulses);
    put(spec);
    EXPECT_EQ(weights(), "b1 100");
}

TEST_F(SwallowTest, NorIsOneThatIsDrainedAfterItsMaintenance) {
    put(one("2"));
    becomes("b2", health::State::up);
    ask(R"({"admin": "maint"})");
    EXPECT_EQ(weights(), "b1 100");
    ask(R"({"admin": "drain"})");
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 100");
}

// Of what is taken over nothing is known, nor of who is in a service by another name: it is there all the
// same.
TEST_F(SwallowTest, WhatIsTakenOverWithAWeightOfZeroKeepsItsConnections) {
    constexpr char other[] = "10.0.0.9:80";
    model::Service foreign = web;
    foreign.key.vip = *base::Endpoint::parse(other);
    apply(Op::add(reconcile::service_record(foreign)));
    apply(Op::add(key(other), reconcile::dest_record(one("1"), 100)));
    apply(Op::add(key(other), reconcile::dest_record(one("2"), 0)));
    ASSERT_TRUE(submit(*control, Adopt{key(other), "old", {}}).get());
    EXPECT_EQ(table.dests(key(other))->size(), 2U);
    ASSERT_TRUE(look(*control));
    EXPECT_EQ(table.dests(key(other))->size(), 2U);
}

TEST_F(SwallowTest, WhoIsDrainedStaysWhenItsServiceGetsAnotherName) {
    put(one("2"));
    becomes("b2", health::State::up);
    ask(R"({"admin": "drain"})");
    ASSERT_EQ(weights(), "b1 100, b2 0");
    model::ConfigService renamed{web, {one("1"), one("2", model::Admin::drain)}};
    renamed.spec.name = "shop";
    ASSERT_TRUE(submit(*control, PutConfig{{{renamed}}, {}, true}).get());
    EXPECT_EQ(weights(), "b1 100, b2 0");
    ASSERT_TRUE(look(*control));
    EXPECT_EQ(weights(), "b1 100, b2 0");
}

TEST_F(SwallowTest, AStartLeavesWhoIsDrainedAndUp) {
    put(one("2"));
    becomes("b2", health::State::up);
    ask(R"({"admin": "drain"})");
    ASSERT_EQ(weights(), "b1 100, b2 0");
    stored(one("2", model::Admin::drain), store::Health::State::up);
    control.reset();
    start();
    EXPECT_EQ(weights(), "b1 100, b2 0");
}

}  // namespace
}  // namespace gorb::control::out_test
