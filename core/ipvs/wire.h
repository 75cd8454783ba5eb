// The one codec of IPVS records: generic netlink attributes <-> ServiceRecord, DestRecord. Pure.
//
// A record is always written whole, because IPVS_CMD_SET_DEST and IPVS_CMD_SET_SERVICE replace the whole
// object. Reading is safe for any bytes (tests/fuzz/ipvs_wire_fuzz.cpp). For a record x that read_*() gave,
// reading what put_*() writes of x gives x again, counters aside, which are not written.
//
// Attributes follow <linux/ip_vs.h> and ip_vs_ctl.c: addresses are 16 bytes for both families, ports are in
// network order, the netmask is a mask for IPv4 and a prefix length for IPv6, flags go with a mask of those
// meant.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "ipvs/driver.h"

struct nl_msg;

namespace gorb::ipvs {

struct NlMsgFree {
    void operator()(nl_msg* msg) const;
};
using NlMsg = std::unique_ptr<nl_msg, NlMsgFree>;

// AF_INET or AF_INET6.
int af_of(base::Ip::Family family);

// IPVS_CMD_* of an operation.
uint8_t command_of(Op::Kind kind);

// Append IPVS_CMD_ATTR_SERVICE or _DEST to a message. False when the message has no room.
bool put_service_key(nl_msg* msg, const ServiceKey& key);
bool put_service(nl_msg* msg, const ServiceRecord& record);
bool put_dest_key(nl_msg* msg, const base::Endpoint& address);
bool put_dest(nl_msg* msg, const DestRecord& record);
// All attributes that `op`'s command needs.
bool put_op(nl_msg* msg, const Op& op);

// What follows the generic netlink header of one message of the kernel. Errc::io: it is not such a message.
// Errc::unsupported: it is one, but of an object that no record can hold (an unknown address family or
// protocol).
base::Result<ServiceRecord> read_service(std::span<const std::byte> attributes);
// `service_family` is that of destinations which do not name theirs (kernels before 3.18).
base::Result<DestRecord> read_dest(std::span<const std::byte> attributes, base::Ip::Family service_family);
// Reply to IPVS_CMD_GET_INFO.
base::Result<Info> read_info(std::span<const std::byte> attributes);

}  // namespace gorb::ipvs
