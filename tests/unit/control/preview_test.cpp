// POST /plan is what PUT /config then does, whatever has been before and whatever follows from it for other
// backends.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::preview_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

struct PreviewTest : testing::Test {
    ipvs::MemoryDriver table;
    plugin::Registry registry;
    std::unique_ptr<Control> control;
    std::mutex mutex;
    std::vector<std::string> done;  // of the table, since plan_and_put()

    PreviewTest() { registry.load({GORB_PLUGINS}); }
    void SetUp() override {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options);
        ASSERT_TRUE(control->start());
        ASSERT_TRUE(put(web({b1(), b2()})));
        up("web", "b1");
        up("web", "b2");
    }
    static model::Backend b1() { return backend("b1", "10.1.0.1:80"); }
    static model::Backend b2() { return backend("b2", "10.1.0.2:80"); }
    static model::Config web(const std::vector<model::Backend>& backends, const std::string& name = "web") {
        model::Config out;
        out.services.push_back({service(name, vip), backends});
        return out;
    }
    base::Result<Outcome> put(const model::Config& config) {
        return submit(*control, PutConfig{config, {}, true}).get();
    }
    void health(const std::string& of, const std::string& name, health::State state, uint32_t weight) {
        const auto now = control->snapshot();
        const model::ServicePtr entry = *now->services.find(of);
        const model::BackendPtr b = *entry->backends.find(name);
        const health::Changed changed{b->id, state, 100, 1, 1, "as the test says"};
        control->health_changed({&changed, 1});
        const auto is = [&] { return control->weight_of(*b).effective; };
        for (int i = 0; i < 5000 && is() != weight; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ASSERT_EQ(is(), weight);
    }
    void up(const std::string& of, const std::string& name) { health(of, name, health::State::up, 100); }
    // A plan says what a destination becomes, too, where that differs.
    void plan_and_put(const model::Config& config, const std::vector<std::string>& expected) {
        EXPECT_EQ(plan(*control, config), expected);
        table.set_hook([this](const Op& op, uint64_t) {
            const std::lock_guard lock(mutex);
            done.push_back(op.text());
            return 0;
        });
        EXPECT_TRUE(put(config));
        table.set_hook({});
        std::vector<std::string> said;
        said.reserve(expected.size());
        for (const std::string& words : expected) said.push_back(words.substr(0, words.find(": ")));
        const std::lock_guard lock(mutex);
        EXPECT_EQ(std::exchange(done, {}), said);
    }
};

TEST_F(PreviewTest, OfAServiceOrBackendThatGetsAnotherNameNothingChanges) {
    plan_and_put(web({b1(), b2()}, "shop"), {});
    plan_and_put(web({b1(), b2()}, "shop"), {});
    auto other = b1();
    other.name = "c1";
    plan_and_put(web({b2(), other}, "shop"), {});
    plan_and_put(web({b2(), other}, "shop"), {});
}

// Who is in maintenance is not known to be up, and is out only where it is not in the table.
TEST_F(PreviewTest, WhoIsInMaintenanceStaysUnderAnotherName) {
    model::Config config = web({b1(), b2()});
    config.services[0].spec.pool.on_down = model::OnDown::remove;
    config.services[0].backends[1].admin = model::Admin::maint;
    ASSERT_TRUE(put(config));
    config.services[0].spec.name = "shop";
    plan_and_put(config, {});
}

TEST_F(PreviewTest, WhatIsExchangedIsWanted) {
    const auto swapped = web({backend("b1", "10.1.0.2:80"), backend("b2", "10.1.0.1:80")});
    plan_and_put(swapped, {});
    plan_and_put(swapped, {});
    model::Config both = web({b1(), b2()});
    both.services.insert(both.services.begin(), {service("api", "10.0.0.2:80"), {}});
    ASSERT_TRUE(put(both));
    std::swap(both.services[0].spec.key, both.services[1].spec.key);
    ASSERT_TRUE(put(both));
    plan_and_put(both, {});
}

TEST_F(PreviewTest, WhatAChangeMeansForOtherBackendsIsPartOfIt) {
    auto spare = b2();
    spare.backup = true;
    plan_and_put(web({b1(), spare}),
                 {"change destination 10.1.0.2:80 of 10.0.0.1:80/tcp: weight 100 -> weight 0"});
    auto out = b1();
    out.weight = 0;
    out.upper_threshold = 5;
    plan_and_put(web({out, spare}),
                 {"change destination 10.1.0.1:80 of 10.0.0.1:80/tcp: weight 100, no upper-threshold 5 -> "
                  "weight 0, upper-threshold 5",
                  "change destination 10.1.0.2:80 of 10.0.0.1:80/tcp: weight 0 -> weight 100"});
}

TEST_F(PreviewTest, WhatGoesFromTheTableForNowIsPartOfIt) {
    health("web", "b1", health::State::down, 0);
    model::Config config = web({b1(), b2()});
    config.services[0].spec.pool.on_down = model::OnDown::remove;
    plan_and_put(config, {"remove destination 10.1.0.1:80 from 10.0.0.1:80/tcp"});
}

// A change of weights alone reads nothing, and sets nothing right.
TEST_F(PreviewTest, WhatSomebodyElseHasChangedIsNoPartOfOtherWeights) {
    ipvs::DestRecord of_b2 = reconcile::dest_record(b2(), 33);
    ASSERT_TRUE(table.apply(std::vector{Op::edit(key(vip), of_b2)}).back());
    auto other = b1();
    other.weight = 7;
    plan_and_put(web({other, b2()}),
                 {"change destination 10.1.0.1:80 of 10.0.0.1:80/tcp: weight 100 -> weight 7"});
}

}  // namespace
}  // namespace gorb::control::preview_test
