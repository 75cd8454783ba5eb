#include "store/transitions.h"

#include <gtest/gtest.h>

#include "store/store.h"

namespace gorb::store {
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

TEST(Transitions, EachStepHasTheNextRevisionAndLeavesTheOldStateAsItWas) {
    const model::Snapshot empty;
    const auto one = with_service(empty, service("web", "10.0.0.1:80"));
    const auto two = with_backend(one, "web", backend("b1", "10.1.0.1:80"), 7);
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
    const auto now = with_service({}, service("web", "10.0.0.1:80"));
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
    auto now = with_service({}, service("a", "10.0.0.1:80"));
    now = with_service(now, service("b", "10.0.0.2:80"));
    now = with_backend(now, "a", backend("b1", "10.1.0.1:80"), 1);
    auto refused = check_backend_address(**now.services.find("a"), backend("b2", "10.1.0.1:80"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("\"b1\""), std::string::npos);
    EXPECT_TRUE(check_backend_address(**now.services.find("b"), backend("b2", "10.1.0.1:80")));
}

TEST(Transitions, AReplacedAddressAndKeyAreFreeAgain) {
    auto now = with_service({}, service("a", "10.0.0.1:80"));
    now = with_backend(now, "a", backend("b1", "10.1.0.1:80"), 1);
    now = with_backend(now, "a", backend("b1", "10.1.0.2:80"), 1);
    EXPECT_TRUE(check_backend_address(**now.services.find("a"), backend("b2", "10.1.0.1:80")));
    now = with_service(now, service("a", "10.0.0.9:80"));
    EXPECT_TRUE(check_service_key(now, service("c", "10.0.0.1:80")));
    EXPECT_EQ((*now.services.find("a"))->backends.size(), 1U);
    now = without_backend(now, "a", "b1");
    EXPECT_TRUE((*now.services.find("a"))->backends.empty());
    EXPECT_TRUE((*now.services.find("a"))->by_address.empty());
    now = without_service(now, "a");
    EXPECT_TRUE(now.services.empty());
    EXPECT_TRUE(now.by_key.empty());
}

TEST(Store, ReadersKeepTheStateTheyHold) {
    Store store;
    const auto before = store.snapshot();
    store.commit(with_service(*before, service("web", "10.0.0.1:80")));
    EXPECT_TRUE(before->services.empty());
    EXPECT_EQ(store.snapshot()->services.size(), 1U);
}

}  // namespace
}  // namespace gorb::store
