// Against nsd (authoritative) and unbound (recursive) as Debian ships them, on loopback, in a folder of the
// test's own.
#include <gmock/gmock.h>

#include <gorb/testing.hpp>

#include "dns/name_server.h"
#include "loaded.h"
#include "process.h"

namespace plugin_test {
namespace {

using gorb::testing::Report;
using gorb::testing::Values;

// One that was free a moment ago.
uint16_t free_port() {
    return NameServer([](std::string_view, bool) { return std::vector<std::string>(); }).port();
}

struct Nsd {
    Nsd() {
        const std::string at = folder.path, number = std::to_string(port);
        std::string zone =
            "$TTL 60\n@ SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"
            "www AAAA 2001:db8::1\nalias CNAME www\n@ MX 10 mail\nmail A 192.0.2.25\n@ TXT \"v=spf1 -all\"\n"
            "_sip._udp SRV 0 5 5060 mail\n";
        for (int i = 1; i <= 60; ++i) zone += "big A 198.51.100." + std::to_string(i) + "\n";
        folder.write("zone", zone);
        folder.write("nsd.conf", "server:\n ip-address: 127.0.0.1@" + number +
                                     "\n username: \"\"\n zonesdir: \"" + at +
                                     "\"\n database: \"\"\n pidfile: \"\"\n xfrdfile: \"" + at +
                                     "/xfrd\"\n zonelistfile: \"" + at + "/list\"\n xfrdir: \"" + at +
                                     "\"\n server-count: 1\nremote-control:\n control-enable: no\n" +
                                     "zone:\n name: example.test\n zonefile: zone\n");
        process = std::make_unique<Process>(
            "nsd", std::vector<std::string>{"/usr/sbin/nsd", "-d", "-c", at + "/nsd.conf"}, at + "/log");
    }
    Folder folder;
    uint16_t port = free_port();
    std::unique_ptr<Process> process;
};

struct Unbound {
    explicit Unbound(uint16_t upstream) {
        const std::string at = folder.path;
        folder.write(
            "unbound.conf",
            "server:\n interface: 127.0.0.1\n port: " + std::to_string(port) +
                "\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"" + at +
                "\"\n pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n module-config: "
                "\"iterator\"\n"
                " access-control: 127.0.0.0/8 allow\n local-zone: \"test.\" transparent\nremote-control:\n"
                " control-enable: no\nstub-zone:\n name: example.test\n stub-addr: 127.0.0.1@" +
                std::to_string(upstream) + "\n");
        process = std::make_unique<Process>(
            "unbound", std::vector<std::string>{"/usr/sbin/unbound", "-d", "-c", at + "/unbound.conf"},
            at + "/log");
    }
    Folder folder;
    uint16_t port = free_port();
    std::unique_ptr<Process> process;
};

class RealDns : public testing::Test {
  protected:
    // A server needs a moment to begin to listen.
    static void wait_for(uint16_t port, const Folder& folder) {
        Instance dns("dns");
        const Values ask = {{"name", "example.test"}, {"record", "SOA"}};
        for (int turn = 0; turn < 500; ++turn) {
            if (dns.run(port, ask).verdict == GORB_PASS) return;
            usleep(20'000);
        }
        FAIL() << "the server does not answer: " << folder.read("log");
    }
    Report ask(uint16_t port, const Values& args) { return dns_.run(port, args); }

  private:
    Instance dns_{"dns"};
};

TEST_F(RealDns, AnAuthoritativeServerAnswersEveryType) {
    const Nsd nsd;
    wait_for(nsd.port, nsd.folder);
    const std::vector<Values> good = {
        {{"name", "www.example.test"}, {"expect", "192.0.2.1"}},
        {{"name", "WWW.Example.Test."}, {"record", "AAAA"}, {"expect", "2001:DB8:0::1"}},
        {{"name", "alias.example.test"}, {"expect", "192.0.2.1"}},
        {{"name", "alias.example.test"}, {"record", "CNAME"}, {"expect", "www.example.test"}},
        {{"name", "example.test"},
         {"record", "SOA"},
         {"expect", "ns.example.test hostmaster.example.test 1"}},
        {{"name", "example.test"}, {"record", "NS"}, {"expect", "ns.example.test"}},
        {{"name", "example.test"}, {"record", "MX"}, {"expect", "10 mail.example.test"}},
        {{"name", "example.test"}, {"record", "TXT"}, {"expect", "v=spf1 -all"}},
        {{"name", "_sip._udp.example.test"}, {"record", "SRV"}, {"expect", "0 5 5060 mail.example.test"}},
        {{"name", "nowhere.example.test"}, {"rcode", "NXDOMAIN"}},
        {{"name", "version.server"}, {"record", "TXT"}, {"class", "CH"}},
    };
    for (const auto& args : good) {
        for (const char* transport : {"udp", "tcp"}) {
            Values all = args;
            all["transport"] = transport;
            const Report report = ask(nsd.port, all);
            EXPECT_EQ(report.verdict, GORB_PASS)
                << args.at("name") << " over " << transport << ": " << report.detail;
        }
    }
    const Report other = ask(nsd.port, {{"name", "www.example.test"}, {"expect", "192.0.2.2"}});
    EXPECT_EQ(other.verdict, GORB_FAIL);
    EXPECT_EQ(other.detail, "no A record holds \"192.0.2.2\" (there is 192.0.2.1)");
    const Report refused = ask(nsd.port, {{"name", "www.elsewhere.test"}});
    EXPECT_EQ(refused.detail, "REFUSED (expected NOERROR)");
    EXPECT_EQ(refused.code, 5);
}

TEST_F(RealDns, AnAnswerThatIsTooLongForUdpComesOverTcp) {
    const Nsd nsd;
    wait_for(nsd.port, nsd.folder);
    const Report report =
        ask(nsd.port, {{"name", "big.example.test"}, {"answers", "60"}, {"expect", "198.51.100.60"}});
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.detail, "NOERROR, 60 A records (over TCP, as the answer over UDP was truncated)");
}

TEST_F(RealDns, ARecursiveServerAnswersWhatItHasToAskElsewhere) {
    auto nsd = std::make_unique<Nsd>();
    wait_for(nsd->port, nsd->folder);
    const Unbound unbound(nsd->port);
    wait_for(unbound.port, unbound.folder);
    EXPECT_EQ(ask(unbound.port, {{"name", "www.example.test"}, {"expect", "192.0.2.1"}}).verdict, GORB_PASS);
    const Report refused = ask(unbound.port, {{"name", "mail.example.test"}, {"recursion", "false"}});
    EXPECT_EQ(refused.verdict, GORB_FAIL) << "not in its cache, and it was not asked to find out";
}

}  // namespace
}  // namespace plugin_test
