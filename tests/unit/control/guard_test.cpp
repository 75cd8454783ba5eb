// The guard at the start: what it refuses to remove stays until somebody forces it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <set>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::guard_test {
namespace {

using ipvs::Op;

// As the interface outlives the control, too.
class SharedVips final : public ipvs::VipTable {
  public:
    explicit SharedVips(std::set<base::Ip>& present) : present_(&present) {}
    base::Result<std::set<base::Ip>> addresses() override { return *present_; }
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>&) override {
        return present_->insert(address).second;
    }
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>&) override { return {}; }
    base::Status remove(const base::Ip& address) override {
        present_->erase(address);
        return {};
    }

  private:
    std::set<base::Ip>* present_;
};

// A copy was restored that has the service web with ten backends. The kernel still has what was there since.
struct GuardTest : testing::Test {
    ipvs::MemoryDriver table;
    std::set<base::Ip> vips;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    GuardTest() {
        registry.load({GORB_PLUGINS});
        disk.content.revision = 7;
        disk.content.services.push_back({service("web", "10.0.0.1:80"), 1, model::Origin::api, {}});
        make("10.0.0.1:80");
        for (int i = 1; i <= 10; ++i) {
            store::Loaded::BackendRow row;
            row.spec = backend("b" + std::to_string(i), "10.1.0." + std::to_string(i) + ":80");
            row.revision = 2;
            row.health.state = store::Health::State::up;
            make("10.0.0.1:80", row.spec.address.text());
            disk.content.services[0].backends.push_back(row);
        }
    }
    ~GuardTest() override {
        disk.release();
        control.reset();
    }
    void start(bool force = false) {
        Options options;
        options.reconcile_period_ns = 0;
        options.force = force;
        control.reset();
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table),
                                            std::make_unique<SharedVips>(vips), registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    // A service, or a destination, of the kernel.
    void make(const std::string& vip, const std::string& dest = "") {
        const auto record = reconcile::service_record(service("", vip));
        const Op op = dest.empty() ? Op::add(record)
                                   : Op::add(record.key, reconcile::dest_record(backend("", dest), 100));
        ASSERT_TRUE(table.apply(std::vector{op}).back());
    }
    void make_forty_more() {
        for (int i = 11; i <= 50; ++i) {
            store::Loaded::BackendRow& row = disk.content.services[0].backends.emplace_back();
            row.spec = backend("b" + std::to_string(i), "10.1.0." + std::to_string(i) + ":80");
            make("10.0.0.1:80", row.spec.address.text());
        }
    }
    void make_leaving(const std::string& vip, const std::string& dest = "") {
        make(vip, dest);
        const model::ServiceKey of{model::Protocol::tcp, *base::Endpoint::parse(vip)};
        if (dest.empty()) {
            disk.content.leaving.push_back({of, {}});
            disk.content.vips.push_back(of.vip.ip);
            vips.insert(of.vip.ip);
        } else {
            disk.content.leaving.push_back({of, *base::Endpoint::parse(dest)});
        }
    }
    static std::string old_vip(int i) { return "10.0.1." + std::to_string(i) + ":80"; }
    void make_old_services() {
        for (int i = 1; i <= 30; ++i) {
            make_leaving(old_vip(i));
            make_leaving(old_vip(i), "10.1.1.1:80");
        }
    }
    size_t old_services() {
        size_t n = 0;
        for (int i = 1; i <= 30; ++i) n += there(old_vip(i)) && dests(old_vip(i)) == 1 ? 1 : 0;
        return n;
    }
    bool there(const std::string& vip) { return table.service(key(vip))->has_value(); }
    size_t dests(const std::string& vip) {
        const auto found = table.dests(key(vip));
        return found ? found->size() : 0;
    }
    bool has_vip(const std::string& address) { return vips.contains(*base::Ip::parse(address)); }
    base::Result<Outcome> run(Change change) { return submit(*control, std::move(change)).get(); }
    SyncCounts round(bool force = false) {
        std::promise<SyncCounts> promise;
        control->reconcile([&](const base::Result<SyncCounts>& r) { promise.set_value(*r); }, force);
        return promise.get_future().get();
    }
    Ownership ownership() {
        std::promise<Ownership> promise;
        control->ownership([&](const base::Result<Ownership>& o) { promise.set_value(*o); });
        return promise.get_future().get();
    }
    // Of what was written as leaving, how much as granted.
    size_t granted() {
        const std::lock_guard lock(disk.mutex);
        size_t n = 0;
        for (const store::Write& write : disk.written)
            n += static_cast<size_t>(std::ranges::count_if(write.leaving, &store::Leaving::granted));
        return n;
    }
    size_t confirmed() {
        const std::lock_guard lock(disk.mutex);
        size_t n = 0;
        for (const store::Write& write : disk.written) n += write.left.size();
        return n;
    }
    model::Config config() {
        model::Config out;
        model::ConfigService web;
        web.spec = service("web", "10.0.0.1:80");
        for (const auto& row : disk.content.services[0].backends) web.backends.push_back(row.spec);
        std::ranges::sort(web.backends, {}, &model::Backend::name);
        out.services.push_back(web);
        return out;
    }
};

TEST_F(GuardTest, WhatItHoldsStaysThroughRoundsChangesAndRefusals) {
    make_old_services();
    start();
    EXPECT_EQ(old_services(), 30U);
    round();
    EXPECT_EQ(old_services(), 30U);
    auto more = config();
    more.services.push_back({service("web2", "10.0.0.2:80"), {}});
    ASSERT_TRUE(run(PutConfig{more, {}, false}));
    EXPECT_EQ(old_services(), 30U);
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::add_service ? ENOMEM : 0; });
    ASSERT_FALSE(run(PutService{service("web3", "10.0.0.3:80"), {}}));
    EXPECT_EQ(old_services(), 30U);
    EXPECT_TRUE(has_vip("10.0.1.1"));
    const auto events = control->events(0);
    EXPECT_TRUE(std::ranges::any_of(events, [](const Event& e) {
        return e.kind == "guard" && e.text.find("force") != std::string::npos;
    }));
}

TEST_F(GuardTest, AForcedRoundLetsItGoWithItsVips) {
    make_old_services();
    start();
    EXPECT_EQ(round(true).removed, 30U);
    EXPECT_EQ(old_services(), 0U);
    EXPECT_FALSE(has_vip("10.0.1.1"));
    EXPECT_TRUE(has_vip("10.0.0.1"));
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
}

TEST_F(GuardTest, TheNextStartHoldsItAgainAndAForcedOneDoesNot) {
    make_old_services();
    start();
    start();
    round();
    EXPECT_EQ(old_services(), 30U);
    EXPECT_TRUE(has_vip("10.0.1.30"));
    start(true);
    EXPECT_EQ(old_services(), 0U);
    EXPECT_FALSE(has_vip("10.0.1.30"));
}

TEST_F(GuardTest, WhatIsHeldIsSaidToBe) {
    make_old_services();
    start();
    EXPECT_EQ(ownership().held.size(), 60U);
    round(true);
    EXPECT_TRUE(ownership().held.empty());
}

// It is noted together with the service, which is not said again when that is acquired.
TEST_F(GuardTest, TheVipOfWhatIsHeldStaysWhileAServiceIsWrittenThatWantsIt) {
    make_old_services();
    start();
    disk.hold();
    Answer beside = submit(*control, PutService{service("beside", "10.0.1.1:443"), {}});
    for (int i = 0; i < 20'000 && disk.queued() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key(old_vip(1)))}).back());
    round();  // finds it gone
    EXPECT_TRUE(has_vip("10.0.1.1"));
    disk.release();
    ASSERT_TRUE(beside.get());
    ASSERT_TRUE(run(DeleteService{"beside", {}}));
    EXPECT_FALSE(has_vip("10.0.1.1"));
}

TEST_F(GuardTest, AVipOfWhatIsHeldIsNotedBeforeItIsAdded) {
    make_old_services();
    disk.content.vips.clear();  // as after a start without an interface for them
    vips.clear();
    start();
    EXPECT_TRUE(has_vip("10.0.1.30"));
    const std::lock_guard lock(disk.mutex);
    ASSERT_FALSE(disk.written.empty());
    EXPECT_EQ(disk.written.front().vips_added.size(), 31U);
}

// A change that was forced, and cut short by a crash, is not asked for again.
TEST_F(GuardTest, WhatWasGrantedGoesAtTheNextStart) {
    make_old_services();
    make_leaving("10.0.0.1:80", "10.1.2.1:80");
    for (store::Leaving& entry : disk.content.leaving) entry.granted = true;
    start();
    EXPECT_EQ(old_services(), 0U);
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
}

TEST_F(GuardTest, WhatWasGrantedDoesNotCountWithWhatWasNot) {
    make_old_services();
    for (store::Leaving& entry : disk.content.leaving) entry.granted = true;
    for (int i = 1; i <= 11; ++i) make_leaving("10.0.0.1:80", "10.1.2." + std::to_string(i) + ":80");
    start();
    EXPECT_EQ(old_services(), 0U);
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
}

// What is leaving goes on being so when a service in its place is refused, and nobody asks for it again.
TEST_F(GuardTest, WhatWasGrantedIsStillWhenWhatWantsItsPlaceIsRefused) {
    make_leaving(old_vip(1));
    disk.content.leaving[0].granted = true;
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::remove_service ? EPERM : 0; });
    start();
    table.set_hook([](const Op& op, uint64_t) {
        return op.kind == Op::Kind::remove_service || op.service.scheduler == "rr" ? EPERM : 0;
    });
    auto again = service("again", old_vip(1));
    again.scheduler = "rr";
    ASSERT_FALSE(run(PutService{again, {}}));
    control->stop();
    EXPECT_EQ(granted(), 1U);
}

TEST_F(GuardTest, AForcedConfigurationIsGrantedWithTheChangeItself) {
    start();
    auto other = config();
    other.services[0].backends.clear();
    ASSERT_TRUE(run(PutConfig{other, {}, true}));
    const std::lock_guard lock(disk.mutex);
    const auto change = std::ranges::find_if(disk.written, [](const auto& w) { return w.revision > 0; });
    ASSERT_NE(change, disk.written.end());
    EXPECT_EQ(change->drop_backends.size(), 10U);
    EXPECT_EQ(std::ranges::count_if(change->leaving, &store::Leaving::granted), 10);
}

TEST_F(GuardTest, AForcedRoundAndAForcedStartAreGranted) {
    make_old_services();
    start();
    EXPECT_EQ(granted(), 0U);
    round(true);
    control->stop();
    EXPECT_EQ(granted(), 60U);
    make_old_services();
    start(true);
    control->stop();
    EXPECT_EQ(granted(), 120U);
}

TEST_F(GuardTest, WhatOnlyGetsAnotherNameIsNotRemoved) {
    make_forty_more();
    start();
    auto renamed = config();
    renamed.services[0].spec.name = "shop";
    for (model::Backend& one : renamed.services[0].backends) one.name.insert(0, "shop-");
    // Two that exchange their addresses stay, too.
    std::swap(renamed.services[0].backends[0].address, renamed.services[0].backends[1].address);
    const auto done = run(PutConfig{renamed, {}, false});
    ASSERT_TRUE(done) << done.error().sentence;
    EXPECT_EQ(dests("10.0.0.1:80"), 50U);
    auto fewer = config();
    fewer.services[0].backends.resize(10);
    EXPECT_FALSE(run(PutConfig{fewer, {}, false}));
    EXPECT_EQ(dests("10.0.0.1:80"), 50U);
}

// A plan says it, and nothing has happened.
TEST_F(GuardTest, APlanThatWouldBeRefusedIsNoEvent) {
    make_forty_more();
    start();
    std::promise<base::Result<Preview>> promise;
    control->preview({}, [&](base::Result<Preview> p) { promise.set_value(std::move(p)); });
    const auto preview = promise.get_future().get();
    ASSERT_TRUE(preview);
    EXPECT_NE(preview->guard, "");
    const auto of_guard = [](const Event& e) { return e.kind == "guard"; };
    EXPECT_TRUE(std::ranges::none_of(control->events(0), of_guard));
    ASSERT_FALSE(run(PutConfig{{}, {}, false}));
    EXPECT_TRUE(std::ranges::any_of(control->events(0), of_guard));
}

TEST_F(GuardTest, DestinationsOfAServiceThatStaysCount) {
    for (int i = 1; i <= 90; ++i) make_leaving("10.0.0.1:80", "10.1.2." + std::to_string(i) + ":80");
    start();
    EXPECT_EQ(dests("10.0.0.1:80"), 100U);
    round();
    ASSERT_TRUE(run(PatchService{"web", R"({"method": "rr"})", {}}));
    ASSERT_TRUE(run(PutConfig{config(), {}, false}));
    EXPECT_EQ(dests("10.0.0.1:80"), 100U);
    round(true);
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
}

TEST_F(GuardTest, WhatTheKernelHasOfOursIsTheMeasure) {
    // Of the 50 backends that are wanted the kernel has ten.
    for (int i = 11; i <= 50; ++i) {
        store::Loaded::BackendRow row;
        row.spec = backend("b" + std::to_string(i), "10.1.0." + std::to_string(i) + ":80");
        disk.content.services[0].backends.push_back(row);
    }
    for (int i = 1; i <= 25; ++i) make_leaving("10.0.0.1:80", "10.1.2." + std::to_string(i) + ":80");
    start();
    EXPECT_EQ(dests("10.0.0.1:80"), 75U);
}

TEST_F(GuardTest, AHalfMayGo) {
    for (int i = 1; i <= 11; ++i) make_leaving("10.0.0.1:80", "10.1.2." + std::to_string(i) + ":80");
    start();
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
}

TEST_F(GuardTest, WhatSomebodyElseRemovesIsHeldNoLonger) {
    make_old_services();
    make_leaving("10.0.0.1:80", "10.1.2.1:80");
    start();
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key(old_vip(1)))}).back());
    ASSERT_TRUE(
        table.apply(std::vector{Op::remove(key("10.0.0.1:80"), *base::Endpoint::parse("10.1.2.1:80"))})
            .back());
    round();
    EXPECT_EQ(old_services(), 29U);
    EXPECT_FALSE(has_vip("10.0.1.1"));
    control->stop();
    EXPECT_EQ(confirmed(), 3U);
}

TEST_F(GuardTest, WhatAChangeRemovesGoes) {
    make_old_services();
    make_leaving("10.0.0.1:80", "10.1.2.1:80");
    start();
    // One that is wanted again is like any other; its VIP stays for another that is held.
    const std::string beside = "10.0.1.2:443";
    ASSERT_TRUE(run(PutService{service("again", old_vip(1)), {}}));
    ASSERT_TRUE(run(PutService{service("beside", beside), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("c1", "10.1.2.1:80"), {}}));
    ASSERT_TRUE(run(DeleteService{"again", {}}));
    ASSERT_TRUE(run(DeleteService{"beside", {}}));
    EXPECT_FALSE(there(old_vip(1)));
    EXPECT_FALSE(has_vip("10.0.1.1"));
    EXPECT_TRUE(has_vip("10.0.1.2"));
    ASSERT_TRUE(run(PutConfig{config(), {}, false}));
    EXPECT_EQ(dests("10.0.0.1:80"), 10U);
    EXPECT_EQ(old_services(), 29U);
    // A plan does not show what would not go.
    std::promise<base::Result<Preview>> promise;
    auto other = config();
    other.services[0].backends.pop_back();
    control->preview(other, [&](base::Result<Preview> p) { promise.set_value(std::move(p)); });
    const auto preview = promise.get_future().get();
    ASSERT_TRUE(preview);
    EXPECT_EQ(preview->operations.size(), 1U);
}

}  // namespace
}  // namespace gorb::control::guard_test
