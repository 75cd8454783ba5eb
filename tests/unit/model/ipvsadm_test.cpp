// Texts are as ipvsadm 1.31 writes them, or as people write them for ipvsadm -R.
#include <gtest/gtest.h>

#include "model/config.h"
#include "unit/model/codec_helpers.h"

namespace gorb::model::ipvsadm_test {
namespace {

// "line 3: what it says"; "" if it is read.
std::string complaint(std::string_view text) {
    const auto read = read_ipvsadm(text);
    if (read) return "";
    std::string out;
    for (const base::Fault& fault : read.error().faults)
        out += (out.empty() ? "" : "\n") + fault.pointer + ": " + fault.what;
    EXPECT_FALSE(out.empty());
    return out;
}

base::Endpoint at(std::string_view text) {
    return *base::Endpoint::parse(text);
}

TEST(Ipvsadm, ASavedTableBecomesServicesAndBackends) {
    const auto read = read_ipvsadm(
        "-A -t 10.0.0.1:80 -s wrr\n"
        "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 100\n"
        "-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 0\n"
        "-a -t 10.0.0.1:80 -r 10.1.0.3:80 -i -w 5 --tun-type ipip\n"
        "-A -t [2001:db8::1]:443 -s sh -p 300 -M 64 -b sh-fallback,sh-port\n"
        "-a -t [2001:db8::1]:443 -r [2001:db8:1::1]:443 -g -w 1\n"
        "-A -u 10.0.0.1:0 -s rr -p 77 -M 255.255.0.0\n");
    ASSERT_TRUE(read) << read.error().sentence;
    ASSERT_EQ(read->services.size(), 3U);

    const ConfigService& web = read->services[0];
    EXPECT_EQ(web.spec.name, "tcp-10.0.0.1-80");
    EXPECT_EQ(web.spec.scheduler, "wrr");
    EXPECT_EQ(web.spec.persistence_s, 0U);
    EXPECT_EQ(web.spec.netmask, 32);
    ASSERT_EQ(web.backends.size(), 3U);
    EXPECT_EQ(web.backends[0].name, "10.1.0.1-8080");
    EXPECT_EQ(web.backends[0].address, at("10.1.0.1:8080"));
    EXPECT_EQ(web.backends[0].forwarding, Forwarding::nat);
    EXPECT_EQ(web.backends[0].weight, 100U);
    EXPECT_EQ(web.backends[0].pulses, PulseList());
    EXPECT_EQ(web.backends[1].forwarding, Forwarding::dr);
    EXPECT_EQ(web.backends[1].weight, 0U);
    EXPECT_EQ(web.backends[2].forwarding, Forwarding::tunnel);

    const ConfigService& tls = read->services[1];
    EXPECT_EQ(tls.spec.name, "tcp-2001:db8::1-443");
    EXPECT_EQ(tls.spec.flags, uint32_t{flag_fallback | flag_port});
    EXPECT_EQ(tls.spec.persistence_s, 300U);
    EXPECT_EQ(tls.spec.netmask, 64);
    EXPECT_EQ(tls.backends.at(0).name, "2001:db8:1::1-443");

    const ConfigService& every_port = read->services[2];
    EXPECT_EQ(every_port.spec.name, "udp-10.0.0.1-0");
    EXPECT_EQ(every_port.spec.key.protocol, Protocol::udp);
    EXPECT_EQ(every_port.spec.persistence_s, 77U);
    EXPECT_EQ(every_port.spec.netmask, 16);
}

TEST(Ipvsadm, WhatATcpCheckTellsNothingOfIsNotChecked) {
    const auto read = read_ipvsadm(
        "-A -u 10.0.0.1:53 -s rr\n-a -u 10.0.0.1:53 -r 10.1.0.1:53 -m\n"
        "-A -t 10.0.0.1:0 -s rr -p 60\n-a -t 10.0.0.1:0 -r 10.1.0.1:0 -m\n");
    ASSERT_TRUE(read) << read.error().sentence;
    for (const ConfigService& service : read->services)
        EXPECT_EQ(service.backends.at(0).pulses[0].type, "none") << service.spec.name;
}

TEST(Ipvsadm, LinesWrittenByHandHaveTheDefaultsOfIpvsadm) {
    const auto read = read_ipvsadm(
        "# the shop\r\n"
        "\n"
        "   \t\n"
        "ipvsadm -A -t 10.0.0.1:80 -p\n"
        "/sbin/ipvsadm --add-server --tcp-service=10.0.0.1:80 --real-server 10.1.0.1 -x 10 -y 5\n"
        "\t-a\t-t 10.0.0.1:80 -w 3 -m -r 10.1.0.2:81");
    ASSERT_TRUE(read) << read.error().sentence;
    const ConfigService& web = read->services.at(0);
    EXPECT_EQ(web.spec.scheduler, "wlc");
    EXPECT_EQ(web.spec.persistence_s, 360U);
    const Backend& b1 = web.backends.at(0);
    EXPECT_EQ(b1.address, at("10.1.0.1:80"));  // the service's port
    EXPECT_EQ(b1.forwarding, Forwarding::dr);
    EXPECT_EQ(b1.weight, 1U);
    EXPECT_EQ(b1.upper_threshold, 10U);
    EXPECT_EQ(b1.lower_threshold, 5U);
    EXPECT_EQ(web.backends.at(1).weight, 3U);
}

TEST(Ipvsadm, NothingAtAllIsTheEmptyState) {
    ASSERT_TRUE(read_ipvsadm(""));
    EXPECT_TRUE(read_ipvsadm("\n# nothing\n")->services.empty());
}

TEST(Ipvsadm, WhatGorbHasNoWordForIsSaidWithItsLine) {
    const std::string web = "-A -t 10.0.0.1:80 -s wrr\n";
    const std::pair<std::string, const char*> cases[] = {
        {"-A -f 5 -s lc\n", "firewall mark"},
        {"-A -f 5 -6 -s lc\n", "firewall mark"},
        {"-A --sctp-service 10.0.0.1:80 -s rr\n", "SCTP"},
        {"-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip\n", "persistence engine"},
        {"-A -u 10.0.0.1:53 -s rr -o\n", "one-packet"},
        {"-A -t 10.0.0.2:80 -s none\n", "every new connection"},
        {"-A -t 10.0.0.2:80 -s wrr -b flag-3\n", "-b must be of"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n", "\"gue\""},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -l -w 1\n", "this very host"},
        {"-A -t web.example:http -s wrr\n", "-Sn"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:http -m -w 1\n", "-Sn"},
        {"-D -t 10.0.0.1:80\n", "commands -A and -a only"},
        {"-C\n", "commands -A and -a only"},
        {"-t 10.0.0.1:80 -s wrr\n", "one of -A"},
        {"-A -a -t 10.0.0.1:80\n", "one of -A"},
        {"-A -s wrr\n", "one of -t and -u"},
        {"-A -t 10.0.0.3:80 -u 10.0.0.3:80\n", "one of -t and -u"},
        {"-A -t 10.0.0.2:80 -s\n", "needs a value"},
        {"-A -t 10.0.0.2:80 -t 10.0.0.2:80\n", "twice"},
        {"-A -t 10.0.0.2:80 --colour red\n", "\"--colour\""},
        {"-A -t 10.0.0.2:80 rubbish\n", "\"rubbish\""},
        {"-A -t 10.0.0.2:80 -w 5\n", "of -a, not of -A"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -s rr\n", "of -A, not of -a"},
        {"-a -t 10.0.0.1:80 -m\n", "must have -r"},
        {"-a -t 10.0.0.9:80 -r 10.1.0.1:80 -m\n", "which no line above it adds"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -g\n", "no more than one of"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w many\n", "-w must be a whole number"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 65536\n", "-w must be a whole number from 0 to 65535"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -x 1 -y 2\n", "-y must not be above"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -x 2147483648\n", "-x must be a whole number from 0 to"},
        {"-a -t 10.0.0.1:80 -r 10.1.0.1:81 -g\n", "the port must be 80"},
        {"-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -m\n", "the address must be IPv4"},
        {"-A -t 10.0.0.2:0 -s wrr\n", "the port must be 1 to 65535"},
        {"-A -t 10.0.0.2:80 -s wrr -p 0\n", "-p must be"},
        {"-A -t 10.0.0.2:80 -s wrr -p 1 -M 255.0.255.0\n", "-M must be"},
        {"-A -t 10.0.0.2:80 -s w+rr\n", "-s must be"},
        {"-A -t 10.0.0.2:80 -s rr -b sh-port\n", "-b must be"},
        {"-A -t 10.0.0.1:80 -s rr\n", "again"},
    };
    for (const auto& [line, what] : cases) {
        const std::string said = complaint(web + line);
        EXPECT_TRUE(said.starts_with("line 2: ")) << line << said;
        EXPECT_NE(said.find(what), std::string::npos) << line << said;
        EXPECT_EQ(said.find('\n'), std::string::npos) << "said once: " << said;
    }
    const std::string server = "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m\n";
    EXPECT_NE(complaint(web + server + server).find("line 3: adds the server"), std::string::npos);
}

TEST(Ipvsadm, EveryLineAtFaultIsNamedButTheServersOfARefusedServiceAreNot) {
    EXPECT_EQ(complaint("-A -t 10.0.0.1:80 -s wrr --pe sip -p 5\n"
                        "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m\n"
                        "-x\n"),
              "line 1: has a persistence engine (--pe), which gorb has no word for\n"
              "line 3: ends where -x needs a value");
}

TEST(Ipvsadm, NoMoreThan64FaultsAndNoLongWordsAreRepeated) {
    std::string text = std::string(1'000'000, 'x') + "\n";
    for (int i = 0; i < 500; ++i) text += "-A -f 1\n";
    const auto read = read_ipvsadm(text);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().faults.size(), 64U);
    EXPECT_LT(read.error().faults[0].what.size(), 200U);
}

TEST(Ipvsadm, WhatIsReadIsADocumentThatReadsBack) {
    const auto read = read_ipvsadm(
        "-A -t 10.0.0.1:80 -s wrr -p 60\n"
        "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 7\n");
    ASSERT_TRUE(read);
    for (const ConfigService& service : read->services) {
        EXPECT_EQ(*read_service(service.spec.name, written(service.spec), {}), service.spec);
        for (const Backend& b : service.backends) EXPECT_EQ(*read_backend(b.name, written(b)), b);
    }
}

}  // namespace
}  // namespace gorb::model::ipvsadm_test
