// What a start makes of the weights, beside what the kernel's table still has.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::restart_test {
namespace {

// web with three primaries and a backup; its quorum is reached with three and lost without any.
struct RestartTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    RestartTest() {
        registry.load({GORB_PLUGINS});
        disk.content.revision = 7;
        disk.content.services.push_back({service("web", "10.0.0.1:80"), 7, model::Origin::api, {}});
        disk.content.services[0].spec.pool.quorum = 2;
        disk.content.services[0].spec.pool.hysteresis = 1;
    }
    // As it was when gorbd ended.
    void was(const std::string& name, store::Health::State state, uint32_t weight) {
        auto& backends = disk.content.services[0].backends;
        const std::string address = "10.1.0." + std::to_string(1 + backends.size()) + ":80";
        store::Loaded::BackendRow row{backend(name, address), 7, {state, 1, 0}, 0};
        row.spec.backup = name == "spare";
        const auto record = reconcile::service_record(disk.content.services[0].spec);
        std::vector<ipvs::Op> ops;
        if (backends.empty()) ops.push_back(ipvs::Op::add(record));
        ops.push_back(ipvs::Op::add(record.key, reconcile::dest_record(row.spec, weight)));
        for (const base::Status& status : table.apply(ops)) ASSERT_TRUE(status);
        backends.push_back(std::move(row));
    }
    void start() {
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry,
                                            Options{}, std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    std::string weights() {
        std::map<base::Endpoint, uint32_t> all;
        const auto dests = table.dests(key("10.0.0.1:80"));
        for (const auto& dest : *dests) all[dest.address] = dest.weight;
        std::string text;
        for (const auto& [address, weight] : all) text += (text.empty() ? "" : " ") + std::to_string(weight);
        return text;
    }
};
constexpr auto up = store::Health::State::up, down = store::Health::State::down;

TEST_F(RestartTest, ABackupThatServedGoesOnUntilTheQuorumIsReached) {
    was("p1", up, 100);
    was("p2", up, 100);
    was("p3", down, 0);
    was("spare", up, 100);
    start();
    EXPECT_EQ(weights(), "100 100 0 100");
    EXPECT_FALSE(control->pool_of((*control->snapshot()->services.find("web"))->spec).assessment.quorum_met);
}

TEST_F(RestartTest, ABackupThatStoodByGoesOnUntilTheQuorumIsLost) {
    was("p1", up, 100);
    was("p2", down, 0);
    was("p3", down, 0);
    was("spare", up, 0);
    start();
    EXPECT_EQ(weights(), "100 0 0 0");
    EXPECT_TRUE(control->pool_of((*control->snapshot()->services.find("web"))->spec).assessment.quorum_met);
}

TEST_F(RestartTest, WhereTheTableTellsNothingTheQuorumDecides) {
    was("p1", up, 100);
    was("p2", up, 100);
    was("p3", up, 100);
    was("spare", down, 0);
    start();
    EXPECT_EQ(weights(), "100 100 100 0");
    EXPECT_TRUE(control->pool_of((*control->snapshot()->services.find("web"))->spec).assessment.quorum_met);
}

}  // namespace
}  // namespace gorb::control::restart_test
