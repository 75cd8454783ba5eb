// Messages that are filled in against those that libnl writes.
#include "ipvs/forms.h"

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <netlink/msg.h>

#include "ipvs/netlink_channel.h"
#include "ipvs/wire.h"
#include "unit/ipvs/records.h"

namespace gorb::ipvs::forms_test {
namespace {

constexpr uint16_t family_number = 28;

std::vector<std::byte> by_libnl(const Op& op) {
    const NlMsg msg = NetlinkChannel::request(family_number, command_of(op.kind), IPVS_GENL_VERSION, 0);
    EXPECT_TRUE(put_op(msg.get(), op));
    const nlmsghdr* header = nlmsg_hdr(msg.get());
    const auto* begin = reinterpret_cast<const std::byte*>(header);
    std::vector<std::byte> bytes(begin, begin + header->nlmsg_len);
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    return bytes;
}

struct Random {
    std::mt19937_64 engine{7};
    template <class T>
    T any() {
        return static_cast<T>(engine());
    }
    bool one_of(unsigned n) { return any<uint32_t>() % n == 0; }
    base::Endpoint endpoint(base::Ip::Family family) {
        base::Endpoint out;
        out.ip.family = family;
        for (size_t i = 0; i < (family == base::Ip::Family::v6 ? 16U : 4U); ++i)
            out.ip.bytes[i] = any<uint8_t>();
        out.port = any<uint16_t>();
        return out;
    }
    base::Ip::Family family() { return one_of(2) ? base::Ip::Family::v6 : base::Ip::Family::v4; }
    ServiceKey key() {
        ServiceKey key;
        key.family = family();
        if (one_of(3)) {
            key.fwmark = any<uint32_t>() | 1;
        } else {
            key.protocol = any<uint8_t>();
            key.vip = endpoint(key.family);
        }
        return key;
    }
    Op op() {
        Op op;
        op.kind = static_cast<Op::Kind>(any<uint32_t>() % 6);
        op.service = service_of(key(), one_of(2) ? "wrr" : "lblcr");
        op.service.flags = any<uint32_t>();
        op.service.timeout_s = any<uint32_t>();
        if (one_of(4)) op.service.pe_name = "sip";
        DestRecord& dest = op.dest;
        dest.address = endpoint(family());
        dest.forwarding = any<uint32_t>() % 5;
        dest.weight = any<uint32_t>();
        dest.upper_threshold = any<uint32_t>();
        dest.lower_threshold = any<uint32_t>();
        if (one_of(3)) dest.tunnel_type = any<uint8_t>();
        if (one_of(3)) dest.tunnel_port = any<uint16_t>();
        if (one_of(3)) dest.tunnel_flags = any<uint16_t>();
        return op;
    }
};

TEST(Forms, AreWhatLibnlWrites) {
    Random random;
    Forms forms(family_number);
    for (int i = 0; i < 20000; ++i) {
        const Op op = random.op();
        std::vector<std::byte> out;
        ASSERT_TRUE(forms.append(out, op));
        ASSERT_EQ(out, by_libnl(op)) << op.text();
    }
}

TEST(Forms, StandOneBehindTheOther) {
    Random random;
    Forms forms(family_number);
    std::vector<std::byte> out, expected;
    for (int i = 0; i < 200; ++i) {
        const Op op = random.op();
        ASSERT_TRUE(forms.append(out, op));
        const std::vector<std::byte> one = by_libnl(op);
        expected.insert(expected.end(), one.begin(), one.end());
    }
    EXPECT_EQ(out, expected);
    EXPECT_EQ(out.size() % NLMSG_ALIGNTO, 0U);
}

}  // namespace
}  // namespace gorb::ipvs::forms_test
