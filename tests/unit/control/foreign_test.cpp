// What somebody else has made is nobody's by what we want: in the place of a backend that is new, in a
// service of ours, and when services change their keys.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::foreign_test {
namespace {

using ipvs::Op;

constexpr char vip1[] = "10.0.0.1:80", vip2[] = "10.0.0.2:80";
constexpr char shared[] = "10.1.0.9:80";

// Service web at vip1 with b1, service api at vip2 with one backend that somebody else has put into web, too.
struct ForeignTest : testing::Test {
    ipvs::MemoryDriver table;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    ForeignTest() { registry.load({GORB_PLUGINS}); }
    void SetUp() override {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options);
        ASSERT_TRUE(control->start());
        ASSERT_TRUE(put(now()));
        const auto record = reconcile::dest_record(backend("", shared), 33);
        ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip1), record)}).back());
    }
    static model::Config now() {
        model::Config config;
        config.services.push_back({service("api", vip2), {backend("a1", shared)}});
        config.services.push_back({service("web", vip1), {backend("b1", "10.1.0.1:80")}});
        return config;
    }
    base::Result<Outcome> put(const model::Config& config) {
        return submit(*control, PutConfig{config, {}, true}).get();
    }
    void expect_refused(const base::Result<Outcome>& outcome) {
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code, base::Errc::exists);
        EXPECT_NE(outcome.error().sentence.find("gorb did not make"), std::string::npos);
        // What of the document it is about, for who has written it.
        ASSERT_EQ(outcome.error().faults.size(), 1U);
        EXPECT_EQ(outcome.error().faults[0].pointer.find("/services/"), 0U);
        EXPECT_EQ(foreign_weight(), 33);
    }
    // -1: it is not there.
    int foreign_weight() {
        const auto dests = table.dests(key(vip1));
        if (!dests) return -1;
        const auto at = std::ranges::find(*dests, *base::Endpoint::parse(shared), &ipvs::DestRecord::address);
        return at == dests->end() ? -1 : static_cast<int>(at->weight);
    }
};

// Counts who asks for destinations.
class CountingTable final : public SharedTable {
  public:
    CountingTable(ipvs::MemoryDriver& table, std::atomic<size_t>& asked)
        : SharedTable(table), asked_(&asked) {}
    base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& key) override {
        ++*asked_;
        return SharedTable::dests(key);
    }

  private:
    std::atomic<size_t>* asked_;
};

// Of a service of somebody else's no destinations can be read.
class UnreadableTable final : public SharedTable {
  public:
    using SharedTable::SharedTable;
    base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& of) override {
        if (of == key("10.9.0.1:80"))
            return base::fail(base::Errc::refused, "others change faster than it can be read");
        return SharedTable::dests(of);
    }
};

TEST(ForeignStart, DoesNotReadWhatIsInServicesOfSomebodyElse) {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    disk.content.revision = 7;
    disk.content.services.push_back({service("web", vip1), 1, model::Origin::api, {}});
    disk.content.leaving.push_back({service("", vip2).key, {}});
    for (const char* vip : {"10.9.0.1:80", vip2})
        ASSERT_TRUE(table.apply(std::vector{Op::add(reconcile::service_record(service("", vip)))}).back());
    Control control(std::make_unique<UnreadableTable>(table), nullptr, registry, {},
                    std::make_unique<FakeDatabase>(disk));
    const auto started = control.start();
    ASSERT_TRUE(started) << started.error().sentence;
    EXPECT_TRUE(*table.service(key(vip1)));
    EXPECT_FALSE(*table.service(key(vip2)));
    EXPECT_TRUE(*table.service(key("10.9.0.1:80")));
}

// Each look is a reading of all of them.
TEST_F(ForeignTest, OnlyANewBackendThatBeginsOutsideTheKernelIsLookedForThere) {
    std::atomic<size_t> asked{0};
    Options options;
    options.reconcile_period_ns = 0;
    control =
        std::make_unique<Control>(std::make_unique<CountingTable>(table, asked), nullptr, registry, options);
    ASSERT_TRUE(control->start());
    model::Service wrr = service("wrr", "10.0.0.3:80"), dh = service("dh", "10.0.0.4:80");
    wrr.scheduler = "wrr";
    wrr.pool.on_down = model::OnDown::remove;
    dh.scheduler = "dh";
    ASSERT_TRUE(submit(*control, PutService{wrr, {}}).get());
    ASSERT_TRUE(submit(*control, PutService{dh, {}}).get());
    asked = 0;
    const auto put = [&](const std::string& service, int n) {
        const std::string number = std::to_string(n);
        return submit(*control, PutBackend{service, backend("b" + number, "10.1.0." + number + ":80"), {}})
            .get();
    };
    for (int n = 1; n <= 100; ++n) ASSERT_TRUE(put("wrr", n));
    EXPECT_EQ(asked, 0U);
    ASSERT_TRUE(put("dh", 1));
    EXPECT_GT(asked, 0U);
    // What somebody else has there is found all the same, when it is to be made.
    const auto record = reconcile::dest_record(backend("", "10.1.0.200:80"), 33);
    for (const char* vip : {"10.0.0.3:80", "10.0.0.4:80"})
        ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip), record)}).back());
    EXPECT_EQ(put("wrr", 200).error().code, base::Errc::exists);
    EXPECT_EQ(put("dh", 200).error().code, base::Errc::exists);
}

// They are made in the kernel when they serve, so the kernel has nothing to say against them.
TEST_F(ForeignTest, ABackendThatWaitsOutsideTheKernelTakesNothingOver) {
    ASSERT_TRUE(submit(*control, PatchService{"web", R"({"on-down": "remove"})", {}}).get());
    model::Backend empty = backend("x", shared, 0), maint = backend("x", shared), drain = maint,
                   spare = maint;
    maint.admin = model::Admin::maint;
    drain.admin = model::Admin::drain;
    spare.backup = true;
    for (const model::Backend& one : {empty, maint, drain, spare}) {
        const auto done = submit(*control, PutBackend{"web", one, {}}).get();
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, base::Errc::exists);
        // Nor does it with one that is there and gets that address.
        model::Backend moved = one;
        moved.name = "b1";
        EXPECT_EQ(submit(*control, PutBackend{"web", moved, Match{true, {}}}).get().error().code,
                  base::Errc::exists);
        model::Config config = now();
        config.services[1].spec.pool.on_down = model::OnDown::remove;
        config.services[1].backends.push_back(one);
        expect_refused(put(config));
        ASSERT_TRUE(look(*control));
        EXPECT_EQ(foreign_weight(), 33);
    }
    // Who asks for it has it.
    ASSERT_TRUE(submit(*control, PutBackend{"web", maint, {}, true}).get());
    EXPECT_EQ(foreign_weight(), 0);
}

TEST_F(ForeignTest, ServicesThatExchangeTheirKeysTakeNothingOver) {
    model::Config config = now();
    std::swap(config.services[0].spec.key, config.services[1].spec.key);
    expect_refused(put(config));
    EXPECT_EQ(plan(*control, config).front().substr(0, 7), "refused");
    // Nor do declarative files.
    expect_refused(submit(*control, Declare{config, true}).get());
}

TEST_F(ForeignTest, AServiceTakesNothingOverInOneThatItReplaces) {
    model::Config config = now();
    config.services[0].spec.key = config.services[1].spec.key;
    config.services.pop_back();
    expect_refused(put(config));
    config = now();
    config.services[1] = {service("www", vip1), {backend("b1", shared)}};
    expect_refused(put(config));
}

TEST_F(ForeignTest, WhatWasAdoptedBeforeMayBeExchanged) {
    ASSERT_TRUE(submit(*control, PutBackend{"web", backend("b9", shared), {}, true}).get());
    model::Config config = now();
    std::swap(config.services[0].spec.key, config.services[1].spec.key);
    const auto done = put(config);
    EXPECT_TRUE(done) << done.error().sentence;
}

TEST_F(ForeignTest, WhatIsForeignWhereAServiceWasIsInNobodysWayWhereItGoes) {
    model::Config config = now();
    config.services[1].spec.key.vip = *base::Endpoint::parse("10.0.0.3:80");
    config.services[1].backends.push_back(backend("b9", shared));
    const auto done = put(config);
    EXPECT_TRUE(done) << done.error().sentence;
}

// The same with a disk that takes its time.
struct ForeignMeanwhileTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control =
        std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, Options{},
                                  std::make_unique<FakeDatabase>(disk));

    ForeignMeanwhileTest() { registry.load({GORB_PLUGINS}); }
    ~ForeignMeanwhileTest() override {
        disk.release();
        control.reset();
    }
    void SetUp() override { ASSERT_TRUE(control->start()); }
    // Changes it while somebody else does something to the table.
    template <class Meanwhile>
    base::Result<Outcome> put(const model::Config& config, Meanwhile&& meanwhile) {
        return run(PutConfig{config, {}, true}, meanwhile);
    }
    template <class Meanwhile>
    base::Result<Outcome> run(Change change, Meanwhile&& meanwhile) {
        disk.hold();
        Answer answer = submit(*control, std::move(change));
        for (int i = 0; i < 20'000 && disk.queued() == 0; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        EXPECT_EQ(disk.queued(), 1U);
        meanwhile();
        disk.release();
        return answer.get();
    }
};

TEST_F(ForeignMeanwhileTest, AServiceThatAppearsWhileAChangeIsWrittenIsNotTakenOverAndTheChangeIsTakenBack) {
    model::Config config;
    config.services.push_back({service("api", vip2), {backend("a1", shared)}});
    config.services.push_back({service("web", vip1), {backend("b1", "10.1.0.1:80")}});
    const auto done = put(config, [&] {
        auto record = reconcile::service_record(service("", vip1));
        record.scheduler = "lc";
        EXPECT_TRUE(table.apply(std::vector{Op::add(record)}).back());
    });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, base::Errc::exists);
    EXPECT_NE(done.error().sentence.find("gorb did not make"), std::string::npos);
    EXPECT_EQ((**table.service(key(vip1))).scheduler, "lc");
    EXPECT_FALSE(*table.service(key(vip2))) << "nothing of it was done";
    EXPECT_TRUE(control->snapshot()->services.empty());
    ASSERT_EQ(disk.written.size(), 2U);
    EXPECT_EQ(disk.written.back().drop_services, (std::vector<std::string>{"api", "web"}));
}

TEST_F(ForeignMeanwhileTest, SoIsADestinationInAServiceOfOurs) {
    model::Config config;
    config.services.push_back({service("web", vip1), {backend("b1", "10.1.0.1:80")}});
    ASSERT_TRUE(put(config, [] {}));
    config.services[0].backends.push_back(backend("b2", shared));
    const auto done = put(config, [&] {
        const auto record = reconcile::dest_record(backend("", shared), 33);
        EXPECT_TRUE(table.apply(std::vector{Op::add(key(vip1), record)}).back());
    });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, base::Errc::exists);
    const auto dests = *table.dests(key(vip1));
    EXPECT_EQ(std::ranges::find(dests, *base::Endpoint::parse(shared), &ipvs::DestRecord::address)->weight,
              33U);
    EXPECT_EQ((*control->snapshot()->services.find("web"))->backends.size(), 1U);
    // Nor is it by one that nothing is made of.
    config.services[0].spec.pool.on_down = model::OnDown::remove;
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key(vip1), *base::Endpoint::parse(shared))}).back());
    config.services[0].backends.pop_back();
    ASSERT_TRUE(put(config, [] {}));
    model::Backend waits = backend("b2", shared);
    waits.admin = model::Admin::maint;
    const auto one = run(PutBackend{"web", waits, {}}, [&] {
        const auto record = reconcile::dest_record(backend("", shared), 33);
        EXPECT_TRUE(table.apply(std::vector{Op::add(key(vip1), record)}).back());
    });
    ASSERT_FALSE(one);
    EXPECT_EQ(one.error().code, base::Errc::exists);
    EXPECT_EQ(disk.written.back().drop_backends, (std::vector<store::BackendName>{{"web", "b2"}}));
    ASSERT_TRUE(look(*control));
    EXPECT_EQ(table.dests(key(vip1))->size(), 2U);
    config.services[0].backends.push_back(backend("b2", shared));
    // Once it is gone the same is good.
    EXPECT_TRUE(table.apply(std::vector{Op::remove(key(vip1), *base::Endpoint::parse(shared))}).back());
    EXPECT_TRUE(put(config, [] {}));
}

// A row is a claim: one that is killed before it is taken back makes the next start take over what is there.
TEST_F(ForeignMeanwhileTest, NoRowIsWrittenForADestinationOfSomebodyElseInAServiceOfFew) {
    model::Config config;
    config.services.push_back({service("web", vip1), {backend("b1", "10.1.0.1:80")}});
    ASSERT_TRUE(put(config, [] {}));
    const auto record = reconcile::dest_record(backend("", shared), 33);
    ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip1), record)}).back());
    const size_t writes = disk.writes();
    EXPECT_EQ(submit(*control, PutBackend{"web", backend("b2", shared), {}}).get().error().code,
              base::Errc::exists);
    EXPECT_EQ(disk.writes(), writes);
}

TEST(ForeignMany, AReadingForEachNewBackendDoesNotGrowWithItsService) {
    ipvs::MemoryDriver table;
    Disk disk;
    std::atomic<size_t> asked{0};
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    Options options;
    options.reconcile_period_ns = 0;
    Control control(std::make_unique<CountingTable>(table, asked), nullptr, registry, options,
                    std::make_unique<FakeDatabase>(disk));
    ASSERT_TRUE(control.start());
    ASSERT_TRUE(submit(control, PutService{service("web", vip1), {}}).get());
    const auto put = [&](int n) {
        const std::string number = std::to_string(n);
        return submit(control, PutBackend{"web", backend("b" + number, "10.1.0." + number + ":80"), {}})
            .get();
    };
    for (int n = 1; n <= 64; ++n) ASSERT_TRUE(put(n));
    asked = 0;
    for (int n = 65; n <= 100; ++n) ASSERT_TRUE(put(n));
    EXPECT_EQ(asked, 0U);
}

}  // namespace
}  // namespace gorb::control::foreign_test
