// Changes that come together end as if they had come one after another: the same answers in the same order,
// the same state, the same table.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <random>

#include "base/log.h"
#include "control/control.h"
#include "ipvs/memory_driver.h"

namespace gorb::control::batch_test {
namespace {

// One control from its start to its stop.
struct World {
    ipvs::MemoryDriver* driver = new ipvs::MemoryDriver;  // owned by the control
    Control control;
    std::vector<std::string> answers;

    explicit World(const plugin::Registry& registry)
        : control(std::unique_ptr<ipvs::Driver>(driver), nullptr, registry, Options{}) {}

    // Written as it is told, which is on the control thread.
    void submit(
        const Change& change, const std::function<void()>& told = [] {}) {
        control.submit(change, [this, told](const base::Result<Outcome>& result) {
            std::string line;
            if (!result) {
                line = "refused " + std::to_string(static_cast<int>(result.error().code)) + " " +
                       result.error().sentence;
                for (const base::Fault& fault : result.error().faults)
                    line += " " + fault.pointer + ":" + fault.what;
            } else {
                line = result->changed ? "changed" : "same";
                if (result->service) {
                    line += " " + result->service->spec.name + "@" +
                            std::to_string(result->service->revision) + result->service->spec.scheduler;
                }
                if (result->backend) {
                    line += " " + result->backend->spec.name + "@" +
                            std::to_string(result->backend->revision) + "w" +
                            std::to_string(result->backend->spec.weight);
                }
            }
            answers.push_back(std::move(line));
            told();
        });
    }

    // What there is in the end, in words.
    std::string end() {
        control.stop();
        std::string text;
        const model::SnapshotPtr now = control.snapshot();
        text += "revision " + std::to_string(now->revision) + "\n";
        now->services.for_each([&](const std::string& name, const model::ServicePtr& service) {
            text += name + " " + service->spec.key.text() + " " + service->spec.scheduler + "\n";
            EXPECT_EQ(service->by_address.size(), service->backends.size());
            uint32_t primaries = 0, up = 0;
            service->backends.for_each([&](const std::string& backend, const model::BackendPtr& entry) {
                EffectiveWeight weight = control.weight_of(*entry);
                explain(weight, service->spec, "");
                text += " " + backend + " " + entry->spec.address.text() + " " +
                        std::to_string(entry->spec.weight) + "/" + std::to_string(weight.effective) + " " +
                        weight.why + (weight.present ? "" : " removed") + "\n";
                const bool ready = entry->spec.admin == model::Admin::ready && entry->spec.weight > 0;
                primaries += ready;
                up += ready && weight.decision.cause == health::Cause::none;
                const auto* by = service->by_address.find(entry->spec.address);
                EXPECT_TRUE(by && *by == entry.get());
            });
            const PoolStatus pool = control.pool_of(service->spec);
            // What was counted one change at a time is what there is.
            EXPECT_EQ(pool.assessment.primaries, primaries);
            EXPECT_EQ(pool.assessment.primaries_up, up);
            text += " " + pool.because + " " + std::to_string(pool.assessment.primaries) + "\n";
        });
        std::vector<std::string> table;
        const auto services = driver->services();
        for (const ipvs::ServiceRecord& service : *services) {
            table.push_back(service.key.text() + " " + service.scheduler);
            const auto dests = driver->dests(service.key);
            for (const ipvs::DestRecord& dest : *dests) {
                table.push_back(service.key.text() + " " + dest.address.text() + " " +
                                std::to_string(dest.weight) + " " + std::to_string(dest.upper_threshold));
            }
        }
        std::ranges::sort(table);
        for (const std::string& line : table) text += line + "\n";
        return text;
    }
};

// Few names and few addresses, so that changes meet each other.
struct Dice {
    std::mt19937_64 random;
    uint64_t roll(uint64_t n) { return random() % n; }

    std::string service() { return "s" + std::to_string(roll(3)); }
    std::string backend() { return "b" + std::to_string(roll(5)); }
    std::optional<Match> match() { return roll(3) == 0 ? std::optional(Match{true, {}}) : std::nullopt; }
    Change change() {
        switch (roll(10)) {
            case 0: {
                PutService put;
                put.service.name = service();
                put.service.key.vip = *base::Endpoint::parse("10.0.0." + std::to_string(1 + roll(4)) + ":80");
                put.service.scheduler = roll(4) == 0 ? "mh" : roll(8) == 0 ? "unknown" : "wrr";
                put.match = match();
                return put;
            }
            case 1:
                return PatchService{service(), roll(2) ? R"({"method": "rr"})" : R"({"method": "wlc"})", {}};
            case 2:
                if (roll(3) == 0) return DeleteService{service(), {}};
                [[fallthrough]];
            case 3:
                return DeleteBackend{service(), backend(), {}};
            case 4:
            case 5:
                return PatchBackend{service(), backend(),
                                    roll(4) == 0   ? R"({"admin": "maint"})"
                                    : roll(4) == 0 ? R"({"admin": "ready", "upper-threshold": 9})"
                                                   : R"({"weight": )" + std::to_string(10 * roll(4)) + "}",
                                    match()};
            default: {
                PutBackend put;
                put.service = service();
                put.backend.name = backend();
                put.backend.address = *base::Endpoint::parse("10.1.0." + std::to_string(1 + roll(7)) + ":80");
                put.backend.weight = static_cast<uint32_t>(100 * (1 + roll(2)));
                model::PulseSpec pulse;
                pulse.type = roll(20) == 0 ? "missing" : "none";
                pulse.initial = roll(2) ? model::Initial::up : model::Initial::unknown;
                put.backend.pulses = model::PulseList({pulse});
                put.match = match();
                return put;
            }
        }
    }
};

// Each takes four threads, of which a sanitizer's are ten times as slow to make.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t seeds = 200;
#else
constexpr uint64_t seeds = 2'000;
#endif

TEST(Batches, ChangesThatComeTogetherEndAsIfTheyHadComeOneByOne) {
    base::set_log_level(base::LogLevel::error);
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    size_t changed = 0, refused = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        Dice dice{std::mt19937_64(seed)};
        std::vector<Change> changes;
        for (uint64_t i = 0; i < 3; ++i) {
            PutService put;
            put.service.name = "s" + std::to_string(i);
            put.service.key.vip = *base::Endpoint::parse("10.0.0." + std::to_string(1 + i) + ":80");
            if (dice.roll(5) > 0) changes.emplace_back(put);
        }
        for (uint64_t i = 5 + dice.roll(30); i > 0; --i) changes.push_back(dice.change());
        // Sometimes there is an address that the kernel refuses.
        World together(registry), single(registry);
        const bool refuses = dice.roll(4) == 0;
        for (World* world : {&together, &single}) {
            if (!refuses) continue;
            world->driver->set_hook([](const ipvs::Op& op, uint64_t) {
                const bool adds = op.kind == ipvs::Op::Kind::add_dest;
                return adds && op.dest.address.ip.bytes[3] == 3 ? ENOMEM : 0;
            });
        }
        for (const Change& change : changes) together.submit(change);
        together.control.start();
        single.control.start();
        for (const Change& change : changes) {
            std::promise<void> told;
            single.submit(change, [&] { told.set_value(); });
            ASSERT_EQ(told.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
        }
        ASSERT_EQ(together.end(), single.end()) << "seed " << seed;
        ASSERT_EQ(together.answers, single.answers) << "seed " << seed;
        for (const std::string& answer : single.answers) {
            changed += answer.starts_with("changed");
            refused += answer.starts_with("refused");
        }
    }
    base::set_log_level(base::LogLevel::info);
    EXPECT_GT(changed, seeds * 5);
    EXPECT_GT(refused, seeds * 5 / 2);
}

TEST(Batches, BackendsOfOneServiceThatComeTogetherAreOneBatch) {
    // Counted by who asks the driver: one apply() for all of them.
    struct Counting final : ipvs::Driver {
        ipvs::MemoryDriver table;
        size_t* calls;
        explicit Counting(size_t* n) : calls(n) {}
        base::Result<ipvs::Info> info() override { return table.info(); }
        base::Result<std::vector<ipvs::ServiceRecord>> services() override { return table.services(); }
        base::Result<std::optional<ipvs::ServiceRecord>> service(const ipvs::ServiceKey& key) override {
            return table.service(key);
        }
        base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& key) override {
            return table.dests(key);
        }
        std::vector<base::Status> apply(std::span<const ipvs::Op> ops) override {
            ++*calls;
            return table.apply(ops);
        }
        base::Status flush() override { return table.flush(); }
        base::Result<std::vector<std::string>> probe_schedulers(
            std::span<const std::string_view> names) override {
            return table.probe_schedulers(names);
        }
    };
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    size_t calls = 0, done = 0;
    Control control(std::make_unique<Counting>(&calls), nullptr, registry, Options{});
    const auto count = [&](const base::Result<Outcome>& result) { done += result ? 1 : 0; };
    PutService service;
    service.service.name = "web";
    service.service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
    control.submit(service, count);
    for (int i = 0; i < 200; ++i) {
        PutBackend put;
        put.service = "web";
        put.backend.name = "b" + std::to_string(i);
        put.backend.address = *base::Endpoint::parse("10.1.0." + std::to_string(1 + i) + ":80");
        model::PulseSpec pulse;
        pulse.type = "none";
        put.backend.pulses = model::PulseList({pulse});
        control.submit(put, count);
    }
    control.start();
    control.stop();
    EXPECT_EQ(done, 201U);
    EXPECT_EQ(calls, 2U);  // the service, then its backends
}

}  // namespace
}  // namespace gorb::control::batch_test
