#include "store/transitions.h"

#include <gtest/gtest.h>

#include "store/store.h"

namespace gorb::store::transitions_test {
namespace {

model::Service service(const std::string& name, const std::string& vip) {
    model::Service s;
    s.name = name;
    s.key.vip = *base::Endpoint::parse(vip);
    return s;
}

model::Backend backend(const std::string& name, const std::string& address) {
    model::Backend b;
    b.name = name;
    b.address = *base::Endpoint::parse(address);
    return b;
}

model::Snapshot put(const model::Snapshot& now, const model::Service& spec,
                    model::Origin origin = model::Origin::api) {
    model::ServiceEntry row;
    row.spec = spec;
    row.revision = now.revision + 1;
    row.origin = origin;
    return with_service(now, row);
}

model::Snapshot put(const model::Snapshot& now, const std::string& service, const model::Backend& spec,
                    model::BackendId id) {
    return with_backend(
        now, service,
        std::make_shared<const model::BackendEntry>(model::BackendEntry{spec, id, now.revision + 1}));
}

TEST(Transitions, EachStepHasItsRevisionAndLeavesTheOldStateAsItWas) {
    const model::Snapshot empty;
    const auto one = put(empty, service("web", "10.0.0.1:80"));
    const auto two = put(one, "web", backend("b1", "10.1.0.1:80"), 7);
    EXPECT_EQ(empty.revision, 0U);
    EXPECT_EQ(one.revision, 1U);
    EXPECT_EQ(two.revision, 2U);
    EXPECT_TRUE(empty.services.empty());
    EXPECT_TRUE((*one.services.find("web"))->backends.empty());
    const auto& b1 = *(*two.services.find("web"))->backends.find("b1");
    EXPECT_EQ(b1->id, 7U);
    EXPECT_EQ(b1->revision, 2U);
    EXPECT_EQ((*two.services.find("web"))->revision, 1U);  // its own fields did not change
}

TEST(Transitions, AServiceOfAnotherNameWithTheSameKeyIsRefusedWithItsName) {
    const auto now = put({}, service("web", "10.0.0.1:80"));
    auto refused = check_service_key(now, service("other", "10.0.0.1:80"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::exists);
    EXPECT_NE(refused.error().sentence.find("\"web\""), std::string::npos);
    EXPECT_TRUE(check_service_key(now, service("web", "10.0.0.1:80")));
    auto udp = service("other", "10.0.0.1:80");
    udp.key.protocol = model::Protocol::udp;
    EXPECT_TRUE(check_service_key(now, udp));
}

TEST(Transitions, ABackendAddressIsTakenOnceInAServiceButFreeInOthers) {
    auto now = put({}, service("a", "10.0.0.1:80"));
    now = put(now, service("b", "10.0.0.2:80"));
    now = put(now, "a", backend("b1", "10.1.0.1:80"), 1);
    auto refused = check_backend_address(**now.services.find("a"), backend("b2", "10.1.0.1:80"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("\"b1\""), std::string::npos);
    EXPECT_TRUE(check_backend_address(**now.services.find("b"), backend("b2", "10.1.0.1:80")));
}

TEST(Transitions, AReplacedAddressAndKeyAreFreeAgain) {
    auto now = put({}, service("a", "10.0.0.1:80"));
    now = put(now, "a", backend("b1", "10.1.0.1:80"), 1);
    now = put(now, "a", backend("b1", "10.1.0.2:80"), 1);
    EXPECT_TRUE(check_backend_address(**now.services.find("a"), backend("b2", "10.1.0.1:80")));
    now = put(now, service("a", "10.0.0.9:80"));
    EXPECT_TRUE(check_service_key(now, service("c", "10.0.0.1:80")));
    EXPECT_EQ((*now.services.find("a"))->backends.size(), 1U);
    now = without_backend(now, "a", "b1", now.revision + 1);
    EXPECT_TRUE((*now.services.find("a"))->backends.empty());
    EXPECT_TRUE((*now.services.find("a"))->by_address.empty());
    now = without_service(now, "a", now.revision + 1);
    EXPECT_TRUE(now.services.empty());
    EXPECT_TRUE(now.by_key.empty());
}

TEST(Transitions, TwoServicesChangePlacesAndTwoBackendsToo) {
    auto now = put({}, service("a", "10.0.0.1:80"));
    now = put(now, service("b", "10.0.0.2:80"));
    now = put(now, "a", backend("b1", "10.1.0.1:80"), 1);
    now = put(now, "a", backend("b2", "10.1.0.2:80"), 2);
    now = put(now, service("a", "10.0.0.2:80"));
    now = put(now, service("b", "10.0.0.1:80"));
    now = put(now, "a", backend("b1", "10.1.0.2:80"), 1);
    now = put(now, "a", backend("b2", "10.1.0.1:80"), 2);
    EXPECT_EQ(*now.by_key.find(service("", "10.0.0.2:80").key), "a");
    EXPECT_EQ(*now.by_key.find(service("", "10.0.0.1:80").key), "b");
    const auto& a = **now.services.find("a");
    EXPECT_EQ((*a.by_address.find(backend("", "10.1.0.1:80").address))->spec.name, "b2");
    EXPECT_EQ((*a.by_address.find(backend("", "10.1.0.2:80").address))->spec.name, "b1");
}

TEST(Transitions, ABuiltStateIsTheOneThatStepsLeadTo) {
    auto steps = put({}, service("a", "10.0.0.1:80"));
    steps = put(steps, service("b", "10.0.0.2:80"), model::Origin::file);
    steps = put(steps, "b", backend("b1", "10.1.0.1:80"), 5);
    Builder builder;
    builder.add(service("a", "10.0.0.1:80"), 1, model::Origin::api);
    builder.add(service("b", "10.0.0.2:80"), 2, model::Origin::file);
    builder.add(*(*steps.services.find("b"))->backends.find("b1"));
    const auto built = builder.finish(3);
    EXPECT_EQ(built.revision, steps.revision);
    EXPECT_EQ(built.services.size(), 2U);
    EXPECT_EQ(built.by_key.size(), 2U);
    const auto& b = **built.services.find("b");
    EXPECT_EQ(b.revision, 2U);
    EXPECT_EQ(b.origin, model::Origin::file);
    EXPECT_EQ(*b.by_address.find(backend("", "10.1.0.1:80").address), b.backends.find("b1")->get());
}

TEST(Store, ReadersKeepTheStateTheyHold) {
    Store store;
    const auto before = store.snapshot();
    store.commit(put(*before, service("web", "10.0.0.1:80")));
    EXPECT_TRUE(before->services.empty());
    EXPECT_EQ(store.snapshot()->services.size(), 1U);
}

}  // namespace
}  // namespace gorb::store::transitions_test
