// What only a real kernel shows: other writers, lost answers, privileges, namespaces, a module that goes.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "ipvs/netlink_driver.h"
#include "unit/ipvs/namespaces.h"
#include "unit/ipvs/vip_bodies.h"

namespace gorb::ipvs {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Driver> open(const NetlinkOptions& options = {}) {
    auto driver = open_netlink_driver(options);
    EXPECT_TRUE(ok(driver));
    return driver ? std::move(*driver) : nullptr;
}

std::vector<Op> service_with_dests(const ServiceKey& key, uint32_t dests) {
    std::vector<Op> ops = {Op::add(service_of(key, "wrr"))};
    for (uint32_t i = 0; i < dests; ++i) ops.push_back(Op::add(key, numbered_dest(i)));
    return ops;
}

// A body in a namespace of its own; here it must not be forbidden.
void isolated(const std::function<void()>& body) {
    EXPECT_EQ(static_cast<int>(in_new_network_namespace(body)), static_cast<int>(InNamespace::passed));
}

// Another program that works on the same table while this one reads.
class Writer {
  public:
    explicit Writer(std::function<void(Driver&, uint32_t)> change) {
        thread_ = std::thread([this, change = std::move(change)] {
            auto driver = open();
            for (uint32_t n = 0; driver && !stop_ && n < 1'000'000; ++n) {
                change(*driver, n);
                ++changes_;
            }
        });
    }
    ~Writer() {
        stop_ = true;
        thread_.join();
    }
    uint32_t changes() const { return changes_; }

  private:
    std::atomic<bool> stop_ = false;
    std::atomic<uint32_t> changes_ = 0;
    std::thread thread_;
};

constexpr uint32_t many = 5000;

TEST(KernelDump, WeightsThatChangeMeanwhileDoNotDisturb) {
    isolated([] {
        const ServiceKey key = tcp("10.0.0.1:80");
        auto driver = open();
        ASSERT_TRUE(driver);
        ASSERT_TRUE(all_ok(driver->apply(service_with_dests(key, many))));
        const Writer writer([key](Driver& other, uint32_t n) {
            const Op op = Op::edit(key, numbered_dest(n * 7919 % many, n % 100));
            EXPECT_TRUE(ok(other.apply(std::span(&op, 1))[0]));
        });
        for (int i = 0; i < 4; ++i) {
            const auto found = driver->dests(key);
            ASSERT_TRUE(ok(found));
            EXPECT_EQ(found->size(), many);
        }
        EXPECT_GT(writer.changes(), 0U);
    });
}

// Destinations 0..many-1 are always there; one more comes and goes, ever again, ahead of them in the kernel's
// list. The kernel then skips or repeats some that are always there, and says nothing.
TEST(KernelDump, AListIsWholeOrAnErrorWhileOthersAddAndRemove) {
    isolated([] {
        const ServiceKey key = tcp("10.0.0.1:80");
        auto driver = open();
        ASSERT_TRUE(driver);
        ASSERT_TRUE(all_ok(driver->apply(service_with_dests(key, many))));
        for (const auto pause : {0ms, 20ms, 200ms, 1000ms}) {
            const Writer writer([key, pause](Driver& other, uint32_t n) {
                const DestRecord extra = numbered_dest(many + n / 2 % 50);
                const Op op = n % 2 == 0 ? Op::add(key, extra) : Op::remove(key, extra.address);
                const auto status = other.apply(std::span(&op, 1))[0];
                EXPECT_TRUE(status || status.error().code == base::Errc::exists);  // from the writer before
                std::this_thread::sleep_for(pause);
            });
            int whole = 0;
            int errors = 0;
            const auto begin = std::chrono::steady_clock::now();
            for (int i = 0; i < 3; ++i) {
                const auto found = driver->dests(key);
                if (!found) {
                    EXPECT_EQ(found.error().code, base::Errc::unavailable) << found.error().sentence;
                    ++errors;
                    continue;
                }
                ++whole;
                std::set<base::Endpoint> shown;
                for (const DestRecord& d : *found) shown.insert(d.address);
                EXPECT_EQ(shown.size(), found->size()) << "shown twice";
                for (uint32_t n = 0; n < many; ++n) {
                    ASSERT_TRUE(shown.contains(numbered_dest(n).address)) << "skipped: " << n;
                }
            }
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
            std::cout << "a change every " << pause.count() << " ms: " << whole << " whole lists, " << errors
                      << " errors, " << took.count() << " s\n";
        }
        const auto calm = driver->dests(key);
        ASSERT_TRUE(ok(calm));
        EXPECT_GE(calm->size(), many);
    });
}

TEST(KernelDump, AServiceThatGoesMeanwhileIsNotFoundOrWhole) {
    isolated([] {
        const ServiceKey key = tcp("10.0.0.1:80");
        auto driver = open();
        ASSERT_TRUE(driver);
        constexpr uint32_t dests = 400;
        const Writer writer([key](Driver& other, uint32_t n) {
            if (n % 2 == 0) {
                EXPECT_TRUE(all_ok(other.apply(service_with_dests(key, dests))));
                // Longer each time: a slow machine has to come to read it whole as well.
                std::this_thread::sleep_for(50ms * (1 + n / 8));
            } else {
                const Op op = Op::remove(key);
                EXPECT_TRUE(ok(other.apply(std::span(&op, 1))[0]));
                std::this_thread::sleep_for(10ms);
            }
        });
        int whole = 0;
        for (int i = 0; i < 400 && whole < 5; ++i) {
            const auto found = driver->dests(key);
            if (found) {
                EXPECT_LE(found->size(), dests);
                whole += found->size() == dests ? 1 : 0;
            } else {
                EXPECT_TRUE(found.error().code == base::Errc::not_found ||
                            found.error().code == base::Errc::unavailable)
                    << found.error().sentence;
            }
        }
        EXPECT_GT(whole, 0);
    });
}

TEST(KernelApply, LostAnswersAreDecidedByTheTable) {
    isolated([] {
        NetlinkOptions narrow;
        narrow.receive_buffer = 1;  // the least that the system grants: a few answers
        auto driver = open(narrow);
        ASSERT_TRUE(driver);
        const ServiceKey key = tcp("10.0.0.1:80");
        std::vector<Op> ops = service_with_dests(key, 300);
        for (uint32_t i = 0; i < 300; i += 3) ops.push_back(Op::edit(key, numbered_dest(i, 50 + i)));
        for (uint32_t i = 1; i < 300; i += 3) ops.push_back(Op::remove(key, numbered_dest(i).address));
        for (uint32_t i = 400; i < 500; ++i) ops.push_back(Op::edit(key, numbered_dest(i)));  // none is there
        const auto answers = driver->apply(ops);
        for (size_t i = 0; i < 501; ++i) {
            // An addition whose destination the same send removed again can not be shown to have been done.
            if (ops[i].kind == Op::Kind::add_dest) continue;
            EXPECT_TRUE(ok(answers[i])) << i;
        }
        size_t lost = 0;
        for (size_t i = 501; i < ops.size(); ++i) {
            ASSERT_FALSE(answers[i]);
            lost += answers[i].error().os_error == ENOBUFS ? 1 : 0;
            EXPECT_TRUE(answers[i].error().os_error == ENOBUFS || answers[i].error().os_error == ENOENT);
        }
        EXPECT_GT(lost, 0U) << "the buffer was large enough: this test tests nothing";
        const auto found = open()->dests(key);
        ASSERT_TRUE(ok(found));
        EXPECT_EQ(found->size(), 200U);
        for (const DestRecord& d : *found) {
            const uint32_t n = d.address.ip.bytes[2] * 256U + d.address.ip.bytes[3];
            EXPECT_EQ(d.weight, n % 3 == 0 ? 50 + n : 1U);
        }
        EXPECT_EQ(driver->dests(key)->size(), 200U) << "a narrow socket reads, too";
    });
}

TEST(KernelApply, AThousandChangesLoseNoAnswerWithTheDefaultBuffer) {
    isolated([] {
        auto driver = open();
        ASSERT_TRUE(driver);
        const ServiceKey key = tcp("10.0.0.1:80");
        ASSERT_TRUE(all_ok(driver->apply(service_with_dests(key, 1000))));
        std::vector<Op> ops;
        for (uint32_t round = 1; round <= 5; ++round) {
            for (uint32_t i = 0; i < 1000; ++i) ops.push_back(Op::edit(key, numbered_dest(i, round)));
        }
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_TRUE(all_ok(driver->apply(ops)));
        const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
        std::cout << "weight changes: " << took.count() / static_cast<double>(ops.size()) << " us each\n";
    });
}

TEST(KernelDriver, IsOfTheNamespaceItWasOpenedIn) {
    isolated([] {
        auto outer = open();
        ASSERT_TRUE(outer);
        const Op op = Op::add(service_of(tcp("10.0.0.1:80")));
        ASSERT_TRUE(ok(outer->apply(std::span(&op, 1))[0]));
        std::thread([&outer] {
            ASSERT_EQ(unshare(CLONE_NEWNET), 0);
            auto inner = open();
            ASSERT_TRUE(inner);
            EXPECT_TRUE(inner->services()->empty());
            EXPECT_TRUE(ok(inner->flush()));
            EXPECT_EQ(outer->services()->size(), 1U) << "the socket is what counts, not the thread";
        }).join();
    });
}

TEST(KernelDriver, WithoutCapabilityItSaysSo) {
    isolated([] {
        ASSERT_EQ(setresgid(65534, 65534, 65534), 0);
        ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
        const auto driver = open_netlink_driver();
        ASSERT_FALSE(driver);
        EXPECT_EQ(driver.error().code, base::Errc::forbidden) << driver.error().sentence;
        EXPECT_NE(driver.error().sentence.find("CAP_NET_ADMIN"), std::string::npos)
            << driver.error().sentence;
    });
}

TEST(KernelDriver, ACapabilityThatIsDroppedLaterIsMissedPerOperation) {
    isolated([] {
        auto driver = open();
        ASSERT_TRUE(driver);
        ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
        const Op op = Op::add(service_of(tcp("10.0.0.1:80")));
        EXPECT_TRUE(refused(driver->apply(std::span(&op, 1))[0], base::Errc::forbidden, op));
        EXPECT_EQ(driver->services().error().code, base::Errc::forbidden);
        EXPECT_EQ(driver->flush().error().code, base::Errc::forbidden);
        const std::vector<std::string_view> names = {"rr"};
        EXPECT_EQ(driver->probe_schedulers(names).error().code, base::Errc::forbidden);
    });
}

int unload_ipvs() {
    pid_t pid = 0;
    const char* const argv[] = {"sh", "-c",
                                "for m in $(lsmod | sed -n 's/^\\(ip_vs_[a-z_]*\\) .*/\\1/p'); do "
                                "rmmod $m; done; rmmod ip_vs",
                                nullptr};
    if (posix_spawnp(&pid, "sh", nullptr, nullptr, const_cast<char**>(argv), environ) != 0) return -1;
    int status = 0;
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

// Takes the module from the whole machine, so only where nobody else uses it: set GORB_ALONE=1 in a VM that
// runs nothing else (tests/vm/run env GORB_ALONE=1 .../ipvs_kernel_test).
TEST(KernelModule, OneThatGoesIsGotBackByTheNextCall) {
    if (!std::getenv("GORB_IN_VM") || !std::getenv("GORB_ALONE")) {
        GTEST_SKIP() << "unloads ip_vs, which others may be using";
    }
    isolated([] {
        auto driver = open();
        ASSERT_TRUE(driver);
        ASSERT_TRUE(ok(driver->flush()));
        ASSERT_EQ(unload_ipvs(), 0);
        // The kernel loads it when it is asked for the family, and gives it another number.
        const auto empty = driver->services();
        ASSERT_TRUE(ok(empty));
        EXPECT_TRUE(empty->empty());
        ASSERT_EQ(unload_ipvs(), 0);
        const Op op = Op::add(service_of(tcp("10.0.0.1:80"), "wrr"));
        EXPECT_TRUE(ok(driver->apply(std::span(&op, 1))[0]));
        EXPECT_EQ(driver->services()->size(), 1U);
        ASSERT_TRUE(ok(driver->flush()));
        ASSERT_EQ(unload_ipvs(), 0);

        NetlinkOptions no_modprobe;
        no_modprobe.modprobe = {"/nonexistent/modprobe"};
        // The kernel may load the module itself when it is asked for the family; then there is nothing to
        // see.
        if (const auto none = open_netlink_driver(no_modprobe); !none) {
            EXPECT_EQ(none.error().code, base::Errc::unavailable);
            EXPECT_NE(none.error().sentence.find("module ip_vs is not loaded"), std::string::npos);
            std::cout << none.error().sentence << "\n";
        }
        EXPECT_TRUE(open());
    });
}

TEST(KernelVip, AddsHostAddressesAndRemovesThem) {
    isolated(vip_is_added_as_host_address_and_removed);
}
TEST(KernelVip, AnAddressThatIsThereIsNotAddedAgain) {
    isolated(vip_that_is_there_is_not_added_again);
}
TEST(KernelVip, NoConnectionComesFromAVip) {
    isolated(vip_is_no_source_of_connections);
}
TEST(KernelVip, AMissingInterfaceIsNamed) {
    isolated(vip_needs_its_interface);
}
TEST(KernelVip, AnExchangeThatBreaksOffIsTriedOnceMore) {
    isolated(vip_exchange_that_breaks_off_is_tried_again);
}
TEST(KernelVip, WhatAFailureLeftInTheSocketIsNotTakenForTheNextAnswer) {
    isolated(vip_failure_spoils_nothing_after_it);
}
TEST(KernelVip, AnAddressOfAnotherInterfaceIsLeftThere) {
    isolated(vip_of_another_interface_is_left_there);
}
TEST(KernelVip, WithoutCapabilityItSaysSo) {
    isolated([] {
        const auto vips = open_vip_table("lo");
        ASSERT_TRUE(ok(vips));
        ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
        EXPECT_EQ((*vips)->add(ip("192.0.2.1"), {}).error().code, base::Errc::forbidden);
    });
}

}  // namespace
}  // namespace gorb::ipvs
