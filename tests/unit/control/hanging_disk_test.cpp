// The control's two threads: one may hang on the disk, and the other one does all the rest.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "store/work_alone.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::hanging_disk_test {
namespace {

struct Disk {
    std::mutex mutex;
    std::condition_variable changed;
    bool hangs = false;
    size_t inside = 0;  // threads that it has
    size_t writes = 0;
    std::set<std::thread::id> workers;
    std::thread::id last;

    void hang(bool on) {
        {
            const std::lock_guard lock(mutex);
            hangs = on;
        }
        changed.notify_all();
    }
    void wait_until_it_has_one() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return inside > 0; });
    }
};

// Whoever works on it stays until the disk hangs no more.
class HangingDatabase final : public store::Database {
  public:
    explicit HangingDatabase(Disk& disk) : disk_(&disk) {}
    base::Result<store::Loaded> load() override { return store::Loaded{}; }
    bool work() override {
        return store::work_alone(
            working_, [this] { return work_once(); }, [this] { return queued(); });
    }
    void write(store::Write, Done done) override { give(std::move(done)); }
    void check_file(Done done) override { give(std::move(done)); }
    bool lost() const override { return false; }
    void rewrite(store::Loaded, Done done) override { give(std::move(done)); }
    Status status() const override { return {}; }

  private:
    bool queued() {
        const std::lock_guard lock(disk_->mutex);
        return !waiting_.empty();
    }
    bool work_once() {
        std::unique_lock lock(disk_->mutex);
        if (waiting_.empty()) return false;
        const Done done = std::move(waiting_.front());
        waiting_.pop_front();
        ++disk_->inside;
        disk_->workers.insert(disk_->last = std::this_thread::get_id());
        disk_->changed.notify_all();
        disk_->changed.wait(lock, [this] { return !disk_->hangs; });
        --disk_->inside;
        ++disk_->writes;
        lock.unlock();
        done({});
        return true;
    }
    void give(Done done) {
        const std::lock_guard lock(disk_->mutex);
        waiting_.push_back(std::move(done));
    }
    Disk* disk_;
    std::mutex working_;
    std::deque<Done> waiting_;
};

struct HangingDiskTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    HangingDiskTest() {
        registry.load({GORB_PLUGINS});
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry,
                                            Options{}, std::make_unique<HangingDatabase>(disk));
        EXPECT_TRUE(control->start());
        EXPECT_TRUE(submit(PutService{service("web", "10.0.0.1:80"), {}}).get());
        EXPECT_TRUE(submit(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}).get());
    }
    ~HangingDiskTest() override {
        disk.hang(false);
        control.reset();
    }
    Answer submit(Change change) { return control::submit(*control, std::move(change)); }
    // A change that is left to this thread, which helps: one that comes while the control has a turn is not.
    Answer submit_own(const std::string& patch) {
        for (int i = 0; i < 1'000; ++i) {
            Answer answer = submit(PatchBackend{"web", "b1", patch, {}});
            if (control->own() > 0) return answer;
            EXPECT_TRUE(answer.get());
        }
        ADD_FAILURE() << "nothing is left to the one that helps";
        return {};
    }
    void tell(health::State state) {
        const auto now = control->snapshot();
        const auto id = (*(*now->services.find("web"))->backends.find("b1"))->id;
        const health::Changed changed{id, state, 100, 1, 1, "as the test says"};
        control->health_changed({&changed, 1});
    }
    // Until the table has this weight of b1: another thread sees to it.
    bool weighs(uint32_t weight) {
        for (int i = 0; i < 20'000; ++i) {
            const auto dests = table.dests(key("10.0.0.1:80"));
            if (dests && dests->size() == 1 && dests->front().weight == weight) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
};

TEST_F(HangingDiskTest, HasOneThreadAndTheOtherGivesWeightsAndAnswers) {
    tell(health::State::up);
    ASSERT_TRUE(weighs(100));
    disk.hang(true);
    Answer held = submit(PatchBackend{"web", "b1", R"({"weight": 50})", {}});
    disk.wait_until_it_has_one();
    for (int i = 0; i < 20; ++i) {
        tell(health::State::down);
        ASSERT_TRUE(weighs(0));
        tell(health::State::up);
        ASSERT_TRUE(weighs(100));
        std::promise<size_t> asked;
        control->ownership([&asked](const base::Result<Ownership>& now) {
            asked.set_value(now ? now->snapshot->services.size() : 0);
        });
        ASSERT_EQ(asked.get_future().get(), 1U);
    }
    // What came later waits for the disk as well, and both are done in their order once it is back.
    Answer later = submit(PatchBackend{"web", "b1", R"({"weight": 60})", {}});
    EXPECT_EQ(held.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    EXPECT_EQ(later.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    {
        const std::lock_guard lock(disk.mutex);
        EXPECT_EQ(disk.inside, 1U);
    }
    disk.hang(false);
    ASSERT_TRUE(held.get());
    ASSERT_TRUE(later.get());
    EXPECT_TRUE(weighs(60));
}

// Who helps does what it has submitted by itself, to the answer.
TEST_F(HangingDiskTest, IsWaitedForByTheOneThatHelps) {
    control->helps();
    const auto me = std::this_thread::get_id();
    // Whoever of the two has something else to do takes it along, so it may take a few.
    for (int i = 0; i < 1'000 && !disk.workers.contains(me); ++i) {
        Answer answer = submit_own(R"({"weight": )" + std::to_string(i) + "}");
        control->help();
        EXPECT_TRUE(answer.get());
    }
    EXPECT_TRUE(disk.workers.contains(me));
    EXPECT_EQ(control->own(), 0U);
    // A change of another kind is not left to it.
    EXPECT_TRUE(submit(PutService{service("api", "10.0.0.2:80"), {}}).get());
}

TEST_F(HangingDiskTest, HasTheOneThatHelpsAndTheTwoGoOn) {
    tell(health::State::up);
    ASSERT_TRUE(weighs(100));
    Answer held;
    std::thread helper([&] {
        control->helps();
        held = submit_own(R"({"weight": 50})");
        disk.hang(true);
        control->help();
    });
    disk.wait_until_it_has_one();
    tell(health::State::down);
    ASSERT_TRUE(weighs(0));
    // What others ask for meanwhile is done once it is back, and not by the one that helps: it may be large.
    Answer later = submit(PatchBackend{"web", "b1", R"({"weight": 60})", {}});
    EXPECT_EQ(later.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    const std::thread::id helper_id = helper.get_id();
    disk.hang(false);
    helper.join();
    EXPECT_TRUE(held.get());
    EXPECT_TRUE(later.get());
    {
        const std::lock_guard lock(disk.mutex);
        EXPECT_TRUE(disk.workers.contains(helper_id));
        EXPECT_NE(disk.last, helper_id);
    }
    tell(health::State::up);
    EXPECT_TRUE(weighs(60));
}

TEST_F(HangingDiskTest, StopWaitsForWhatItHas) {
    disk.hang(true);
    Answer held = submit(PatchBackend{"web", "b1", R"({"weight": 50})", {}});
    disk.wait_until_it_has_one();
    std::thread back([this] { disk.hang(false); });
    control->stop();
    back.join();
    EXPECT_TRUE(held.get());
    EXPECT_EQ((*(*control->snapshot()->services.find("web"))->backends.find("b1"))->spec.weight, 50U);
}

// Says how often it was asked, which each turn does.
class CountingClock final : public base::Clock {
  public:
    uint64_t now() const override {
        ++asked;
        return system.now();
    }
    int64_t wall() const override { return system.wall(); }

    base::SystemClock system;
    mutable std::atomic<uint64_t> asked{0};
};

// Rounds are due all the time, and none is begun any more.
TEST_F(HangingDiskTest, StopTakesNoTurnsForRounds) {
    CountingClock clock;
    Options options;
    options.clock = &clock;
    options.reconcile_period_ns = 1'000;
    control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                        std::make_unique<HangingDatabase>(disk));
    ASSERT_TRUE(control->start());
    disk.hang(true);
    Answer held = submit(PutService{service("api", "10.0.0.2:80"), {}});
    disk.wait_until_it_has_one();
    std::thread stop([this] { control->stop(); });
    const auto closed = [this] {
        std::promise<bool> refused;
        control->ownership([&refused](const base::Result<Ownership>& now) { refused.set_value(!now); });
        return refused.get_future().get();
    };
    while (!closed()) {
    }
    const uint64_t before = clock.asked;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_LT(clock.asked - before, 500U);
    disk.hang(false);
    stop.join();
    EXPECT_TRUE(held.get());
}

// A ramp goes on for as long as a change is waited for, and not while the disk alone is.
TEST_F(HangingDiskTest, StopTakesNoTurnsForWhatItDoesNotDoAnyMore) {
    CountingClock clock;
    Options options;
    options.clock = &clock;
    options.reconcile_period_ns = 1'000;
    control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                        std::make_unique<HangingDatabase>(disk));
    ASSERT_TRUE(control->start());
    model::Service ramps = service("api", "10.0.0.2:80");
    ramps.pool.recovery = model::Recovery::ramp;
    ramps.pool.slow_start = std::chrono::seconds(1);  // in two steps
    ASSERT_TRUE(submit(PutService{ramps, {}}).get());
    ASSERT_TRUE(submit(PutBackend{"api", backend("b1", "10.1.0.1:80"), {}}).get());
    const auto id = (*(*control->snapshot()->services.find("api"))->backends.find("b1"))->id;
    const health::Changed changed{id, health::State::up, 100, 1, clock.now(), "as the test says"};
    disk.hang(true);
    control->health_changed({&changed, 1});
    std::thread stop([this] { control->stop(); });
    disk.wait_until_it_has_one();
    const auto weight = [this] { return table.dests(key("10.0.0.2:80"))->front().weight; };
    while (weight() == 0) std::this_thread::yield();
    const uint32_t began_with = weight();
    const uint64_t before = clock.asked;
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    EXPECT_EQ(weight(), began_with);
    EXPECT_LT(clock.asked - before, 100U);
    disk.hang(false);
    stop.join();
}

// However turns and writing meet, and whoever of the two does which.
TEST_F(HangingDiskTest, ManyWritersAreAllAnsweredByTwoThreads) {
    std::vector<std::thread> writers;
    writers.reserve(4);
    std::atomic<int> good{0};
    for (int w = 0; w < 4; ++w) {
        writers.emplace_back([&, w] {
            const std::string name = "w" + std::to_string(w);
            for (int i = 0; i < 200; ++i) {
                const std::string address = "10.2.0." + std::to_string(w + 1) + ":80";
                if (submit(PutBackend{"web", backend(name, address), {}}).get()) ++good;
                if (submit(DeleteBackend{"web", name, {}, base::Nanos(0)}).get()) ++good;
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(good, 4 * 200 * 2);
    const std::lock_guard lock(disk.mutex);
    EXPECT_LE(disk.workers.size(), 3U);  // the test's own as well, which started it
}

}  // namespace
}  // namespace gorb::control::hanging_disk_test
