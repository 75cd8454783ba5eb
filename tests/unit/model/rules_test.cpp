#include "model/rules.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gorb::model::rules_test {
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
    b.upper_threshold = max_threshold;
    EXPECT_FALSE(thresholds_range(b));
    b.upper_threshold = max_threshold + 1;
    EXPECT_EQ(at(thresholds_range(b)), "/upper-threshold");
    b.upper_threshold = 1;
    b.lower_threshold = max_threshold + 1;
    EXPECT_EQ(at(thresholds_range(b)), "/lower-threshold");
    b.lower_threshold = 1;

    EXPECT_EQ(drain_time(0s), 0ms);
    EXPECT_EQ(drain_time(1us), 1ms) << "0 would mean that it never ends";
    b.drain_timeout = drain_time(1000h);
    EXPECT_EQ(at(drain_timeout_range(b)), "/drain-timeout");
    b.drain_timeout = drain_time(2000h);  // more than fits
    EXPECT_EQ(at(drain_timeout_range(b)), "/drain-timeout");
    b.drain_timeout = drain_time(-1s);
    EXPECT_EQ(at(drain_timeout_range(b)), "/drain-timeout");
    b.drain_timeout = 720h;
    EXPECT_FALSE(drain_timeout_range(b));
}

TEST(Rules, NumbersOfAPulseHaveRanges) {
    PulseSpec p;
    for (const auto& [value, kept] : {std::pair<base::Nanos, bool>{10ms, true},
                                      {9999us, false},
                                      {24h, true},
                                      {24h + 1ns, false},
                                      {0s, false}}) {
        p.interval = value;
        EXPECT_EQ(at(interval_range(p)), kept ? "kept" : "/interval") << value.count();
        // Where it may be left out, zero says so.
        p.fast_interval = p.down_interval = value;
        EXPECT_EQ(at(fast_interval_range(p)), kept || value == 0s ? "kept" : "/fast-interval")
            << value.count();
        EXPECT_EQ(at(down_interval_range(p)), kept || value == 0s ? "kept" : "/down-interval")
            << value.count();
    }
    for (const auto& [value, kept] :
         {std::pair<base::Nanos, bool>{1ms, true}, {999us, false}, {10min, true}, {10min + 1ns, false}}) {
        p.timeout = value;
        EXPECT_EQ(at(timeout_range(p)), kept ? "kept" : "/timeout") << value.count();
    }
    p.rise = 0;
    EXPECT_EQ(at(rise_fall_range(p)), "/rise");
    p.rise = 1;
    p.fall = 1001;
    EXPECT_EQ(at(rise_fall_range(p)), "/fall");
    p.fall = 1000;
    EXPECT_FALSE(rise_fall_range(p));
}

TEST(Rules, BackoffWindowAndDampingMakeSense) {
    PulseSpec p;
    EXPECT_TRUE(pulse_violations(PulseList({p})).empty());
    for (const double bad : {0.0, 0.99, 10.01, std::nan("")}) {
        p.backoff.factor = bad;
        EXPECT_EQ(at(backoff_range(p)), "/backoff/factor") << bad;
    }
    p.backoff = {2, 9ms};
    EXPECT_EQ(at(backoff_range(p)), "/backoff/max");
    p.window = {0, 1};
    EXPECT_EQ(at(window_range(p)), "/window/failures");
    p.window = {11, 10};
    EXPECT_EQ(at(window_range(p)), "/window/failures");
    p.window = {1, 101};
    EXPECT_EQ(at(window_range(p)), "/window/of");
    p.window = {100, 100};
    EXPECT_FALSE(window_range(p));
    p.damping.hold = 11min;
    EXPECT_EQ(at(damping_range(p)), "/damping/max");
    p.damping = {1s, 24h, 999ms};
    EXPECT_EQ(at(damping_range(p)), "/damping/forget");
    p.damping.forget = 1s;
    EXPECT_FALSE(damping_range(p));
}

TEST(Rules, ACheckComesFromAnAddressOfItsFamilyAndANamedInterface) {
    Backend b = good_backend();
    PulseSpec p;
    p.source = ip("0.0.0.0");
    EXPECT_EQ(at(source_usable(p)), "/source");
    p.source = ip("2001:db8::1");
    EXPECT_FALSE(source_usable(p));
    b.pulses = PulseList({p});
    ASSERT_EQ(backend_violations(b).size(), 1U);
    EXPECT_EQ(backend_violations(b)[0].pointer, "/pulse/source");
    b.pulses = PulseList({PulseSpec{}, p});
    EXPECT_EQ(backend_violations(b)[0].pointer, "/pulses/1/source");
    p.address = ip("2001:db8::5");
    b.pulses = PulseList({p});
    EXPECT_TRUE(backend_violations(b).empty()) << "where the check goes is what counts";
    p.address = ip("10.0.0.5");
    b.pulses = PulseList({p});
    ASSERT_EQ(backend_violations(b).size(), 1U);
    EXPECT_EQ(backend_violations(b)[0].what, "must be of the same family as the pulse's address");
    p.address = ip("224.0.0.1");
    EXPECT_EQ(at(pulse_address_usable(p)), "/address");
    p.address = ip("fe80::1");
    EXPECT_EQ(at(pulse_address_usable(p)), "/address");
    EXPECT_EQ(pulse_address_usable(p)->what, "a link-local address needs \"interface\"");
    p.interface = "eth0";
    EXPECT_FALSE(pulse_address_usable(p));
    for (const char* bad : {"a b", "eth0/1", "sixteen.letters.", ".."}) {
        p.interface = bad;
        EXPECT_EQ(at(interface_name(p)), "/interface") << bad;
    }
    p.interface = "eth0.100";
    EXPECT_FALSE(interface_name(p));
}

TEST(Rules, ARampHasALengthAndAQuorumIsMoreThanItsHysteresis) {
    Service s = good_service();
    s.pool.slow_start = 60s;
    EXPECT_EQ(at(slow_start_range(s)), "/slow-start");
    s.pool.recovery = Recovery::ramp;
    EXPECT_FALSE(slow_start_range(s));
    s.pool.slow_start = 0s;
    EXPECT_EQ(at(slow_start_range(s)), "/slow-start");
    s.pool.quorum = 2;
    s.pool.hysteresis = 2;
    EXPECT_EQ(at(hysteresis_below_quorum(s)), "/hysteresis");
    s.pool.hysteresis = 1;
    EXPECT_FALSE(hysteresis_below_quorum(s));
}

TEST(Rules, APulseTypeIsAName) {
    PulseSpec p;
    for (const char* bad : {"", "tcp|http", "TCP", "a b", "a/b"}) {
        p.type = bad;
        EXPECT_EQ(at(pulse_type_name(p)), "/type") << bad;
    }
    p.type = "grpc-health.v1";
    EXPECT_FALSE(pulse_type_name(p));
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
    PulseSpec bad_rise;
    bad_rise.rise = 0;
    b.pulses = PulseList({bad_rise});
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
}  // namespace gorb::model::rules_test
