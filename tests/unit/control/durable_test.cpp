// What the control makes durable, in which order, and what it makes of a disk that is slow or full.
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

namespace gorb::control::durable_test {
namespace {

using base::Errc;
using ipvs::Op;

struct DurableTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    DurableTest() { registry.load({GORB_PLUGINS}); }
    ~DurableTest() override {
        disk.release();
        control.reset();
    }
    void start(const Options& options = {}) {
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    Answer submit(Change change) { return control::submit(*control, std::move(change)); }
    base::Result<Outcome> run(Change change) { return submit(std::move(change)).get(); }
    // Until `what` holds; what is awaited here comes from another thread, and soon.
    template <class What>
    static bool eventually(What&& what) {
        for (int i = 0; i < 20'000; ++i) {
            if (what()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    std::optional<uint32_t> weight(const std::string& vip, const std::string& address) {
        const auto dests = table.dests(key(vip));
        if (!dests) return {};
        const auto at =
            std::ranges::find(*dests, *base::Endpoint::parse(address), &ipvs::DestRecord::address);
        if (at == dests->end()) return {};
        return at->weight;
    }
    void health(const std::string& service, const std::string& name, health::State state) {
        const auto now = control->snapshot();
        const auto id = (*(*now->services.find(service))->backends.find(name))->id;
        const health::Changed changed{id, state, 100, 1, 1, "as the test says"};
        control->health_changed({&changed, 1});
    }
};

TEST_F(DurableTest, NothingIsInTheKernelOrAnsweredBeforeItIsDurable) {
    start();
    disk.hold();
    Answer answer = submit(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() == 1; }));
    EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    EXPECT_FALSE(*table.service(key("10.0.0.1:80")));
    EXPECT_TRUE(control->snapshot()->services.empty());
    disk.release();
    ASSERT_TRUE(answer.get());
    EXPECT_TRUE(*table.service(key("10.0.0.1:80")));
}

TEST_F(DurableTest, WhatIsOnItsWayOfAnAddressIsNotTakenForTheNextOne) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:81"), Match{true, {}}}));
    health("web", "b1", health::State::up);  // since long ago
    ASSERT_TRUE(run(PutBackend{"web", backend("b2", "10.1.0.2:80"), {}}));
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.1:81"), 0U);
}

TEST_F(DurableTest, ADiskThatHangsDoesNotHoldUpHealth) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    health("web", "b1", health::State::up);
    ASSERT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 100; }));
    disk.hold();
    Answer answer = submit(PutBackend{"web", backend("b2", "10.1.0.2:80"), {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() >= 1; }));
    health("web", "b1", health::State::down);
    EXPECT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 0; }));
    EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
}

TEST_F(DurableTest, HealthThatChangesWhileAChangeIsWrittenCountsInIt) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    health("web", "b1", health::State::up);
    ASSERT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 100; }));
    disk.hold();
    Answer answer = submit(PatchBackend{"web", "b1", R"({"weight": 50})", {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() >= 1; }));
    health("web", "b1", health::State::down);
    ASSERT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 0; }));
    disk.release();
    ASSERT_TRUE(answer.get());
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.1:80"), 0U);
    health("web", "b1", health::State::up);
    EXPECT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 50; }));
}

TEST_F(DurableTest, WhatTheDiskRefusesChangesNothingAndTheNextChangeSucceeds) {
    start();
    disk.refuse(base::fail(Errc::no_space, "the disk is full"));
    const auto refused = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_space);
    EXPECT_EQ(table.ops(), 0U);
    EXPECT_TRUE(control->snapshot()->services.empty());
    disk.refuse({});
    EXPECT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
}

TEST_F(DurableTest, ARefusalOfTheKernelIsTakenBackInTheStoreBeforeItIsAnswered) {
    start();
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::add_service ? ENOMEM : 0; });
    const auto refused = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_FALSE(refused);
    const std::lock_guard lock(disk.mutex);
    ASSERT_EQ(disk.written.size(), 2U);
    EXPECT_EQ(disk.written[0].put_services.at(0)->spec.name, "web");
    EXPECT_EQ(disk.written[1].drop_services, std::vector<std::string>{"web"});
}

TEST_F(DurableTest, ADeletionThatTheKernelRefusesIsTakenBackWithItsBackends) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::remove_service ? EPERM : 0; });
    ASSERT_FALSE(run(DeleteService{"web", {}}));
    EXPECT_EQ(control->snapshot()->services.size(), 1U);
    const std::lock_guard lock(disk.mutex);
    const store::Write& undo = disk.written.back();
    EXPECT_EQ(undo.put_services.at(0)->spec.name, "web");
    EXPECT_EQ(undo.put_backends.at(0).second->spec.name, "b1");
    EXPECT_EQ(undo.left.size(), 2U);
}

TEST_F(DurableTest, ChangesThatWaitTogetherAreOneWrite) {
    start();
    disk.hold();
    std::vector<Answer> answers;
    answers.push_back(submit(PutService{service("s0", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(eventually([&] { return disk.queued() == 1; }));
    for (int i = 1; i < 20; ++i) {
        answers.push_back(submit(
            PutService{service("s" + std::to_string(i), "10.0.0." + std::to_string(i + 1) + ":80"), {}}));
    }
    disk.release();
    for (Answer& answer : answers) EXPECT_TRUE(answer.get());
    const std::lock_guard lock(disk.mutex);
    EXPECT_LE(disk.written.size(), 3U);
}

TEST_F(DurableTest, AFileThatIsLostIsMadeAnewWithEverything) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    {
        const std::lock_guard lock(disk.mutex);
        disk.lost = true;
        disk.answer = base::fail(Errc::unavailable, "the file is gone");
    }
    ASSERT_FALSE(run(PutService{service("other", "10.0.0.2:80"), {}}));
    disk.refuse({});
    ASSERT_TRUE(eventually([&] {
        const std::lock_guard lock(disk.mutex);
        return disk.rewritten == 1;
    }));
    const std::lock_guard lock(disk.mutex);
    ASSERT_EQ(disk.content.services.size(), 1U);
    EXPECT_EQ(disk.content.services[0].backends.at(0).spec.name, "b1");
}

TEST_F(DurableTest, AFileThatIsLostWhileNothingIsWrittenIsMadeAnewToo) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    const auto lose = [&] {
        const std::lock_guard lock(disk.mutex);
        disk.lost = true;
    };
    const auto rewritten = [&](size_t times) {
        const std::lock_guard lock(disk.mutex);
        return disk.rewritten == times && disk.content.services.size() == 1;
    };
    lose();
    EXPECT_TRUE(eventually([&] { return rewritten(1); }));
    lose();
    control->stop();  // the next start would find nothing
    EXPECT_TRUE(rewritten(2));
}

// What the kernel refused is taken back by a write that the disk refuses, and a later one of the same object
// goes through: taking the first back must not undo that one.
TEST_F(DurableTest, WhatCouldNotBeTakenBackDoesNotUndoALaterChange) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    std::atomic<bool> refused = false;
    table.set_hook([&](const Op& op, uint64_t) {
        return op.kind == Op::Kind::add_dest && !refused.exchange(true) ? ENOMEM : 0;
    });
    disk.hold();
    Answer first = submit(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() == 1; }));
    Answer second = submit(PutBackend{"web", backend("b1", "10.1.0.1:80", 50), {}});
    {
        const std::lock_guard lock(disk.mutex);
        disk.refuse_number = 3;  // web, b1, and this takes b1 back
    }
    disk.release();
    EXPECT_FALSE(first.get());
    ASSERT_TRUE(second.get());
    ASSERT_TRUE(eventually([&] {
        const std::lock_guard lock(disk.mutex);
        return disk.rewritten == 1;
    }));
    control->stop();
    const std::lock_guard lock(disk.mutex);
    ASSERT_EQ(disk.content.services.at(0).backends.size(), 1U);
    EXPECT_EQ(disk.content.services[0].backends[0].spec.weight, 50U);
    const auto drops = [](const store::Write& write) { return !write.drop_backends.empty(); };
    EXPECT_TRUE(std::ranges::none_of(disk.written, drops));
}

// It may be what the next change says otherwise again.
TEST_F(DurableTest, WhatIsOwedIsWrittenBeforeTheNextChangeThoughAnotherDebtIsOnItsWay) {
    const model::ServiceKey old{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.9:80")};
    disk.content.leaving.push_back({old, {}});
    ASSERT_TRUE(
        table.apply(std::vector{Op::add(reconcile::service_record(service("", "10.0.0.9:80")))}).back());
    table.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::remove_service ? EPERM : 0; });
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutService{service("api", "10.0.0.2:80"), {}}));
    table.set_hook({});
    disk.hold();
    Answer deleted = submit(DeleteService{"web", {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() == 1; }));
    ASSERT_TRUE(table.apply(std::vector{Op::remove(key("10.0.0.9:80"))}).back());
    control->reconcile([](const base::Result<SyncCounts>&) {});  // finds it gone: a debt
    ASSERT_TRUE(eventually([&] { return disk.queued() == 2; }));
    disk.release_first();
    ASSERT_TRUE(deleted.get());  // another one
    Answer made = submit(PutService{service("new", "10.0.0.1:80"), {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() >= 2; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    disk.release();
    ASSERT_TRUE(made.get());
    const std::lock_guard lock(disk.mutex);
    const model::ServiceKey web{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.1:80")};
    const auto owed = std::ranges::find_if(disk.written, [&](const store::Write& w) {
        return w.put_services.empty() && std::ranges::count(w.left, store::Leaving{web, {}}) > 0;
    });
    const auto change = std::ranges::find_if(disk.written, [](const store::Write& w) {
        return !w.put_services.empty() && w.put_services[0]->spec.name == "new";
    });
    ASSERT_NE(owed, disk.written.end());
    EXPECT_LT(owed - disk.written.begin(), change - disk.written.begin());
}

TEST_F(DurableTest, WhatIsKnownOfHealthDoesNotGoWithABackendToAnotherAddress) {
    start();
    size_t seen = 0;
    // Together with the backend, in one of the writes since the last call.
    const auto forgotten = [&] {
        const std::lock_guard lock(disk.mutex);
        const std::span<const store::Write> since = std::span(disk.written).subspan(seen);
        seen = disk.written.size();
        const std::vector nothing{std::pair(store::BackendName{"web", "b1"}, store::Health{})};
        return std::ranges::any_of(
            since, [&](const auto& w) { return !w.put_backends.empty() && w.health == nothing; });
    };
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    EXPECT_FALSE(forgotten());
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.2:80"), Match{true, {}}}));
    EXPECT_TRUE(forgotten());
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"weight": 50})", {}}));
    EXPECT_FALSE(forgotten());
}

TEST_F(DurableTest, AFileThatIsLostIsMadeAnewThoughChangesNeverCease) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    std::atomic<size_t> waiting = 0;
    uint32_t weight = 0;
    bool is_lost = false;
    const bool rewritten = eventually([&] {
        // All of one backend, so that each is a write of its own.
        while (waiting < 1000) {
            ++waiting;
            control->submit(PutBackend{"web", backend("b1", "10.1.0.1:80", ++weight % 1000), Match{true, {}}},
                            [&](const base::Result<Outcome>&) { --waiting; });
        }
        const std::lock_guard lock(disk.mutex);
        if (!std::exchange(is_lost, true)) {
            disk.lost = true;
            disk.answer = base::fail(Errc::unavailable, "the file is gone");
        }
        if (disk.refused > 0) disk.answer = {};
        return disk.rewritten == 1;
    });
    EXPECT_TRUE(rewritten);
    EXPECT_TRUE(eventually([&] { return waiting == 0; }));
    const auto after = run(PutBackend{"web", backend("b1", "10.1.0.1:80", 5), Match{true, {}}});
    EXPECT_TRUE(after) << after.error().sentence;
}

store::Loaded::BackendRow row(const model::Backend& spec, store::Health::State state) {
    store::Loaded::BackendRow out;
    out.spec = spec;
    out.revision = 2;
    out.health.state = state;
    return out;
}

TEST_F(DurableTest, AStartMakesTheKernelAsItWasAndKeepsTheDeadOut) {
    disk.content.revision = 7;
    disk.content.identity = "cafe0123";
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 1, model::Origin::api, {}});
    auto& rows = disk.content.services[0].backends;
    rows.push_back(row(backend("alive", "10.1.0.1:80", 30), store::Health::State::up));
    rows.push_back(row(backend("dead", "10.1.0.2:80"), store::Health::State::down));
    rows.push_back(row(backend("new", "10.1.0.3:80"), store::Health::State::unknown));
    rows.push_back(row(backend("serving", "10.1.0.4:80", 40), store::Health::State::unknown));
    // The kernel has one of which nothing is known: it may be serving.
    model::Service wanted = service("web", "10.0.0.1:80");
    const auto record = reconcile::service_record(wanted);
    ASSERT_TRUE(table
                    .apply(std::vector{Op::add(record),
                                       Op::add(record.key, reconcile::dest_record(rows[3].spec, 60))})
                    .back());
    start();
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.1:80"), 30U);
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.2:80"), 0U);
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.3:80"), 0U);
    EXPECT_EQ(weight("10.0.0.1:80", "10.1.0.4:80"), 40U);  // what it had, but not more than is configured
    EXPECT_EQ(control->etag(7), "cafe0123-7");
    EXPECT_EQ(control->snapshot()->revision, 7U);
}

TEST_F(DurableTest, AStartInSyncWritesNothing) {
    start();
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    control->stop();
    disk.content.services.push_back({service("web", "10.0.0.1:80"), 1, model::Origin::api, {}});
    disk.content.services[0].backends.push_back(
        row(backend("b1", "10.1.0.1:80"), store::Health::State::unknown));
    const uint64_t ops = table.ops();
    start();
    EXPECT_EQ(table.ops(), ops);
}

TEST_F(DurableTest, WhatIsLeavingGoesAtTheStartAndWhatIsForeignStays) {
    disk.content.leaving.push_back({{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.1:80")}, {}});
    const auto mine = reconcile::service_record(service("", "10.0.0.1:80"));
    const auto foreign = reconcile::service_record(service("", "10.0.0.9:80"));
    ASSERT_TRUE(table.apply(std::vector{Op::add(mine), Op::add(foreign)}).back());
    start();
    EXPECT_FALSE(*table.service(mine.key));
    EXPECT_TRUE(*table.service(foreign.key));
    ASSERT_TRUE(eventually([&] {
        const std::lock_guard lock(disk.mutex);
        return std::ranges::any_of(disk.written, [](const auto& w) { return w.left.size() == 1; });
    }));
}

TEST_F(DurableTest, AStartThatCanNotReadItsStoreFlushesNothing) {
    struct Unreadable final : store::Database {
        base::Result<store::Loaded> load() override { return base::fail(Errc::io, "it is damaged"); }
        bool work() override { return false; }
        void write(store::Write, Done) override {}
        void check_file(Done) override {}
        bool lost() const override { return false; }
        void rewrite(store::Loaded, Done) override {}
        Status status() const override { return {}; }
    };
    const auto served = reconcile::service_record(service("", "10.0.0.9:80"));
    ASSERT_TRUE(table.apply(std::vector{Op::add(served)}).back());
    Options options;
    options.flush = true;
    control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                        std::make_unique<Unreadable>());
    EXPECT_FALSE(control->start());
    EXPECT_TRUE(*table.service(served.key));
    start(options);
    EXPECT_FALSE(*table.service(served.key));
}

TEST_F(DurableTest, AnEmptyStoreDeletesNothing) {
    const auto foreign = reconcile::service_record(service("", "10.0.0.9:80"));
    ASSERT_TRUE(table.apply(std::vector{Op::add(foreign)}).back());
    const uint64_t ops = table.ops();
    start();
    EXPECT_EQ(table.ops(), ops);
    EXPECT_TRUE(*table.service(foreign.key));
}

// What is not in the table yet is in nobody's way there, and would be taken out as ours later.
TEST_F(DurableTest, ABackupThatWaitsOutsideTheKernelDoesNotClaimWhatIsForeign) {
    start();
    auto hashed = service("web", "10.0.0.1:80");
    hashed.scheduler = "dh";
    ASSERT_TRUE(run(PutService{hashed, {}}));
    ASSERT_TRUE(run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}));
    health("web", "b1", health::State::up);
    ASSERT_TRUE(eventually([&] { return weight("10.0.0.1:80", "10.1.0.1:80") == 100; }));
    auto other = backend("", "10.1.0.9:80");
    ASSERT_TRUE(
        table.apply(std::vector{Op::add(key("10.0.0.1:80"), reconcile::dest_record(other, 1))}).back());
    auto waiting = backend("b9", "10.1.0.9:80");
    waiting.backup = true;
    const auto refused = run(PutBackend{"web", waiting, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::exists);
    std::promise<SyncCounts> round;
    control->reconcile([&](const base::Result<SyncCounts>& r) { round.set_value(*r); });
    EXPECT_EQ(round.get_future().get().removed, 0U);
    EXPECT_TRUE(weight("10.0.0.1:80", "10.1.0.9:80"));
    EXPECT_TRUE(run(PutBackend{"web", waiting, {}, true}));
    waiting = backend("b8", "10.1.0.8:80");
    waiting.backup = true;
    EXPECT_TRUE(run(PutBackend{"web", waiting, {}}));
}

TEST_F(DurableTest, WhatTheKernelCanNotBeReadForIsNotShownAsApplied) {
    start();
    model::Config config;
    config.services.push_back({service("web", "10.0.0.1:80"), {backend("b1", "10.1.0.1:80")}});
    ASSERT_TRUE(run(PutConfig{config, {}, false}));
    const auto not_applied = [&] {
        const auto now = control->snapshot();
        const model::ServiceEntry& web = **now->services.find("web");
        return control->weight_of(**web.backends.find("b1")).not_applied;
    };
    EXPECT_EQ(not_applied(), "");
    config.services[0].backends[0].forwarding = model::Forwarding::dr;
    disk.hold();
    Answer answer = submit(PutConfig{config, {}, false});
    ASSERT_TRUE(eventually([&] { return disk.queued() == 1; }));
    table.fail_reads(EIO);
    table.fail_all(EIO);
    disk.release();
    ASSERT_TRUE(answer.get());
    EXPECT_NE(not_applied(), "");
    table.fail_reads(0);
    table.fail_all(0);
    EXPECT_TRUE(eventually([&] { return not_applied().empty(); }));
    const auto dests = table.dests(key("10.0.0.1:80"));
    EXPECT_EQ(dests->at(0).forwarding, 3U);
}

}  // namespace
}  // namespace gorb::control::durable_test
