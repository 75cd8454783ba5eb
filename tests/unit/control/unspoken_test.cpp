// What gorb has no words for (a tunnel's type, a persistence engine, one-packet scheduling) and what was
// adopted has: it comes back with the entry, whoever removed that.
#include <gtest/gtest.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <algorithm>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::unspoken_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:5060", other_vip[] = "10.0.0.2:5060", server[] = "10.1.0.1:5060";

// A service that somebody made with words that gorb has not, adopted as "sip".
struct UnspokenTest : testing::Test {
    ipvs::MemoryDriver table;
    plugin::Registry registry;
    std::unique_ptr<Control> control;
    ipvs::ServiceRecord service;
    ipvs::DestRecord dest;

    UnspokenTest() {
        registry.load({GORB_PLUGINS});
        service.key = ipvs::ServiceKey::of(IPPROTO_UDP, *base::Endpoint::parse(vip));
        service.scheduler = "wrr";
        service.netmask = 32;
        service.flags = IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_ONEPACKET;
        service.timeout_s = 300;
        service.pe_name = "sip";
        dest.address = *base::Endpoint::parse(server);
        dest.forwarding = IP_VS_CONN_F_TUNNEL;
        dest.weight = 100;
        dest.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
        dest.tunnel_port = 6080;
    }
    void SetUp() override {
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options);
        ASSERT_TRUE(control->start());
        ASSERT_TRUE(done(Op::add(service)) && done(Op::add(service.key, dest)));
        ASSERT_TRUE(submit(*control, Adopt{service.key, "sip", backend("", "10.1.0.1:5060").pulses}).get());
    }
    bool done(const Op& op) { return bool(table.apply(std::vector{op}).front()); }
    model::ServicePtr entry() const { return *control->snapshot()->services.find("sip"); }
    void becomes(health::State state) {
        model::BackendId id = 0;
        entry()->backends.for_each([&](const auto&, const model::BackendPtr& b) { id = b->id; });
        const health::Changed change{id, state, 100, 1, ++since_, ""};
        control->health_changed({&change, 1});
        ASSERT_TRUE(look(*control));
    }
    void expect_as_it_was(const ipvs::ServiceKey& key) {
        const auto found = table.service(key);
        ASSERT_TRUE(found && *found);
        ipvs::ServiceRecord wanted = service;
        wanted.key = key;
        EXPECT_TRUE((**found).same_settings(wanted));
        const auto dests = table.dests(key);
        ASSERT_EQ(dests->size(), 1U);
        EXPECT_TRUE(dests->front().same_settings(dest));
    }

  private:
    uint64_t since_ = 1;
};

TEST_F(UnspokenTest, AServiceThatSomebodyRemovedComesBackWithIt) {
    ASSERT_TRUE(done(Op::remove(service.key)));
    ASSERT_TRUE(look(*control));
    expect_as_it_was(service.key);
}

TEST_F(UnspokenTest, ADestinationThatSomebodyRemovedOrForwardsOtherwiseComesBackWithIt) {
    ASSERT_TRUE(done(Op::remove(service.key, dest.address)));
    ASSERT_TRUE(look(*control));
    expect_as_it_was(service.key);
    ipvs::DestRecord routed = dest;
    routed.forwarding = IP_VS_CONN_F_DROUTE;
    routed.tunnel_type = 0;
    routed.tunnel_port = 0;
    ASSERT_TRUE(done(Op::edit(service.key, routed)));
    ASSERT_TRUE(look(*control));
    expect_as_it_was(service.key);
}

TEST_F(UnspokenTest, ADestinationThatIsOutWhileItIsDownComesBackWithIt) {
    ASSERT_TRUE(submit(*control, PatchService{"sip", R"({"on-down": "remove"})", {}}).get());
    becomes(health::State::up);
    becomes(health::State::down);
    EXPECT_TRUE(table.dests(service.key)->empty());
    ASSERT_TRUE(look(*control));
    becomes(health::State::up);
    expect_as_it_was(service.key);
}

TEST_F(UnspokenTest, AServiceThatGetsAnotherKeyKeepsIt) {
    model::ConfigService wanted{entry()->spec, {}};
    entry()->backends.for_each(
        [&](const auto&, const model::BackendPtr& b) { wanted.backends.push_back(b->spec); });
    wanted.spec.key.vip = *base::Endpoint::parse(other_vip);
    model::Config config;
    config.services.push_back(wanted);
    const std::vector<std::string> operations = plan(*control, config);
    EXPECT_TRUE(std::ranges::any_of(
        operations, [](const std::string& op) { return op.find("tunnel type 1") != std::string::npos; }));
    ASSERT_TRUE(submit(*control, PutConfig{config, {}, true}).get());
    expect_as_it_was(ipvs::ServiceKey::of(IPPROTO_UDP, wanted.spec.key.vip));
}

}  // namespace
}  // namespace gorb::control::unspoken_test
