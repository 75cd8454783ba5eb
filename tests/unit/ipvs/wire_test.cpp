#include "ipvs/wire.h"

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstring>

#include "unit/ipvs/records.h"

namespace gorb::ipvs::wire_test {
namespace {

using Family = base::Ip::Family;

NlMsg message() {
    NlMsg msg(nlmsg_alloc_size(4096));
    nlmsg_put(msg.get(), 0, 0, 16, 0, 0);
    return msg;
}

// What follows the (here absent) generic netlink header.
std::span<const std::byte> attributes(const NlMsg& msg) {
    const nlmsghdr* header = nlmsg_hdr(msg.get());
    return {static_cast<const std::byte*>(nlmsg_data(header)), static_cast<size_t>(nlmsg_datalen(header))};
}

base::Result<ServiceRecord> through(const ServiceRecord& record) {
    const NlMsg msg = message();
    EXPECT_TRUE(put_service(msg.get(), record));
    return read_service(attributes(msg));
}

base::Result<DestRecord> through(const DestRecord& record) {
    const NlMsg msg = message();
    EXPECT_TRUE(put_dest(msg.get(), record));
    return read_dest(attributes(msg), record.address.ip.family);
}

struct Random {
    std::mt19937_64 engine{42};
    template <class T>
    T any() {
        return static_cast<T>(engine());
    }
    base::Ip address(Family family) {
        base::Ip out;
        out.family = family;
        for (size_t i = 0; i < (family == Family::v6 ? 16U : 4U); ++i) out.bytes[i] = any<uint8_t>();
        return out;
    }
    Family family() { return any<bool>() ? Family::v6 : Family::v4; }
    std::string name(size_t least) {
        std::string out(least + any<uint32_t>() % (16 - least), 'x');
        for (char& c : out) c = static_cast<char>('a' + any<uint32_t>() % 26);
        return out;
    }
};

TEST(Wire, AnyServiceIsReadAsItWasWritten) {
    Random random;
    for (int i = 0; i < 2000; ++i) {
        ServiceRecord s;
        s.key.family = random.family();
        if (random.any<uint8_t>() % 3 == 0) {
            s.key.fwmark = random.any<uint32_t>() | 1;
        } else {
            s.key.protocol = random.any<uint8_t>();
            s.key.vip = {random.address(s.key.family), random.any<uint16_t>()};
        }
        s.scheduler = random.name(1);
        s.flags = random.any<uint32_t>() & ~uint32_t{IP_VS_SVC_F_HASHED};
        s.timeout_s = random.any<uint32_t>();
        s.netmask = static_cast<uint8_t>(random.any<uint32_t>() % (s.key.family == Family::v6 ? 129 : 33));
        s.pe_name = random.name(0);
        const auto read = through(s);
        ASSERT_TRUE(ok(read));
        ASSERT_TRUE(same(*read, s));
    }
}

TEST(Wire, AnyDestinationIsReadAsItWasWritten) {
    Random random;
    for (int i = 0; i < 2000; ++i) {
        DestRecord d;
        d.address = {random.address(random.family()), random.any<uint16_t>()};
        d.forwarding = random.any<uint32_t>() & IP_VS_CONN_F_FWD_MASK;
        d.weight = random.any<uint32_t>();
        d.upper_threshold = random.any<uint32_t>();
        d.lower_threshold = random.any<uint32_t>();
        d.tunnel_type = random.any<uint8_t>();
        d.tunnel_port = random.any<uint16_t>();
        d.tunnel_flags = random.any<uint16_t>();
        const auto read = through(d);
        ASSERT_TRUE(ok(read));
        ASSERT_TRUE(same(*read, d));
    }
}

TEST(Wire, AnIpv4MappedAddressStaysTheIpv6AddressThatTheKernelHas) {
    DestRecord d;
    d.address.ip.family = Family::v6;
    d.address.ip.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    EXPECT_TRUE(same(*through(d), d));
}

// The nested attribute of one kind, and in it the payload of one attribute.
std::vector<uint8_t> payload(const NlMsg& msg, int outer_type, int type) {
    const auto all = attributes(msg);
    const nlattr* outer =
        nla_find(reinterpret_cast<const nlattr*>(all.data()), static_cast<int>(all.size()), outer_type);
    EXPECT_NE(outer, nullptr);
    const nlattr* inner =
        outer ? nla_find(static_cast<const nlattr*>(nla_data(outer)), nla_len(outer), type) : nullptr;
    if (!inner) return {};
    const auto* bytes = static_cast<const uint8_t*>(nla_data(inner));
    return {bytes, bytes + nla_len(inner)};
}

template <class T>
std::vector<uint8_t> bytes_of(const T& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    return {bytes, bytes + sizeof value};
}

TEST(Wire, PortsAndMasksAreInNetworkOrderAndAddressesAre16Bytes) {
    ServiceRecord s = service_of(tcp("10.1.2.3:80"));
    s.netmask = 20;
    s.flags = 5 | IP_VS_SVC_F_HASHED;
    const NlMsg msg = message();
    ASSERT_TRUE(put_service(msg.get(), s));
    const auto of_service = [&msg](int type) { return payload(msg, IPVS_CMD_ATTR_SERVICE, type); };
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_AF), bytes_of(uint16_t{AF_INET}));
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_PROTOCOL), bytes_of(uint16_t{IPPROTO_TCP}));
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_PORT), (std::vector<uint8_t>{0, 80}));
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_NETMASK), (std::vector<uint8_t>{255, 255, 240, 0}));
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_ADDR),
              (std::vector<uint8_t>{10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(of_service(IPVS_SVC_ATTR_FLAGS), bytes_of(ip_vs_flags{5, ~uint32_t{0}}));
    EXPECT_TRUE(of_service(IPVS_SVC_ATTR_FWMARK).empty());
    EXPECT_TRUE(of_service(IPVS_SVC_ATTR_PE_NAME).empty());

    DestRecord d = dest_of("[2001:db8::1]:258", 9);
    d.tunnel_port = 772;
    const NlMsg dest = message();
    ASSERT_TRUE(put_dest(dest.get(), d));
    EXPECT_EQ(payload(dest, IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_PORT), (std::vector<uint8_t>{1, 2}));
    EXPECT_EQ(payload(dest, IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_TUN_PORT), (std::vector<uint8_t>{3, 4}));
    EXPECT_EQ(payload(dest, IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_ADDR_FAMILY), bytes_of(uint16_t{AF_INET6}));
}

TEST(Wire, AnIpv6NetmaskIsAPrefixLength) {
    ServiceRecord s = service_of(tcp("[2001:db8::1]:80"));
    s.netmask = 64;
    const NlMsg msg = message();
    ASSERT_TRUE(put_service(msg.get(), s));
    EXPECT_EQ(payload(msg, IPVS_CMD_ATTR_SERVICE, IPVS_SVC_ATTR_NETMASK), bytes_of(uint32_t{64}));
}

TEST(Wire, EveryOperationCarriesWhatItsCommandNeeds) {
    const ServiceKey key = tcp("10.0.0.1:80");
    const DestRecord d = dest_of("10.1.0.1:80", 5);
    const auto has = [](const Op& op, int outer, int type) {
        const NlMsg msg = message();
        EXPECT_TRUE(put_op(msg.get(), op));
        const auto all = attributes(msg);
        if (!nla_find(reinterpret_cast<const nlattr*>(all.data()), static_cast<int>(all.size()), outer))
            return false;
        return !payload(msg, outer, type).empty();
    };
    EXPECT_TRUE(has(Op::edit(service_of(key)), IPVS_CMD_ATTR_SERVICE, IPVS_SVC_ATTR_SCHED_NAME));
    EXPECT_FALSE(has(Op::remove(key), IPVS_CMD_ATTR_SERVICE, IPVS_SVC_ATTR_SCHED_NAME));
    EXPECT_TRUE(has(Op::edit(key, d), IPVS_CMD_ATTR_SERVICE, IPVS_SVC_ATTR_ADDR));
    EXPECT_TRUE(has(Op::edit(key, d), IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_L_THRESH));
    EXPECT_TRUE(has(Op::remove(key, d.address), IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_PORT));
    EXPECT_FALSE(has(Op::remove(key, d.address), IPVS_CMD_ATTR_DEST, IPVS_DEST_ATTR_WEIGHT));
    EXPECT_EQ(command_of(Op::Kind::edit_dest), IPVS_CMD_SET_DEST);
    EXPECT_EQ(command_of(Op::Kind::add_service), IPVS_CMD_NEW_SERVICE);
}

// A destination as the kernel shows it, built by hand.
struct KernelDest {
    NlMsg msg = message();
    nlattr* outer = nla_nest_start(msg.get(), IPVS_CMD_ATTR_DEST);

    explicit KernelDest(bool with_family) {
        const std::array<uint8_t, 16> address = {10, 1, 0, 1};
        nla_put(msg.get(), IPVS_DEST_ATTR_ADDR, 16, address.data());
        nla_put_u16(msg.get(), IPVS_DEST_ATTR_PORT, htons(80));
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_FWD_METHOD, 0x102);  // with a connection flag beyond the mask
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_WEIGHT, 7);
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_U_THRESH, 20);
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_L_THRESH, 10);
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_ACTIVE_CONNS, 1);
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_INACT_CONNS, 2);
        nla_put_u32(msg.get(), IPVS_DEST_ATTR_PERSIST_CONNS, 3);
        if (with_family) nla_put_u16(msg.get(), IPVS_DEST_ATTR_ADDR_FAMILY, AF_INET);
    }
    void stats(int type, uint64_t conns) {
        nlattr* nest = nla_nest_start(msg.get(), type);
        for (const int a : {IPVS_STATS_ATTR_CONNS, IPVS_STATS_ATTR_INPKTS, IPVS_STATS_ATTR_OUTPKTS}) {
            if (type == IPVS_DEST_ATTR_STATS64) {
                nla_put_u64(msg.get(), a, conns + static_cast<uint64_t>(a));
            } else {
                nla_put_u32(msg.get(), a, static_cast<uint32_t>(conns) + static_cast<uint32_t>(a));
            }
        }
        nla_put_u64(msg.get(), IPVS_STATS_ATTR_INBYTES, conns + 4);
        nla_put_u64(msg.get(), IPVS_STATS_ATTR_OUTBYTES, conns + 5);
        nla_nest_end(msg.get(), nest);
    }
    base::Result<DestRecord> read() {
        nla_nest_end(msg.get(), outer);
        return read_dest(attributes(msg), Family::v4);
    }
};

TEST(Wire, ADestinationOfAnOldKernelHasItsServicesFamilyAndNoTunnel) {
    KernelDest kernel(false);
    kernel.stats(IPVS_DEST_ATTR_STATS, 100);
    const auto d = kernel.read();
    ASSERT_TRUE(ok(d));
    EXPECT_EQ(d->address.text(), "10.1.0.1:80");
    EXPECT_EQ(d->forwarding, 2U);
    EXPECT_EQ(d->active, 1U);
    EXPECT_EQ(d->inactive, 2U);
    EXPECT_EQ(d->persistent, 3U);
    EXPECT_EQ(d->stats, (Stats{101, 102, 103, 104, 105}));
    EXPECT_EQ(d->tunnel_type, 0);
}

TEST(Wire, WideCountersArePreferred) {
    constexpr uint64_t wide = 0x500000000;
    KernelDest kernel(true);
    kernel.stats(IPVS_DEST_ATTR_STATS, 1);
    kernel.stats(IPVS_DEST_ATTR_STATS64, wide);
    const auto d = kernel.read();
    ASSERT_TRUE(ok(d));
    EXPECT_EQ(d->stats, (Stats{wide + 1, wide + 2, wide + 3, wide + 4, wide + 5}));
}

TEST(Wire, BytesThatAreNoRecordAreRefused) {
    EXPECT_FALSE(read_service({}));
    EXPECT_FALSE(read_dest({}, Family::v4));
    EXPECT_FALSE(read_info({}));
    // Every beginning of a good message, and the message with each byte turned: never more than an error.
    const NlMsg msg = message();
    ServiceRecord s = service_of(tcp("10.0.0.1:80"));
    s.pe_name = "sip";
    ASSERT_TRUE(put_service(msg.get(), s));
    ASSERT_TRUE(put_dest(msg.get(), dest_of("10.1.0.1:80")));
    const auto whole = attributes(msg);
    for (size_t n = 0; n < whole.size(); ++n) {
        std::vector<uint64_t> aligned(n / 8 + 1);
        std::memcpy(aligned.data(), whole.data(), n);
        const std::span<const std::byte> part(reinterpret_cast<const std::byte*>(aligned.data()), n);
        EXPECT_FALSE(read_dest(part, Family::v6));
        (void)read_service(part);
    }
    for (size_t n = 0; n < whole.size(); ++n) {
        std::vector<uint64_t> aligned(whole.size() / 8 + 1);
        std::memcpy(aligned.data(), whole.data(), whole.size());
        reinterpret_cast<uint8_t*>(aligned.data())[n] ^= 0xff;
        const std::span<const std::byte> bad(reinterpret_cast<const std::byte*>(aligned.data()),
                                             whole.size());
        (void)read_service(bad);
        (void)read_dest(bad, Family::v6);
    }
}

TEST(Wire, AnObjectThatNoRecordCanHoldIsToldFromADefect) {
    const NlMsg msg = message();
    nlattr* outer = nla_nest_start(msg.get(), IPVS_CMD_ATTR_SERVICE);
    nla_put_u16(msg.get(), IPVS_SVC_ATTR_AF, 99);
    nla_put_u32(msg.get(), IPVS_SVC_ATTR_FWMARK, 1);
    nla_put_string(msg.get(), IPVS_SVC_ATTR_SCHED_NAME, "rr");
    const ip_vs_flags flags{0, ~0U};
    nla_put(msg.get(), IPVS_SVC_ATTR_FLAGS, sizeof flags, &flags);
    nla_put_u32(msg.get(), IPVS_SVC_ATTR_TIMEOUT, 0);
    nla_put_u32(msg.get(), IPVS_SVC_ATTR_NETMASK, 0);
    nla_nest_end(msg.get(), outer);
    EXPECT_EQ(read_service(attributes(msg)).error().code, base::Errc::unsupported);
}

TEST(Wire, InfoHoldsVersionAndTableSize) {
    const NlMsg msg = message();
    nla_put_u32(msg.get(), IPVS_INFO_ATTR_VERSION, 0x010203);
    nla_put_u32(msg.get(), IPVS_INFO_ATTR_CONN_TAB_SIZE, 4096);
    const auto info = read_info(attributes(msg));
    ASSERT_TRUE(ok(info));
    EXPECT_EQ(info->version, "1.2.3");
    EXPECT_EQ(info->connection_table_size, 4096U);
    EXPECT_TRUE(info->forwards);
}

}  // namespace
}  // namespace gorb::ipvs::wire_test
