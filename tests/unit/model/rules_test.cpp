#include "model/rules.h"

#include <gtest/gtest.h>

namespace gorb::model {
namespace {

using namespace std::chrono_literals;

base::Ip ip(std::string_view text) {
    return base::Ip::parse(text).value();
}

Service good_service() {
    Service s;
    s.name = "web";
    s.key = {Protocol::tcp, {ip("10.0.0.1"), 80}};
    return s;
}

Backend good_backend() {
    Backend b;
    b.name = "b1";
    b.address = {ip("10.1.0.1"), 80};
    return b;
}

std::string at(const Violation& v) {
    return v ? v->pointer : "kept";
}

TEST(Rules, TheDefaultsBreakNone) {
    EXPECT_TRUE(service_violations(good_service()).empty());
    EXPECT_TRUE(backend_violations(good_backend()).empty());
    EXPECT_TRUE(backend_in_service_violations(good_service(), good_backend()).empty());
}

TEST(Rules, ANameIsOf128CharactersAndTheseOnly) {
    for (const auto& name :
         {std::string("a"), std::string("web-1.example:80_x"), std::string("..."), std::string(128, 'x')}) {
        EXPECT_FALSE(name_violation(name)) << name;
    }
    for (const auto& name : {std::string(), std::string("."), std::string(".."), std::string(129, 'x'),
                             std::string("a b"), std::string("a/b"), std::string("a%41"),
                             std::string("\xc3\xa9"), std::string("a\0b", 3), std::string("a\n")}) {
        ASSERT_TRUE(name_violation(name)) << name;
        EXPECT_NE(name_violation(name)->find("1 to 128 characters of A-Z a-z 0-9 . _ : -"),
                  std::string::npos);
    }
}

TEST(Rules, AVipIsTheAddressOfOneHost) {
    Service s = good_service();
    for (const char* bad : {"0.0.0.0", "::", "224.0.0.5", "255.255.255.255", "ff02::1"}) {
        s.key.vip.ip = ip(bad);
        EXPECT_EQ(at(vip_usable(s)), "/address") << bad;
    }
    for (const char* good : {"127.0.0.1", "::1", "2001:db8::1", "240.0.0.1"}) {
        s.key.vip.ip = ip(good);
        EXPECT_FALSE(vip_usable(s)) << good;
    }
    s.key.vip.ip = {};
    EXPECT_TRUE(vip_usable(s));
}

TEST(Rules, PortZeroIsForPersistentServices) {
    Service s = good_service();
    s.key.vip.port = 0;
    EXPECT_EQ(at(port_zero_needs_persistence(s)), "/port");
    s.persistence_s = 300;
    EXPECT_FALSE(port_zero_needs_persistence(s));
}

TEST(Rules, ASchedulerNameFitsTheKernels) {
    Service s = good_service();
    for (const char* good : {"rr", "wlc", "twos", "fifteen_chars_x"}) {
        s.scheduler = good;
        EXPECT_FALSE(scheduler_name(s)) << good;
    }
    for (const char* bad : {"", "rr|wrr", "WRR", "sixteen_chars_xx", "a b", "a-b"}) {
        s.scheduler = bad;
        EXPECT_EQ(at(scheduler_name(s)), "/method") << bad;
    }
}

TEST(Rules, FlagsAreForTheHashSchedulers) {
    Service s = good_service();
    s.flags = flag_fallback;
    ASSERT_EQ(at(flags_fit_scheduler(s)), "/flags");
    EXPECT_NE(flags_fit_scheduler(s)->what.find("the method is wrr"), std::string::npos);
    for (const char* hash : {"sh", "mh"}) {
        s.scheduler = hash;
        s.flags = flag_fallback | flag_port;
        EXPECT_FALSE(flags_fit_scheduler(s));
        s.flags = 0x4;
        EXPECT_TRUE(flags_fit_scheduler(s));
    }
}

TEST(Rules, PersistenceIsAtMost30Days) {
    Service s = good_service();
    s.persistence_s = 30 * 24 * 3600;
    EXPECT_FALSE(persistence_range(s));
    ++s.persistence_s;
    EXPECT_EQ(at(persistence_range(s)), "/persistent");
}

TEST(Rules, ANetmaskIsWithinTheAddressAndForPersistentServices) {
    Service s = good_service();
    EXPECT_FALSE(netmask_range(s));  // 32, the whole address
    s.netmask = 24;
    EXPECT_EQ(at(netmask_range(s)), "/netmask");
    s.persistence_s = 1;
    EXPECT_FALSE(netmask_range(s));
    for (const uint8_t bad : {0, 33, 64, 128}) {
        s.netmask = bad;
        EXPECT_EQ(at(netmask_range(s)), "/netmask") << int{bad};
    }
    s.key.vip.ip = ip("2001:db8::1");
    for (const uint8_t good : {1, 64, 128}) {
        s.netmask = good;
        EXPECT_FALSE(netmask_range(s)) << int{good};
    }
    s.netmask = 129;
    EXPECT_TRUE(netmask_range(s));
}

TEST(Rules, ABackendIsOneHostTheKernelCanReach) {
    Backend b = good_backend();
    for (const char* bad : {"0.0.0.0", "224.0.0.5", "255.255.255.255", "ff02::1", "fe80::1", "febf::1"}) {
        b.address.ip = ip(bad);
        EXPECT_EQ(at(backend_address_usable(b)), "/address") << bad;
    }
    for (const char* good : {"127.0.0.1", "fec0::1", "fd00::1"}) {
        b.address.ip = ip(good);
        EXPECT_FALSE(backend_address_usable(b)) << good;
    }
}

TEST(Rules, NumbersOfABackendHaveRanges) {
    Backend b = good_backend();
    b.weight = max_weight + 1;
    EXPECT_EQ(at(weight_range(b)), "/weight");
    b.weight = 0;
    EXPECT_FALSE(weight_range(b));

    b.lower_threshold = 1;
    EXPECT_EQ(at(thresholds_ordered(b)), "/lower-threshold");
    b.upper_threshold = 1;
    EXPECT_FALSE(thresholds_ordered(b));

    for (const auto& [value, kept] : {std::pair<base::Nanos, bool>{10ms, true},
                                      {9999us, false},
                                      {24h, true},
                                      {24h + 1ns, false},
                                      {0s, false}}) {
        b.pulse.interval = value;
        EXPECT_EQ(at(interval_range(b)), kept ? "kept" : "/pulse/interval") << value.count();
    }
    for (const auto& [value, kept] :
         {std::pair<base::Nanos, bool>{1ms, true}, {999us, false}, {10min, true}, {10min + 1ns, false}}) {
        b.pulse.timeout = value;
        EXPECT_EQ(at(timeout_range(b)), kept ? "kept" : "/pulse/timeout") << value.count();
    }
    b.pulse.rise = 0;
    EXPECT_EQ(at(rise_fall_range(b)), "/pulse/rise");
    b.pulse.rise = 1;
    b.pulse.fall = 1001;
    EXPECT_EQ(at(rise_fall_range(b)), "/pulse/fall");
    b.pulse.fall = 1000;
    EXPECT_FALSE(rise_fall_range(b));
}

TEST(Rules, APulseTypeIsAName) {
    Backend b = good_backend();
    for (const char* bad : {"", "tcp|http", "TCP", "a b", "a/b"}) {
        b.pulse.type = bad;
        EXPECT_EQ(at(pulse_type_name(b)), "/pulse/type") << bad;
    }
    b.pulse.type = "grpc-health.v1";
    EXPECT_FALSE(pulse_type_name(b));
}

TEST(Rules, TheOtherFamilyIsReachedThroughATunnelOnly) {
    Service s = good_service();
    Backend b = good_backend();
    b.address.ip = ip("2001:db8::2");
    for (const auto& [forwarding, kept] :
         {std::pair{Forwarding::nat, false}, {Forwarding::dr, false}, {Forwarding::tunnel, true}}) {
        b.forwarding = forwarding;
        EXPECT_EQ(at(families_match(s, b)), kept ? "kept" : "/address");
    }
}

TEST(Rules, OnlyNatChangesThePort) {
    const Service s = good_service();
    Backend b = good_backend();
    b.address.port = 8080;
    for (const auto& [forwarding, kept] :
         {std::pair{Forwarding::nat, true}, {Forwarding::dr, false}, {Forwarding::tunnel, false}}) {
        b.forwarding = forwarding;
        EXPECT_EQ(at(port_not_remapped(s, b)), kept ? "kept" : "/port");
    }
    Service all_ports = s;
    all_ports.key.vip.port = 0;
    EXPECT_FALSE(port_not_remapped(all_ports, b));
}

TEST(Rules, PortZeroOfABackendIsForServicesOfPortZero) {
    Service s = good_service();
    Backend b = good_backend();
    b.address.port = 0;
    EXPECT_EQ(at(backend_port_named(s, b)), "/port");
    b.forwarding = Forwarding::dr;
    EXPECT_EQ(backend_in_service_violations(s, b).size(), 1U);  // one fault, though two rules are broken
    s.key.vip.port = 0;
    EXPECT_TRUE(backend_in_service_violations(s, b).empty());
}

TEST(Rules, AllBrokenOnesAreReported) {
    Service s;
    s.key.vip.port = 0;
    s.scheduler = "";
    EXPECT_EQ(service_violations(s).size(), 3U);
    Backend b;
    b.weight = 70'000;
    b.pulse.rise = 0;
    EXPECT_EQ(backend_violations(b).size(), 3U);
}

TEST(Text, OfKeysAndEnums) {
    EXPECT_EQ((ServiceKey{Protocol::udp, {ip("2001:db8::1"), 53}}.text()), "[2001:db8::1]:53/udp");
    EXPECT_EQ((ServiceKey{Protocol::tcp, {ip("10.0.0.1"), 80}}.text()), "10.0.0.1:80/tcp");
    EXPECT_EQ(forwarding_text(Forwarding::nat), "nat");
    EXPECT_EQ(forwarding_text(Forwarding::tunnel), "tunnel");
    EXPECT_EQ(forwarding_text(Forwarding::dr), "dr");
}

}  // namespace
}  // namespace gorb::model
