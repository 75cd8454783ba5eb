#include "ipvs/forms.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstring>

#include "ipvs/netlink_channel.h"
#include "ipvs/wire.h"

namespace gorb::ipvs {
namespace {

// The place of an attribute's value from the beginning of the message, 0 if there is no such attribute.
uint16_t place(const std::vector<std::byte>& bytes, int outer, int inner) {
    constexpr size_t head = NLMSG_HDRLEN + GENL_HDRLEN;
    const auto* first = reinterpret_cast<const nlattr*>(bytes.data() + head);
    const nlattr* nest = nla_find(first, static_cast<int>(bytes.size() - head), outer);
    if (!nest) return 0;
    const nlattr* found = nla_find(static_cast<const nlattr*>(nla_data(nest)), nla_len(nest), inner);
    if (!found) return 0;
    return static_cast<uint16_t>(static_cast<const std::byte*>(nla_data(found)) - bytes.data());
}

template <class Value>
void fill(std::byte* message, uint16_t place, Value value) {
    std::memcpy(message + place, &value, sizeof value);
}

}  // namespace

bool Forms::make(const Op& op, std::vector<std::byte>& bytes) const {
    const NlMsg msg = NetlinkChannel::request(family_, command_of(op.kind), IPVS_GENL_VERSION, 0);
    if (!msg || !put_op(msg.get(), op)) return false;
    const nlmsghdr* header = nlmsg_hdr(msg.get());
    const auto* begin = reinterpret_cast<const std::byte*>(header);
    bytes.insert(bytes.end(), begin, begin + header->nlmsg_len);
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    return true;
}

const Forms::Form* Forms::form(const Op& op) {
    const size_t kind = op.kind == Op::Kind::add_dest ? 0 : op.kind == Op::Kind::edit_dest ? 1 : 2;
    const bool tunnel = op.kind != Op::Kind::remove_dest && op.dest.has_tunnel();
    Form& form = forms_[kind * 4 + (op.service.key.fwmark != 0 ? 2 : 0) + (tunnel ? 1 : 0)];
    if (!form.bytes.empty()) return &form;
    if (!make(op, form.bytes)) {
        form.bytes.clear();
        return nullptr;
    }
    const auto service = [&form](int type) { return place(form.bytes, IPVS_CMD_ATTR_SERVICE, type); };
    const auto dest = [&form](int type) { return place(form.bytes, IPVS_CMD_ATTR_DEST, type); };
    form.family = service(IPVS_SVC_ATTR_AF);
    form.fwmark = service(IPVS_SVC_ATTR_FWMARK);
    form.protocol = service(IPVS_SVC_ATTR_PROTOCOL);
    form.vip = service(IPVS_SVC_ATTR_ADDR);
    form.port = service(IPVS_SVC_ATTR_PORT);
    form.address = dest(IPVS_DEST_ATTR_ADDR);
    form.address_port = dest(IPVS_DEST_ATTR_PORT);
    form.address_family = dest(IPVS_DEST_ATTR_ADDR_FAMILY);
    form.forwarding = dest(IPVS_DEST_ATTR_FWD_METHOD);
    form.weight = dest(IPVS_DEST_ATTR_WEIGHT);
    form.upper_threshold = dest(IPVS_DEST_ATTR_U_THRESH);
    form.lower_threshold = dest(IPVS_DEST_ATTR_L_THRESH);
    form.tunnel_type = dest(IPVS_DEST_ATTR_TUN_TYPE);
    form.tunnel_port = dest(IPVS_DEST_ATTR_TUN_PORT);
    form.tunnel_flags = dest(IPVS_DEST_ATTR_TUN_FLAGS);
    return &form;
}

bool Forms::append(std::vector<std::byte>& out, const Op& op) {
    if (op.of_service()) return make(op, out);
    const Form* form = this->form(op);
    if (!form) return false;
    const size_t begin = out.size();
    out.insert(out.end(), form->bytes.begin(), form->bytes.end());
    std::byte* message = out.data() + begin;
    const ServiceKey& key = op.service.key;
    fill(message, form->family, static_cast<uint16_t>(af_of(key.family)));
    if (form->fwmark != 0) {
        fill(message, form->fwmark, key.fwmark);
    } else {
        fill(message, form->protocol, uint16_t{key.protocol});
        fill(message, form->vip, key.vip.ip.bytes);
        fill(message, form->port, htons(key.vip.port));
    }
    const DestRecord& dest = op.dest;
    fill(message, form->address, dest.address.ip.bytes);
    fill(message, form->address_port, htons(dest.address.port));
    fill(message, form->address_family, static_cast<uint16_t>(af_of(dest.address.ip.family)));
    if (form->weight == 0) return true;
    fill(message, form->forwarding, dest.forwarding & IP_VS_CONN_F_FWD_MASK);
    fill(message, form->weight, dest.weight);
    fill(message, form->upper_threshold, dest.upper_threshold);
    fill(message, form->lower_threshold, dest.lower_threshold);
    if (form->tunnel_type == 0) return true;
    fill(message, form->tunnel_type, dest.tunnel_type);
    fill(message, form->tunnel_port, htons(dest.tunnel_port));
    fill(message, form->tunnel_flags, dest.tunnel_flags);
    return true;
}

}  // namespace gorb::ipvs
