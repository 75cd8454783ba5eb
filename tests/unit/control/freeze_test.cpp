// What is remembered for the next start of backends whose fall a freeze holds back.
#include <gtest/gtest.h>

#include <map>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::freeze_test {
namespace {

constexpr char vip[] = "10.0.0.1:80";
constexpr uint64_t wave = 1000;  // when it began, ns

// web with b1 and b2, both up when gorbd was started.
struct FreezeTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    void SetUp() override {
        registry.load({GORB_PLUGINS});
        store::Loaded::ServiceRow row;
        row.spec = service("web", vip);
        for (const char* n : {"1", "2"}) {
            store::Loaded::BackendRow& out = row.backends.emplace_back();
            out.spec = backend(std::string("b") + n, std::string("10.1.0.") + n + ":80");
            out.health.state = store::Health::State::up;
        }
        disk.content.services = {row};
        start();
    }
    void start() {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    void suspect(bool frozen) {
        control->suspected({frozen, wave, ""});
        ASSERT_TRUE(look(*control));
    }
    void falls(const std::string& name) {
        const auto snapshot = control->snapshot();
        const auto id = (*(*snapshot->services.find("web"))->backends.find(name))->id;
        const health::Changed change{id, health::State::down, 100, 1, wave + 1, ""};
        control->health_changed({&change, 1});
        ASSERT_TRUE(look(*control));
    }
    std::vector<uint32_t> weights() {
        std::vector<uint32_t> all;
        const auto dests = table.dests(key(vip));
        for (const ipvs::DestRecord& dest : *dests) all.push_back(dest.weight);
        return all;
    }
    // Ends, with what has become known since, and starts on that.
    void restart() {
        control.reset();
        for (const store::Write& write : disk.written) {
            for (const auto& [name, health] : write.health) {
                for (store::Loaded::BackendRow& row : disk.content.services[0].backends) {
                    if (row.spec.name == name.backend) row.health = health;
                }
            }
        }
        disk.written.clear();
        start();
    }
};
using Weights = std::vector<uint32_t>;

TEST_F(FreezeTest, ARestartDuringAFreezeTakesNoWeightAway) {
    suspect(true);
    falls("b1");
    falls("b2");
    ASSERT_EQ(weights(), (Weights{100, 100}));
    restart();
    EXPECT_EQ(weights(), (Weights{100, 100}));
}

TEST_F(FreezeTest, NorDoesOneAfterFallsThatCameBeforeTheSuspicion) {
    falls("b1");
    suspect(true);
    ASSERT_EQ(weights(), (Weights{100, 100}));
    restart();
    EXPECT_EQ(weights(), (Weights{100, 100}));
}

TEST_F(FreezeTest, WhatIsBelievedAfterwardsIsRemembered) {
    suspect(true);
    falls("b1");
    restart();
    suspect(true);
    falls("b1");
    suspect(false);
    ASSERT_EQ(weights(), (Weights{0, 100}));
    restart();
    EXPECT_EQ(weights(), (Weights{0, 100}));
}

}  // namespace
}  // namespace gorb::control::freeze_test
