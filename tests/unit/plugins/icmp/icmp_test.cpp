#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <gorb/testing.hpp>
#include <mutex>

#include "icmp/network.h"
#include "loaded.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::Clock;
using gorb::testing::FakeHost;
using gorb::testing::PulseRunner;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

// An instance with one kind of socket.
struct Icmp {
    explicit Icmp(const std::string& kind = "any", Clock clock = Clock::manual)
        : host(clock), pulse(host, plugin("icmp"), {{"socket", kind}}) {}
    ~Icmp() {
        EXPECT_EQ(pulse.destroy(), std::vector<std::string>());
        EXPECT_EQ(host.violations(), std::vector<std::string>());
    }
    Report run(const std::string& ip, const Values& args = {}) {
        return wait(pulse.start(pulse.add(address(ip, 0), args)));
    }
    Report wait(gorb_run run) {
        const auto report = pulse.wait(run);
        EXPECT_TRUE(report.has_value()) << "no report";
        return report.value_or(Report{});
    }
    FakeHost host;
    PulseRunner pulse;
};

// Both kinds of socket, in turn.
void with_both(const std::function<void(const std::string& kind)>& test) {
    for (const char* kind : {"ping", "raw"}) {
        SCOPED_TRACE(kind);
        const PingSockets allowed(std::string(kind) == "ping");
        test(kind);
    }
}
std::vector<std::string> echo(std::string_view request, std::string_view = {}) {
    return {Responder::reply(request)};
}

TEST(PulseIcmp, TheLoopbackAnswersOverBothFamiliesAndKindsOfSocket) {
    with_both([](const std::string& kind) {
        Icmp icmp(kind, Clock::real);
        for (const char* ip : {"127.0.0.1", "::1"}) {
            for (const char* size : {"0", "5", "56", "1472"}) {
                const Report report = icmp.run(ip, {{"size", size}});
                EXPECT_EQ(report.verdict, GORB_PASS) << ip << " " << size << ": " << report.detail;
                EXPECT_THAT(report.detail, testing::MatchesRegex("answered in [0-9.]+ ms"));
                EXPECT_GT(report.latency_ns, 0u);
            }
        }
    });
}

TEST(PulseIcmp, TakesARawSocketWherePingSocketsAreNotPermitted) {
    const PingSockets allowed(false);
    Icmp icmp("any");
    EXPECT_EQ(icmp.run("127.0.0.1").verdict, GORB_PASS);
}

// Without CAP_NET_RAW, on a thread: capabilities are the thread's own.
void without_privileges(const std::function<void()>& test) {
    std::thread([&] {
        __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        const __user_cap_data_struct none[2] = {};
        ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
        test();
    }).join();
}

TEST(PulseIcmp, APingSocketNeedsNoPrivilege) {
    const PingSockets allowed(true);
    without_privileges([] {
        Icmp icmp("any");
        EXPECT_EQ(icmp.run("127.0.0.1").verdict, GORB_PASS);
        EXPECT_EQ(icmp.run("::1").verdict, GORB_PASS);
    });
}

TEST(PulseIcmp, WithoutAnyPermissionItIsUnknownAndSaysWhatWouldHelp) {
    const PingSockets allowed(false);
    without_privileges([] {
        Icmp icmp("any");
        const Report report = icmp.run("127.0.0.1");
        EXPECT_EQ(report.verdict, GORB_UNKNOWN);
        EXPECT_EQ(report.code, EPERM);
        EXPECT_THAT(report.detail, HasSubstr("net.ipv4.ping_group_range"));
        EXPECT_THAT(report.detail, HasSubstr("CAP_NET_RAW"));
    });
}

TEST(PulseIcmp, NoDescriptorIsUnknown) {
    const PingSockets allowed(true);
    Icmp icmp;
    const auto probe = icmp.pulse.add(address("127.0.0.1", 0));
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none = {0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    const gorb_run run = icmp.pulse.start(probe);
    setrlimit(RLIMIT_NOFILE, &before);
    const Report report = icmp.wait(run);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.code, EMFILE);
    EXPECT_THAT(report.detail, HasSubstr("no free file descriptor"));
    EXPECT_EQ(icmp.pulse.run(probe)->verdict, GORB_PASS) << "the next check tries again";
}

TEST(PulseIcmp, ManyTargetsShareASocket) {
    const PingSockets allowed(true);
    Icmp icmp;
    std::vector<gorb_run> runs;
    for (int i = 1; i <= 200; ++i)
        runs.push_back(icmp.pulse.start(icmp.pulse.add(address("127.0.0." + std::to_string(i), 0))));
    EXPECT_EQ(icmp.host.held(), std::vector<std::string>{"1 watched descriptor"});
    for (const gorb_run run : runs) EXPECT_EQ(icmp.wait(run).verdict, GORB_PASS);
}

TEST(PulseIcmp, AtTheDeadlineSilenceFailsInItsOwnWords) {
    with_both([](const std::string& kind) {
        Responder responder([](auto, auto) { return std::vector<std::string>(); });
        Icmp icmp(kind);
        const gorb_run run = icmp.pulse.start(icmp.pulse.add(address("127.0.0.1", 0)));
        EXPECT_TRUE(icmp.host.loop().run_until([&] { return responder.requests() == 1; }));
        icmp.host.loop().advance(seconds(5));
        const Report report = icmp.wait(run);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, "no answer to 1 request");
        EXPECT_EQ(report.code, ETIMEDOUT);
    });
}

TEST(PulseIcmp, LossIsForgivenWhileEnoughIsAnswered) {
    with_both([](const std::string& kind) {
        std::atomic<int> seen{0};
        Responder responder([&](std::string_view request, auto) {
            return ++seen % 2 ? std::vector<std::string>() : echo(request);  // every second one is answered
        });
        Icmp icmp(kind);
        const auto check = [&](const Values& args) {
            seen = 0;
            const int count = std::stoi(args.at("count"));
            const gorb_run run = icmp.pulse.start(icmp.pulse.add(address("127.0.0.1", 0), args));
            for (int sent = 1; sent <= count && icmp.host.run_open(run); ++sent) {
                EXPECT_TRUE(
                    icmp.host.loop().run_until([&] { return seen == sent || !icmp.host.run_open(run); }));
                if (sent % 2 == 0)
                    icmp.pulse.wait(run, milliseconds(30));  // the answer, if it was the last one needed
                if (icmp.host.run_open(run))
                    icmp.host.loop().advance(sent == count ? seconds(5) : milliseconds(1000));
            }
            return icmp.wait(run);
        };
        EXPECT_EQ(check({{"count", "3"}}).verdict, GORB_PASS);
        const Report enough = check({{"count", "4"}, {"least", "2"}});
        EXPECT_EQ(enough.verdict, GORB_PASS);
        EXPECT_THAT(enough.detail, StartsWith("2 of 4 requests answered, "));
        const Report few = check({{"count", "4"}, {"least", "3"}});
        EXPECT_EQ(few.verdict, GORB_FAIL);
        EXPECT_EQ(few.detail, "2 of 4 requests answered (3 needed)");
    });
}

TEST(PulseIcmp, OnlyTheAnswerWithItsTokenAndNumberCounts) {
    with_both([](const std::string& kind) {
        Responder responder([](std::string_view request, auto) {
            return std::vector<std::string>{
                Responder::reply(request,
                                 [](std::string& m) { m[8] = static_cast<char>(m[8] ^ 1); }),  // token
                Responder::reply(request,
                                 [](std::string& m) { m[7] = static_cast<char>(m[7] ^ 1); }),  // sequence
                Responder::reply(request, [](std::string& m) { m[5] = static_cast<char>(m[5] ^ 1); }),  // id
                Responder::reply(request, [](std::string& m) { m.resize(10); }),
                Responder::reply(request, [](std::string& m) { m[0] = 8; }),
            };
        });
        Icmp icmp(kind);
        const gorb_run run = icmp.pulse.start(icmp.pulse.add(address("127.0.0.1", 0)));
        EXPECT_FALSE(icmp.pulse.wait(run, milliseconds(200)));
        icmp.host.loop().advance(seconds(5));
        EXPECT_EQ(icmp.wait(run).verdict, GORB_FAIL);
    });
}

TEST(PulseIcmp, AChangedPayloadFails) {
    with_both([](const std::string& kind) {
        Responder responder([](std::string_view request, auto) {
            return std::vector<std::string>{
                Responder::reply(request, [](std::string& m) { m.back() = '\0'; })};
        });
        Icmp icmp(kind);
        const Report report = icmp.run("127.0.0.1");
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, "the answer's payload is not the one that was sent");
    });
}

TEST(PulseIcmp, AnAnswerOfYesterdayIsNone) {
    std::mutex mutex;
    std::string late;
    Responder responder([&](std::string_view request, auto) {
        const std::lock_guard<std::mutex> lock(mutex);
        std::vector<std::string> out;
        if (!late.empty()) out.push_back(late);
        late = Responder::reply(request);
        return out;
    });
    const PingSockets allowed(true);
    Icmp icmp;
    const auto probe = icmp.pulse.add(address("127.0.0.1", 0));
    for (int turn = 1; turn <= 3; ++turn) {
        const gorb_run run = icmp.pulse.start(probe);
        EXPECT_TRUE(icmp.host.loop().run_until([&] { return responder.requests() == turn; }));
        EXPECT_FALSE(icmp.pulse.wait(run, milliseconds(50)));
        icmp.pulse.cancel(probe, run);
    }
    EXPECT_TRUE(icmp.host.reports().empty());
}

TEST(PulseIcmp, ARedirectIsNoLoss) {
    with_both([](const std::string& kind) {
        std::atomic<bool> silent{false};
        Responder responder([&](std::string_view request, std::string_view ip) {
            std::vector<std::string> out;
            for (const char type : {ICMP_REDIRECT, ICMP_SOURCE_QUENCH}) {
                out.push_back(Responder::reply(request, [&](std::string& m) {
                    m = std::string{type, 1, 0, 0, 127, 0, 0, 9} + std::string(ip) +
                        std::string(request.substr(0, 8));
                }));
            }
            if (!silent) out.push_back(Responder::reply(request));
            return out;
        });
        Icmp icmp(kind);
        const Report report = icmp.run("127.0.0.1");
        EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
        silent = true;
        const gorb_run run = icmp.pulse.start(icmp.pulse.add(address("127.0.0.1", 0)));
        EXPECT_FALSE(icmp.pulse.wait(run, milliseconds(100)));
        icmp.host.loop().advance(seconds(5));
        EXPECT_EQ(icmp.wait(run).detail, "no answer to 1 request");
    });
}

TEST(PulseIcmp, MoreAnswersThanRequestsAreRefused) {
    EXPECT_EQ(PulseRunner::check(plugin("icmp"), {{"count", "3"}, {"least", "3"}}), "");
    EXPECT_THAT(PulseRunner::check(plugin("icmp"), {{"count", "2"}, {"least", "3"}}),
                HasSubstr("more answers than requests"));
}

// ---- what the target's socket has ----

struct Socket {
    std::string source, interface;
    uint32_t fwmark = 0;
};
void* add(Icmp& icmp, const std::string& ip, const Socket& with, const Values& args = {}) {
    const gorb_addr source = with.source.empty() ? gorb_addr{} : address(with.source, 0);
    return icmp.pulse.add(address(ip, 0), args, with.fwmark, source, with.interface);
}

TEST(PulseIcmp, SourceAndTtlAreThoseOfTheTarget) {
    with_both([](const std::string& kind) {
        std::mutex mutex;
        std::string header;
        Responder responder([&](std::string_view request, std::string_view ip) {
            const std::lock_guard<std::mutex> lock(mutex);
            header = std::string(ip);
            return echo(request);
        });
        Icmp icmp(kind);
        EXPECT_EQ(
            icmp.wait(icmp.pulse.start(add(icmp, "127.0.0.1", {"127.0.0.7", "", 0}, {{"ttl", "9"}}))).verdict,
            GORB_PASS);
        const std::lock_guard<std::mutex> lock(mutex);
        EXPECT_EQ(header.substr(12, 4), std::string("\x7f\0\0\7", 4));
        EXPECT_EQ(header[8], 9);
    });
}

TEST(PulseIcmp, TheFwmarkChoosesTheRoute) {
    sh("ip rule add fwmark 7 prohibit");
    with_both([](const std::string& kind) {
        Icmp icmp(kind);
        EXPECT_EQ(icmp.wait(icmp.pulse.start(add(icmp, "127.0.0.1", {"", "", 8}))).verdict, GORB_PASS);
        sh("ip rule add pref 0 fwmark 7 prohibit; ip rule delete pref 0 lookup local; ip rule add pref 1 "
           "lookup local");
        const Report report = icmp.wait(icmp.pulse.start(add(icmp, "127.0.0.1", {"", "", 7})));
        EXPECT_EQ(report.verdict, GORB_UNKNOWN) << "no packet left this machine";
        sh("ip rule add pref 0 lookup local; ip rule delete pref 0 fwmark 7 prohibit; ip rule delete pref 1 "
           "lookup local");
    });
    sh("ip rule delete fwmark 7 prohibit");
}

TEST(PulseIcmp, AnAddressOrDeviceWeDoNotHaveIsUnknownWithItsName) {
    with_both([](const std::string& kind) {
        Icmp icmp(kind);
        const Report source = icmp.wait(icmp.pulse.start(add(icmp, "127.0.0.1", {"192.0.2.1", "", 0})));
        EXPECT_EQ(source.verdict, GORB_UNKNOWN);
        EXPECT_THAT(source.detail, HasSubstr("192.0.2.1"));
        const Report device = icmp.wait(icmp.pulse.start(add(icmp, "127.0.0.1", {"", "nosuch0", 0})));
        EXPECT_EQ(device.verdict, GORB_UNKNOWN);
        EXPECT_THAT(device.detail, HasSubstr("\"nosuch0\" can not be used: there is none of that name"));
    });
}

// ---- a network ----

TEST(PulseIcmp, NoRouteOfOurOwnIsUnknown) {
    with_both([](const std::string& kind) {
        Icmp icmp(kind);
        for (const char* ip : {"192.0.2.1", "2001:db8::1"}) {
            const Report report = icmp.run(ip);
            EXPECT_EQ(report.verdict, GORB_UNKNOWN) << ip;
            EXPECT_EQ(report.code, ENETUNREACH) << ip;
            EXPECT_EQ(report.detail, std::string("this machine has no route to ") + ip);
        }
    });
}

TEST(PulseIcmp, WhatTheNetworkSaysFailsWithItsWords) {
    with_both([](const std::string& kind) {
        const Router router;
        Icmp icmp(kind);
        for (const char* well : {"10.77.0.1", "fd77::1"}) {
            Report report = icmp.run(well);
            // A new link has to find its neighbour first.
            for (int i = 0; i < 10 && report.verdict != GORB_PASS; ++i) report = icmp.run(well);
            EXPECT_EQ(report.verdict, GORB_PASS) << well << ": " << report.detail;
        }
        const std::pair<const char*, const char*> said[] = {
            {"10.78.0.1", "prohibited by an administrator, says 10.77.0.1"},
            {"10.79.0.1", "host unreachable, says 10.77.0.1"},
            {"10.81.0.1", "network unreachable, says 10.77.0.1"},
            {"fd78::1", "prohibited by an administrator, says fd77::1"},
            {"fd79::1", "no route to it on the way, says fd77::1"},
        };
        for (const auto& [ip, words] : said) {
            const Report report = icmp.run(ip);
            EXPECT_EQ(report.verdict, GORB_FAIL) << ip;
            EXPECT_EQ(report.detail, words) << ip;
        }
        const Report expired = icmp.run("10.82.0.1", {{"ttl", "1"}});
        EXPECT_EQ(expired.detail, "time to live exceeded on the way, says 10.77.0.1");
        EXPECT_EQ(icmp.run("fd82::1", {{"ttl", "1"}}).detail, "hop limit exceeded on the way, says fd77::1");
        const Report nobody = icmp.run("10.77.0.9");
        EXPECT_EQ(nobody.verdict, GORB_FAIL);
        EXPECT_EQ(nobody.detail, "host unreachable, says 10.77.0.2") << "nobody answered to ARP";
        EXPECT_EQ(icmp.wait(icmp.pulse.start(add(icmp, "10.77.0.1", {"10.77.0.2", "gorb0", 0}))).verdict,
                  GORB_PASS);
    });
}

TEST(PulseIcmp, WhatTheNetworkDropsFailsInTime) {
    const Router router;
    with_both([](const std::string& kind) {
        Icmp icmp(kind, Clock::real);
        const gorb_run run = icmp.pulse.start(icmp.pulse.add(address("10.80.0.1", 0)), milliseconds(300));
        const Report report = icmp.wait(run);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, "no answer to 1 request");
    });
}

// The kernel keeps what it can not send yet, at the cost of the socket that all share.
TEST(PulseIcmp, ManyDeadHostsOnALinkOfOursHarmNoOther) {
    const int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 1 << 20;
    const bool may = setsockopt(probe, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0;
    close(probe);
    if (!may) GTEST_SKIP() << "needs CAP_NET_ADMIN of the machine, for SO_SNDBUFFORCE";
    const DeadLink link;
    with_both([](const std::string& kind) {
        Icmp icmp(kind);
        std::vector<gorb_run> dead;
        for (int i = 1; i <= 100; ++i)
            dead.push_back(icmp.pulse.start(
                icmp.pulse.add(address("10.90.0." + std::to_string(i), 0), {{"count", "20"}})));
        icmp.host.loop().advance(milliseconds(4800));
        const Report well = icmp.run("127.0.0.1");
        EXPECT_EQ(well.verdict, GORB_PASS) << well.detail;
        icmp.host.loop().advance(seconds(1));
        for (const gorb_run run : dead) {
            const Report report = icmp.wait(run);
            ASSERT_EQ(report.verdict, GORB_FAIL) << report.detail;
        }
    });
}

TEST(PulseIcmp, AnErrorOfOneTargetHarmsNoOther) {
    with_both([](const std::string& kind) {
        const Router router;
        Icmp icmp(kind);
        std::vector<std::pair<gorb_run, uint32_t>> runs;
        for (int i = 1; i <= 4; ++i) {  // a router sends five errors and then one a second
            const std::string last = std::to_string(i);
            runs.emplace_back(icmp.pulse.start(icmp.pulse.add(address("10.79.0." + last, 0))), GORB_FAIL);
            runs.emplace_back(icmp.pulse.start(icmp.pulse.add(address("127.0.0." + last, 0))), GORB_PASS);
        }
        for (const auto& [run, verdict] : runs) EXPECT_EQ(icmp.wait(run).verdict, verdict);
    });
}

}  // namespace
}  // namespace plugin_test
