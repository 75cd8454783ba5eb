#include "ipvs/driver.h"

#include <netinet/in.h>

namespace gorb::ipvs {
namespace {

std::string protocol_text(uint8_t protocol) {
    switch (protocol) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_SCTP:
            return "sctp";
        default:
            return std::to_string(protocol);
    }
}

Op dest_op(Op::Kind kind, const ServiceKey& key, const DestRecord& dest) {
    Op op;
    op.kind = kind;
    op.service.key = key;
    op.dest = dest;
    return op;
}

}  // namespace

std::string ServiceKey::text() const {
    if (fwmark != 0) {
        return "fwmark " + std::to_string(fwmark) + (family == base::Ip::Family::v6 ? " (ipv6)" : "");
    }
    return vip.text() + "/" + protocol_text(protocol);
}

bool ServiceRecord::same_settings(const ServiceRecord& other) const {
    return key == other.key && scheduler == other.scheduler && flags == other.flags &&
           timeout_s == other.timeout_s && netmask == other.netmask && pe_name == other.pe_name;
}

bool DestRecord::same_settings(const DestRecord& other) const {
    return address == other.address && forwarding == other.forwarding && weight == other.weight &&
           upper_threshold == other.upper_threshold && lower_threshold == other.lower_threshold &&
           tunnel_type == other.tunnel_type && tunnel_port == other.tunnel_port &&
           tunnel_flags == other.tunnel_flags;
}

Op Op::remove(const ServiceKey& k) {
    Op op;
    op.kind = Kind::remove_service;
    op.service.key = k;
    return op;
}
Op Op::add(const ServiceKey& k, const DestRecord& d) {
    return dest_op(Kind::add_dest, k, d);
}
Op Op::edit(const ServiceKey& k, const DestRecord& d) {
    return dest_op(Kind::edit_dest, k, d);
}
Op Op::remove(const ServiceKey& k, const base::Endpoint& address) {
    DestRecord dest;
    dest.address = address;
    return dest_op(Kind::remove_dest, k, dest);
}

std::string Op::text() const {
    switch (kind) {
        case Kind::add_service:
            return "add virtual service " + service.key.text();
        case Kind::edit_service:
            return "change virtual service " + service.key.text();
        case Kind::remove_service:
            return "remove virtual service " + service.key.text();
        case Kind::add_dest:
            return "add destination " + dest.address.text() + " to " + service.key.text();
        case Kind::edit_dest:
            return "change destination " + dest.address.text() + " of " + service.key.text();
        case Kind::remove_dest:
            return "remove destination " + dest.address.text() + " from " + service.key.text();
    }
    return "unknown operation";
}

}  // namespace gorb::ipvs
