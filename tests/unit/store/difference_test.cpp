#include "store/difference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "store/transitions.h"

namespace gorb::store::difference_test {
namespace {

model::Service service(const std::string& name, const std::string& vip) {
    model::Service s;
    s.name = name;
    s.key.vip = *base::Endpoint::parse(vip);
    return s;
}
model::Backend backend(const std::string& name, const std::string& address, uint32_t weight = 100) {
    model::Backend b;
    b.name = name;
    b.address = *base::Endpoint::parse(address);
    b.weight = weight;
    return b;
}

const model::ConfigService& find(const model::Config& config, const std::string& name) {
    for (const auto& s : config.services) {
        if (s.spec.name == name) return s;
    }
    throw std::logic_error("no " + name);
}
const model::Backend& find(const model::Config& config, const std::pair<std::string, std::string>& name) {
    for (const auto& b : find(config, name.first).backends) {
        if (b.name == name.second) return b;
    }
    throw std::logic_error("no " + name.second);
}

model::Snapshot applied(model::Snapshot now, const Difference& d, const model::Config& wanted) {
    model::BackendId id = 1000;
    for (const auto& [s, b] : d.drop_backends) now = without_backend(now, s, b, now.revision + 1);
    for (const auto& s : d.drop_services) now = without_service(now, s, now.revision + 1);
    for (const auto* names : {&d.edit_services, &d.add_services}) {
        for (const auto& s : *names) {
            model::ServiceEntry row;
            row.spec = find(wanted, s).spec;
            row.revision = now.revision + 1;
            now = with_service(now, row);
        }
    }
    for (const auto* names : {&d.edit_backends, &d.add_backends}) {
        for (const auto& b : *names) {
            now = with_backend(now, b.first,
                               std::make_shared<const model::BackendEntry>(
                                   model::BackendEntry{find(wanted, b), ++id, now.revision + 1}));
        }
    }
    return now;
}

model::Config config_of(const model::Snapshot& now) {
    model::Config out;
    now.services.for_each([&](const std::string&, const model::ServicePtr& s) {
        out.services.push_back({s->spec, {}});
        s->backends.for_each([&](const std::string&, const model::BackendPtr& b) {
            out.services.back().backends.push_back(b->spec);
        });
    });
    return out;
}

// The indexes beside the objects say the same as they do.
void expect_sound(const model::Snapshot& now) {
    EXPECT_EQ(now.by_key.size(), now.services.size());
    now.services.for_each([&](const std::string& name, const model::ServicePtr& s) {
        const std::string* owner = now.by_key.find(s->spec.key);
        ASSERT_TRUE(owner);
        EXPECT_EQ(*owner, name);
        EXPECT_EQ(s->by_address.size(), s->backends.size());
        s->backends.for_each([&](const std::string&, const model::BackendPtr& b) {
            const auto* at = s->by_address.find(b->spec.address);
            ASSERT_TRUE(at);
            EXPECT_EQ(*at, b.get());
        });
    });
}

model::Snapshot snapshot_of(const model::Config& config) {
    return applied({}, difference({}, config), config);
}

using Names = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(Difference, EachKindOfChangeIsNamedOnce) {
    const model::Config now{
        {{service("a", "10.0.0.1:80"),
          {backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80"), backend("b4", "10.1.0.4:80")}},
         {service("c", "10.0.0.3:80"), {backend("b1", "10.1.0.1:80")}},
         {service("d", "10.0.0.4:80"), {}}}};
    model::Config wanted{
        {{service("a", "10.0.0.1:80"),
          {backend("b1", "10.1.0.1:80", 7), backend("b2", "10.1.0.2:80"), backend("b3", "10.1.0.3:80")}},
         {service("b", "10.0.0.2:80"), {backend("b1", "10.1.0.1:80")}},
         {service("d", "10.0.0.4:80"), {backend("b1", "10.1.0.1:80")}}}};
    wanted.services[2].spec.scheduler = "rr";
    const Difference d = difference(snapshot_of(now), wanted);
    EXPECT_EQ(d.add_services, Names{"b"});
    EXPECT_EQ(d.edit_services, Names{"d"});
    EXPECT_EQ(d.drop_services, Names{"c"});
    EXPECT_EQ(d.add_backends, (Pairs{{"a", "b3"}, {"b", "b1"}, {"d", "b1"}}));
    EXPECT_EQ(d.edit_backends, (Pairs{{"a", "b1"}}));
    EXPECT_EQ(d.drop_backends, (Pairs{{"a", "b4"}, {"c", "b1"}}));
    EXPECT_FALSE(d.empty());
    EXPECT_TRUE(difference(snapshot_of(wanted), wanted).empty());
}

TEST(Difference, WhatDoesNotConcernItIsNotDropped) {
    const model::Config now{
        {{service("a", "10.0.0.1:80"), {backend("b1", "10.1.0.1:80")}}, {service("b", "10.0.0.2:80"), {}}}};
    const Difference d =
        difference(snapshot_of(now), {}, [](const model::ServiceEntry& s) { return s.spec.name == "b"; });
    EXPECT_EQ(d.drop_services, Names{"b"});
    EXPECT_TRUE(d.drop_backends.empty());
}

TEST(Difference, TwoServicesExchangeTheirKeysAndTwoBackendsTheirAddresses) {
    const model::Config now{
        {{service("a", "10.0.0.1:80"), {backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80")}},
         {service("b", "10.0.0.2:80"), {}}}};
    const model::Config wanted{
        {{service("a", "10.0.0.2:80"), {backend("b1", "10.1.0.2:80"), backend("b2", "10.1.0.1:80")}},
         {service("b", "10.0.0.1:80"), {}}}};
    const model::Snapshot from = snapshot_of(now);
    const model::Snapshot to = applied(from, difference(from, wanted), wanted);
    EXPECT_EQ(config_of(to), wanted);
    expect_sound(to);
}

model::Config random_config(std::mt19937_64& random) {
    // Names and keys are dealt out anew each time, so that they change owners.
    std::vector<int> keys = {0, 1, 2, 3, 4, 5, 6, 7};
    std::shuffle(keys.begin(), keys.end(), random);
    model::Config out;
    for (size_t i = 0; i < 6; ++i) {
        if (random() % 3 == 0) continue;
        model::ConfigService s{
            service("s" + std::to_string(i), "10.0.0." + std::to_string(keys[i] / 2 + 1) + ":80"), {}};
        if (keys[i] % 2) s.spec.key.protocol = model::Protocol::udp;
        if (random() % 4 == 0) s.spec.scheduler = "rr";
        std::vector<int> addresses = {1, 2, 3, 4, 5, 6};
        if (random() % 2) std::shuffle(addresses.begin(), addresses.end(), random);
        for (size_t j = 0; j < 5; ++j) {
            if (random() % 3 == 0) continue;
            s.backends.push_back(backend("b" + std::to_string(j),
                                         "10.1.0." + std::to_string(addresses[j]) + ":80",
                                         random() % 3 ? 100 : 50));
        }
        out.services.push_back(std::move(s));
    }
    return out;
}

TEST(Difference, AppliedToAnyStateItGivesExactlyTheWantedOne) {
    std::mt19937_64 random(4);
    model::Snapshot now;
    for (int i = 0; i < 5'000; ++i) {
        const model::Config wanted = random_config(random);
        now = applied(now, difference(now, wanted), wanted);
        ASSERT_EQ(config_of(now), wanted) << "step " << i << " of seed 4";
        expect_sound(now);
        ASSERT_FALSE(testing::Test::HasFailure()) << "step " << i << " of seed 4";
        ASSERT_TRUE(difference(now, wanted).empty());
    }
}

}  // namespace
}  // namespace gorb::store::difference_test
