// What leaves when its connections have ended: that it does, whatever is said and refused in the meantime.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"

namespace gorb::control::leaving_test {
namespace {

using base::Errc;
using ipvs::Op;

constexpr auto hour = std::chrono::hours(1);

struct LeavingTest : testing::Test {
    base::ManualClock clock;
    Disk disk;
    plugin::Registry registry;
    ipvs::MemoryDriver* table = new ipvs::MemoryDriver;  // owned by the control
    std::unique_ptr<Control> control;

    LeavingTest() { registry.load({GORB_PLUGINS}); }
    void SetUp() override {
        Options options;
        options.clock = &clock;
        control = std::make_unique<Control>(std::unique_ptr<ipvs::Driver>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    void make_web(model::Origin origin, int backends) {
        if (origin == model::Origin::file) {
            ASSERT_TRUE(run(Declare{config(backends)}));
        } else {
            ASSERT_TRUE(run(PutConfig{config(backends), {}, true}));
        }
        for (int n = 1; n <= backends; ++n) connections(n, 1);
    }
    void connections(int n, uint32_t active) {
        ASSERT_TRUE(
            table->set_counters(reconcile::kernel_key(service().key), backend(n).address, {active, 0}));
    }
    base::Result<Outcome> run(Change change) { return submit(*control, std::move(change)).get(); }
    // Until `what` holds, while the control's time goes on.
    template <class What>
    bool eventually(What&& what) {
        for (int i = 0; i < 2000; ++i) {
            if (what()) return true;
            clock.advance(base::second / 10);
            control->reconcile([](const base::Result<SyncCounts>&) {});  // wakes it
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    static model::Service service() { return control::service("web", "10.0.0.1:80"); }
    static model::Backend backend(int n) {
        const std::string number = std::to_string(n);
        return control::backend("b" + number, "10.1.0." + number + ":80");
    }
    static model::Config config(int backends) {
        model::Config out;
        out.services.push_back({service(), {}});
        for (int n = 1; n <= backends; ++n) out.services[0].backends.push_back(backend(n));
        return out;
    }
    // As GET /config shows it: nothing of whether a service is being removed.
    model::Config shown() {
        model::Config out;
        control->snapshot()->services.for_each([&](const std::string&, const model::ServicePtr& entry) {
            model::ConfigService& s = out.services.emplace_back();
            s.spec = entry->spec;
            s.spec.deleting = false;
            entry->backends.for_each(
                [&](const std::string&, const model::BackendPtr& b) { s.backends.push_back(b->spec); });
        });
        return out;
    }
    model::ServicePtr web() {
        const auto now = control->snapshot();
        const auto* found = now->services.find("web");
        return found ? *found : nullptr;
    }
    model::BackendPtr web(const std::string& name) {
        const auto entry = web();
        const auto* found = entry ? entry->backends.find(name) : nullptr;
        return found ? *found : nullptr;
    }
    // The kernel keeps what it has of the stored web, and each backend its connection.
    void restart() {
        control.reset();
        table = new ipvs::MemoryDriver;
        const auto record = reconcile::service_record(service());
        std::vector<ipvs::Op> ops{ipvs::Op::add(record)};
        ops.reserve(1 + disk.content.services[0].backends.size());
        for (const auto& row : disk.content.services[0].backends)
            ops.push_back(ipvs::Op::add(record.key, reconcile::dest_record(row.spec, 0)));
        for (const base::Status& status : table->apply(ops)) ASSERT_TRUE(status);
        for (const auto& row : disk.content.services[0].backends)
            ASSERT_TRUE(table->set_counters(record.key, row.spec.address, {1, 0}));
        SetUp();
    }
    // The backends of web that were written last are what the next start finds.
    void keep_what_was_written() {
        const std::lock_guard lock(disk.mutex);
        std::map<std::string, store::Loaded::BackendRow> rows;
        if (!disk.content.services.empty()) {
            for (const auto& row : disk.content.services[0].backends) rows[row.spec.name] = row;
        }
        for (const store::Write& write : disk.written) {
            for (const auto& put : write.put_backends)
                rows[put.second->spec.name] = {
                    put.second->spec, put.second->revision, {}, put.second->drain_since};
            disk.content.revision = std::max(disk.content.revision, write.revision);
        }
        disk.content.services = {{service(), 1, model::Origin::api, {}}};
        for (const auto& [name, row] : rows) disk.content.services[0].backends.push_back(row);
    }
    size_t refusals() {
        const std::lock_guard lock(disk.mutex);
        return disk.refused;
    }
};

TEST_F(LeavingTest, ABackendWhoseRemovalIsRefusedGoesLater) {
    make_web(model::Origin::api, 2);
    ASSERT_TRUE(run(DeleteBackend{"web", "b1", {}, hour}));
    disk.refuse(base::fail(Errc::no_space, "the disk is full"));
    connections(1, 0);
    ASSERT_TRUE(eventually([&] { return refusals() >= 3; }));
    EXPECT_TRUE(web("b1"));
    disk.refuse({});
    EXPECT_TRUE(eventually([&] { return !web("b1"); }));
}

TEST_F(LeavingTest, ABackendThatIsNotPutIntoMaintenanceAtOnceIsLater) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"admin": "drain", "drain-timeout": "1m"})", {}}));
    disk.refuse(base::fail(Errc::no_space, "the disk is full"));
    ASSERT_TRUE(eventually([&] { return refusals() >= 2; }));
    disk.refuse({});
    EXPECT_TRUE(eventually([&] { return web("b1")->spec.admin == model::Admin::maint; }));
}

TEST_F(LeavingTest, AServiceThatTheKernelKeepsAfterItsLastBackendGoesLater) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    std::atomic<int> refused = 0;
    table->set_hook([&](const Op& op, uint64_t) {
        return op.kind == Op::Kind::remove_service && refused < 3 ? (++refused, EPERM) : 0;
    });
    connections(1, 0);
    EXPECT_TRUE(eventually([&] { return !web(); }));
    EXPECT_EQ(refused, 3);
}

class LeavingDocuments : public LeavingTest, public testing::WithParamInterface<model::Origin> {
  protected:
    base::Result<Outcome> apply(const model::Config& document) {
        if (GetParam() == model::Origin::file) return run(Declare{document});
        return run(PutConfig{document, {}, true});
    }
};

TEST_P(LeavingDocuments, ADocumentLeavesAServiceBeingRemoved) {
    make_web(GetParam(), 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    const auto again = apply(GetParam() == model::Origin::file ? config(2) : shown());
    ASSERT_TRUE(again) << again.error().sentence;
    EXPECT_FALSE(again->changed);
    EXPECT_TRUE(web()->spec.deleting);
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::drain);
    connections(1, 0);
    connections(2, 0);
    EXPECT_TRUE(eventually([&] { return !web(); }));
}

// One of before the removal, which has its backends ready, and one that says something else of them.
TEST_P(LeavingDocuments, NoDocumentHasABackendOfAServiceBeingRemovedServeAgain) {
    make_web(GetParam(), 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    model::Config document = config(2);
    document.services[0].backends[0].weight = 7;
    const std::string kept =
        "backend \"b1\" of service \"web\" (and 1 more): goes on leaving, since its service is being "
        "removed, which no document undoes";
    for (const model::Admin admin : {model::Admin::ready, model::Admin::maint, model::Admin::drain}) {
        document.services[0].backends[1].admin = admin;
        const auto again = apply(document);
        ASSERT_TRUE(again) << again.error().sentence;
        const bool told = GetParam() == model::Origin::api;
        EXPECT_EQ(again->note, told ? kept : "");
    }
    EXPECT_EQ(web("b1")->spec.weight, 7U);
    for (const char* name : {"b1", "b2"}) {
        EXPECT_EQ(web(name)->spec.admin, model::Admin::drain);
        EXPECT_EQ(web(name)->spec.drain_then, model::DrainThen::remove);
        EXPECT_EQ(web(name)->spec.drain_timeout, model::drain_time(hour));
    }
    EXPECT_TRUE(web()->spec.deleting);
    connections(1, 0);
    connections(2, 0);
    EXPECT_TRUE(eventually([&] { return !web(); }));
}

TEST_P(LeavingDocuments, AServiceGoesWithoutBackendsWhereADocumentHasNone) {
    make_web(GetParam(), 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    ASSERT_TRUE(apply(config(0)));
    if (GetParam() == model::Origin::file) {  // which leaves what is waited for
        ASSERT_TRUE(web("b1"));
        connections(1, 0);
        connections(2, 0);
    }
    EXPECT_TRUE(eventually([&] { return !web(); }));
}

TEST_P(LeavingDocuments, ABackendThatHasLeftDoesNotComeBackWhileItsServiceGoes) {
    make_web(GetParam(), 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    connections(1, 0);
    ASSERT_TRUE(eventually([&] { return !web("b1"); }));
    const auto again = apply(config(2));
    if (GetParam() == model::Origin::file) {
        EXPECT_TRUE(again);
    } else {
        ASSERT_FALSE(again);
        EXPECT_EQ(again.error().code, Errc::exists);
        EXPECT_NE(again.error().sentence.find("is being removed"), std::string::npos);
    }
    EXPECT_FALSE(web("b1"));
    EXPECT_TRUE(web()->spec.deleting);
}

INSTANTIATE_TEST_SUITE_P(Origins, LeavingDocuments, testing::Values(model::Origin::api, model::Origin::file),
                         [](const auto& p) { return p.param == model::Origin::api ? "Api" : "File"; });

TEST_F(LeavingTest, FilesLeaveAServiceBeingRemovedAlsoAfterARestart) {
    disk.content.revision = 7;
    model::Service leaving = service();
    leaving.deleting = true;
    store::Loaded::BackendRow row;
    row.spec = backend(1);
    row.spec.admin = model::Admin::drain;
    row.spec.drain_then = model::DrainThen::remove;
    row.spec.drain_timeout = model::drain_time(hour);
    disk.content.services.push_back({leaving, 7, model::Origin::file, {row}});
    restart();
    ASSERT_TRUE(run(Declare{config(2)}));
    EXPECT_TRUE(web()->spec.deleting);
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::drain);
    EXPECT_FALSE(web("b2"));
}

TEST_F(LeavingTest, ARestartDoesNotBeginTheTimeOfADrainAnew) {
    make_web(model::Origin::api, 2);
    const int64_t said = clock.wall();
    ASSERT_TRUE(run(DeleteBackend{"web", "b1", {}, hour}));
    clock.advance(60 * base::second);
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"weight": 7})", {}}));  // says nothing of the drain
    keep_what_was_written();
    clock.advance(2000 * base::second);
    restart();
    ASSERT_TRUE(web("b1"));
    const auto view = control->drain_of(*web("b1"));
    ASSERT_TRUE(view);
    EXPECT_EQ(view->since_wall, said);
    EXPECT_EQ(view->deadline_wall, said + std::chrono::nanoseconds(hour).count());
    clock.advance(1530 * base::second);
    control->reconcile([](const base::Result<SyncCounts>&) {});
    ASSERT_TRUE(run(PatchBackend{"web", "b2", R"({"weight": 7})", {}}));  // it has had its turn
    EXPECT_TRUE(web("b1"));
    EXPECT_TRUE(eventually([&] { return !web("b1"); }));
    EXPECT_LT(clock.wall(), said + 2 * std::chrono::nanoseconds(hour).count());
}

// Of a file that an earlier gorbd wrote, or imported.
TEST_F(LeavingTest, ADrainOfWhichTheBeginIsNotKnownBeginsAtTheStartOnce) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(DeleteBackend{"web", "b1", {}, hour}));
    keep_what_was_written();
    disk.content.services[0].backends[0].drain_since = 0;
    clock.advance(600 * base::second);
    restart();
    const int64_t began = clock.wall();
    ASSERT_TRUE(eventually([&] {
        keep_what_was_written();
        return disk.content.services[0].backends[0].drain_since == began;
    }));
    clock.advance(600 * base::second);
    restart();
    ASSERT_TRUE(web("b1"));
    EXPECT_EQ(control->drain_of(*web("b1"))->since_wall, began);
}

// gorbd was started without the plugin that checks it.
TEST_F(LeavingTest, ABackendThatCanNotBeCheckedAnyMoreCanBeTakenOutOfService) {
    disk.content.revision = 7;
    store::Loaded::BackendRow row;
    row.spec = backend(1);
    model::PulseSpec gone;
    gone.type = "gone";
    row.spec.pulses = model::PulseList({gone});
    disk.content.services.push_back({service(), 7, model::Origin::api, {row}});
    restart();
    EXPECT_TRUE(run(PatchBackend{"web", "b1", R"({"weight": 7})", {}}));
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"admin": "drain", "drain-timeout": "1m"})", {}}));
    EXPECT_TRUE(eventually([&] { return web("b1")->spec.admin == model::Admin::maint; }));
    // Nobody would check it.
    EXPECT_FALSE(run(PatchBackend{"web", "b1", R"({"admin": "ready"})", {}}));
    EXPECT_FALSE(run(PatchBackend{"web", "b1", R"({"pulse": {"type": "gone", "interval": "7s"}})", {}}));
    EXPECT_TRUE(run(PatchBackend{"web", "b1", R"({"admin": "ready", "pulse": {"type": "none"}})", {}}));
}

TEST_F(LeavingTest, AServiceThatADeclarativeFileHasComesBackWhenItIsAppliedNext) {
    make_web(model::Origin::file, 1);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    connections(1, 0);
    ASSERT_TRUE(eventually([&] { return !web(); }));
    ASSERT_TRUE(run(Declare{config(1)}));
    ASSERT_TRUE(web());
    EXPECT_FALSE(web()->spec.deleting);
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::ready);
}

// Who removes something with ?drain= is told to remove it from the file as well.
TEST_F(LeavingTest, ABackendOnItsWayOutIsWaitedForThoughNoFileHasItAnyMore) {
    make_web(model::Origin::file, 2);
    ASSERT_TRUE(run(DeleteBackend{"web", "b2", {}, hour}));
    const auto applied = run(Declare{config(1)});
    ASSERT_TRUE(applied);
    EXPECT_FALSE(applied->changed);
    ASSERT_TRUE(web("b2"));
    EXPECT_EQ(web("b2")->spec.admin, model::Admin::drain);
    connections(2, 0);
    EXPECT_TRUE(eventually([&] { return !web("b2"); }));
    EXPECT_TRUE(web("b1"));
}

TEST_F(LeavingTest, AServiceOnItsWayOutIsWaitedForThoughNoFileHasItAnyMore) {
    make_web(model::Origin::file, 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    ASSERT_TRUE(run(Declare{}));
    ASSERT_TRUE(web());
    EXPECT_EQ(web()->backends.size(), 2U);
    connections(1, 0);
    connections(2, 0);
    EXPECT_TRUE(eventually([&] { return !web(); }));
}

TEST_F(LeavingTest, WhatIsOnItsWayOutMakesRoomForWhatAFileHasInItsPlace) {
    make_web(model::Origin::file, 2);
    ASSERT_TRUE(run(DeleteBackend{"web", "b2", {}, hour}));
    model::Config file = config(2);
    file.services[0].backends[1].name = "new";
    ASSERT_TRUE(run(Declare{file}));
    EXPECT_FALSE(web("b2"));
    EXPECT_EQ(web("new")->spec.admin, model::Admin::ready);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    file.services[0].spec.name = "other";
    ASSERT_TRUE(run(Declare{file}));
    EXPECT_FALSE(web());
    EXPECT_TRUE(control->snapshot()->services.find("other"));
}

TEST_F(LeavingTest, AServiceOfWhichABackendIsHadAgainGoesWithItsFile) {
    make_web(model::Origin::file, 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"admin": "ready"})", {}}));
    ASSERT_TRUE(run(Declare{}));
    EXPECT_FALSE(web());
}

TEST_F(LeavingTest, ADrainThatAFileAsksForIsNotBegunAgainWhenItIsOver) {
    make_web(model::Origin::file, 1);
    model::Config file = config(1);
    file.services[0].backends[0].admin = model::Admin::drain;
    file.services[0].backends[0].drain_timeout = model::drain_time(std::chrono::minutes(1));
    ASSERT_TRUE(run(Declare{file}));
    ASSERT_TRUE(eventually([&] { return web("b1")->spec.admin == model::Admin::maint; }));
    const auto again = run(Declare{file});
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->changed);
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::maint);
    // Nor is one that removes it.
    file.services[0].backends[0].drain_then = model::DrainThen::remove;
    ASSERT_TRUE(run(Declare{file}));
    ASSERT_TRUE(eventually([&] { return !web("b1"); }));
    EXPECT_FALSE(run(Declare{file})->changed);
    EXPECT_FALSE(web("b1"));
    // Another drain is another word.
    file.services[0].backends[0].drain_then = model::DrainThen::maint;
    file.services[0].backends[0].drain_timeout = model::drain_time(hour);
    ASSERT_TRUE(run(Declare{file}));
    ASSERT_TRUE(web("b1"));  // without connections it is over at once
    EXPECT_EQ(web("b1")->spec.drain_timeout, model::drain_time(hour));
}

TEST_F(LeavingTest, HowABackendIsDrainedIsTheFilesUntilAnOperatorDrainsIt) {
    make_web(model::Origin::file, 1);
    model::Config file = config(1);
    file.services[0].backends[0].drain_timeout = model::drain_time(2 * hour);
    file.services[0].backends[0].drain_then = model::DrainThen::remove;
    ASSERT_TRUE(run(Declare{file}));
    EXPECT_EQ(web("b1")->spec.drain_timeout, model::drain_time(2 * hour));
    EXPECT_EQ(web("b1")->spec.drain_then, model::DrainThen::remove);
    ASSERT_TRUE(run(PatchBackend{
        "web", "b1", R"({"admin": "drain", "drain-timeout": "1h", "drain-then": "maint"})", {}}));
    ASSERT_TRUE(run(Declare{file}));
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::drain);
    EXPECT_EQ(web("b1")->spec.drain_timeout, model::drain_time(hour));
    EXPECT_EQ(web("b1")->spec.drain_then, model::DrainThen::maint);
}

TEST_F(LeavingTest, APutOfWhatIsShownChangesNothingOfAServiceBeingRemoved) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    const auto same = run(PutService{service(), {}});
    ASSERT_TRUE(same) << same.error().sentence;
    EXPECT_FALSE(same->changed);
    model::Service other = service();
    other.scheduler = "rr";
    ASSERT_TRUE(run(PutService{other, Match{true, {}}}));
    EXPECT_TRUE(web()->spec.deleting);
    EXPECT_EQ(web()->spec.scheduler, "rr");
}

TEST_F(LeavingTest, AServiceStaysWhenThereIsNoBackendThatLeavesIt) {
    make_web(model::Origin::api, 2);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    ASSERT_TRUE(run(PatchBackend{"web", "b1", R"({"admin": "ready"})", {}}));
    EXPECT_TRUE(web()->spec.deleting);
    // The other one goes as it was asked to.
    connections(2, 0);
    ASSERT_TRUE(eventually([&] { return !web("b2"); }));
    ASSERT_TRUE(eventually([&] { return !web()->spec.deleting; }));
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::ready);
    EXPECT_TRUE(run(PutBackend{"web", backend(2), {}}));
}

TEST_F(LeavingTest, ThatAServiceStaysIsWrittenLaterWhereTheDiskRefusesIt) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    disk.hold();
    Answer ready = submit(*control, PatchBackend{"web", "b1", R"({"admin": "ready"})", {}});
    ASSERT_TRUE(eventually([&] { return disk.queued() > 0; }));
    disk.release_first();
    ASSERT_TRUE(ready.get());
    disk.refuse(base::fail(Errc::no_space, "the disk is full"));
    disk.release();
    ASSERT_TRUE(eventually([&] { return refusals() >= 2; }));
    EXPECT_TRUE(web()->spec.deleting);
    disk.refuse({});
    EXPECT_TRUE(eventually([&] { return !web()->spec.deleting; }));
}

TEST_F(LeavingTest, AServiceStaysAfterAStartThatFindsNoBackendThatLeavesIt) {
    disk.content.revision = 7;
    model::Service leaving = service();
    leaving.deleting = true;
    store::Loaded::BackendRow row;
    row.spec = backend(1);
    disk.content.services.push_back({leaving, 7, model::Origin::api, {row}});
    restart();
    EXPECT_TRUE(eventually([&] { return !web()->spec.deleting; }));
}

// It is drained as by a PATCH, and documents say that of a backend.
TEST_F(LeavingTest, ADocumentMayHaveABackendServeAgainThatLeavesAServiceWhichStays) {
    make_web(model::Origin::api, 2);
    ASSERT_TRUE(run(DeleteBackend{"web", "b1", {}, hour}));
    const auto again = run(PutConfig{config(2), {}, false});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->note, "");
    EXPECT_EQ(web("b1")->spec.admin, model::Admin::ready);
}

TEST_F(LeavingTest, AServiceBeingRemovedTakesNoNewBackend) {
    make_web(model::Origin::api, 1);
    ASSERT_TRUE(run(DeleteService{"web", {}, hour}));
    const auto refused = run(PutBackend{"web", backend(2), {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::exists);
    EXPECT_NE(refused.error().sentence.find("DELETE it without"), std::string::npos);
    EXPECT_TRUE(run(PatchBackend{"web", "b1", R"({"weight": 7})", {}}));
}

}  // namespace
}  // namespace gorb::control::leaving_test
