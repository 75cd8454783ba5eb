#include "ipvs/driver.h"

#include <cerrno>

#include "ipvs/refusal.h"
#include "unit/ipvs/records.h"

namespace gorb::ipvs::driver_test {
namespace {

TEST(ServiceKey, IsWrittenAsPeopleWriteIt) {
    EXPECT_EQ(tcp("10.0.0.1:80").text(), "10.0.0.1:80/tcp");
    EXPECT_EQ(udp("[2001:db8::1]:53").text(), "[2001:db8::1]:53/udp");
    EXPECT_EQ(ServiceKey::of(IPPROTO_SCTP, at("10.0.0.1:80")).text(), "10.0.0.1:80/sctp");
    EXPECT_EQ(ServiceKey::of(99, at("10.0.0.1:80")).text(), "10.0.0.1:80/99");
    EXPECT_EQ(mark(7).text(), "fwmark 7");
    EXPECT_EQ(mark(7, base::Ip::Family::v6).text(), "fwmark 7 (ipv6)");
}

TEST(Op, TextNamesWhatIsDoneToWhat) {
    const ServiceKey key = tcp("10.0.0.1:80");
    const DestRecord d = dest_of("10.1.0.1:8080");
    EXPECT_EQ(Op::add(service_of(key)).text(), "add virtual service 10.0.0.1:80/tcp");
    EXPECT_EQ(Op::edit(service_of(key)).text(), "change virtual service 10.0.0.1:80/tcp");
    EXPECT_EQ(Op::remove(key).text(), "remove virtual service 10.0.0.1:80/tcp");
    EXPECT_EQ(Op::add(key, d).text(), "add destination 10.1.0.1:8080 to 10.0.0.1:80/tcp");
    EXPECT_EQ(Op::edit(key, d).text(), "change destination 10.1.0.1:8080 of 10.0.0.1:80/tcp");
    EXPECT_EQ(Op::remove(key, d.address).text(), "remove destination 10.1.0.1:8080 from 10.0.0.1:80/tcp");
}

TEST(Refusal, OfADestinationOfTheOtherFamilyNamesTheSynchronisationOfConnections) {
    DestRecord d = dest_of("[fd00::1]:80");
    d.forwarding = IP_VS_CONN_F_TUNNEL;
    const ServiceKey key = tcp("10.0.0.1:80");
    const auto sentence = [](const Op& op) { return refusal(op, EINVAL, "the kernel").sentence; };
    EXPECT_NE(sentence(Op::add(key, d)).find("--start-daemon"), std::string::npos);
    EXPECT_NE(sentence(Op::add(key, d)).find("no packets can be sent"), std::string::npos);
    EXPECT_EQ(sentence(Op::add(key, dest_of("10.1.0.1:80"))).find("--start-daemon"), std::string::npos);
}

TEST(Records, CountersAreNoSettings) {
    ServiceRecord s = service_of(tcp("10.0.0.1:80"));
    ServiceRecord counted = s;
    counted.stats.connections = 9;
    EXPECT_TRUE(s.same_settings(counted));
    DestRecord d = dest_of("10.1.0.1:80");
    DestRecord busy = d;
    busy.active = busy.inactive = busy.persistent = 4;
    busy.stats.bytes_in = 4;
    EXPECT_TRUE(d.same_settings(busy));
}

TEST(Records, EverySettingCounts) {
    const ServiceRecord s = service_of(tcp("10.0.0.1:80"));
    const auto service_differs = [&s](auto change) {
        ServiceRecord other = s;
        change(other);
        return !s.same_settings(other);
    };
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.key.vip.port = 81; }));
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.scheduler = "wrr"; }));
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.flags = 1; }));
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.timeout_s = 1; }));
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.netmask = 1; }));
    EXPECT_TRUE(service_differs([](ServiceRecord& o) { o.pe_name = "sip"; }));
    const DestRecord d = dest_of("10.1.0.1:80");
    const auto dest_differs = [&d](auto change) {
        DestRecord other = d;
        change(other);
        return !d.same_settings(other);
    };
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.address.port = 81; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.forwarding = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.weight = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.upper_threshold = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.lower_threshold = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.tunnel_type = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.tunnel_port = 2; }));
    EXPECT_TRUE(dest_differs([](DestRecord& o) { o.tunnel_flags = 2; }));
}

TEST(Refusal, AnErrnoMeansWhatTheOperationMakesOfIt) {
    const ServiceKey key = tcp("10.0.0.1:80");
    const DestRecord d = dest_of("10.1.0.1:80");
    const auto code = [](const Op& op, int os_error) { return refusal(op, os_error, "the kernel").code; };
    EXPECT_EQ(code(Op::add(service_of(key)), EEXIST), base::Errc::exists);
    EXPECT_EQ(code(Op::add(service_of(key)), ENOENT), base::Errc::unsupported);
    EXPECT_EQ(code(Op::edit(service_of(key)), ENOENT), base::Errc::unsupported);
    EXPECT_EQ(code(Op::edit(service_of(key)), ESRCH), base::Errc::not_found);
    EXPECT_EQ(code(Op::edit(key, d), ENOENT), base::Errc::not_found);
    EXPECT_EQ(code(Op::add(key, d), ESRCH), base::Errc::not_found);
    EXPECT_EQ(code(Op::add(key, d), ERANGE), base::Errc::invalid);
    EXPECT_EQ(code(Op::add(key, d), EINVAL), base::Errc::invalid);
    EXPECT_EQ(code(Op::add(key, d), EPERM), base::Errc::forbidden);
    EXPECT_EQ(code(Op::add(key, d), EAFNOSUPPORT), base::Errc::unsupported);
    EXPECT_EQ(code(Op::add(service_of(key)), ENOPROTOOPT), base::Errc::unavailable);
    EXPECT_EQ(code(Op::add(key, d), ENOMEM), base::Errc::refused);
}

TEST(Refusal, TheSentenceHoldsOperationReasonAndTheKernelsOwnWords) {
    const Op op = Op::add(service_of(tcp("10.0.0.1:80"), "twos"));
    const base::Error error = refusal(op, ENOENT, "the kernel", "module missing");
    EXPECT_EQ(error.sentence,
              "add virtual service 10.0.0.1:80/tcp: the kernel has no scheduler \"twos\" (module missing)");
    EXPECT_EQ(error.os_error, ENOENT);
    EXPECT_EQ(refusal(Op::remove(op.service.key), ENOMEM, "the kernel").sentence,
              "remove virtual service 10.0.0.1:80/tcp: the kernel refused: Cannot allocate memory");
}

}  // namespace
}  // namespace gorb::ipvs::driver_test
