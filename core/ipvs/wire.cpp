#include "ipvs/wire.h"

#include <arpa/inet.h>
#include <linux/ip_vs.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace gorb::ipvs {
namespace {

using Family = base::Ip::Family;
constexpr size_t address_bytes = 16;  // union nf_inet_addr

template <size_t Max>
using Attrs = std::array<nlattr*, Max + 1>;

// Filled byte by byte: Ip::from_bytes() would turn ::ffff:a.b.c.d into IPv4, and the kernel keeps the two
// apart.
base::Ip read_ip(Family family, const nlattr* attr) {
    base::Ip ip;
    ip.family = family;
    const size_t used = family == Family::v6 ? 16 : 4;
    std::memcpy(ip.bytes.data(), nla_data(attr), std::min(used, static_cast<size_t>(nla_len(attr))));
    return ip;
}

bool put_ip(nl_msg* msg, int type, const base::Ip& ip) {
    return nla_put(msg, type, address_bytes, ip.bytes.data()) == 0;
}

uint32_t mask_of_prefix(unsigned prefix) {
    if (prefix == 0) return 0;
    return htonl(prefix >= 32 ? 0xffffffffU : ~(0xffffffffU >> prefix));
}

std::string read_name(const nlattr* attr) {
    const char* text = static_cast<const char*>(nla_data(attr));
    return {text, strnlen(text, static_cast<size_t>(nla_len(attr)))};
}

// nla_parse() checks each attribute's length against the policy; what is absent is nullptr.
template <size_t Max>
bool parse(Attrs<Max>& attrs, const nlattr* head, int length, const nla_policy* policy) {
    attrs.fill(nullptr);
    return nla_parse(attrs.data(), Max, const_cast<nlattr*>(head), length, const_cast<nla_policy*>(policy)) ==
           0;
}

template <size_t Max>
bool parse_nested(Attrs<Max>& attrs, const nlattr* outer, const nla_policy* policy) {
    return parse<Max>(attrs, static_cast<const nlattr*>(nla_data(outer)), nla_len(outer), policy);
}

struct Policy {
    nla_policy service[IPVS_SVC_ATTR_MAX + 1] = {};
    nla_policy dest[IPVS_DEST_ATTR_MAX + 1] = {};
    nla_policy stats64[IPVS_STATS_ATTR_MAX + 1] = {};
    nla_policy stats[IPVS_STATS_ATTR_MAX + 1] = {};
    nla_policy info[IPVS_INFO_ATTR_MAX + 1] = {};

    Policy() {
        service[IPVS_SVC_ATTR_AF].type = NLA_U16;
        service[IPVS_SVC_ATTR_PROTOCOL].type = NLA_U16;
        service[IPVS_SVC_ATTR_ADDR].minlen = 4;
        service[IPVS_SVC_ATTR_PORT].type = NLA_U16;
        service[IPVS_SVC_ATTR_FWMARK].type = NLA_U32;
        service[IPVS_SVC_ATTR_SCHED_NAME].maxlen = IP_VS_SCHEDNAME_MAXLEN;
        service[IPVS_SVC_ATTR_PE_NAME].maxlen = IP_VS_PENAME_MAXLEN;
        service[IPVS_SVC_ATTR_FLAGS].minlen = sizeof(ip_vs_flags);
        service[IPVS_SVC_ATTR_TIMEOUT].type = NLA_U32;
        service[IPVS_SVC_ATTR_NETMASK].type = NLA_U32;

        dest[IPVS_DEST_ATTR_ADDR].minlen = 4;
        dest[IPVS_DEST_ATTR_PORT].type = NLA_U16;
        for (const int type : {IPVS_DEST_ATTR_FWD_METHOD, IPVS_DEST_ATTR_WEIGHT, IPVS_DEST_ATTR_U_THRESH,
                               IPVS_DEST_ATTR_L_THRESH, IPVS_DEST_ATTR_ACTIVE_CONNS,
                               IPVS_DEST_ATTR_INACT_CONNS, IPVS_DEST_ATTR_PERSIST_CONNS}) {
            dest[type].type = NLA_U32;
        }
        dest[IPVS_DEST_ATTR_ADDR_FAMILY].type = NLA_U16;
        dest[IPVS_DEST_ATTR_TUN_TYPE].type = NLA_U8;
        dest[IPVS_DEST_ATTR_TUN_PORT].type = NLA_U16;
        dest[IPVS_DEST_ATTR_TUN_FLAGS].type = NLA_U16;

        for (const int type : {IPVS_STATS_ATTR_CONNS, IPVS_STATS_ATTR_INPKTS, IPVS_STATS_ATTR_OUTPKTS}) {
            stats64[type].type = NLA_U64;
            stats[type].type = NLA_U32;
        }
        for (const int type : {IPVS_STATS_ATTR_INBYTES, IPVS_STATS_ATTR_OUTBYTES}) {
            stats64[type].type = stats[type].type = NLA_U64;
        }
        info[IPVS_INFO_ATTR_VERSION].type = NLA_U32;
        info[IPVS_INFO_ATTR_CONN_TAB_SIZE].type = NLA_U32;
    }
};

const Policy& policy() {
    static const Policy value;
    return value;
}

base::Result<Stats> read_stats(const nlattr* stats64, const nlattr* stats32) {
    Stats out;
    const nlattr* outer = stats64 ? stats64 : stats32;
    if (!outer) return out;
    Attrs<IPVS_STATS_ATTR_MAX> attrs;
    if (!parse_nested<IPVS_STATS_ATTR_MAX>(attrs, outer, stats64 ? policy().stats64 : policy().stats)) {
        return base::fail(base::Errc::io, "the kernel's IPVS counters can not be read");
    }
    const auto wide = [&attrs](int type) { return attrs[type] ? nla_get_u64(attrs[type]) : 0; };
    const auto count = [&](int type) {
        if (stats64) return wide(type);
        return attrs[type] ? uint64_t{nla_get_u32(attrs[type])} : 0;
    };
    out.connections = count(IPVS_STATS_ATTR_CONNS);
    out.packets_in = count(IPVS_STATS_ATTR_INPKTS);
    out.packets_out = count(IPVS_STATS_ATTR_OUTPKTS);
    out.bytes_in = wide(IPVS_STATS_ATTR_INBYTES);
    out.bytes_out = wide(IPVS_STATS_ATTR_OUTBYTES);
    return out;
}

// The nested attribute of one kind in a message's attributes.
base::Result<const nlattr*> nested(std::span<const std::byte> attributes, int type, const char* what) {
    Attrs<IPVS_CMD_ATTR_MAX> attrs;
    const auto* head = reinterpret_cast<const nlattr*>(attributes.data());
    if (!parse<IPVS_CMD_ATTR_MAX>(attrs, head, static_cast<int>(attributes.size()), nullptr) ||
        !attrs[type]) {
        return base::fail(base::Errc::io, std::string("the kernel's message holds no IPVS ") + what);
    }
    return attrs[type];
}

template <size_t Max>
bool has_all(const Attrs<Max>& attrs, std::initializer_list<int> types) {
    return std::all_of(types.begin(), types.end(), [&attrs](int type) { return attrs[type] != nullptr; });
}

bool put_key_attrs(nl_msg* msg, const ServiceKey& key) {
    if (nla_put_u16(msg, IPVS_SVC_ATTR_AF, static_cast<uint16_t>(af_of(key.family))) < 0) return false;
    if (key.fwmark != 0) return nla_put_u32(msg, IPVS_SVC_ATTR_FWMARK, key.fwmark) == 0;
    return nla_put_u16(msg, IPVS_SVC_ATTR_PROTOCOL, key.protocol) == 0 &&
           put_ip(msg, IPVS_SVC_ATTR_ADDR, key.vip.ip) &&
           nla_put_u16(msg, IPVS_SVC_ATTR_PORT, htons(key.vip.port)) == 0;
}

bool put_dest_key_attrs(nl_msg* msg, const base::Endpoint& address) {
    return put_ip(msg, IPVS_DEST_ATTR_ADDR, address.ip) &&
           nla_put_u16(msg, IPVS_DEST_ATTR_PORT, htons(address.port)) == 0 &&
           nla_put_u16(msg, IPVS_DEST_ATTR_ADDR_FAMILY, static_cast<uint16_t>(af_of(address.ip.family))) == 0;
}

// Runs put() inside a nested attribute.
template <class Put>
bool put_nested(nl_msg* msg, int type, Put&& put) {
    nlattr* start = nla_nest_start(msg, type);
    if (!start) return false;
    if (!put()) return false;
    return nla_nest_end(msg, start) == 0;
}

base::Result<ServiceKey> read_key(const Attrs<IPVS_SVC_ATTR_MAX>& attrs) {
    if (!attrs[IPVS_SVC_ATTR_AF])
        return base::fail(base::Errc::io, "the kernel's IPVS service has no family");
    ServiceKey key;
    switch (nla_get_u16(attrs[IPVS_SVC_ATTR_AF])) {
        case AF_INET:
            key.family = Family::v4;
            break;
        case AF_INET6:
            key.family = Family::v6;
            break;
        default:
            return base::fail(base::Errc::unsupported, "an IPVS service of an unknown address family");
    }
    if (attrs[IPVS_SVC_ATTR_FWMARK]) {
        key.fwmark = nla_get_u32(attrs[IPVS_SVC_ATTR_FWMARK]);
        if (key.fwmark == 0)
            return base::fail(base::Errc::io, "the kernel's IPVS service has firewall mark 0");
        return key;
    }
    if (!has_all<IPVS_SVC_ATTR_MAX>(attrs,
                                    {IPVS_SVC_ATTR_PROTOCOL, IPVS_SVC_ATTR_ADDR, IPVS_SVC_ATTR_PORT}) ||
        (key.family == Family::v6 && nla_len(attrs[IPVS_SVC_ATTR_ADDR]) < static_cast<int>(address_bytes))) {
        return base::fail(base::Errc::io, "the kernel's IPVS service has no whole address");
    }
    const uint16_t protocol = nla_get_u16(attrs[IPVS_SVC_ATTR_PROTOCOL]);
    if (protocol > 255) return base::fail(base::Errc::unsupported, "an IPVS service of an unknown protocol");
    key.protocol = static_cast<uint8_t>(protocol);
    key.vip.ip = read_ip(key.family, attrs[IPVS_SVC_ATTR_ADDR]);
    key.vip.port = ntohs(nla_get_u16(attrs[IPVS_SVC_ATTR_PORT]));
    return key;
}

}  // namespace

void NlMsgFree::operator()(nl_msg* msg) const {
    nlmsg_free(msg);
}

int af_of(Family family) {
    return family == Family::v6 ? AF_INET6 : AF_INET;
}

uint8_t command_of(Op::Kind kind) {
    switch (kind) {
        case Op::Kind::add_service:
            return IPVS_CMD_NEW_SERVICE;
        case Op::Kind::edit_service:
            return IPVS_CMD_SET_SERVICE;
        case Op::Kind::remove_service:
            return IPVS_CMD_DEL_SERVICE;
        case Op::Kind::add_dest:
            return IPVS_CMD_NEW_DEST;
        case Op::Kind::edit_dest:
            return IPVS_CMD_SET_DEST;
        case Op::Kind::remove_dest:
            return IPVS_CMD_DEL_DEST;
    }
    return IPVS_CMD_UNSPEC;
}

bool put_service_key(nl_msg* msg, const ServiceKey& key) {
    return put_nested(msg, IPVS_CMD_ATTR_SERVICE, [&] { return put_key_attrs(msg, key); });
}

bool put_service(nl_msg* msg, const ServiceRecord& record) {
    const ip_vs_flags flags = {record.flags & ~uint32_t{IP_VS_SVC_F_HASHED}, ~uint32_t{0}};
    const uint32_t netmask =
        record.key.family == Family::v6 ? record.netmask : mask_of_prefix(record.netmask);
    return put_nested(msg, IPVS_CMD_ATTR_SERVICE, [&] {
        return put_key_attrs(msg, record.key) &&
               nla_put_string(msg, IPVS_SVC_ATTR_SCHED_NAME, record.scheduler.c_str()) == 0 &&
               nla_put(msg, IPVS_SVC_ATTR_FLAGS, sizeof flags, &flags) == 0 &&
               nla_put_u32(msg, IPVS_SVC_ATTR_TIMEOUT, record.timeout_s) == 0 &&
               nla_put_u32(msg, IPVS_SVC_ATTR_NETMASK, netmask) == 0 &&
               (record.pe_name.empty() ||
                nla_put_string(msg, IPVS_SVC_ATTR_PE_NAME, record.pe_name.c_str()) == 0);
    });
}

bool put_dest_key(nl_msg* msg, const base::Endpoint& address) {
    return put_nested(msg, IPVS_CMD_ATTR_DEST, [&] { return put_dest_key_attrs(msg, address); });
}

bool put_dest(nl_msg* msg, const DestRecord& record) {
    return put_nested(msg, IPVS_CMD_ATTR_DEST, [&] {
        return put_dest_key_attrs(msg, record.address) &&
               nla_put_u32(msg, IPVS_DEST_ATTR_FWD_METHOD, record.forwarding & IP_VS_CONN_F_FWD_MASK) == 0 &&
               nla_put_u32(msg, IPVS_DEST_ATTR_WEIGHT, record.weight) == 0 &&
               nla_put_u32(msg, IPVS_DEST_ATTR_U_THRESH, record.upper_threshold) == 0 &&
               nla_put_u32(msg, IPVS_DEST_ATTR_L_THRESH, record.lower_threshold) == 0 &&
               (!record.has_tunnel() ||
                (nla_put_u8(msg, IPVS_DEST_ATTR_TUN_TYPE, record.tunnel_type) == 0 &&
                 nla_put_u16(msg, IPVS_DEST_ATTR_TUN_PORT, htons(record.tunnel_port)) == 0 &&
                 nla_put_u16(msg, IPVS_DEST_ATTR_TUN_FLAGS, record.tunnel_flags) == 0));
    });
}

bool put_op(nl_msg* msg, const Op& op) {
    switch (op.kind) {
        case Op::Kind::add_service:
        case Op::Kind::edit_service:
            return put_service(msg, op.service);
        case Op::Kind::remove_service:
            return put_service_key(msg, op.service.key);
        case Op::Kind::add_dest:
        case Op::Kind::edit_dest:
            return put_service_key(msg, op.service.key) && put_dest(msg, op.dest);
        case Op::Kind::remove_dest:
            return put_service_key(msg, op.service.key) && put_dest_key(msg, op.dest.address);
    }
    return false;
}

base::Result<ServiceRecord> read_service(std::span<const std::byte> attributes) {
    const auto outer = nested(attributes, IPVS_CMD_ATTR_SERVICE, "service");
    if (!outer) return base::fail(outer.error());
    Attrs<IPVS_SVC_ATTR_MAX> attrs;
    if (!parse_nested<IPVS_SVC_ATTR_MAX>(attrs, *outer, policy().service) ||
        !has_all<IPVS_SVC_ATTR_MAX>(attrs, {IPVS_SVC_ATTR_SCHED_NAME, IPVS_SVC_ATTR_FLAGS,
                                            IPVS_SVC_ATTR_TIMEOUT, IPVS_SVC_ATTR_NETMASK})) {
        return base::fail(base::Errc::io, "the kernel's IPVS service is incomplete");
    }
    auto key = read_key(attrs);
    if (!key) return base::fail(key.error());

    ServiceRecord record;
    record.key = *key;
    record.scheduler = read_name(attrs[IPVS_SVC_ATTR_SCHED_NAME]);
    ip_vs_flags flags{};
    std::memcpy(&flags, nla_data(attrs[IPVS_SVC_ATTR_FLAGS]), sizeof flags);
    record.flags = flags.flags & ~uint32_t{IP_VS_SVC_F_HASHED};
    record.timeout_s = nla_get_u32(attrs[IPVS_SVC_ATTR_TIMEOUT]);
    const uint32_t netmask = nla_get_u32(attrs[IPVS_SVC_ATTR_NETMASK]);
    if (record.key.family == Family::v6) {
        if (netmask > 128)
            return base::fail(base::Errc::io, "the kernel's IPVS service has a netmask over /128");
        record.netmask = static_cast<uint8_t>(netmask);
    } else {
        record.netmask = static_cast<uint8_t>(std::popcount(netmask));  // masks with holes are nobody's wish
    }
    if (attrs[IPVS_SVC_ATTR_PE_NAME]) record.pe_name = read_name(attrs[IPVS_SVC_ATTR_PE_NAME]);
    const auto stats = read_stats(attrs[IPVS_SVC_ATTR_STATS64], attrs[IPVS_SVC_ATTR_STATS]);
    if (!stats) return base::fail(stats.error());
    record.stats = *stats;
    return record;
}

base::Result<DestRecord> read_dest(std::span<const std::byte> attributes, Family service_family) {
    const auto outer = nested(attributes, IPVS_CMD_ATTR_DEST, "destination");
    if (!outer) return base::fail(outer.error());
    Attrs<IPVS_DEST_ATTR_MAX> attrs;
    if (!parse_nested<IPVS_DEST_ATTR_MAX>(attrs, *outer, policy().dest) ||
        !has_all<IPVS_DEST_ATTR_MAX>(
            attrs, {IPVS_DEST_ATTR_ADDR, IPVS_DEST_ATTR_PORT, IPVS_DEST_ATTR_FWD_METHOD,
                    IPVS_DEST_ATTR_WEIGHT, IPVS_DEST_ATTR_U_THRESH, IPVS_DEST_ATTR_L_THRESH})) {
        return base::fail(base::Errc::io, "the kernel's IPVS destination is incomplete");
    }
    Family family = service_family;
    if (const nlattr* named = attrs[IPVS_DEST_ATTR_ADDR_FAMILY]) {
        const uint16_t af = nla_get_u16(named);
        if (af != AF_INET && af != AF_INET6) {
            return base::fail(base::Errc::unsupported, "an IPVS destination of an unknown address family");
        }
        family = af == AF_INET6 ? Family::v6 : Family::v4;
    }
    if (family == Family::v6 && nla_len(attrs[IPVS_DEST_ATTR_ADDR]) < static_cast<int>(address_bytes)) {
        return base::fail(base::Errc::io, "the kernel's IPVS destination has no whole address");
    }

    DestRecord record;
    record.address.ip = read_ip(family, attrs[IPVS_DEST_ATTR_ADDR]);
    record.address.port = ntohs(nla_get_u16(attrs[IPVS_DEST_ATTR_PORT]));
    record.forwarding = nla_get_u32(attrs[IPVS_DEST_ATTR_FWD_METHOD]) & IP_VS_CONN_F_FWD_MASK;
    const auto number = [&attrs](int type) { return attrs[type] ? nla_get_u32(attrs[type]) : 0; };
    record.weight = number(IPVS_DEST_ATTR_WEIGHT);
    record.upper_threshold = number(IPVS_DEST_ATTR_U_THRESH);
    record.lower_threshold = number(IPVS_DEST_ATTR_L_THRESH);
    record.active = number(IPVS_DEST_ATTR_ACTIVE_CONNS);
    record.inactive = number(IPVS_DEST_ATTR_INACT_CONNS);
    record.persistent = number(IPVS_DEST_ATTR_PERSIST_CONNS);
    if (const nlattr* a = attrs[IPVS_DEST_ATTR_TUN_TYPE]) record.tunnel_type = nla_get_u8(a);
    if (const nlattr* a = attrs[IPVS_DEST_ATTR_TUN_PORT]) record.tunnel_port = ntohs(nla_get_u16(a));
    if (const nlattr* a = attrs[IPVS_DEST_ATTR_TUN_FLAGS]) record.tunnel_flags = nla_get_u16(a);
    const auto stats = read_stats(attrs[IPVS_DEST_ATTR_STATS64], attrs[IPVS_DEST_ATTR_STATS]);
    if (!stats) return base::fail(stats.error());
    record.stats = *stats;
    return record;
}

base::Result<Info> read_info(std::span<const std::byte> attributes) {
    Attrs<IPVS_INFO_ATTR_MAX> attrs;
    const auto* head = reinterpret_cast<const nlattr*>(attributes.data());
    if (!parse<IPVS_INFO_ATTR_MAX>(attrs, head, static_cast<int>(attributes.size()), policy().info) ||
        !attrs[IPVS_INFO_ATTR_VERSION]) {
        return base::fail(base::Errc::io, "the kernel's answer holds no IPVS version");
    }
    const uint32_t version = nla_get_u32(attrs[IPVS_INFO_ATTR_VERSION]);
    Info info;
    info.name = "kernel";
    info.forwards = true;
    info.version = std::to_string(version >> 16 & 0xff) + "." + std::to_string(version >> 8 & 0xff) + "." +
                   std::to_string(version & 0xff);
    if (attrs[IPVS_INFO_ATTR_CONN_TAB_SIZE]) {
        info.connection_table_size = nla_get_u32(attrs[IPVS_INFO_ATTR_CONN_TAB_SIZE]);
    }
    return info;
}

}  // namespace gorb::ipvs
