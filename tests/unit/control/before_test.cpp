// Whose weight in the kernel counts before it has been checked: what was taken over, and nothing that panic
// alone has given. And who was taken out of the kernel for being down.
#include <gtest/gtest.h>

#include <algorithm>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::before_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

struct BeforeTest : testing::Test {
    ipvs::MemoryDriver table;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    BeforeTest() { registry.load({GORB_PLUGINS}); }
    void start(const model::Service& service) {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options);
        ASSERT_TRUE(control->start());
        ASSERT_TRUE(submit(*control, PutService{service, {}}).get());
    }
    base::Result<Outcome> put(const model::Backend& backend, bool adopt = false) {
        return submit(*control, PutBackend{"web", backend, {}, adopt}).get();
    }
    model::ServicePtr web() const { return *control->snapshot()->services.find("web"); }
    void becomes(const std::string& backend, health::State state) {
        const health::Changed change{(*web()->backends.find(backend))->id, state, 100, 1, ++since_, ""};
        control->health_changed({&change, 1});
        ASSERT_TRUE(look(*control));
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

  private:
    uint64_t since_ = 1;
};

// Two backends that are down, and serve all the same.
struct PanicTest : BeforeTest {
    void SetUp() override {
        model::Service web = service("web", vip);
        web.pool.panic_threshold = 30;
        start(web);
        ASSERT_TRUE(put(backend("b1", "10.1.0.1:80")));
        ASSERT_TRUE(put(backend("b2", "10.1.0.2:80")));
        for (const char* name : {"b1", "b2"}) becomes(name, health::State::up);
        for (const char* name : {"b1", "b2"}) becomes(name, health::State::down);
        ASSERT_EQ(weights(), "b1 100, b2 100");
    }
    void expect_panic_of_none() {
        const health::Assessment pool = control->pool_of(web()->spec).assessment;
        EXPECT_TRUE(pool.panic);
        EXPECT_EQ(pool.primaries_up, 0U);
        EXPECT_FALSE(pool.quorum_met);
    }
};

TEST_F(PanicTest, ANewBackendServesAlongAndCountsAsNoneThatIsUp) {
    ASSERT_TRUE(put(backend("b3", "10.1.0.3:80")));
    EXPECT_EQ(weights(), "b1 100, b2 100, b3 100");
    expect_panic_of_none();
    // Nor does one that was to be taken over, and is not there.
    ASSERT_TRUE(put(backend("b4", "10.1.0.4:80"), true));
    EXPECT_EQ(weights(), "b1 100, b2 100, b3 100, b4 100");
    expect_panic_of_none();
}

TEST_F(PanicTest, ABackendThatIsAskedInAnotherWayCountsAsNoneThatIsUp) {
    ASSERT_TRUE(submit(*control, PatchBackend{"web", "b1", R"({"pulse": {"type": "tcp"}})", {}}).get());
    EXPECT_EQ(weights(), "b1 100, b2 100");
    expect_panic_of_none();
}

// Who is down, and serves since max-down lets no more go.
// It is asked in another way, and called before that has an answer or after.
TEST_F(BeforeTest, ABackupThatStandsByAndIsUpGoesOnBeingSo) {
    model::Service web = service("web", vip);
    web.pool.slow_start = std::chrono::seconds(600);
    web.pool.recovery = model::Recovery::ramp;
    start(web);
    ASSERT_TRUE(put(backend("b1", "10.1.0.1:80")));
    model::Backend backup = backend("b2", "10.1.0.2:80");
    backup.backup = true;
    std::vector<model::PulseSpec> pulses(backup.pulses.begin(), backup.pulses.end());
    pulses[0].initial = model::Initial::up;
    backup.pulses = model::PulseList(pulses);
    ASSERT_TRUE(put(backup));
    becomes("b1", health::State::up);
    ASSERT_TRUE(submit(*control, PatchBackend{"web", "b2", R"({"pulse": {"type": "tcp"}})", {}}).get());
    EXPECT_EQ(control->pool_of(this->web()->spec).assessment.backups_up, 1U);
    becomes("b1", health::State::down);
    EXPECT_EQ(weights(), "b1 0, b2 100");
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 0, b2 100") << "it does not come back, for it was here";
}

struct MaxDownTest : BeforeTest {
    void serve(std::initializer_list<std::string> primaries) {
        model::Service web = service("web", vip);
        web.pool.max_down = 50;
        start(web);
        for (const std::string& name : primaries) {
            ASSERT_TRUE(put(backend(name, "10.1.0." + name.substr(1) + ":80")));
            becomes(name, health::State::up);
        }
        for (const std::string& name : primaries) becomes(name, health::State::down);
    }
    // It is asked in another way.
    void ask(const std::string& name) {
        ASSERT_TRUE(submit(*control, PatchBackend{"web", name, R"({"pulse": {"type": "tcp"}})", {}}).get());
    }
    health::Assessment pool() { return control->pool_of(web()->spec).assessment; }
};

TEST_F(MaxDownTest, ABackendThatIsAskedInAnotherWayTakesNoBackupAway) {
    serve({"b1", "b2"});
    model::Backend backup = backend("b3", "10.1.0.3:80");
    backup.backup = true;
    ASSERT_TRUE(put(backup));
    becomes("b3", health::State::up);
    ASSERT_EQ(weights(), "b1 0, b2 100, b3 100");
    ask("b2");
    EXPECT_EQ(weights(), "b1 0, b2 100, b3 100");
    EXPECT_FALSE(pool().quorum_met);
    EXPECT_EQ(pool().primaries_up, 0U);
    EXPECT_EQ(pool().state, health::PoolState::degraded);
    becomes("b2", health::State::down);
    EXPECT_EQ(weights(), "b1 0, b2 100, b3 100");
}

TEST_F(MaxDownTest, ABackendThatIsAskedInAnotherWayGoesOnServing) {
    serve({"b1"});
    ASSERT_EQ(weights(), "b1 100");
    ask("b1");
    EXPECT_EQ(weights(), "b1 100");
    EXPECT_EQ(pool().state, health::PoolState::degraded);
    EXPECT_EQ(pool().primaries_up, 0U);
    becomes("b1", health::State::up);
    EXPECT_EQ(weights(), "b1 100");
    EXPECT_EQ(pool().state, health::PoolState::up);
}

TEST_F(MaxDownTest, ABackendThatNeverPassedIsNotPutIntoServiceByIt) {
    serve({"b1"});
    for (const char* name : {"b2", "b3"}) {
        ASSERT_TRUE(put(backend(name, std::string("10.1.0.") + (name + 1) + ":80")));
        becomes(name, health::State::down);
    }
    EXPECT_EQ(weights(), "b1 100, b2 0, b3 0");
    EXPECT_EQ(pool().kept, 1U);
    // Asked in another way it is no less new.
    ask("b3");
    becomes("b3", health::State::down);
    EXPECT_EQ(weights(), "b1 100, b2 0, b3 0");
    // Once it has been up it is one of them.
    becomes("b3", health::State::up);
    becomes("b1", health::State::up);
    becomes("b3", health::State::down);
    becomes("b1", health::State::down);
    EXPECT_EQ(weights(), "b1 100, b2 0, b3 0");
    becomes("b1", health::State::up);
    becomes("b1", health::State::down);
    EXPECT_EQ(pool().kept, 1U);
}

// Who passed once is no new one for being asked in another way.
TEST_F(MaxDownTest, ABackendThatIsOutAndAskedInAnotherWayGoesOnBeingOneThatFell) {
    serve({"b1", "b2", "b3", "b4"});
    ASSERT_EQ(weights(), "b1 0, b2 0, b3 100, b4 100");
    for (const char* name : {"b1", "b2"}) ask(name);
    for (const char* name : {"b1", "b2"}) becomes(name, health::State::down);
    EXPECT_EQ(weights(), "b1 100, b2 100, b3 0, b4 0") << "two of four, those that fell first by now";
}

TEST_F(MaxDownTest, NorDoesMaintenanceMakeItANewOne) {
    serve({"b1", "b2", "b3", "b4"});
    ASSERT_EQ(weights(), "b1 0, b2 0, b3 100, b4 100");
    for (const char* admin : {"maint", "ready"}) {
        for (const char* name : {"b1", "b2"}) {
            const std::string what = std::string(R"({"admin": ")") + admin + "\"}";
            ASSERT_TRUE(submit(*control, PatchBackend{"web", name, what, {}}).get());
        }
    }
    for (const char* name : {"b1", "b2"}) becomes(name, health::State::down);
    EXPECT_EQ(weights(), "b1 100, b2 100, b3 0, b4 0");
    // At another address it is one.
    ASSERT_TRUE(submit(*control, PutBackend{"web", backend("b1", "10.1.0.9:80"), Match{true, {}}}).get());
    const model::BackendId moved = (*web()->backends.find("b1"))->id;
    const health::Changed change{moved, health::State::down, 100, 1, UINT64_MAX / 2, ""};
    control->health_changed({&change, 1});
    ASSERT_TRUE(look(*control));
    EXPECT_EQ(weights(), "b2 100, b3 0, b4 100, b9 0");
}

// Where a weight of 0 would swallow clients, what is not checked yet is not there.
struct TakeOverTest : BeforeTest {
    void SetUp() override {
        model::Service web = service("web", vip);
        web.scheduler = "dh";
        start(web);
        const auto record = reconcile::dest_record(backend("", "10.1.0.1:80"), 33);
        ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip), record)}).back());
    }
};

TEST_F(TakeOverTest, WhatIsTakenOverServesOnUntilItIsChecked) {
    EXPECT_FALSE(put(backend("b1", "10.1.0.1:80")));
    ASSERT_TRUE(put(backend("b1", "10.1.0.1:80"), true));
    EXPECT_EQ(weights(), "b1 33");
    EXPECT_EQ(look(*control)->drift, 0U);
    EXPECT_EQ(weights(), "b1 33");
    becomes("b1", health::State::up);
    EXPECT_EQ(weights(), "b1 100");
}

TEST_F(TakeOverTest, WhatKeepsAllOfItsWeightSaysWhy) {
    model::Backend whole = backend("b1", "10.1.0.1:80");
    whole.weight = 33;
    ASSERT_TRUE(put(whole, true));
    ASSERT_EQ(weights(), "b1 33");
    const auto why = [&] {
        const model::ServicePtr service = web();
        EffectiveWeight weight = control->weight_of(**service->backends.find("b1"));
        explain(weight, service->spec, "");
        return weight.why;
    };
    EXPECT_EQ(why(), "no check has finished yet; until then it keeps the weight it had in the kernel");
    becomes("b1", health::State::up);
    EXPECT_EQ(why(), "");
}

TEST_F(TakeOverTest, WhatIsTakenOverToBeOutGoesAtOnce) {
    model::Backend out = backend("b1", "10.1.0.1:80");
    out.admin = model::Admin::maint;
    ASSERT_TRUE(put(out, true));
    EXPECT_EQ(weights(), "");
    EXPECT_EQ(look(*control)->drift, 0U);
}

TEST_F(TakeOverTest, WhatIsNotThereBeginsLikeAnyOther) {
    ASSERT_TRUE(put(backend("b2", "10.1.0.2:80"), true));
    EXPECT_EQ(weights(), "b1 33") << "which is not gorb's";
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 33, b2 100");
}

// Persistence and UDP bind clients to a destination of weight 0; that is what on-down: remove is for.
TEST_F(BeforeTest, WhoIsOutForBeingDownIsNotBroughtBackByMaintenanceOrADrain) {
    model::Service web = service("web", vip);
    web.pool.on_down = model::OnDown::remove;
    start(web);
    ASSERT_TRUE(put(backend("b1", "10.1.0.1:80")));
    ASSERT_TRUE(put(backend("b2", "10.1.0.2:80")));
    for (const char* name : {"b1", "b2"}) becomes(name, health::State::up);
    becomes("b1", health::State::down);
    ASSERT_EQ(weights(), "b2 100");
    const auto ask = [&](const std::string& name, const std::string& what) {
        ASSERT_TRUE(submit(*control, PatchBackend{"web", name, what, {}}).get());
        ASSERT_TRUE(look(*control));
    };
    for (const char* what : {R"({"admin": "drain"})", R"({"admin": "maint"})", R"({"weight": 0})"}) {
        ask("b1", what);
        EXPECT_EQ(weights(), "b2 100") << what;
    }
    ask("b2", R"({"admin": "drain"})");
    EXPECT_EQ(weights(), "b2 0") << "its connections go on";
    becomes("b2", health::State::down);
    EXPECT_EQ(weights(), "") << "which are none any more, and it would go on getting clients";
    // Nor before a check has passed.
    ask("b1", R"({"admin": "maint"})");
    ask("b1", R"({"weight": 50, "admin": "ready"})");
    EXPECT_EQ(weights(), "");
    ask("b1", R"({"pulse": {"type": "tcp"}})");
    EXPECT_EQ(weights(), "");
    becomes("b1", health::State::up);
    becomes("b2", health::State::up);
    EXPECT_EQ(weights(), "b1 50, b2 0") << "its connections go on";
}

}  // namespace
}  // namespace gorb::control::before_test
