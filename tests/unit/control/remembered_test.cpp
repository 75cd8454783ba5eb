// What is remembered of a backend's health, for the next start.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::remembered_test {
namespace {

struct RememberedTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    RememberedTest() {
        registry.load({GORB_PLUGINS});
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry,
                                            Options(), std::make_unique<FakeDatabase>(disk));
        EXPECT_TRUE(control->start());
        run(PutService{service("web", "10.0.0.1:80"), {}});
    }
    void run(Change change) {
        const auto answer = submit(*control, std::move(change)).get();
        ASSERT_TRUE(answer) << answer.error().sentence;
    }
    void tell(health::State state, uint64_t since) {
        const auto now = control->snapshot();
        const auto id = (*(*now->services.find("web"))->backends.find("b1"))->id;
        const health::Changed changed{id, state, 100, 1, since, "as the test says"};
        control->health_changed({&changed, 1});
    }
    // What was written of it last. The control does that by itself, within a second.
    bool comes(const store::Health::State state, bool unproven) {
        for (int i = 0; i < 20'000; ++i) {
            {
                const std::lock_guard lock(disk.mutex);
                for (auto write = disk.written.rbegin(); write != disk.written.rend(); ++write) {
                    if (write->health.empty()) continue;
                    const store::Health& last = write->health.back().second;
                    if (last.state == state && last.unproven() == unproven) return true;
                    break;
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
};

TEST_F(RememberedTest, ItsState) {
    run(PutBackend{"web", backend("b1", "10.1.0.1:80"), {}});
    tell(health::State::up, 1);
    EXPECT_TRUE(comes(store::Health::State::up, false));
    tell(health::State::down, 2);
    EXPECT_TRUE(comes(store::Health::State::down, false));
}

// It is no change of state that tells of it: the next start would let it in as one that has come back.
TEST_F(RememberedTest, ThatItBeganUp) {
    model::Backend spec = backend("b1", "10.1.0.1:80");
    model::PulseSpec pulse;
    pulse.type = "none";
    pulse.initial = model::Initial::up;
    spec.pulses = model::PulseList({pulse});
    run(PutBackend{"web", spec, {}});
    EXPECT_TRUE(comes(store::Health::State::up, false));
    // Nor does another address let it be forgotten.
    spec.address = *base::Endpoint::parse("10.1.0.2:80");
    run(PutBackend{"web", spec, Match{true, {}}});
    EXPECT_TRUE(comes(store::Health::State::up, false));
}

}  // namespace
}  // namespace gorb::control::remembered_test
