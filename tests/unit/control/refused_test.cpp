// What the kernel refuses of a change of many objects: that it is tried again and shown, whatever is changed
// in the meantime, and that what has gone is claimed no longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::refused_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

struct RefusedTest : testing::Test {
    base::ManualClock clock{1000 * base::second};
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    Options options;
    std::unique_ptr<Control> control;

    RefusedTest() {
        registry.load({GORB_PLUGINS});
        options.clock = &clock;
        options.reconcile_period_ns = 0;
    }
    ~RefusedTest() override {
        disk.release();
        control.reset();
    }
    void start() {
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    base::Result<Outcome> run(Change change) { return submit(*control, std::move(change)).get(); }
    base::Result<Outcome> put(const std::vector<model::Backend>& backends, const std::string& name = "web") {
        return run(PutConfig{config(backends, name), {}, true});
    }
    static model::Config config(const std::vector<model::Backend>& backends,
                                const std::string& name = "web") {
        model::Config out;
        out.services.push_back({service(name, vip), backends});
        return out;
    }
    // The control has had its turn at a time that is so much later.
    void pass(uint64_t ns) {
        clock.advance(ns);
        ownership();
        ownership();
    }
    Ownership ownership() {
        std::promise<Ownership> promise;
        control->ownership([&](const base::Result<Ownership>& o) { promise.set_value(*o); });
        return promise.get_future().get();
    }
    SyncCounts round() { return *look(*control); }
    void refuse(Op::Kind kind, int os_error) {
        table.set_hook([=](const Op& op, uint64_t) { return op.kind == kind ? os_error : 0; });
    }
    // Its checks say so, and it has its weight.
    void up(const std::string& name, const std::string& address, const std::string& of = "web") {
        const auto now = control->snapshot();
        const model::BackendPtr b = *(*now->services.find(of))->backends.find(name);
        const health::Changed changed{b->id, health::State::up, 100, 1, clock.now(), "as the test says"};
        control->health_changed({&changed, 1});
        for (int i = 0; i < 5000 && dest(address)->weight != b->spec.weight; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ASSERT_EQ(dest(address)->weight, b->spec.weight);
    }
    EffectiveWeight weight(const std::string& name) {
        const auto now = control->snapshot();
        const model::ServicePtr web = *now->services.find("web");
        EffectiveWeight weight = control->weight_of(**web->backends.find(name));
        explain(weight, web->spec, "");
        return weight;
    }
    std::optional<ipvs::DestRecord> dest(const std::string& address) {
        const auto dests = table.dests(key(vip));
        if (!dests) return {};
        const auto at =
            std::ranges::find(*dests, *base::Endpoint::parse(address), &ipvs::DestRecord::address);
        if (at == dests->end()) return {};
        return *at;
    }
};

TEST_F(RefusedTest, ASettingIsNotForgottenWhenSomethingElseIsChanged) {
    start();
    auto b1 = backend("b1", "10.1.0.1:80");
    ASSERT_TRUE(put({b1}));
    b1.upper_threshold = 50;
    refuse(Op::Kind::edit_dest, ENOMEM);
    ASSERT_EQ(put({b1})->counts.refused, 1U);
    ASSERT_NE(weight("b1").not_applied, "");
    table.set_hook({});
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"pulse": {"type": "none", "interval": "7s"}})", {}}));
    EXPECT_NE(weight("b1").not_applied, "") << "the kernel was not asked again";
    pass(2 * base::second);
    EXPECT_EQ(weight("b1").not_applied, "");
    EXPECT_EQ(dest("10.1.0.1:80")->upper_threshold, 50U);

    b1.upper_threshold = 60;
    refuse(Op::Kind::edit_dest, ENOMEM);
    ASSERT_EQ(put({b1})->counts.refused, 1U);
    table.set_hook({});
    b1.backup = true;  // which is none of the kernel's business
    ASSERT_TRUE(put({b1}));
    EXPECT_EQ(weight("b1").not_applied, "");
    EXPECT_EQ(dest("10.1.0.1:80")->upper_threshold, 60U);
}

TEST_F(RefusedTest, ADestinationThatIsToLeaveAServiceIsTriedAgain) {
    start();
    const auto b1 = backend("b1", "10.1.0.1:80"), b2 = backend("b2", "10.1.0.2:80");
    ASSERT_TRUE(put({b1, b2}));
    refuse(Op::Kind::remove_dest, ENOMEM);
    const auto done = put({b1});
    ASSERT_TRUE(done);
    EXPECT_EQ(done->counts.refused, 1U);
    ASSERT_TRUE(dest("10.1.0.2:80"));
    table.set_hook({});
    pass(2 * base::second);
    EXPECT_FALSE(dest("10.1.0.2:80"));
    EXPECT_TRUE(ownership().leaving.empty());
}

TEST_F(RefusedTest, WhatWentWithItsServiceIsClaimedNoLonger) {
    start();
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80")}));
    refuse(Op::Kind::remove_dest, ENOMEM);
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80")}));
    table.set_hook({});
    ASSERT_TRUE(run(DeleteService{"web", {}}));
    // Somebody else makes it anew.
    const auto record = reconcile::service_record(service("", vip));
    for (const base::Status& made : table.apply(std::vector{
             Op::add(record), Op::add(record.key, reconcile::dest_record(backend("", "10.1.0.2:80"), 5))}))
        ASSERT_TRUE(made);
    EXPECT_TRUE(ownership().leaving.empty());
    round();
    EXPECT_TRUE(dest("10.1.0.2:80"));
}

TEST_F(RefusedTest, ItIsCountedOnce) {
    start();
    auto b1 = backend("b1", "10.1.0.1:80"), b2 = backend("b2", "10.1.0.2:80");
    ASSERT_TRUE(put({b1, b2}));
    up("b1", b1.address.text());
    b1.weight = 7;
    b2.upper_threshold = 50;
    table.set_hook([](const Op& op, uint64_t) {
        return op.kind == Op::Kind::edit_dest && op.dest.upper_threshold == 0 ? ENOMEM : 0;
    });
    const auto done = put({b1, b2});
    ASSERT_TRUE(done);
    EXPECT_EQ(done->counts.refused, 1U);
}

// Its claim is on disk for as long as it is in the kernel, whatever a look at the table finds meanwhile.
TEST_F(RefusedTest, WhatIsToLeaveIsClaimedUntilItHasLeft) {
    start();
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80")}));
    ASSERT_TRUE(put({backend("b2", "10.1.0.1:80")}));
    disk.hold();
    auto deleted = submit(*control, DeleteBackend{"web", "b2", {}, base::Nanos(0)});
    while (disk.queued() == 0) std::this_thread::yield();
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key(vip), *base::Endpoint::parse("10.1.0.1:80"))}).back());
    round();  // puts it back
    ASSERT_TRUE(dest("10.1.0.1:80"));
    bool claimed = false;
    table.set_hook([&](const Op& op, uint64_t) {
        if (op.kind != Op::Kind::remove_dest) return 0;
        for (int i = 0; i < 1000 && disk.queued() > 0; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const std::lock_guard lock(disk.mutex);
        for (const store::Write& write : disk.written) {
            const store::Leaving entry{{model::Protocol::tcp, *base::Endpoint::parse(vip)}, op.dest.address};
            if (std::ranges::count(write.leaving, entry) > 0) claimed = true;
            if (std::ranges::count(write.left, entry) > 0) claimed = false;
        }
        return 0;
    });
    ownership();
    disk.release();
    ASSERT_TRUE(deleted.get());
    table.set_hook({});
    EXPECT_TRUE(claimed);
}

// A table that can not be read for a moment is no reason to set right what is only to be reported.
TEST_F(RefusedTest, DriftThatIsOnlyReportedStaysWhateverCouldNotBeRead) {
    options.repair_drift = false;
    start();
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80")}));
    auto changed = *dest("10.1.0.1:80");
    changed.upper_threshold = 9;
    ASSERT_TRUE(table.apply(std::vector{Op::edit(key(vip), changed)}).back());
    table.fail_reads(ENOBUFS);
    EXPECT_EQ(round().refused, 1U);
    table.fail_reads(0);
    pass(2 * base::second);
    EXPECT_EQ(dest("10.1.0.1:80")->upper_threshold, 9U);
    round();
    EXPECT_EQ(dest("10.1.0.1:80")->upper_threshold, 9U);
    EXPECT_EQ(ownership().drift.size(), 1U);
}

// A service or backend whose deletion is refused is there after a restart with all that was known of it.
TEST_F(RefusedTest, ADeletionTakesNothingOfWhatIsKnownOfHealth) {
    start();
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80")}));
    up("b1", "10.1.0.1:80");
    pass(2 * base::second);
    const auto known = [&] {
        const std::lock_guard lock(disk.mutex);
        store::Health::State state{};
        for (const store::Write& write : disk.written) {
            for (const store::BackendName& gone : write.drop_backends) {
                if (gone.backend == "b1") state = {};
            }
            if (!write.drop_services.empty()) state = {};
            for (const auto& [name, health] : write.health) {
                if (name.backend == "b1") state = health.state;
            }
        }
        return state;
    };
    ASSERT_EQ(known(), store::Health::State::up);
    table.set_hook([](const Op&, uint64_t) { return EPERM; });
    ASSERT_FALSE(run(DeleteBackend{"web", "b1", {}, base::Nanos(0)}));
    pass(2 * base::second);
    EXPECT_EQ(known(), store::Health::State::up);
    ASSERT_FALSE(run(DeleteService{"web", {}}));
    pass(2 * base::second);
    EXPECT_EQ(known(), store::Health::State::up);
}

TEST_F(RefusedTest, AServiceThatIsMadeAtAnotherAddressIsNotRefusedAnyMore) {
    start();
    refuse(Op::Kind::add_service, ENOMEM);
    ASSERT_EQ(put({})->counts.refused, 1U);
    ASSERT_NE(control->refused(service("web", vip)), "");
    table.set_hook({});
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.2:80"), {Match{true, {}}}}));
    ASSERT_TRUE(*table.service(key("10.0.0.2:80")));
    EXPECT_EQ(control->refused(service("web", "10.0.0.2:80")), "");
    EXPECT_EQ(control->events(0).back().kind, "made");
}

TEST_F(RefusedTest, NobodyIsSaidToHaveRemovedWhatTheKernelHasNeverTaken) {
    start();
    refuse(Op::Kind::add_service, ENOMEM);
    const model::Backend b1 = backend("b1", "10.1.0.1:80");
    ASSERT_GT(put({b1})->counts.refused, 0U);
    table.set_hook({});
    testing::internal::CaptureStderr();
    ASSERT_TRUE(run(PatchService{"web", R"({"method": "rr"})", {}}));
    std::string log = testing::internal::GetCapturedStderr();
    ASSERT_TRUE(dest("10.1.0.1:80"));
    EXPECT_NE(log.find("made at last"), std::string::npos) << log;
    EXPECT_EQ(log.find("somebody had removed"), std::string::npos) << log;
    // From now on it is as always.
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key(vip))}).front());
    testing::internal::CaptureStderr();
    ASSERT_TRUE(run(PatchService{"web", R"({"method": "wrr"})", {}}));
    log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("somebody had removed"), std::string::npos) << log;
}

// A backend may be changed before the service is tried again.
TEST_F(RefusedTest, NorWhenABackendOfItBringsItAlong) {
    start();
    refuse(Op::Kind::add_service, ENOMEM);
    ASSERT_GT(put({backend("b1", "10.1.0.1:80")})->counts.refused, 0U);
    table.set_hook({});
    testing::internal::CaptureStderr();
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"weight": 7, "upper-threshold": 9})", {}}));
    const std::string log = testing::internal::GetCapturedStderr();
    ASSERT_TRUE(dest("10.1.0.1:80"));
    EXPECT_EQ(log.find("somebody had removed"), std::string::npos) << log;
}

TEST_F(RefusedTest, OfThousandsThatAreRefusedTheLogHasSomeAndSaysThatThereAreMore) {
    start();
    constexpr int many = 2000;
    std::vector<model::Backend> backends;
    backends.reserve(many);
    for (int i = 0; i < many; ++i)
        backends.push_back(backend("b" + std::to_string(i), "10.1." + std::to_string(i / 250) + "." +
                                                                std::to_string(1 + i % 250) + ":80"));
    std::ranges::sort(backends, {}, &model::Backend::name);
    refuse(Op::Kind::add_dest, EPERM);
    testing::internal::CaptureStderr();
    ASSERT_TRUE(put(backends));
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("destination could not be made"), std::string::npos);
    EXPECT_NE(log.find("more could not be made than is written out here"), std::string::npos);
    EXPECT_LT(std::ranges::count(log, '\n'), 110);
}

TEST_F(RefusedTest, TheLogOfAChangeOfManyNamesTheFirstFewOfWhatItRemovesAddsAndChanges) {
    start();
    std::vector<model::Backend> all;
    for (const char* n : {"1", "2", "3", "4", "5", "6", "7", "8"})
        all.push_back(backend(std::string("b") + n, std::string("10.1.0.") + n + ":80"));
    ASSERT_TRUE(run(Declare{config(all)}));
    model::Config file = config({all[0], all[1]});
    file.services[0].spec.scheduler = "rr";
    file.services.insert(file.services.begin(), {service("shop", "10.0.0.2:80"), {}});
    testing::internal::CaptureStderr();
    const auto applied = run(Declare{file, true});
    const std::string log = testing::internal::GetCapturedStderr();
    ASSERT_TRUE(applied);
    EXPECT_NE(log.find("changes=\"removed web/b3, web/b4, web/b5, web/b6, web/b7 (and 1 more); added shop; "
                       "changed web\" added=1 changed=1 removed=6"),
              std::string::npos)
        << log;
}

TEST_F(RefusedTest, TheLogOfADeletionThatWaitsCountsWhatItChanges) {
    start();
    ASSERT_TRUE(put({backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80")}));
    testing::internal::CaptureStderr();
    const auto waits = run(DeleteService{"web", {}, std::chrono::hours(1)});
    const std::string log = testing::internal::GetCapturedStderr();
    ASSERT_TRUE(waits && waits->later);
    EXPECT_NE(log.find("changed=3"), std::string::npos) << log;
    EXPECT_NE(log.find("removed=0"), std::string::npos) << log;
}

}  // namespace
}  // namespace gorb::control::refused_test
