// The port to the IPVS table: what can be asked of it and changed in it, whoever keeps it.
//
// Two implementations keep one contract (tests/unit/ipvs/driver_contract.h): NetlinkDriver is the kernel of
// the network namespace this process is in; MemoryDriver refuses what the kernel refuses and moves no
// packets.
//
// Threads: one thread at a time. Errors: see apply(). Terms and values follow <linux/ip_vs.h>.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace gorb::ipvs {

// A virtual service's identity: protocol, address and port, or a firewall mark (then the rest but the family
// is empty).
struct ServiceKey {
    base::Ip::Family family = base::Ip::Family::v4;
    uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP; 0 for a firewall mark
    base::Endpoint vip;
    uint32_t fwmark = 0;

    static ServiceKey of(uint8_t protocol, const base::Endpoint& vip) {
        return {vip.ip.family, protocol, vip, 0};
    }
    std::string text() const;  // "10.0.0.1:80/tcp", "fwmark 7 (ipv6)"
    auto operator<=>(const ServiceKey&) const = default;
};

// Counters of the kernel (IPVS_*_ATTR_STATS64); they lag behind by up to its estimation interval.
struct Stats {
    uint64_t connections = 0, packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
    bool operator==(const Stats&) const = default;
};

// Everything a service has in the kernel. What `apply` sends is the whole record.
struct ServiceRecord {
    ServiceKey key;
    std::string scheduler;
    uint32_t flags = 0;      // IP_VS_SVC_F_*, without IP_VS_SVC_F_HASHED, which is the kernel's own
    uint32_t timeout_s = 0;  // of persistence
    uint8_t netmask = 0;     // prefix length; 32 or 128 for the whole address
    std::string pe_name;     // persistence engine, "" for none
    Stats stats;             // read only, not compared, not sent

    bool same_settings(const ServiceRecord& other) const;
};

// Everything a destination has in the kernel. IPVS_CMD_SET_DEST replaces all of it, so all of it is always
// sent.
struct DestRecord {
    base::Endpoint address;
    uint32_t forwarding = 0;  // IP_VS_CONN_F_FWD_MASK bits: masq 0, localnode 1, tunnel 2, droute 3, bypass 4
    uint32_t weight = 0;
    uint32_t upper_threshold = 0, lower_threshold = 0;
    uint8_t tunnel_type = 0;                            // IP_VS_CONN_F_TUNNEL_TYPE_*
    uint16_t tunnel_port = 0;                           // host order; of GUE
    uint16_t tunnel_flags = 0;                          // IP_VS_TUNNEL_ENCAP_FLAG_*
    uint32_t active = 0, inactive = 0, persistent = 0;  // connections; read only, not compared, not sent
    Stats stats;                                        // read only, not compared, not sent

    bool same_settings(const DestRecord& other) const;
    // Whether it says anything of encapsulation. What the kernel is told nothing of is zero there
    // (ip_vs_genl_parse_dest()), so the attributes of a destination without are not sent.
    bool has_tunnel() const { return tunnel_type != 0 || tunnel_port != 0 || tunnel_flags != 0; }
};

// One change of the table.
struct Op {
    enum class Kind : uint8_t { add_service, edit_service, remove_service, add_dest, edit_dest, remove_dest };
    Kind kind{};
    ServiceRecord service;  // of dest operations and remove_service only the key counts
    DestRecord dest;        // of service operations nothing counts; of remove_dest only the address

    static Op add(ServiceRecord s) { return {Kind::add_service, std::move(s), {}}; }
    static Op edit(ServiceRecord s) { return {Kind::edit_service, std::move(s), {}}; }
    static Op remove(const ServiceKey& k);
    static Op add(const ServiceKey& k, const DestRecord& d);
    static Op edit(const ServiceKey& k, const DestRecord& d);
    static Op remove(const ServiceKey& k, const base::Endpoint& address);
    bool of_service() const { return kind <= Kind::remove_service; }
    std::string text() const;  // "add destination 10.1.0.1:80 to 10.0.0.1:80/tcp", for logs and errors
};

struct Info {
    std::string name;      // "kernel" or "memory"
    bool forwards = true;  // false: no packets flow
    std::string version;   // "1.2.1" of the kernel's IPVS
    uint32_t connection_table_size = 0;
};

class Driver {
  public:
    virtual ~Driver() = default;

    virtual base::Result<Info> info() = 0;

    // Every service of this network namespace, in no order. Consistent: a dump that the kernel interrupted is
    // repeated.
    virtual base::Result<std::vector<ServiceRecord>> services() = 0;
    // One service, nullopt if there is none with that key.
    virtual base::Result<std::optional<ServiceRecord>> service(const ServiceKey& key) = 0;
    // Its destinations, in no order. Errc::not_found if there is no such service.
    virtual base::Result<std::vector<DestRecord>> dests(const ServiceKey& key) = 0;

    // Tries each operation in order, whatever became of those before it, and gives one answer for each:
    //   exists       add_*: it is there already         not_found  edit_*, remove_*, add_dest: it, or its
    //   service, is not unsupported  the kernel has no such scheduler (the sentence names it) invalid the
    //   kernel finds the values wrong   forbidden  CAP_NET_ADMIN is missing unavailable  IPVS is gone (module
    //   unloaded), or the socket is refused      anything else, with the kernel's errno
    // Each sentence begins with Op::text(). remove_service removes its destinations with it.
    virtual std::vector<base::Status> apply(std::span<const Op> ops) = 0;

    // Removes every service of this network namespace, whoever made it.
    virtual base::Status flush() = 0;

    // Which of `names` the table accepts as a scheduler, asked by trying: each is given to a throw-away
    // firewall-mark service that exists for no longer than the question. May load kernel modules.
    virtual base::Result<std::vector<std::string>> probe_schedulers(
        std::span<const std::string_view> names) = 0;
};

}  // namespace gorb::ipvs
