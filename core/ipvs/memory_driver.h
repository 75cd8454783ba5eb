// An IPVS table in memory: refuses what Linux 6.1 refuses, and moves no packets. Behind `gorbd --driver
// memory`, and the stand-in of the kernel in tests, which can make it fail on purpose.
//
// Threads: any, so that a test can look while the reconciler works. Cost: O(1) for each operation.
#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/dense_set.h"
#include "ipvs/driver.h"

namespace gorb::ipvs {

struct ServiceKeyHash {
    size_t operator()(const ServiceKey& key) const;
};

class MemoryDriver final : public Driver {
  public:
    // What Debian 12's kernel has.
    static const std::vector<std::string>& default_schedulers();

    explicit MemoryDriver(std::vector<std::string> schedulers = default_schedulers());

    base::Result<Info> info() override;
    base::Result<std::vector<ServiceRecord>> services() override;
    base::Result<std::optional<ServiceRecord>> service(const ServiceKey& key) override;
    base::Result<std::vector<DestRecord>> dests(const ServiceKey& key) override;
    std::vector<base::Status> apply(std::span<const Op> ops) override;
    base::Status flush() override;
    base::Result<std::vector<std::string>> probe_schedulers(std::span<const std::string_view> names) override;

    // Faults, for tests. An injected errno goes through the same table of meanings as the kernel's.

    // Asked before each operation with its number, counted from 0 since the driver was made. Gives back the
    // errno to refuse it with, or 0 to let it through. Called without the driver's lock: it may use the
    // driver. Empty for none.
    using Hook = std::function<int(const Op& op, uint64_t number)>;
    void set_hook(Hook hook);
    void fail_op(uint64_t number, int os_error);  // that one; several may be set
    void fail_all(int os_error);                  // every operation and flush; 0 ends it
    void fail_reads(int os_error);                // info, services, service, dests; 0 ends it
    uint64_t ops() const;                         // operations asked for so far

    struct Connections {
        uint32_t active = 0, inactive = 0, persistent = 0;  // as of DestRecord
    };
    // What traffic would have made of it. False if there is no such destination.
    bool set_counters(const ServiceKey& key, const base::Endpoint& address, const Connections& connections,
                      const Stats& stats = {});

  private:
    // A destination in as little as it needs: there may be very many. What nobody counted has no counters.
    struct Dest {
        base::Endpoint address;
        uint8_t forwarding = 0, tunnel_type = 0;
        uint16_t tunnel_port = 0, tunnel_flags = 0;
        uint32_t weight = 0;
        uint32_t upper_threshold = 0, lower_threshold = 0;
    };
    struct AddressOf {
        const base::Endpoint& operator()(const Dest& dest) const { return dest.address; }
    };
    struct Counters {
        Connections connections;
        Stats stats;
    };
    struct Service {
        ServiceRecord record;
        base::DenseSet<Dest, AddressOf, std::hash<base::Endpoint>> dests;
        std::unordered_map<base::Endpoint, Counters> counters;

        DestRecord read(const Dest& dest) const;
    };
    static Dest settings_of(const DestRecord& record);

    // 0, or the errno that the kernel would answer.
    int apply_locked(const Op& op);
    int change_service(const Op& op);
    int change_dest(const Op& op, Service& service);
    base::Status readable() const;

    mutable std::mutex mutex_;
    std::vector<std::string> schedulers_;
    std::unordered_map<ServiceKey, Service, ServiceKeyHash> services_;
    Hook hook_;
    std::unordered_map<uint64_t, int> op_faults_;
    int fault_all_ = 0;
    int fault_reads_ = 0;
    uint64_t ops_ = 0;
};

}  // namespace gorb::ipvs
