// The contract of ipvs::Driver as tests. Include it in one file of an executable and instantiate
// DriverContract with the drivers to hold to it: MemoryDriver in ipvs_test, the real kernel in
// ipvs_kernel_test.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "unit/ipvs/records.h"

namespace gorb::ipvs {

struct DriverMaker {
    std::string name;
    std::function<base::Result<std::unique_ptr<Driver>>()> make;
    bool forwards = false;
};

inline void PrintTo(const DriverMaker& maker, std::ostream* out) {
    *out << maker.name;
}

class DriverContract : public testing::TestWithParam<DriverMaker> {
  protected:
    void SetUp() override {
        auto made = GetParam().make();
        ASSERT_TRUE(ok(made));
        driver_ = std::move(*made);
        ASSERT_TRUE(ok(driver_->flush()));
    }
    void TearDown() override {
        if (driver_) driver_->flush();
    }

    base::Status apply(const Op& op) { return driver_->apply(std::span(&op, 1)).at(0); }

    void round_trip(const ServiceRecord& wanted) {
        ASSERT_TRUE(ok(apply(Op::add(wanted)))) << testing::PrintToString(wanted);
        const auto one = driver_->service(wanted.key);
        ASSERT_TRUE(ok(one));
        ASSERT_TRUE(one->has_value()) << wanted.key.text();
        EXPECT_TRUE(same(**one, wanted));
        const auto all = driver_->services();
        ASSERT_TRUE(ok(all));
        const auto found = std::find_if(all->begin(), all->end(),
                                        [&](const ServiceRecord& s) { return s.key == wanted.key; });
        ASSERT_NE(found, all->end()) << wanted.key.text();
        EXPECT_TRUE(same(*found, wanted));
    }

    std::optional<DestRecord> dest(const ServiceKey& key, const base::Endpoint& address) {
        const auto all = driver_->dests(key);
        EXPECT_TRUE(ok(all));
        if (!all) return std::nullopt;
        for (const DestRecord& d : *all) {
            if (d.address == address) return d;
        }
        return std::nullopt;
    }

    void round_trip(const ServiceKey& key, const DestRecord& wanted) {
        ASSERT_TRUE(ok(apply(Op::add(key, wanted)))) << testing::PrintToString(wanted);
        const auto found = dest(key, wanted.address);
        ASSERT_TRUE(found.has_value()) << wanted.address.text();
        EXPECT_TRUE(same(*found, wanted));
    }

    std::unique_ptr<Driver> driver_;
};

TEST_P(DriverContract, InfoSaysWhoseTableItIsAndWhetherItForwards) {
    const auto info = driver_->info();
    ASSERT_TRUE(ok(info));
    EXPECT_EQ(info->name, GetParam().name);
    EXPECT_EQ(info->forwards, GetParam().forwards);
    EXPECT_EQ(info->version, "1.2.1");
    EXPECT_EQ(info->connection_table_size > 0, GetParam().forwards);
}

TEST_P(DriverContract, AServiceComesBackAsItWasAdded) {
    round_trip(service_of(tcp("10.0.0.1:80")));
    ServiceRecord persistent = service_of(tcp("10.0.0.1:443"), "wlc");
    persistent.flags = IP_VS_SVC_F_PERSISTENT;
    persistent.timeout_s = 300;
    persistent.netmask = 24;
    round_trip(persistent);
    ServiceRecord hashed = service_of(tcp("10.0.0.1:81"), "sh");
    hashed.flags = IP_VS_SVC_F_SCHED1 | IP_VS_SVC_F_SCHED2;
    round_trip(hashed);
    ServiceRecord maglev = service_of(tcp("10.0.0.1:82"), "mh");
    maglev.flags = IP_VS_SVC_F_SCHED2;
    round_trip(maglev);
    ServiceRecord datagrams = service_of(udp("10.0.0.1:53"));
    datagrams.flags = IP_VS_SVC_F_ONEPACKET;
    round_trip(datagrams);
    round_trip(service_of(ServiceKey::of(IPPROTO_SCTP, at("10.0.0.1:80")), "wrr"));
}

TEST_P(DriverContract, AnIpv6ServiceComesBackAsItWasAdded) {
    round_trip(service_of(tcp("[2001:db8::1]:80")));
    ServiceRecord persistent = service_of(udp("[2001:db8::1]:53"), "wrr");
    persistent.flags = IP_VS_SVC_F_PERSISTENT;
    persistent.timeout_s = 7;
    persistent.netmask = 64;
    round_trip(persistent);
    round_trip(service_of(mark(9, base::Ip::Family::v6)));
}

TEST_P(DriverContract, EveryNetmaskComesBack) {
    for (unsigned bits = 0; bits <= 32; ++bits) {
        ServiceRecord s = service_of(tcp("10.0.0.1:" + std::to_string(1000 + bits)));
        s.netmask = static_cast<uint8_t>(bits);
        round_trip(s);
    }
    for (const unsigned bits : {1U, 63U, 64U, 65U, 127U, 128U}) {
        ServiceRecord s = service_of(tcp("[2001:db8::1]:" + std::to_string(1000 + bits)));
        s.netmask = static_cast<uint8_t>(bits);
        round_trip(s);
    }
}

TEST_P(DriverContract, FirewallMarksAreListedAndKeptApartByFamily) {
    round_trip(service_of(mark(7)));
    round_trip(service_of(mark(7, base::Ip::Family::v6), "lc"));
    round_trip(service_of(mark(0xffffffff), "wrr"));
    EXPECT_EQ(driver_->services()->size(), 3U);
    round_trip(mark(7), dest_of("10.1.0.1:0"));
    EXPECT_TRUE(ok(apply(Op::remove(mark(7)))));
    EXPECT_EQ(driver_->services()->size(), 2U);
}

TEST_P(DriverContract, EditingAServiceReplacesAllItsSettingsAndKeepsItsDestinations) {
    ServiceRecord s = service_of(tcp("10.0.0.1:80"), "sh");
    s.flags = IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_SCHED1;
    s.timeout_s = 60;
    s.netmask = 24;
    round_trip(s);
    round_trip(s.key, dest_of("10.1.0.1:80", 5));
    s.scheduler = "wrr";
    s.flags = 0;
    s.timeout_s = 0;
    s.netmask = 32;
    ASSERT_TRUE(ok(apply(Op::edit(s))));
    EXPECT_TRUE(same(**driver_->service(s.key), s));
    EXPECT_EQ(dest(s.key, at("10.1.0.1:80"))->weight, 5U);
}

TEST_P(DriverContract, ADestinationComesBackAsItWasAdded) {
    const ServiceKey key = tcp("10.0.0.1:80");
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    for (const uint32_t forwarding : {0U, 1U, 2U, 3U, 4U}) {
        DestRecord d = dest_of("10.1.0." + std::to_string(forwarding + 1) + ":80", 100 + forwarding);
        d.forwarding = forwarding;
        d.upper_threshold = 1000 + forwarding;
        d.lower_threshold = 10 + forwarding;
        round_trip(key, d);
    }
    DestRecord gue = dest_of("10.1.1.1:80", 0x7fffffff);
    gue.forwarding = IP_VS_CONN_F_TUNNEL;
    gue.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
    gue.tunnel_port = 6080;
    gue.tunnel_flags = IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM;
    round_trip(key, gue);
    DestRecord gre = dest_of("10.1.1.2:8080", 0);
    gre.forwarding = IP_VS_CONN_F_TUNNEL;
    gre.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GRE;
    gre.tunnel_flags = IP_VS_TUNNEL_ENCAP_FLAG_CSUM;
    round_trip(key, gre);
    const auto fresh = dest(key, gre.address);
    EXPECT_EQ(fresh->active + fresh->inactive + fresh->persistent, 0U);
    EXPECT_EQ(fresh->stats, Stats{});
}

TEST_P(DriverContract, AnIpv6DestinationComesBackAsItWasAdded) {
    const ServiceKey key = tcp("[2001:db8::1]:80");
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    round_trip(key, dest_of("[2001:db8:1::1]:8080", 3));
}

TEST_P(DriverContract, TheFamiliesMeetThroughTunnelsOnly) {
    const ServiceKey v4 = tcp("10.0.0.1:80");
    const ServiceKey v6 = tcp("[2001:db8::1]:80");
    ASSERT_TRUE(all_ok(driver_->apply(std::vector{Op::add(service_of(v4)), Op::add(service_of(v6))})));
    DestRecord six = dest_of("[2001:db8:1::1]:80");
    DestRecord four = dest_of("10.1.0.1:80");
    EXPECT_TRUE(refused(apply(Op::add(v4, six)), base::Errc::invalid, Op::add(v4, six)));
    EXPECT_TRUE(refused(apply(Op::add(v6, four)), base::Errc::invalid, Op::add(v6, four)));
    six.forwarding = four.forwarding = IP_VS_CONN_F_TUNNEL;
    round_trip(v4, six);
    round_trip(v6, four);
    six.weight = 9;
    EXPECT_TRUE(ok(apply(Op::edit(v4, six))));
    EXPECT_EQ(dest(v4, six.address)->weight, 9U);
    EXPECT_TRUE(ok(apply(Op::remove(v4, six.address))));
    EXPECT_TRUE(ok(apply(Op::remove(v6, four.address))));
}

TEST_P(DriverContract, AWeightChangeKeepsThresholdsAndTunnel) {
    const ServiceKey key = tcp("10.0.0.1:80");
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    DestRecord d = dest_of("10.1.0.1:80", 100);
    d.forwarding = IP_VS_CONN_F_TUNNEL;
    d.upper_threshold = 50;
    d.lower_threshold = 40;
    d.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
    d.tunnel_port = 6080;
    d.tunnel_flags = IP_VS_TUNNEL_ENCAP_FLAG_CSUM;
    round_trip(key, d);
    // As the reconciler does it: what the table shows, with another weight.
    DestRecord changed = *dest(key, d.address);
    changed.weight = 0;
    ASSERT_TRUE(ok(apply(Op::edit(key, changed))));
    d.weight = 0;
    EXPECT_TRUE(same(*dest(key, d.address), d));
}

TEST_P(DriverContract, WhatExistsIsNotAddedAgain) {
    const Op service = Op::add(service_of(tcp("10.0.0.1:80")));
    const Op dest_op = Op::add(service.service.key, dest_of("10.1.0.1:80", 1));
    ASSERT_TRUE(all_ok(driver_->apply(std::vector{service, dest_op})));
    Op other = service;
    other.service.scheduler = "wrr";
    EXPECT_TRUE(refused(apply(other), base::Errc::exists, other));
    Op heavier = dest_op;
    heavier.dest.weight = 99;
    EXPECT_TRUE(refused(apply(heavier), base::Errc::exists, heavier));
    EXPECT_EQ((*driver_->service(service.service.key))->scheduler, "rr");
    EXPECT_EQ(dest(service.service.key, dest_op.dest.address)->weight, 1U);
}

TEST_P(DriverContract, WhatIsNotThereIsNotFound) {
    const ServiceKey key = tcp("10.0.0.1:80");
    const DestRecord d = dest_of("10.1.0.1:80");
    for (const Op& op : {Op::edit(service_of(key)), Op::remove(key), Op::add(key, d), Op::edit(key, d),
                         Op::remove(key, d.address)}) {
        EXPECT_TRUE(refused(apply(op), base::Errc::not_found, op));
    }
    EXPECT_FALSE(driver_->service(key)->has_value());
    const auto none = driver_->dests(key);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, base::Errc::not_found);

    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    for (const Op& op : {Op::edit(key, d), Op::remove(key, d.address)}) {
        EXPECT_TRUE(refused(apply(op), base::Errc::not_found, op));
    }
    const auto empty = driver_->dests(key);
    ASSERT_TRUE(ok(empty));
    EXPECT_TRUE(empty->empty());
}

TEST_P(DriverContract, ProtocolPortAndAddressAllMakeAServiceAnother) {
    const std::vector<ServiceKey> keys = {tcp("10.0.0.1:80"), udp("10.0.0.1:80"),      tcp("10.0.0.1:81"),
                                          tcp("10.0.0.2:80"), tcp("[2001:db8::1]:80"), mark(80)};
    for (size_t i = 0; i < keys.size(); ++i) {
        round_trip(service_of(keys[i]));
        if (keys[i].family == base::Ip::Family::v4) {
            round_trip(keys[i], dest_of("10.1.0.1:80", static_cast<uint32_t>(i)));
            round_trip(keys[i], dest_of("10.1.0.1:8080", static_cast<uint32_t>(i)));
        }
    }
    EXPECT_EQ(driver_->services()->size(), keys.size());
    ASSERT_TRUE(ok(apply(Op::remove(keys[0]))));
    EXPECT_EQ(driver_->services()->size(), keys.size() - 1);
    EXPECT_EQ(dest(keys[1], at("10.1.0.1:80"))->weight, 1U);
}

TEST_P(DriverContract, AnUnknownSchedulerIsUnsupportedAndNamed) {
    for (const std::string name :
         {"no-such", "sixteen-letters-", "a-name-far-longer-than-the-kernel-takes", ""}) {
        const Op op = Op::add(service_of(tcp("10.0.0.1:80"), name));
        const auto status = apply(op);
        EXPECT_TRUE(refused(status, base::Errc::unsupported, op));
        EXPECT_NE(status.error().sentence.find("\"" + name + "\""), std::string::npos)
            << status.error().sentence;
    }
    EXPECT_TRUE(driver_->services()->empty());
    ASSERT_TRUE(ok(apply(Op::add(service_of(tcp("10.0.0.1:80"), "wrr")))));
    const Op edit = Op::edit(service_of(tcp("10.0.0.1:80"), "no-such"));
    EXPECT_TRUE(refused(apply(edit), base::Errc::unsupported, edit));
    EXPECT_EQ((*driver_->service(edit.service.key))->scheduler, "wrr");
}

TEST_P(DriverContract, AnUnknownPersistenceEngineIsUnsupportedAndNamed) {
    ServiceRecord s = service_of(udp("10.0.0.1:5060"));
    s.flags = IP_VS_SVC_F_PERSISTENT;
    s.timeout_s = 60;
    s.pe_name = "no-such";
    const auto status = apply(Op::add(s));
    EXPECT_TRUE(refused(status, base::Errc::unsupported, Op::add(s)));
    EXPECT_NE(status.error().sentence.find("\"no-such\""), std::string::npos);
    s.pe_name = "sip";
    round_trip(s);
}

TEST_P(DriverContract, WrongValuesAreInvalid) {
    ServiceRecord wide = service_of(tcp("10.0.0.2:80"));
    wide.netmask = 33;
    ServiceRecord none6 = service_of(tcp("[2001:db8::1]:80"));
    none6.netmask = 0;
    ServiceRecord wide6 = none6;
    wide6.netmask = 129;
    for (const ServiceRecord& s : {wide, none6, wide6, service_of(ServiceKey{})}) {
        EXPECT_TRUE(refused(apply(Op::add(s)), base::Errc::invalid, Op::add(s)));
    }
    EXPECT_TRUE(driver_->services()->empty());

    const ServiceKey key = tcp("10.0.0.1:80");
    const ServiceKey key6 = tcp("[2001:db8::2]:80");
    ASSERT_TRUE(all_ok(driver_->apply(std::vector{Op::add(service_of(key)), Op::add(service_of(key6))})));
    DestRecord heavy = dest_of("10.1.0.1:80", 0x80000000);
    DestRecord upside_down = dest_of("10.1.0.1:80");
    upside_down.lower_threshold = 2;
    upside_down.upper_threshold = 1;
    DestRecord no_port = dest_of("10.1.0.1:80");
    no_port.forwarding = IP_VS_CONN_F_TUNNEL;
    no_port.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
    for (const DestRecord& d : {heavy, upside_down, no_port, dest_of("224.0.0.1:80"), dest_of("0.0.0.0:80"),
                                dest_of("255.255.255.255:80"), DestRecord{}}) {
        EXPECT_TRUE(refused(apply(Op::add(key, d)), base::Errc::invalid, Op::add(key, d)));
    }
    for (const std::string_view address : {"[ff02::1]:80", "[fe80::1]:80"}) {
        const Op op = Op::add(key6, dest_of(address));
        EXPECT_TRUE(refused(apply(op), base::Errc::invalid, op));
    }
    EXPECT_TRUE(driver_->dests(key)->empty());

    const DestRecord good = dest_of("10.1.0.1:80", 7);
    ASSERT_TRUE(ok(apply(Op::add(key, good))));
    for (const DestRecord& d : {heavy, upside_down, no_port}) {
        EXPECT_TRUE(refused(apply(Op::edit(key, d)), base::Errc::invalid, Op::edit(key, d)));
    }
    EXPECT_TRUE(same(*dest(key, good.address), good));
}

// That a service for all ports makes sense only with persistence is a rule of ipvsadm and of model; the table
// takes it.
TEST_P(DriverContract, PortZeroIsTheTablesToHold) {
    round_trip(service_of(tcp("10.0.0.1:0")));
    round_trip(tcp("10.0.0.1:0"), dest_of("10.1.0.1:0"));
}

TEST_P(DriverContract, RemovingAServiceRemovesItsDestinations) {
    const ServiceKey key = tcp("10.0.0.1:80");
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(ok(apply(Op::add(key, numbered_dest(i)))));
    ASSERT_TRUE(ok(apply(Op::remove(key))));
    EXPECT_FALSE(driver_->service(key)->has_value());
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    EXPECT_TRUE(driver_->dests(key)->empty());
}

TEST_P(DriverContract, ADestinationThatReturnsHasItsNewSettings) {
    const ServiceKey key = tcp("10.0.0.1:80");
    ASSERT_TRUE(ok(apply(Op::add(service_of(key)))));
    DestRecord d = dest_of("10.1.0.1:80", 5);
    d.upper_threshold = 9;
    round_trip(key, d);
    ASSERT_TRUE(ok(apply(Op::remove(key, d.address))));
    EXPECT_FALSE(dest(key, d.address).has_value());
    round_trip(key, dest_of("10.1.0.1:80", 6));
}

TEST_P(DriverContract, EachOperationOfABatchHasItsOwnAnswerWhateverBecameOfTheOthers) {
    const ServiceKey key = tcp("10.0.0.1:80");
    std::vector<Op> ops = {Op::add(service_of(key))};
    std::vector<std::optional<base::Errc>> wanted = {std::nullopt};
    std::map<base::Endpoint, uint32_t> weights;
    std::mt19937 random(20240501);
    while (ops.size() < 1000) {
        const auto n = static_cast<uint32_t>(ops.size());
        DestRecord d = numbered_dest(random() % 300, n);
        const bool there = weights.contains(d.address);
        switch (n % 100 == 0 ? 5 : random() % 6) {
            case 0:
            case 1:
                ops.push_back(Op::add(key, d));
                wanted.push_back(there ? std::optional(base::Errc::exists) : std::nullopt);
                if (!there) weights[d.address] = n;
                break;
            case 2:
                ops.push_back(Op::edit(key, d));
                wanted.push_back(there ? std::nullopt : std::optional(base::Errc::not_found));
                if (there) weights[d.address] = n;
                break;
            case 3:
                ops.push_back(Op::remove(key, d.address));
                wanted.push_back(there ? std::nullopt : std::optional(base::Errc::not_found));
                weights.erase(d.address);
                break;
            case 4:
                d.lower_threshold = 1;
                ops.push_back(Op::edit(key, d));
                wanted.push_back(base::Errc::invalid);
                break;
            default:
                // Rarely: the kernel looks for a module each time.
                if (n % 100 == 0) {
                    ops.push_back(Op::add(service_of(udp("10.0.0.1:53"), "no-such")));
                    wanted.push_back(base::Errc::unsupported);
                } else {
                    ops.push_back(Op::add(udp("10.0.0.1:53"), d));
                    wanted.push_back(base::Errc::not_found);
                }
        }
    }
    const auto answers = driver_->apply(ops);
    ASSERT_EQ(answers.size(), ops.size());
    for (size_t i = 0; i < ops.size(); ++i) {
        if (wanted[i]) {
            EXPECT_TRUE(refused(answers[i], *wanted[i], ops[i])) << i;
        } else {
            EXPECT_TRUE(ok(answers[i])) << i;
        }
    }
    const auto found = driver_->dests(key);
    ASSERT_TRUE(ok(found));
    EXPECT_EQ(found->size(), weights.size());
    for (const DestRecord& d : *found) EXPECT_EQ(weights[d.address], d.weight) << d.address.text();
}

TEST_P(DriverContract, WhatCanNotEvenBeAskedStopsNoneOfTheOthersAndKeepsItsPlace) {
    const ServiceKey key = tcp("10.0.0.1:80");
    const DestRecord unspeakable;  // has no address
    const std::vector<Op> ops = {Op::add(key, unspeakable),
                                 Op::add(service_of(key)),
                                 Op::add(key, dest_of("10.1.0.1:80", 1)),
                                 Op::edit(key, unspeakable),
                                 Op::add(service_of(tcp("10.0.0.2:80"), "")),
                                 Op::edit(key, dest_of("10.1.0.1:80", 2)),
                                 Op::edit(key, dest_of("10.1.0.2:80", 2)),
                                 Op::remove(key, base::Endpoint())};
    const auto answers = driver_->apply(ops);
    ASSERT_EQ(answers.size(), ops.size());
    for (const size_t i : {size_t{1}, size_t{2}, size_t{5}}) EXPECT_TRUE(ok(answers[i])) << i;
    for (const size_t i : {size_t{0}, size_t{3}, size_t{7}})
        EXPECT_TRUE(refused(answers[i], base::Errc::invalid, ops[i])) << i;
    EXPECT_TRUE(refused(answers[4], base::Errc::unsupported, ops[4]));
    EXPECT_TRUE(refused(answers[6], base::Errc::not_found, ops[6]));
    EXPECT_EQ(dest(key, at("10.1.0.1:80"))->weight, 2U);
}

TEST_P(DriverContract, AnEmptyBatchIsNoWork) {
    EXPECT_TRUE(driver_->apply({}).empty());
}

TEST_P(DriverContract, ManyServicesAreListedOnceEach) {
    std::vector<Op> ops;
    std::set<ServiceKey> keys;
    for (unsigned i = 0; i < 700; ++i) {
        const ServiceKey key = i % 3 == 0   ? mark(i + 1)
                               : i % 3 == 1 ? udp("10.0.0.1:" + std::to_string(1000 + i))
                                            : tcp("[2001:db8::1]:" + std::to_string(1000 + i));
        keys.insert(key);
        ops.push_back(Op::add(service_of(key)));
    }
    ASSERT_TRUE(all_ok(driver_->apply(ops)));
    const auto found = driver_->services();
    ASSERT_TRUE(ok(found));
    std::set<ServiceKey> shown;
    for (const ServiceRecord& s : *found) shown.insert(s.key);
    EXPECT_EQ(found->size(), keys.size());
    EXPECT_EQ(shown, keys);
}

TEST_P(DriverContract, ThousandsOfDestinationsAreListedOnceEach) {
    const ServiceKey key = tcp("10.0.0.1:80");
    std::vector<Op> ops = {Op::add(service_of(key))};
    for (uint32_t i = 0; i < 5000; ++i) ops.push_back(Op::add(key, numbered_dest(i, i)));
    ASSERT_TRUE(all_ok(driver_->apply(ops)));
    const auto found = driver_->dests(key);
    ASSERT_TRUE(ok(found));
    std::map<base::Endpoint, uint32_t> weights;
    for (const DestRecord& d : *found) weights[d.address] = d.weight;
    EXPECT_EQ(found->size(), 5000U);
    ASSERT_EQ(weights.size(), 5000U);
    for (uint32_t i = 0; i < 5000; ++i) EXPECT_EQ(weights[numbered_dest(i).address], i);
}

TEST_P(DriverContract, FlushLeavesNothing) {
    ASSERT_TRUE(all_ok(driver_->apply(std::vector{
        Op::add(service_of(tcp("10.0.0.1:80"))), Op::add(tcp("10.0.0.1:80"), dest_of("10.1.0.1:80")),
        Op::add(service_of(mark(3))), Op::add(service_of(udp("[2001:db8::1]:53")))})));
    ASSERT_TRUE(ok(driver_->flush()));
    EXPECT_TRUE(driver_->services()->empty());
    EXPECT_TRUE(ok(driver_->flush()));
}

TEST_P(DriverContract, ProbingFindsTheSchedulersThereAreAndLeavesNothingBehind) {
    ASSERT_TRUE(ok(apply(Op::add(service_of(tcp("10.0.0.1:80"), "wrr")))));
    const std::vector<std::string_view> asked = {"rr",
                                                 "wrr",
                                                 "lc",
                                                 "wlc",
                                                 "lblc",
                                                 "lblcr",
                                                 "dh",
                                                 "sh",
                                                 "mh",
                                                 "fo",
                                                 "ovf",
                                                 "sed",
                                                 "no-such",
                                                 "nq",
                                                 "twos",
                                                 "",
                                                 "a-name-far-longer-than-the-kernel-takes"};
    const auto found = driver_->probe_schedulers(asked);
    ASSERT_TRUE(ok(found));
    EXPECT_EQ(*found, (std::vector<std::string>{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh",
                                                "fo", "ovf", "sed", "nq"}));
    const auto left = driver_->services();
    ASSERT_TRUE(ok(left));
    ASSERT_EQ(left->size(), 1U);
    EXPECT_EQ(left->front().key, tcp("10.0.0.1:80"));
}

TEST_P(DriverContract, ProbingLeavesAServiceAloneWhoseMarkItWouldHaveUsed) {
    // 0x676f7262 is where the kernel driver begins to look for an unused mark.
    const ServiceRecord theirs = service_of(mark(0x676f7262), "lc");
    round_trip(theirs);
    ASSERT_TRUE(ok(driver_->probe_schedulers(std::vector<std::string_view>{"rr", "no-such"})));
    const auto left = driver_->services();
    ASSERT_TRUE(ok(left));
    ASSERT_EQ(left->size(), 1U);
    EXPECT_TRUE(same(left->front(), theirs));
}

}  // namespace gorb::ipvs
