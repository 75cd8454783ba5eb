// Thousands of weights at once, which are told to the kernel in parts.
#include "control/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "control/slots.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control::weights_test {
namespace {

using health::State;
using OpKind = ipvs::Op::Kind;

constexpr model::BackendId backends = 9000;

base::Endpoint address_of(model::BackendId id) {
    return *base::Endpoint::parse("10.1." + std::to_string(id / 250) + "." + std::to_string(1 + id % 250) +
                                  ":80");
}

struct WeightsTest : testing::Test {
    base::ManualClock clock{1000 * base::second};
    ipvs::MemoryDriver driver;
    reconcile::Applier applier{driver, clock};
    Slots slots;
    Weights weights{slots,
                    {&applier, &clock, [](model::BackendId) { return std::optional<health::View>(); }}};
    store::Builder builder;
    model::SnapshotPtr now;

    void add(const model::Service& service) {
        EXPECT_TRUE(driver.apply(std::vector{ipvs::Op::add(reconcile::service_record(service))}).back());
        builder.add(service, 1, model::Origin::api);
    }
    // To the service added last.
    void add(const std::string& service, model::BackendId id, State state) {
        auto entry = std::make_shared<model::BackendEntry>();
        entry->id = id;
        entry->spec.name = "b" + std::to_string(id);
        entry->spec.address = address_of(id);
        builder.add(model::BackendPtr(entry));
        Slot slot;
        slot.member.id = id;
        slot.member.configured = 100;
        slot.member.state = state;
        slot.service = slots.name_of(service);
        slot.backend = entry;
        slots.put(std::move(slot));
    }
    void settle_all() {
        now = std::make_shared<const model::Snapshot>(builder.finish(1));
        now->services.for_each(
            [this](const std::string& name, const model::ServicePtr&) { weights.mark(name); });
        weights.settle(*now);
    }
};

// web with its backends, all up and with a weight of 100 in the table.
struct ManyWeightsTest : WeightsTest {
    std::vector<ipvs::Op> asked;

    ManyWeightsTest() {
        model::Service service;
        service.name = "web";
        service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
        service.pool.on_down = model::OnDown::remove;
        add(service);
        for (model::BackendId id = 1; id <= backends; ++id) add("web", id, State::up);
        settle_all();
    }
    // Each of them another weight than it has, but for one that goes down.
    void change(model::BackendId down) {
        for (model::BackendId id = 1; id <= backends; ++id) {
            slots.find(id)->member.configured = 7;
            weights.mark("web", id);
        }
        weights.health_changed({down, State::down, 100, 1, clock.now(), ""});
    }
    // Refuses the weight of one of them.
    void watch(model::BackendId refused = 0) {
        driver.set_hook([this, refused](const ipvs::Op& op, uint64_t) {
            asked.push_back(op);
            return refused != 0 && op.dest.address == address_of(refused) ? ENOMEM : 0;
        });
    }
};

TEST_F(ManyWeightsTest, AreAllSetAndWhatGoesGoesLast) {
    watch();
    change(3);
    EXPECT_TRUE(weights.settle(*now).empty());
    ASSERT_EQ(asked.size(), backends);
    EXPECT_EQ(asked.back().kind, OpKind::remove_dest);
    EXPECT_EQ(asked.back().dest.address, address_of(3));
    asked.pop_back();
    EXPECT_TRUE(std::ranges::all_of(asked, [](const ipvs::Op& op) { return op.kind == OpKind::edit_dest; }));
    for (model::BackendId id = 1; id <= backends; ++id) {
        const Slots::Published shown = slots.published(id);
        ASSERT_EQ(shown.present, id != 3) << id;
        ASSERT_EQ(shown.weight, id == 3 ? 0U : 7U) << id;
    }
}

TEST_F(ManyWeightsTest, WhatIsToldOfTheAddressThatABackendHadBeforeIsNotOfTheOneItHasNow) {
    slots.find(3)->member.since = clock.now();
    const health::Changed before{3, State::down, 100, 1, clock.now() - 1, ""};
    weights.health_changed(before);
    weights.settle(*now);
    EXPECT_TRUE(slots.published(3).present);
    EXPECT_EQ(slots.find(3)->member.state, State::up);
}

TEST_F(ManyWeightsTest, OneThatIsRefusedIsAskedOnceAndStopsNoneOfTheOthers) {
    watch(5);
    change(3);
    weights.settle(*now);
    EXPECT_EQ(asked.size(), backends);
    EXPECT_EQ(slots.published(5).weight, 100U);
    EXPECT_NE(slots.published(5).not_applied, "");
    EXPECT_EQ(slots.published(backends).weight, 7U);
    EXPECT_FALSE(slots.published(3).present);

    asked.clear();
    driver.set_hook({});
    clock.advance(weights.next() - clock.now());
    weights.settle(*now);
    EXPECT_EQ(slots.published(5).weight, 7U);
    EXPECT_EQ(slots.published(5).not_applied, "");
    EXPECT_EQ(weights.next(), 0U);
}

TEST_F(ManyWeightsTest, AServiceThatSomebodyRemovedMeanwhileIsToldOfOnce) {
    // In the second part: what is in the table of the first is gone again.
    size_t seen = 0;
    driver.set_hook([&](const ipvs::Op&, uint64_t) {
        if (++seen == 8500) {
            const auto services = driver.services();
            driver.apply(std::vector{ipvs::Op::remove(services->front().key)});
        }
        return 0;
    });
    change(3);
    EXPECT_EQ(weights.settle(*now), std::vector<std::string>{"web"});
    EXPECT_EQ(driver.services()->size(), 1U);
    EXPECT_EQ(slots.published(backends).weight, 7U);
}

// As when gorbd has lost the right to change the table.
TEST_F(ManyWeightsTest, OfThousandsThatAreRefusedTheLogHasSomeAndSaysThatThereAreMore) {
    clock.advance(2 * base::second);
    driver.fail_all(EPERM);
    change(3);
    testing::internal::CaptureStderr();
    weights.settle(*now);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::ranges::count(log, '\n'), 101);
    EXPECT_NE(log.find("more weights could not be set"), std::string::npos);
    EXPECT_NE(slots.published(backends).not_applied, "");
}

// At a start all of them come up within a moment.
TEST_F(WeightsTest, OfThousandsOfServicesThatComeUpTheLogHasSomeAndAllThatGoDown) {
    constexpr model::BackendId services = 1000;
    for (model::BackendId id = 1; id <= services; ++id) {
        model::Service service;
        service.name = "web" + std::to_string(10'000 + id);  // ascending
        service.key.vip = address_of(id);
        add(service);
        add(service.name, id, id == services ? State::up : State::down);
    }
    settle_all();
    clock.advance(2 * base::second);
    for (model::BackendId id = 1; id <= services; ++id)
        weights.health_changed({id, id == services ? State::down : State::up, 100, 1, clock.now(), ""});
    testing::internal::CaptureStderr();
    weights.settle(*now);
    const std::string log = testing::internal::GetCapturedStderr();
    const auto count = [&log](std::string_view words) {
        size_t n = 0;
        for (size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++n;
        return n;
    };
    EXPECT_EQ(count("virtual service is up"), 100U);
    EXPECT_EQ(count("more virtual services change their state"), 1U);
    EXPECT_EQ(count("virtual service is down"), 1U);
}

// What the log has of services whose backends begin like that.
struct FirstLookTest : WeightsTest {
    model::Service service;
    FirstLookTest() {
        service.name = "web";
        service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
    }
    std::string first_look(std::initializer_list<State> states) {
        testing::internal::CaptureStderr();
        add(service);
        model::BackendId id = 0;
        for (const State state : states) add("web", ++id, state);
        settle_all();
        return testing::internal::GetCapturedStderr();
    }
    std::string becomes(model::BackendId id, State state) {
        testing::internal::CaptureStderr();
        weights.health_changed({id, state, 100, 1, clock.now(), ""});
        weights.settle(*now);
        return testing::internal::GetCapturedStderr();
    }
    static bool has(const std::string& log, std::string_view words) {
        return log.find(words) != std::string::npos;
    }
};

TEST_F(FirstLookTest, AServiceThatIsDownFromTheBeginningIsInTheLog) {
    EXPECT_TRUE(has(first_look({State::down, State::down}), "virtual service is down"));
    EXPECT_FALSE(has(becomes(1, State::down), "virtual service"));
    EXPECT_TRUE(has(becomes(1, State::up), "virtual service is up"));
}

TEST_F(FirstLookTest, OneThatWaitsForItsFirstChecksIsInTheLogWhenTheyHaveSaidSo) {
    EXPECT_FALSE(has(first_look({State::unknown, State::unknown}), "virtual service"));
    EXPECT_FALSE(has(becomes(1, State::down), "virtual service"));
    EXPECT_TRUE(has(becomes(2, State::down), "virtual service is down"));
    EXPECT_FALSE(has(becomes(2, State::down), "virtual service"));
}

TEST_F(FirstLookTest, NeitherIsAnEmptyOneNorOneThatIsUp) {
    EXPECT_EQ(first_look({}), "");
    service.name = "shop";
    service.key.vip = *base::Endpoint::parse("10.0.0.2:80");
    testing::internal::CaptureStderr();
    add(service);
    add("shop", 1, State::up);
    settle_all();
    EXPECT_FALSE(has(testing::internal::GetCapturedStderr(), "virtual service"));
}

TEST_F(FirstLookTest, ThatPanicIsOverIsNotSaidToMeanThatEnoughAreUp) {
    service.pool.panic_threshold = 50;
    EXPECT_TRUE(has(first_look({State::down, State::down}), "too few backends are up"));
    service.pool.panic_threshold = 0;
    builder = {};
    builder.add(service, 2, model::Origin::api);
    testing::internal::CaptureStderr();
    for (const model::BackendId id : {1U, 2U}) builder.add(slots.find(id)->backend);
    settle_all();
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(has(log, "panic is over: backends that are down stop serving")) << log;
    EXPECT_FALSE(has(log, "enough"));
}

}  // namespace
}  // namespace gorb::control::weights_test
