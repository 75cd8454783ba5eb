// VIPs of the services: on disk before they are on the interface, so that a crash leaves none behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::vips_test {
namespace {

using ipvs::Op;

// What outlives the control, with what had been written by the time that each address was added.
struct Interface {
    std::set<base::Ip> has;
    std::map<base::Ip, bool> noted_first;
    Disk* disk = nullptr;
    size_t read = 0;  // so often
    bool refuses = false;

    bool noted(const base::Ip& address) const {
        const std::lock_guard lock(disk->mutex);
        return std::ranges::any_of(disk->written, [&](const store::Write& write) {
            return std::ranges::find(write.vips_added, address) != write.vips_added.end();
        });
    }
};
class Vips final : public ipvs::VipTable {
  public:
    explicit Vips(Interface& interface) : interface_(&interface) {}
    base::Result<std::set<base::Ip>> addresses() override {
        ++interface_->read;
        return interface_->has;
    }
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>&) override {
        if (interface_->refuses) return base::fail(base::Errc::refused, "the interface takes none");
        interface_->noted_first[address] = interface_->noted(address);
        return interface_->has.insert(address).second;
    }
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>&) override { return {}; }
    base::Status remove(const base::Ip& address) override {
        interface_->has.erase(address);
        return {};
    }

  private:
    Interface* interface_;
};

base::Ip ip(const std::string& text) {
    return *base::Ip::parse(text);
}

struct VipsTest : testing::Test {
    base::ManualClock clock{1000 * base::second};
    ipvs::MemoryDriver table;
    Disk disk;
    Interface interface { {}, {}, &disk, 0, false };
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    ~VipsTest() override {
        disk.release();
        control.reset();
    }
    void start(bool repair_drift = true) {
        Options options;
        options.repair_drift = repair_drift;
        start(options);
    }
    void start(Options options) {
        options.reconcile_period_ns = 0;
        options.clock = &clock;
        control.reset();
        control =
            std::make_unique<Control>(std::make_unique<SharedTable>(table), std::make_unique<Vips>(interface),
                                      registry, options, std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    base::Result<Outcome> run(Change change) { return submit(*control, std::move(change)).get(); }
    // The control has had its turn at a time that is so much later.
    void pass(uint64_t ns) {
        clock.advance(ns);
        for (int turn = 0; turn < 2; ++turn) ASSERT_TRUE(look(*control));
    }
    // Events of a kind, "10.0.0.1: the VIP ..." each.
    std::vector<std::string> told(const std::string& kind) const {
        std::vector<std::string> out;
        for (const Event& event : control->events(0)) {
            if (event.kind == kind) out.push_back(event.entry + ": " + event.text);
        }
        return out;
    }
    static model::Config web() {
        model::Config config;
        config.services.push_back({service("web", "10.0.0.1:80"), {}});
        return config;
    }
    std::vector<std::string> planned_for(const model::Config& config) {
        std::promise<std::vector<std::string>> planned;
        control->preview(config, [&](const base::Result<Preview>& plan) {
            planned.set_value(plan ? plan->operations : std::vector{plan.error().sentence});
        });
        return planned.get_future().get();
    }
    // What the writes leave of an address: is it noted in the end?
    bool noted_at_the_end(const std::string& address) {
        control->stop();
        const std::lock_guard lock(disk.mutex);
        bool noted = false;
        for (const store::Write& write : disk.written) {
            for (const base::Ip& one : write.vips_added) noted = noted || one == ip(address);
            for (const base::Ip& one : write.vips_removed) noted = noted && one != ip(address);
        }
        return noted;
    }
};

TEST_F(VipsTest, AVipIsNotedTogetherWithItsServiceBeforeItIsAdded) {
    start();
    disk.hold();
    Answer answer = submit(*control, PutService{service("web", "10.0.0.1:80"), {}});
    for (int i = 0; i < 20'000 && disk.queued() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_EQ(disk.queued(), 1U);
    EXPECT_TRUE(interface.has.empty());
    {
        const std::lock_guard lock(disk.mutex);
        const store::Write& change = disk.waiting.front().first;
        EXPECT_EQ(change.put_services.size(), 1U);
        EXPECT_EQ(change.vips_added, std::vector{ip("10.0.0.1")});
    }
    disk.release();
    ASSERT_TRUE(answer.get());
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
    ASSERT_TRUE(run(DeleteService{"web", {}}));
    EXPECT_TRUE(interface.has.empty());
    EXPECT_FALSE(noted_at_the_end("10.0.0.1"));
}

TEST_F(VipsTest, ThoseOfAConfigurationAreNotedBeforeTheyAreAdded) {
    start();
    interface.has.insert(ip("10.0.0.2"));
    model::Config config;
    for (int n = 1; n <= 3; ++n) {
        const std::string number = std::to_string(n);
        config.services.push_back({service("s" + number, "10.0.0." + number + ":80"), {}});
    }
    ASSERT_TRUE(run(PutConfig{config, {}, false}));
    EXPECT_TRUE(interface.noted_first[ip("10.0.0.1")]);
    EXPECT_TRUE(interface.noted_first[ip("10.0.0.3")]);
    EXPECT_FALSE(interface.noted(ip("10.0.0.2")));  // the host's
    // Another address of a service is no other.
    config.services[0].spec.key.vip = *base::Endpoint::parse("10.0.0.4:80");
    ASSERT_TRUE(run(PutConfig{config, {}, true}));
    EXPECT_TRUE(interface.noted_first[ip("10.0.0.4")]);
    EXPECT_FALSE(interface.has.contains(ip("10.0.0.1")));
    EXPECT_FALSE(noted_at_the_end("10.0.0.1"));
    EXPECT_TRUE(noted_at_the_end("10.0.0.4"));
}

TEST_F(VipsTest, APlanSaysWhichAreAddedAndRemoved) {
    start();
    ASSERT_TRUE(run(PutConfig{web(), {}, true}));
    interface.has.insert(ip("10.0.0.9"));  // somebody else's
    model::Config other;
    other.services.push_back({service("api", "10.0.0.2:80"), {}});
    other.services.push_back({service("old", "10.0.0.9:80"), {}});
    const std::vector<std::string> operations = planned_for(other);
    ASSERT_GE(operations.size(), 3U);
    EXPECT_EQ(operations.front(), "add VIP 10.0.0.2");
    EXPECT_TRUE(operations.back().starts_with("remove VIP 10.0.0.1")) << operations.back();
    for (const std::string& operation : operations)
        EXPECT_EQ(operation.find("VIP 10.0.0.9"), std::string::npos) << operation;
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1"))) << "it only says so";

    // One that stays for somebody else's service is no news of a plan that changes nothing.
    ASSERT_TRUE(table
                    .apply(std::vector{Op::add(ipvs::ServiceRecord{
                        .key = {.vip = *base::Endpoint::parse("10.0.0.1:443")}, .scheduler = "wrr"})})
                    .front());
    ASSERT_TRUE(run(PutConfig{other, {}, true}));
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
    EXPECT_EQ(planned_for(other), std::vector<std::string>());
}

TEST_F(VipsTest, WithoutAnInterfaceAPlanSaysNothingOfThem) {
    disk.content.revision = 7;
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 7, model::Origin::api, {}});
    disk.content.vips = {ip("10.0.0.1")};
    Options options;
    options.reconcile_period_ns = 0;
    options.clock = &clock;
    control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                        std::make_unique<FakeDatabase>(disk));
    ASSERT_TRUE(control->start());
    EXPECT_EQ(planned_for({}), std::vector<std::string>{"remove virtual service 10.0.0.1:80/tcp"});
    ASSERT_TRUE(run(PutConfig{{}, {}, true}));
    control->stop();
    for (const store::Write& write : disk.written)
        EXPECT_TRUE(write.vips_removed.empty()) << "it is still noted, for a start with an interface";
}

TEST_F(VipsTest, AStartNotesThoseThatItAdds) {
    disk.content.revision = 7;
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 1, model::Origin::api, {}});
    start();
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
    EXPECT_TRUE(interface.noted_first[ip("10.0.0.1")]);
    EXPECT_TRUE(noted_at_the_end("10.0.0.1"));
}

constexpr char vip_refused[] = "its VIP could not be added: the interface takes none";
const std::vector<std::string> told_refused{"10.0.0.1: the VIP could not be added: the interface takes none"};
const std::vector<std::string> told_made{"10.0.0.1: the VIP is on this host at last"};

TEST_F(VipsTest, AServiceOfAConfigurationIsShownAsNotAppliedUntilItsVipIsAdded) {
    start();
    interface.refuses = true;
    EXPECT_EQ(run(PutConfig{web(), {}, false})->counts.refused, 1U);
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), vip_refused);
    pass(60 * base::second);  // tried again and refused again, which is told once
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), vip_refused);
    EXPECT_EQ(told("refused"), told_refused);
    EXPECT_EQ(told("made"), std::vector<std::string>{});
    interface.refuses = false;
    pass(60 * base::second);
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), "");
    EXPECT_EQ(told("made"), told_made);
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
}

TEST_F(VipsTest, AfterAStartAServiceIsShownAsNotAppliedUntilItsVipIsAdded) {
    disk.content.revision = 7;
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 1, model::Origin::api, {}});
    interface.refuses = true;
    testing::internal::CaptureStderr();
    start();
    EXPECT_NE(testing::internal::GetCapturedStderr().find("refused=1"), std::string::npos);
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), vip_refused);
    EXPECT_EQ(told("refused"), told_refused);
    interface.refuses = false;
    pass(60 * base::second);
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), "");
    EXPECT_EQ(told("made"), told_made);
}

TEST_F(VipsTest, OfAServiceThatIsGoneNoRefusalOfItsVipIsLeft) {
    start();
    interface.refuses = true;
    ASSERT_TRUE(run(PutConfig{web(), {}, false}));
    ASSERT_TRUE(run(DeleteService{"web", {}}));
    EXPECT_EQ(control->refused(service("web", "10.0.0.1:80")), "");
    // A change of one object leaves no trace of it.
    ASSERT_FALSE(run(PutService{service("one", "10.0.0.2:80"), {}}));
    EXPECT_EQ(control->refused(service("one", "10.0.0.2:80")), "");
    EXPECT_EQ(told("refused"), told_refused);
}

TEST_F(VipsTest, OneWhoseServiceTheKernelRefusedIsGoneAndNotNoted) {
    start();
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::add_service ? ENOMEM : 0; });
    ASSERT_FALSE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    EXPECT_TRUE(interface.has.empty());
    EXPECT_FALSE(noted_at_the_end("10.0.0.1"));
}

TEST_F(VipsTest, ManyAreAddedWithFewLooksAtWhatTheHostHas) {
    model::Config config;
    disk.content.revision = 7;
    for (int n = 0; n < 300; ++n) {
        const std::string name = "s" + std::to_string(1000 + n);
        const std::string address = std::to_string(n / 100) + "." + std::to_string(1 + n % 100) + ":80";
        disk.content.services.push_back({service(name, "10.0." + address), 1, model::Origin::api, {}});
        config.services.push_back({service(name, "10.9." + address), {}});
    }
    start();
    EXPECT_EQ(interface.has.size(), 300U);
    EXPECT_LE(interface.read, 4U);
    interface.read = 0;
    ASSERT_TRUE(run(PutConfig{config, {}, true}));
    EXPECT_EQ(interface.has.size(), 300U);
    EXPECT_LE(interface.read, 3U);
}

// Killed after it was added, and before or after its service was made: what the next start finds on disk is
// the same.
TEST_F(VipsTest, OneThatACrashLeftGoesWithItsService) {
    disk.content.revision = 7;
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 7, model::Origin::api, {}});
    disk.content.vips = {ip("10.0.0.1")};
    interface.has = {ip("10.0.0.1")};
    start();
    ASSERT_TRUE(run(DeleteService{"web", {}}));
    EXPECT_TRUE(interface.has.empty());
}

TEST_F(VipsTest, WithReleaseOnExitThoseOfServicesThatStayDoAndAreStillNoted) {
    Options options;
    options.release_on_exit = true;
    start(options);
    for (const char* n : {"1", "2", "3"})
        ASSERT_TRUE(run(PutService{service(n, std::string("10.0.0.") + n + ":80"), {}}));
    // The first one has somebody else's destination, and the kernel does not let the second one go.
    ipvs::DestRecord foreign;
    foreign.address = *base::Endpoint::parse("10.1.0.9:80");
    ASSERT_TRUE(table.apply(std::vector{Op::add(key("10.0.0.1:80"), foreign)}).front());
    table.set_hook([](const Op& op, uint64_t) {
        return op.kind == Op::Kind::remove_service && op.service.key == key("10.0.0.2:80") ? ENOMEM : 0;
    });
    control->stop();
    EXPECT_EQ(table.services()->size(), 2U);
    EXPECT_EQ(interface.has, (std::set{ip("10.0.0.1"), ip("10.0.0.2")}));
    EXPECT_TRUE(noted_at_the_end("10.0.0.1"));
    EXPECT_TRUE(noted_at_the_end("10.0.0.2"));
    EXPECT_FALSE(noted_at_the_end("10.0.0.3"));
}

TEST_F(VipsTest, OneThatAServiceOfSomebodyElseHasOutlivesThoseOfGorbs) {
    Options options;
    options.release_on_exit = true;
    start(options);
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ipvs::ServiceRecord foreign;
    foreign.key = key("10.0.0.1:443");
    foreign.scheduler = "rr";
    foreign.netmask = 32;
    ASSERT_TRUE(table.apply(std::vector{Op::add(foreign)}).front());
    ASSERT_TRUE(run(DeleteService{"web", {}}));
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
    // The end removes what is gorb's, and the next start what an end has left.
    disk.content.vips = {ip("10.0.0.1")};
    start(options);
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
    ASSERT_TRUE(table.apply(std::vector{Op::remove(foreign.key)}).front());
    pass(60 * base::second);
    EXPECT_TRUE(interface.has.empty());
}

// The kernel is asked once for all, when they have gone from it.
TEST_F(VipsTest, ThoseOfManyServicesGoWithThem) {
    start();
    model::Config config;
    for (int n = 1; n <= 9; ++n)
        config.services.push_back(
            {service("s" + std::to_string(n), "10.0.0." + std::to_string(n) + ":80"), {}});
    ASSERT_TRUE(run(PutConfig{config, {}, true}));
    EXPECT_EQ(interface.has.size(), 9U);
    testing::internal::CaptureStderr();
    ASSERT_TRUE(run(PutConfig{{}, {}, true}));
    EXPECT_EQ(testing::internal::GetCapturedStderr().find("VIP stays"), std::string::npos);
    EXPECT_TRUE(interface.has.empty());
}

TEST_F(VipsTest, ARoundPutsBackWhatSomebodyRemoved) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    EXPECT_EQ(look(*control)->drift, 0U);
    interface.has.erase(ip("10.0.0.1"));
    EXPECT_EQ(look(*control)->drift, 1U);
    EXPECT_EQ(look(*control)->drift, 0U);
    const auto events = control->events(0);
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back().entry, "10.0.0.1");
    EXPECT_EQ(events.back().text, "drift repaired: somebody had removed a VIP");
    control->stop();
    EXPECT_TRUE(interface.has.contains(ip("10.0.0.1")));
}

TEST_F(VipsTest, WhereDriftIsOnlyReportedAVipThatIsGoneIsToldOfOnce) {
    start(false);
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    interface.has.erase(ip("10.0.0.1"));
    EXPECT_EQ(look(*control)->drift, 1U);
    EXPECT_EQ(look(*control)->drift, 0U);
    EXPECT_EQ(control->events(0).back().text, "drift: somebody has removed a VIP");
    control->stop();
    EXPECT_FALSE(interface.has.contains(ip("10.0.0.1")));
}

}  // namespace
}  // namespace gorb::control::vips_test
